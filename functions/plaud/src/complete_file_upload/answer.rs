//! A file as the client sees it.

use capstan_domain::{ContentType, Error, FileDetails, FileId, FileType, Media, Recording};
use capstan_objects::{ObjectKey, Signer};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// A completed file with leave to fetch it.
pub(crate) struct Signed<'a> {
    recording: &'a Recording,
    media: &'a Media,
    details: FileDetails,
    url: String,
}

impl<'a> Signed<'a> {
    pub(crate) async fn of(recording: &'a Recording, signer: &Signer<'_>) -> Result<Self, Error> {
        let (media, _) = recording.file_upload()?;
        let download = signer.download(&ObjectKey::of(recording, media), media.content_type.as_str(), None).await?;
        let details = recording.origin.file.clone().unwrap_or_default();
        Ok(Self { recording, media, details, url: download.url })
    }

    fn file_id(&self) -> String {
        FileId::of(&self.recording.id).to_string()
    }
}

/// A file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = File)]
pub(crate) struct FileBody {
    /// Identifier. The identifier of the recording has the prefix `rec_` instead.
    #[schema(pattern = "^file_")]
    id: String,
    /// Identifier of the project.
    client_id: String,
    /// `owner_id` as sent by the client, else the identifier of the end user.
    #[schema(required)]
    owner_id: Option<String>,
    /// Name.
    #[schema(required)]
    name: Option<String>,
    /// Always null.
    #[schema(required)]
    bot_id: Option<String>,
    /// Identifier of the device.
    #[schema(required)]
    device_id: Option<String>,
    /// As sent by the client.
    #[schema(required)]
    start_time: Option<i64>,
    /// As sent by the client.
    #[schema(required)]
    end_time: Option<i64>,
    /// As sent by the client.
    #[schema(required)]
    duration: Option<i64>,
    /// As sent by the client.
    #[schema(required)]
    timezone: Option<i64>,
    /// As sent by the client.
    #[schema(required)]
    zonemins: Option<i64>,
    /// Always null.
    #[schema(required)]
    group_id: Option<String>,
    /// Always empty.
    #[schema(value_type = Vec<String>)]
    children_ids: [String; 0],
    /// Always empty.
    #[schema(required)]
    parent_id: Option<String>,
    /// Always empty.
    #[schema(value_type = Vec<String>)]
    parent_clips: [String; 0],
    /// Metadata set by the project.
    #[schema(value_type = Object)]
    data: Box<RawValue>,
    /// Presigned download URL, valid for up to a day.
    presigned_url: String,
    /// The same URL if the file is Opus, else null.
    #[schema(required)]
    presigned_url_opus: Option<String>,
    /// When the upload was created.
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<Signed<'_>> for FileBody {
    fn from(file: Signed<'_>) -> Self {
        let Signed { recording, media, details, .. } = &file;
        let end_user_id = recording.origin.end_user_id.as_ref().map(ToString::to_string);
        let is_opus = media.content_type == ContentType::AudioOpus;
        Self {
            id: file.file_id(),
            client_id: recording.tenant.project_id.to_string(),
            owner_id: details.owner_id.as_ref().map(ToString::to_string).or(end_user_id),
            name: recording.name.as_ref().map(ToString::to_string),
            bot_id: None,
            device_id: recording.origin.device_id.as_ref().map(ToString::to_string),
            start_time: details.start_time,
            end_time: details.end_time,
            duration: details.duration,
            timezone: details.timezone,
            zonemins: details.zonemins,
            group_id: None,
            children_ids: [],
            parent_id: None,
            parent_clips: [],
            data: recording.metadata.object().to_raw(),
            presigned_url_opus: is_opus.then(|| file.url.clone()),
            created_at: recording.created_at.to_string(),
            presigned_url: file.url,
        }
    }
}

/// A file in the partner API.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PartnerFile)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PartnerFileBody {
    /// Identifier.
    #[schema(pattern = "^file_")]
    file_id: String,
    /// Type.
    #[schema(value_type = String)]
    file_type: Option<FileType>,
    /// Presigned download URL, valid for up to a day.
    download_url: String,
    /// MD5 of the stored bytes. Null while a file over 256 MiB is not hashed.
    #[schema(required)]
    file_md5: Option<String>,
}

impl From<Signed<'_>> for PartnerFileBody {
    fn from(file: Signed<'_>) -> Self {
        let is_it = |known: &FileType| known.content_type() == file.media.content_type;
        Self {
            file_id: file.file_id(),
            file_type: FileType::ALL.into_iter().find(is_it),
            file_md5: file.media.last_object().and_then(|object| object.md5).map(|md5| md5.to_string()),
            download_url: file.url,
        }
    }
}
