//! `POST /v1/end-users`

use capstan_domain::{Action, Email, EndUser, EndUserId, Error, ExternalId, Metadata, Name};
use capstan_http::{Access, EndUserBody, ErrorBody, Refusals, Reply, Request};
use serde::Deserialize;
use utoipa::ToSchema;

/// A person to be made known.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewEndUser)]
pub struct Body {
    /// What the project's own system calls them. No other end user of the project is called so.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255)]
    external_id: Option<ExternalId>,
    /// Where they get mail.
    #[schema(value_type = Option<String>, max_length = 254)]
    email: Option<Email>,
    /// What they are called.
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Option<Name>,
    /// Anything to keep with them, at most 16 KiB as JSON.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Metadata>,
}

/// Makes an end user known.
///
/// # Errors
/// [`Error::ResourceAlreadyExists`], [`Error::Invalid`], [`Error::Unauthorized`], [`Error::Forbidden`].
#[utoipa::path(
    post, path = "/v1/end-users", operation_id = "createEndUser", tag = "End users",
    security(("secretKey" = []), ("restrictedKey" = ["end_users:write"])),
    request_body = Body,
    responses(
        (status = 201, description = "The new end user.", body = EndUserBody),
        (status = 409, description = "The project has an end user of this `external_id`.", body = ErrorBody),
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
