//! HTTP: requests and credentials in, answers and errors out. The only place that knows a status code.

mod access;
mod device;
mod end_user;
mod failure;
mod idempotency;
mod named;
mod page;
mod part;
mod recorder;
mod recording;
mod reply;
mod request;
mod sealed;
mod settings;
mod transcription;

pub use access::Access;
pub use device::{DeviceBody, DeviceWithTokenBody};
pub use end_user::EndUserBody;
pub use failure::{ErrorBody, ErrorDetail, Refusals};
pub use idempotency::{Dependencies, idempotent};
pub use page::{Cursor, DevicePage, EndUserPage, RecordingPage, TranscriptionPage};
pub use part::{PartUrlBody, PartUrls, ReceivedPartBody};
pub use recorder::{RecorderBody, RecorderOfOwner, known_owner, named_owner};
pub use recording::{MediaBody, ProcessingErrorBody, RecordingBody, RenditionBody};
pub use reply::{File, Reply};
pub use request::{Request, present};
pub use settings::{SettingsBody, TranscriptionSettingsBody};
pub use transcription::{SegmentBody, TranscriptionBody, TranscriptionErrorBody};
