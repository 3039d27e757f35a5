//! Uploads: recording what S3 holds, completing multipart uploads, completing the upload of a recording.

mod arrival;
mod completion;
mod multipart;

pub use arrival::{Notification, record_object};
pub use completion::{MAX_HASHED_IN_REQUEST_BYTES, VERIFICATION_RETRY_SECONDS, publish_completed};
pub use multipart::MultipartCompletion;
