//! `POST /v1/end-users`

use capstan_domain::{Action, Email, EndUser, EndUserId, Error, ExternalId, Metadata, Name};
use capstan_http::{Access, EndUserBody, ErrorBody, Refusals, Reply, Request};
use serde::Deserialize;
use utoipa::ToSchema;

/// An end user to create.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewEndUser)]
pub struct Body {
    /// Identifier in the project's own system, unique within the project.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255)]
    external_id: Option<ExternalId>,
    /// Email address.
    #[schema(value_type = Option<String>, max_length = 254)]
    email: Option<Email>,
    /// Name.
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Option<Name>,
    /// Any JSON object of at most 16 KiB.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Metadata>,
}

/// Creates an end user.
///
/// # Errors
/// [`Error::ResourceAlreadyExists`], [`Error::Invalid`], [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    post, path = "/v1/end-users", operation_id = "createEndUser",
    summary = "Create an end user",
    description = "An `external_id` that another end user of the project has gets 409.",
    tag = "End users",
    security(("secretKey" = []), ("restrictedKey" = ["end_users:write"])),
    request_body = Body,
    responses(
        (status = 201, description = "The new end user.", body = EndUserBody),
        (status = 409, description = "Another end user of the project has this `external_id`.", body = ErrorBody),
        Refusals,
    ),
)]
pub async fn handle(access: Access, request: Request) -> Result<Reply, Error> {
    let caller = access.caller(&request, Action::WriteEndUsers).await?;
    let body: Body = request.json()?;
    let id = EndUserId::new(request.now(), request.entropy());
    let end_user = body.describe(EndUser::new(id, caller.tenant, request.now()));
    let end_user = access.store().create_end_user(end_user).await?;
    Reply::created(&EndUserBody::from(&end_user))
}

impl Body {
    fn describe(self, end_user: EndUser) -> EndUser {
        let Self { external_id, email, name, metadata } = self;
        EndUser { external_id, email, name, metadata: metadata.unwrap_or_default(), ..end_user }
    }
}

#[cfg(test)]
mod tests;
