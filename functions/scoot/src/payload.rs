//! Payloads of meeting workers: the known fields are checked, and all fields are stored and returned.

use capstan_domain::{Error, MeetingPayload};
use capstan_http::Request;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

/// A participant of a meeting. All fields are stored and returned, also those that are not listed here.
#[derive(Debug, ToSchema)]
#[schema(as = Participant, rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the object in the OpenAPI document")]
pub(crate) struct Participant {
    /// Identifier of the user.
    #[schema(format = "uuid")]
    user_id: Option<String>,
    /// How the user participated, such as `VIDEO`.
    #[schema(rename = "type", example = "VIDEO")]
    kind: Option<String>,
    /// When the user joined.
    #[schema(format = DateTime)]
    start_date_time: Option<String>,
    /// When the user left.
    #[schema(format = DateTime)]
    end_date_time: Option<String>,
    /// The user.
    user: Option<MeetingUser>,
}

/// A user. All fields are stored and returned, also those that are not listed here.
#[derive(Debug, ToSchema)]
#[schema(as = MeetingUser, rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the object in the OpenAPI document")]
pub(crate) struct MeetingUser {
    /// Identifier of the user.
    #[schema(format = "uuid")]
    user_id: Option<String>,
    /// Full name.
    name: Option<String>,
    /// First name.
    first_name: Option<String>,
    /// Middle name.
    middle_name: Option<String>,
    /// Last name.
    last_name: Option<String>,
    /// Email address.
    email_address: Option<String>,
    /// Whether the email address is verified.
    email_verified: Option<bool>,
    /// Field of the worker's own.
    preload: Option<bool>,
    /// Mobile phone number.
    mobile_phone: Option<String>,
    /// Whether the phone number is verified.
    mobile_phone_verified: Option<bool>,
    /// Whether the phone number is verified on the web.
    mobile_phone_verified_web: Option<bool>,
    /// Identifier of the profile.
    profile_id: Option<String>,
    /// URI of the profile image.
    #[schema(rename = "profileImageURI")]
    profile_image_uri: Option<String>,
    /// Identifier of the profile image.
    #[schema(format = "uuid")]
    profile_image_id: Option<String>,
    /// Background of the profile image.
    profile_image_background: Option<String>,
    /// Time zone.
    time_zone: Option<String>,
    /// When the user registered.
    #[schema(format = DateTime)]
    registered_date_time: Option<String>,
    /// Whether the user is active.
    active: Option<bool>,
    /// Field of the worker's own.
    acted_as: Option<bool>,
}

/// The known fields of a worker's body, and all of it.
///
/// # Errors
/// [`Error::Invalid`] for a field, [`Error::RequestTooLarge`].
pub(crate) fn read<T: DeserializeOwned>(request: &Request) -> Result<(T, MeetingPayload), Error> {
    Ok((request.json()?, MeetingPayload::new(request.json()?)?))
}

/// A field of the response that the worker has not sent.
pub(crate) fn absent(
    payload: &MeetingPayload,
    field: &'static str,
    value: Option<impl ToString>,
) -> (&'static str, Option<String>) {
    (field, value.filter(|_| !payload.has(field)).map(|value| value.to_string()))
}
