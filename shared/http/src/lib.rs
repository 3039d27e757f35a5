//! HTTP: requests, permissions, responses, and the one mapping from errors to status codes.

mod access;
mod device;
mod end_user;
mod failure;
mod page;
mod part;
mod recording;
mod reply;
mod request;
mod settings;
mod transcription;

pub use access::{Access, Bearer, CredentialForm};
pub use device::{DeviceBody, DeviceWithTokenBody};
pub use end_user::EndUserBody;
pub use failure::{ErrorBody, ErrorDetail, GatewayRefusalBody, Refusals};
pub use page::{Cursor, DevicePage, EndUserPage, RecordingPage, TranscriptionPage};
pub use part::{PartUrlBody, PartUrls, ReceivedPartBody};
pub use recording::{MediaBody, ProcessingErrorBody, RecordingBody, RenditionBody};
pub use reply::{File, Reply};
pub use request::{Request, present};
pub use settings::{SettingsBody, TranscriptionSettingsBody};
pub use transcription::{SegmentBody, TranscriptionBody, TranscriptionErrorBody};
