//! What Scoot-shaped workers send: checked, and kept whole.

use capstan_domain::{Error, Told};
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use crate::Request;

/// Somebody who took part in a meeting. Kept and given back as it is told, with fields that are not listed here too.
#[derive(Debug, ToSchema)]
#[schema(as = Participant, rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the object in the OpenAPI document")]
pub struct Participant {
    /// Who.
    #[schema(format = "uuid")]
    user_id: Option<String>,
    /// How they took part, such as `VIDEO`.
    #[schema(rename = "type", example = "VIDEO")]
    kind: Option<String>,
    /// When they came.
    #[schema(format = DateTime)]
    start_date_time: Option<String>,
    /// When they left.
    #[schema(format = DateTime)]
    end_date_time: Option<String>,
    /// More of them.
    user: Option<MeetingUser>,
}

/// A person. Kept and given back as it is told, with fields that are not listed here too.
#[derive(Debug, ToSchema)]
#[schema(as = MeetingUser, rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the object in the OpenAPI document")]
pub struct MeetingUser {
    /// Names the person.
    #[schema(format = "uuid")]
    user_id: Option<String>,
    /// All of the name.
    name: Option<String>,
    /// A part of it.
    first_name: Option<String>,
    /// A part of it.
    middle_name: Option<String>,
    /// A part of it.
    last_name: Option<String>,
    /// Where they get mail.
    email_address: Option<String>,
    /// Whether that is known to be theirs.
    email_verified: Option<bool>,
    /// As the worker knows it.
    preload: Option<bool>,
    /// Where they are called.
    mobile_phone: Option<String>,
    /// Whether that is known to be theirs.
    mobile_phone_verified: Option<bool>,
    /// The same, by a browser.
    mobile_phone_verified_web: Option<bool>,
    /// Names their profile.
    profile_id: Option<String>,
    /// Their picture.
    #[schema(rename = "profileImageURI")]
    profile_image_uri: Option<String>,
    /// Names their picture.
    #[schema(format = "uuid")]
    profile_image_id: Option<String>,
    /// What is behind it.
    profile_image_background: Option<String>,
    /// Where their day begins.
    time_zone: Option<String>,
    /// When they registered.
    #[schema(format = DateTime)]
    registered_date_time: Option<String>,
    /// As the worker knows it.
    active: Option<bool>,
    /// As the worker knows it.
    acted_as: Option<bool>,
}

/// A worker's body: what is looked at of it, and all of it.
///
/// # Errors
/// [`Error::Invalid`] of a field, [`Error::RequestTooLarge`].
pub fn told<T: DeserializeOwned>(request: &Request) -> Result<(T, Told), Error> {
    Ok((request.json()?, Told::new(request.json()?)?))
}

/// A field of an answer to a worker, where the worker did not tell it.
pub fn filled(told: &Told, field: &'static str, value: Option<impl ToString>) -> (&'static str, Option<String>) {
    (field, value.filter(|_| !told.has(field)).map(|value| value.to_string()))
}
