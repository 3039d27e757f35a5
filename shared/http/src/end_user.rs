//! An end user in responses.

use capstan_domain::EndUser;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// An end user: a person with recordings in the project.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EndUser)]
pub struct EndUserBody {
    /// Identifier.
    #[schema(example = "eu_01jcz695t07xwvpyt3bc2k45jh")]
    pub id: String,
    /// Identifier of the project.
    pub project_id: String,
    /// Identifier in the project's own system.
    #[schema(required)]
    pub external_id: Option<String>,
    /// Email address.
    #[schema(required)]
    pub email: Option<String>,
    /// Name.
    #[schema(required)]
    pub name: Option<String>,
    /// Metadata set by the project.
    #[schema(value_type = Object)]
    pub metadata: Box<RawValue>,
    /// When the end user was created.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When the end user was last updated.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

impl From<&EndUser> for EndUserBody {
    fn from(end_user: &EndUser) -> Self {
        Self {
            id: end_user.id.to_string(),
            project_id: end_user.tenant.project_id.to_string(),
            external_id: end_user.external_id.as_ref().map(ToString::to_string),
            email: end_user.email.as_ref().map(ToString::to_string),
            name: end_user.name.as_ref().map(ToString::to_string),
            metadata: end_user.metadata.object().to_raw(),
            created_at: end_user.created_at.to_string(),
            updated_at: end_user.updated_at.to_string(),
        }
    }
}
