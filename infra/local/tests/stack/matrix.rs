//! Who may do what to what: every operation of the document that the stack serves, asked with every kind of credential
//! for a resource of every owner. The expected outcome follows from the document alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::OnceLock;

use aws_sdk_s3::primitives::ByteStream;
use capstan_domain::{
    AudioFacts, BoundDevice, Caller, ContentType, Credential, CredentialHash, Device, DeviceId, EndUser, EndUserId,
    Facts, FileId, FileSize, Findings, Grant, LeaseId, Media, MediaId, MediaState, Mode, MultipartUpload, Offset,
    PartPlan, Recording, RecordingId, Scope, Status, StoredObject, Tenant, Timestamp, Transcript, Transcription,
    TranscriptionId, TranscriptionOptions, UploadedObject, Visibility,
};
use capstan_emulators::template::Trigger;
use capstan_local::keys;
use capstan_objects::{ObjectKey, Objects};
use capstan_store::ByName;
use futures_util::{StreamExt, stream};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use super::world::{Answer, OPUS, World, answer};

/// How many cells are asked at once.
const AT_ONCE: usize = 8;
/// The tag of [`OPUS`] as a part.
const OPUS_TAG: &str = "b6ecdb96ef6aa5956527f2345f57f001";
/// The project that owns the resources, unless a cell says otherwise.
const PROJECT: &str = "proj_own";

/// Whose a resource is, as its caller would say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    /// The project's live data, and of its recordings those of one device.
    Own,
    /// The same, of its other device.
    OtherDevice,
    /// The project's test data.
    OtherMode,
    OtherProject,
}

impl Owner {
    const ALL: [Self; 4] = [Self::Own, Self::OtherDevice, Self::OtherMode, Self::OtherProject];

    fn tenant(self) -> Tenant {
        let (project, mode) = match self {
            Self::Own | Self::OtherDevice => (PROJECT, Mode::Live),
            Self::OtherMode => (PROJECT, Mode::Test),
            Self::OtherProject => ("proj_other", Mode::Live),
        };
        Tenant { project_id: project.parse().unwrap(), mode }
    }
}

/// Credential of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Shown {
    Nothing,
    /// A good key under another scheme than `Bearer`.
    OtherScheme,
    Malformed,
    Unknown,
    RevokedKey,
    EndedKey,
    SecretKey(Owner),
    /// With one scope.
    RestrictedKey(Scope),
    /// With all scopes.
    RestrictedKeyOfOtherProject,
    DeviceToken(Owner),
    /// Of the device that made the recording, after it was bound to another end user.
    ReboundDeviceToken,
    /// The device has another one by now.
    ReplacedDeviceToken,
    UploadToken(Owner),
    EndedUploadToken,
}

impl Shown {
    fn all() -> Vec<Self> {
        use Owner as O;
        let mut all = vec![Self::Nothing, Self::OtherScheme, Self::Malformed, Self::Unknown];
        all.extend([Self::RevokedKey, Self::EndedKey, Self::ReplacedDeviceToken, Self::EndedUploadToken]);
        all.extend([O::Own, O::OtherMode, O::OtherProject].map(Self::SecretKey));
        all.extend(Scope::ALL.iter().copied().map(Self::RestrictedKey));
        all.push(Self::RestrictedKeyOfOtherProject);
        all.extend([O::Own, O::OtherDevice].map(Self::DeviceToken));
        all.push(Self::ReboundDeviceToken);
        all.extend([O::Own, O::OtherDevice].map(Self::UploadToken));
        all
    }

    /// Whose it is; `None` when it is nobody's.
    fn owner(self) -> Option<Owner> {
        match self {
            Self::SecretKey(owner) | Self::DeviceToken(owner) | Self::UploadToken(owner) => Some(owner),
            Self::RestrictedKey(_) | Self::ReboundDeviceToken => Some(Owner::Own),
            Self::RestrictedKeyOfOtherProject => Some(Owner::OtherProject),
            _ => None,
        }
    }

    /// Whether the document says that the operation takes it.
    fn is_listed(self, operation: &Operation) -> bool {
        let scopes = |scheme: &str| operation.takes.get(scheme);
        match self {
            Self::SecretKey(_) => scopes("secretKey").is_some(),
            Self::RestrictedKey(scope) => {
                scopes("restrictedKey").is_some_and(|needed| needed.iter().all(|needed| needed == scope.as_str()))
            }
            Self::RestrictedKeyOfOtherProject => scopes("restrictedKey").is_some(),
            Self::DeviceToken(_) | Self::ReboundDeviceToken => scopes("deviceToken").is_some(),
            Self::UploadToken(_) => scopes("uploadToken").is_some(),
            _ => false,
        }
    }

    /// Owners whose resources are requested. A credential that is refused at once is tried on two of them only.
    fn is_asked_for(self, resource: Owner, operation: &Operation) -> bool {
        if self == Self::ReboundDeviceToken {
            return resource == Owner::Own && operation.about == About::Recording;
        }
        self.is_listed(operation) || matches!(resource, Owner::Own | Owner::OtherProject)
    }

    fn reaches(self, resource: Owner) -> bool {
        match self {
            Self::DeviceToken(owner) | Self::UploadToken(owner) => owner == resource,
            Self::ReboundDeviceToken => false,
            _ => self.owner().is_some_and(|owner| owner.tenant() == resource.tenant()),
        }
    }
}

/// Resource of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    Recording,
    Device,
    EndUser,
    Transcription,
    /// Settings of the caller's data.
    Settings,
    /// All of a kind.
    List,
    /// A new recording of the resource's end user.
    NewRecording,
    /// Something new that names nothing.
    New,
    Nothing,
}

/// An operation as the document has it.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) about: About,
    /// The schemes of the credentials that it takes, with the scopes of each.
    pub(crate) takes: BTreeMap<String, Vec<String>>,
    pub(crate) is_public: bool,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

const SCHEMES: [&str; 4] = ["secretKey", "restrictedKey", "deviceToken", "uploadToken"];

impl Operation {
    fn read(method: &str, path: &str, described: &Value, schemes: &Value) -> Self {
        let name = format!("{} {path}", method.to_uppercase());
        let security = described["security"].as_array();
        let security =
            security.unwrap_or_else(|| panic!("{name}: say with `security(...)` which credentials it takes"));
        let entries = security.iter().flat_map(|requirement| requirement.as_object().unwrap());
        let takes: BTreeMap<String, Vec<String>> =
            entries.map(|(scheme, scopes)| (scheme.clone(), serde_json::from_value(scopes.clone()).unwrap())).collect();
        for (scheme, scopes) in &takes {
            assert!(SCHEMES.contains(&scheme.as_str()), "{name}: teach `Shown` what a {scheme} is");
            assert_eq!(schemes[scheme]["scheme"], "bearer", "{name}: {scheme}");
            let scoped = scopes.iter().filter(|scope| scope.parse::<Scope>().is_ok()).count();
            assert_eq!((scoped, scopes.len()), if scheme == "restrictedKey" { (1, 1) } else { (0, 0) }, "{name}");
        }
        let is_public = security.iter().any(|requirement| requirement.as_object().unwrap().is_empty());
        assert!(is_public || takes.contains_key("secretKey"), "{name}: a secret key may do everything");
        let is_post = method == "post";
        let about = match path {
            "/openapi.json" => About::Nothing,
            "/v1/recordings" if is_post => About::NewRecording,
            "/v1/devices" | "/v1/end-users" if is_post => About::New,
            // It names one in its body.
            "/v1/transcriptions" if is_post => About::Recording,
            "/v1/recordings" | "/v1/devices" | "/v1/end-users" | "/v1/transcriptions" => About::List,
            "/v1/settings" => About::Settings,
            "/api/devices/bind" | "/api/v1/recording/processing" | "/api/v1/transcription/save" => About::New,
            "/api/devices/unbind" => About::Device,
            _ if path.ends_with("/generate-presigned-urls") => About::New,
            _ if path.ends_with("/complete-upload") => About::Recording,
            _ if path.starts_with("/v1/recordings/{id}") => About::Recording,
            _ if path.starts_with("/v1/devices/{id}") => About::Device,
            _ if path.starts_with("/v1/end-users/{id}") => About::EndUser,
            _ if path.starts_with("/v1/transcriptions/{id}") => About::Transcription,
            _ => panic!("{name} is in the document: say in `Operation::read` of {} what it is about", file!()),
        };
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        Self { method, path: path.to_owned(), about, takes, is_public }
    }

    /// A request that succeeds, the first time, for whoever may make it and reaches the resource.
    pub(crate) fn request(&self, on: &Resource) -> (String, Value) {
        let name = self.to_string();
        let (id, body) = match name.as_str() {
            "GET /v1/recordings" => ("", Value::Null),
            "POST /v1/recordings" => ("", json!({"end_user_id": on.end_user.as_str()})),
            "PATCH /v1/recordings/{id}" => (on.recording.as_str(), json!({"name": "x"})),
            "POST /v1/recordings/{id}/upload-url" => (on.recording.as_str(), json!({"content_type": "audio/ogg"})),
            "POST /v1/recordings/{id}/upload-token" => (on.recording.as_str(), json!({})),
            "POST /v1/recordings/{id}/media/{media_id}/upload/complete" => (on.recording.as_str(), json!({})),
            "POST /v1/recordings/{id}/upload-complete" => (on.recording.as_str(), json!({})),
            "POST /v1/recordings/{id}/download-url" => {
                (on.recording.as_str(), json!({"media_id": on.media_file.as_str()}))
            }
            "POST /api/files/upload-s3/generate-presigned-urls"
            | "POST /open/partner/files/upload/generate-presigned-urls" => {
                ("", json!({"filesize": 1, "filetype": "ogg"}))
            }
            "POST /api/files/upload-s3/complete-upload" | "POST /open/partner/files/upload/complete-upload" => {
                let part = json!({"PartNumber": 1, "ETag": OPUS_TAG});
                let file_id = FileId::of(&on.recording).to_string();
                let upload_id = on.upload_id.get().map_or("none", String::as_str);
                (
                    "",
                    json!({"file_id": file_id, "upload_id": upload_id, "part_list": [part], "filetype": "ogg", "owner_id": new_bits().to_string()}),
                )
            }
            "POST /api/v1/recording/processing" => {
                let user_id = uuid::Uuid::new_v4().to_string();
                ("", json!({"socialRecordingId": uuid::Uuid::new_v4().to_string(), "userId": user_id}))
            }
            "POST /api/v1/transcription/save" => {
                ("", json!({"socialTranscriptionId": uuid::Uuid::new_v4().to_string()}))
            }
            "POST /api/devices/bind" => ("", json!({"sn": new_bits().to_string(), "owner_id": new_bits().to_string()})),
            "POST /api/devices/unbind" => ("", json!({"sn": on.device.as_str(), "owner_id": on.end_user.as_str()})),
            "POST /v1/devices" => ("", json!({"serial_number": new_bits().to_string()})),
            "PATCH /v1/devices/{id}" => (on.device.as_str(), json!({"model": "x"})),
            "POST /v1/devices/{id}/bind" => (on.unbound.as_str(), json!({"end_user_id": on.end_user.as_str()})),
            "POST /v1/devices/{id}/unbind"
            | "POST /v1/devices/{id}/heartbeat"
            | "POST /v1/devices/{id}/token/refresh" => (on.device.as_str(), json!({})),
            "POST /v1/end-users" => ("", json!({})),
            "POST /v1/transcriptions" => ("", json!({"recording_id": on.transcribed.as_str()})),
            "POST /v1/recordings/{id}/transcribe" => (on.transcribed.as_str(), json!({})),
            "GET /v1/transcriptions" => ("", Value::Null),
            "PUT /v1/settings" => ("", json!({"transcription": {"language": "en"}})),
            _ => match (&self.method, self.about) {
                (&Method::GET, About::Nothing | About::List | About::Settings) => ("", Value::Null),
                (&Method::GET | &Method::DELETE, About::Recording) => (on.recording.as_str(), Value::Null),
                (&Method::GET | &Method::DELETE, About::Device) => (on.device.as_str(), Value::Null),
                (&Method::GET | &Method::DELETE, About::EndUser) => (on.end_user.as_str(), Value::Null),
                (&Method::GET, About::Transcription) => (on.transcription.as_str(), Value::Null),
                _ => panic!("{name} is in the document: add a request that succeeds to `Operation::request`"),
            },
        };
        let path = self.path.replace("{id}", id).replace("{media_id}", on.in_parts.as_str());
        assert!(!path.contains('{'), "{name}: say in `Operation::request` what stands for the parameters of its path");
        let query = match self.path.as_str() {
            "/v1/recordings" if self.about == About::List => format!("?end_user_id={}", on.end_user),
            "/v1/end-users" if self.about == About::List => format!("?external_id={}", on.end_user),
            "/v1/transcriptions" if self.about == About::List => format!("?recording_id={}", on.transcribed),
            _ if self.about == About::List => "?limit=100".to_owned(),
            _ => String::new(),
        };
        (path + &query, body)
    }

    /// Whether it wants a resource that no other cell has asked for.
    fn wants_a_new_resource(&self) -> bool {
        let names_one = matches!(self.about, About::Recording | About::Device | About::EndUser);
        // The newest device is on the first page.
        (names_one && self.method != Method::GET) || self.path == "/v1/devices" && self.about == About::List
    }

    /// Expected outcome.
    fn expects(&self, shown: Shown, resource: Owner) -> Expected {
        if self.is_public {
            Expected::Success
        } else if shown.owner().is_none() {
            Expected::Refusal("401 unauthorized")
        } else if !shown.is_listed(self) {
            Expected::Refusal("403 forbidden")
        } else {
            match self.about {
                About::Recording | About::Device | About::EndUser | About::Transcription
                    if !shown.reaches(resource) =>
                {
                    Expected::Refusal("404 not_found")
                }
                // A token says for whom it records; the body does not count.
                About::NewRecording if !shown.reaches(resource) && !matches!(shown, Shown::DeviceToken(_)) => {
                    Expected::Refusal("400 invalid_request")
                }
                _ => Expected::Success,
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Success,
    Refusal(&'static str),
}

fn new_bits() -> u128 {
    uuid::Uuid::new_v4().as_u128()
}

/// An end user with two devices, one of which is bound to them, and a recording of that one whose file has arrived, and
/// of another file all parts; and a recording that was transcribed.
#[derive(Debug)]
pub(crate) struct Resource {
    tenant: Tenant,
    end_user: EndUserId,
    device: DeviceId,
    unbound: DeviceId,
    recording: RecordingId,
    media_file: MediaId,
    in_parts: MediaId,
    transcribed: RecordingId,
    transcription: TranscriptionId,
    upload_id: OnceLock<String>,
    pub(crate) device_token: String,
    replaced_token: String,
    pub(crate) upload_token: String,
    rebound_token: String,
    ended_upload_token: String,
}

impl Resource {
    /// What is needed of it for an operation about that.
    pub(crate) async fn make(world: &World, tenant: Tenant, about: About) -> Self {
        let now = world.now();
        let end_user = EndUserId::new(now, new_bits());
        let resource = Self {
            device: DeviceId::new(now, new_bits()),
            unbound: DeviceId::new(now, new_bits()),
            recording: RecordingId::new(now, new_bits()),
            media_file: MediaId::new(now, new_bits()),
            in_parts: MediaId::new(now, new_bits()),
            transcribed: RecordingId::new(now, new_bits()),
            transcription: TranscriptionId::new(now, new_bits()),
            upload_id: OnceLock::new(),
            device_token: format!("dtok_{}", new_bits()),
            replaced_token: format!("dtok_{}", new_bits()),
            rebound_token: format!("dtok_{}", new_bits()),
            upload_token: format!("up_{}", new_bits()),
            ended_upload_token: format!("up_{}", new_bits()),
            end_user,
            tenant,
        };
        // Boxed, as the SDK's futures are large for a test's stack.
        match about {
            About::Recording | About::Transcription => Box::pin(resource.keep_recording(world, now)).await,
            _ => Box::pin(resource.keep_owners(world, now)).await,
        }
        resource
    }

    async fn keep_owners(&self, world: &World, now: Timestamp) {
        let store = &world.store;
        let mut end_user = EndUser::new(self.end_user.clone(), self.tenant.clone(), now);
        end_user.external_id = Some(self.end_user.as_str().parse().unwrap());
        store.create_end_user(end_user).await.unwrap();
        for id in [&self.device, &self.unbound] {
            let device = Device::new(id.clone(), self.tenant.clone(), id.as_str().parse().unwrap(), now);
            store.register_device(&device).await.unwrap();
        }
        let device = store.device(&self.device).await.unwrap().unwrap();
        let first = CredentialHash::of(&self.replaced_token);
        let bound = store.bind_device(device, self.end_user.clone(), first, now).await.unwrap();
        let key = Caller { tenant: self.tenant.clone(), grant: Grant::Secret, credential: CredentialHash::of("any") };
        let second = CredentialHash::of(&self.device_token);
        store.replace_device_token(bound, &key, second, true, now).await.unwrap();
    }

    async fn keep_recording(&self, world: &World, now: Timestamp) {
        let store = &world.store;
        let mut recording =
            Recording::new(self.recording.clone(), self.tenant.clone(), Some(self.end_user.clone()), now);
        recording.origin.device_id = Some(self.device.clone());
        recording.origin.binding_generation = Some(1);
        store.create_recording(recording).await.unwrap();
        let media_file = Media::new(self.media_file.clone(), ContentType::AudioOgg, now.plus_seconds(3600), now);
        let visibility = Visibility::Tenant { tenant: self.tenant.clone() };
        store.add_media(&visibility, &self.recording, &media_file, now).await.unwrap();
        let key =
            ObjectKey::original(&self.tenant.project_id, &self.recording, &self.media_file, ContentType::AudioOgg);
        let bucket = &world.stack.template().buckets[0].name;
        let s3 = world.stack.emulators().s3();
        let put = s3.put_object().bucket(bucket).key(key.as_str()).content_type("audio/ogg");
        put.body(ByteStream::from_static(OPUS)).send().await.unwrap();
        let objects = Objects::new(&world.stack.emulators().sdk_config(), bucket.as_str());
        let stored = objects.inspect(&key, now).await.unwrap().unwrap();
        store.record_object(&self.recording, &self.media_file, &stored, now).await.unwrap();
        let mut in_parts = Media::new(self.in_parts.clone(), ContentType::AudioOgg, now.plus_seconds(3600), now);
        let key = ObjectKey::original(&self.tenant.project_id, &self.recording, &self.in_parts, ContentType::AudioOgg);
        let id = objects.begin_multipart_upload(&key, ContentType::AudioOgg).await.unwrap();
        let part = s3.upload_part().bucket(bucket).key(key.as_str()).upload_id(id.as_str()).part_number(1);
        part.body(ByteStream::from_static(OPUS)).send().await.unwrap();
        self.upload_id.set(id.as_str().to_owned()).unwrap();
        in_parts.declared_size = Some(FileSize::new(OPUS.len() as u64).unwrap());
        in_parts.multipart = in_parts.declared_size.map(|size| MultipartUpload { id, plan: PartPlan::of(size) });
        store.add_media(&visibility, &self.recording, &in_parts, now).await.unwrap();
        self.keep_transcription(world, now).await;
        let grant = Grant::Upload { recording_id: self.recording.clone() };
        let token = Credential::new(self.tenant.clone(), grant, now);
        let ended = Credential { expires_at: Some(now), ..token.clone() };
        store.put_credential(&CredentialHash::of(&self.upload_token), &token).await.unwrap();
        store.put_credential(&CredentialHash::of(&self.ended_upload_token), &ended).await.unwrap();
        let bound = BoundDevice { device_id: self.device.clone(), end_user_id: self.end_user.clone(), generation: 1 };
        let rebound = BoundDevice { end_user_id: EndUserId::new(now, new_bits()), generation: 2, ..bound.clone() };
        for (token, device) in [(&self.device_token, bound), (&self.rebound_token, rebound)] {
            let credential = Credential::new(self.tenant.clone(), Grant::Device(device), now);
            store.put_credential(&CredentialHash::of(token), &credential).await.unwrap();
        }
    }

    async fn keep_transcription(&self, world: &World, now: Timestamp) {
        let facts = AudioFacts {
            duration_ms: 2_500,
            codec: "opus".to_owned(),
            sample_rate_hz: 16_000,
            channels: 1,
            loudness_lufs: None,
        };
        let end_user = Some(self.end_user.clone());
        let mut recording = Recording::new(self.transcribed.clone(), self.tenant.clone(), end_user, now);
        let object = StoredObject {
            size_bytes: OPUS.len() as u64,
            etag: OPUS_TAG.to_owned(),
            sha256: None,
            md5: None,
            sequencer: None,
            recorded_at: now,
        };
        let findings = Findings { facts: Facts::Audio(facts), renditions: Vec::new(), captured_at: None };
        let uploaded = UploadedObject { outcome: Some(Ok(findings)), ..UploadedObject::in_time(object) };
        let media = Media::new(self.media_file.clone(), ContentType::AudioOgg, now, now);
        recording.media.insert(self.media_file.clone(), Media { state: MediaState::Uploaded(uploaded), ..media });
        recording.status = Status::Completed;
        let recording = world.store.create_recording(recording).await.unwrap();
        let options = TranscriptionOptions::default();
        let asked = Transcription::new(self.transcription.clone(), &recording, options, now).unwrap();
        world.store.create_transcription(asked, &recording).await.unwrap();
        let lease = LeaseId::new(now, new_bits());
        world.store.claim_transcription(&self.transcription, &lease, now).await.unwrap().unwrap();
        let silence = Transcript::new(None, Offset::from_milliseconds(2_500), Vec::new());
        let kept = capstan_store::transcript_location(&silence);
        world.store.complete_transcription(&self.transcription, &silence, &kept, now).await.unwrap();
    }

    /// All that would let somebody in.
    pub(crate) fn tokens(&self) -> [String; 4] {
        [&self.device_token, &self.replaced_token, &self.upload_token, &self.ended_upload_token].map(Clone::clone)
    }

    /// As it is stored.
    async fn stored(&self, store: &capstan_store::Store) -> String {
        let recording = store.recording(&self.recording).await.unwrap();
        let (device, unbound) = (store.device(&self.device).await.unwrap(), store.device(&self.unbound).await.unwrap());
        let end_user = store.end_user(&self.end_user).await.unwrap();
        let transcribed = store.recording(&self.transcribed).await.unwrap();
        let transcription = store.transcription(&self.transcription).await.unwrap();
        format!("{recording:?} {device:?} {unbound:?} {end_user:?} {transcribed:?} {transcription:?}")
    }
}

/// The stack with a resource of each owner, which no cell may change, and the keys.
struct Stage {
    world: World,
    resources: BTreeMap<Owner, Resource>,
    keys: BTreeMap<Shown, String>,
}

impl Stage {
    async fn set() -> Self {
        let world = World::start().await;
        // Uploads that cells complete are not processed.
        world.stack.bus().hold();
        let (mut resources, mut keys) = (BTreeMap::new(), BTreeMap::new());
        for owner in Owner::ALL {
            let resource = Resource::make(&world, owner.tenant(), About::Device).await;
            Box::pin(resource.keep_recording(&world, world.now())).await;
            resources.insert(owner, resource);
        }
        for shown in Shown::all() {
            let owner = shown.owner().unwrap_or(Owner::Own);
            let grant = match shown {
                Shown::RestrictedKey(scope) => Grant::Restricted { scopes: [scope].into() },
                Shown::RestrictedKeyOfOtherProject => {
                    Grant::Restricted { scopes: Scope::ALL.iter().copied().collect() }
                }
                _ => Grant::Secret,
            };
            let now = world.now();
            let text = keys::draw(&grant, owner.tenant().mode).unwrap();
            let mut credential = Credential::new(owner.tenant(), grant, now);
            credential.revoked_at = (shown == Shown::RevokedKey).then_some(now);
            credential.expires_at = (shown == Shown::EndedKey).then_some(now);
            if shown != Shown::Unknown {
                world.store.put_credential(&CredentialHash::of(&text), &credential).await.unwrap();
            }
            keys.insert(shown, text);
        }
        Self { world, resources, keys }
    }

    /// The `Authorization` header.
    fn authorization(&self, shown: Shown, fresh: Option<(Owner, &Resource)>) -> Option<String> {
        let of =
            |owner: Owner| fresh.filter(|(of, _)| *of == owner).map_or(&self.resources[&owner], |(_, fresh)| fresh);
        let credential = match shown {
            Shown::Nothing => return None,
            Shown::OtherScheme => return Some(format!("Basic {}", self.keys[&shown])),
            Shown::Malformed => "sk_live",
            Shown::DeviceToken(owner) => &of(owner).device_token,
            Shown::ReboundDeviceToken => &of(Owner::Own).rebound_token,
            Shown::UploadToken(owner) => &of(owner).upload_token,
            Shown::ReplacedDeviceToken => &of(Owner::Own).replaced_token,
            Shown::EndedUploadToken => &of(Owner::Own).ended_upload_token,
            key => &self.keys[&key],
        };
        Some(format!("Bearer {credential}"))
    }

    /// Sends the request and returns what differs from the expected outcome.
    async fn ask(&self, operation: &Operation, shown: Shown, owner: Owner) -> Option<String> {
        let expected = operation.expects(shown, owner);
        let fresh = match expected {
            Expected::Success if operation.wants_a_new_resource() => {
                Some(Resource::make(&self.world, owner.tenant(), operation.about).await)
            }
            _ => None,
        };
        let resource = fresh.as_ref().unwrap_or(&self.resources[&owner]);
        let authorization = self.authorization(shown, fresh.as_ref().map(|fresh| (owner, fresh)));
        let (path, body) = operation.request(resource);
        let mut request = Request::builder()
            .method(operation.method.clone())
            .uri(format!("{}{path}", self.world.stack.url()))
            .header("content-type", "application/json");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let got = answer(request.body(Full::from(body)).unwrap()).await;
        let outcome = got.outcome();
        let wrong = match expected {
            Expected::Refusal(refusal) => (outcome != refusal).then(|| refusal.to_owned()),
            Expected::Success if got.status / 100 != 2 => Some("success".to_owned()),
            Expected::Success => self.wrong_answer(operation, shown, owner, resource, &got).await,
        };
        wrong.map(|expected| format!("{operation} with {shown:?} of {owner:?}: {outcome}, expected {expected}"))
    }

    /// Fault of a successful response, if any.
    async fn wrong_answer(
        &self,
        operation: &Operation,
        shown: Shown,
        owner: Owner,
        resource: &Resource,
        got: &Answer,
    ) -> Option<String> {
        let body = got.json();
        match operation.about {
            About::List => {
                let ids: BTreeSet<&str> =
                    body["data"].as_array().unwrap().iter().map(|entity| entity["id"].as_str().unwrap()).collect();
                let own = [
                    resource.recording.as_str(),
                    resource.device.as_str(),
                    resource.end_user.as_str(),
                    resource.transcription.as_str(),
                ];
                let is_listed = own.iter().any(|id| ids.contains(id));
                let what = if is_listed { "a list without it" } else { "a list with it" };
                (is_listed != shown.reaches(owner)).then(|| what.to_owned())
            }
            About::New | About::NewRecording => {
                let names = ["id", "FileId", "socialRecordingId", "socialTranscriptionId"];
                let id = names.into_iter().find_map(|name| body[name].as_str()).unwrap();
                let (store, own) = (&self.world.store, shown.owner().unwrap().tenant());
                let tenant = match operation.path.as_str() {
                    "/v1/recordings" => store.recording(&id.parse().unwrap()).await.unwrap().unwrap().tenant,
                    "/api/files/upload-s3/generate-presigned-urls"
                    | "/open/partner/files/upload/generate-presigned-urls" => {
                        let id = id.parse::<FileId>().unwrap().recording_id();
                        store.recording(&id).await.unwrap().unwrap().tenant
                    }
                    "/v1/devices" | "/api/devices/bind" => {
                        store.device(&id.parse().unwrap()).await.unwrap().unwrap().tenant
                    }
                    "/v1/end-users" => store.end_user(&id.parse().unwrap()).await.unwrap().unwrap().tenant,
                    "/api/v1/recording/processing" => {
                        let called = store.meeting_recording(&own, &id.parse().unwrap()).await.unwrap();
                        let ByName::Known(recording) = called else {
                            return Some("one of the caller's own".to_owned());
                        };
                        recording.tenant
                    }
                    "/api/v1/transcription/save" => {
                        let called = store.meeting_transcription(&own, &id.parse().unwrap()).await.unwrap();
                        let ByName::Known(kept) = called else { return Some("one of the caller's own".to_owned()) };
                        kept.tenant
                    }
                    _ => panic!("{operation}: say in `wrong_answer` how to read what it makes"),
                };
                (own != tenant).then(|| "one of the caller's own".to_owned())
            }
            _ => None,
        }
    }
}

/// OpenAPI document of the running stack.
pub(crate) async fn served(world: &World) -> Vec<Operation> {
    let request = Request::get(format!("{}/openapi.json", world.stack.url())).body(Full::default()).unwrap();
    let document = answer(request).await.expect("200");
    let schemes = &document["components"]["securitySchemes"];
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let methods = item.as_object().unwrap().iter();
        operations.extend(methods.map(|(method, described)| Operation::read(method, path, described, schemes)));
    }
    operations
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_answers_every_credential_as_the_document_says_and_only_within_its_reach() {
    let stage = Box::pin(Stage::set()).await;
    let operations = served(&stage.world).await;
    for function in &stage.world.stack.template().functions {
        for trigger in &function.triggers {
            let Trigger::Http { method, path } = trigger else { continue };
            let is_known = operations.iter().any(|known| known.method == method.as_str() && known.path == *path);
            // Transcription providers call there, each with the token of its own job.
            let is_nobodys = path == "$default" || path.starts_with("/transcription-callbacks/");
            assert!(is_known || is_nobodys, "{method} {path} of template.yaml is not in the document");
        }
    }

    let mut before = Vec::new();
    for resource in stage.resources.values() {
        before.push(resource.stored(&stage.world.store).await);
    }
    let (stage, shown) = (&stage, Shown::all());
    // Boxed, as unoptimised futures of this size are too much for a test's stack.
    let cells = operations.iter().flat_map(|operation| shown.iter().map(move |shown| (operation, *shown)));
    let cells = cells.flat_map(|(operation, shown)| {
        let owners = Owner::ALL.into_iter().filter(move |owner| shown.is_asked_for(*owner, operation));
        owners.map(move |owner| Box::pin(stage.ask(operation, shown, owner)))
    });
    let wrong: Vec<_> = stream::iter(cells).buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
    assert!(wrong.is_empty(), "{} cells are wrong:\n{}", wrong.len(), wrong.join("\n"));
    for (resource, before) in stage.resources.values().zip(before) {
        assert_eq!(resource.stored(&stage.world.store).await, before, "a refusal changed something");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_answers_404_for_an_unknown_id() {
    let world = World::start().await;
    let resource = Box::pin(Resource::make(&world, world.tenant(), About::Device)).await;
    Box::pin(resource.keep_recording(&world, world.now())).await;
    let before = resource.stored(&world.store).await;
    let mut asked = 0;
    // Operations that name a resource in the body are tested with that body.
    for operation in served(&world).await.into_iter().filter(|operation| operation.path.contains("{id}")) {
        let (id, others) = match operation.about {
            About::Recording => (resource.recording.as_str(), resource.device.as_str()),
            About::Device => (resource.device.as_str(), resource.end_user.as_str()),
            About::EndUser => (resource.end_user.as_str(), resource.recording.as_str()),
            About::Transcription => (resource.transcription.as_str(), resource.transcribed.as_str()),
            _ => continue,
        };
        let (prefix, suffix) = id.split_once('_').unwrap();
        for id in [
            format!("{prefix}_unknown"),
            format!("{prefix}_"),
            format!("{prefix}_{}", "a".repeat(65)),
            format!("{prefix}_%C3%A9"),
            id.to_uppercase(),
            suffix.to_owned(),
            others.to_owned(),
            // A key is no device.
            "me".to_owned(),
            "null".to_owned(),
            "%00".to_owned(),
        ] {
            let (_, body) = operation.request(&resource);
            let path = operation.path.replace("{id}", &id).replace("{media_id}", resource.in_parts.as_str());
            let body = Some(body).filter(|body| !body.is_null());
            let got = world.call(operation.method.clone(), &path, body.as_ref()).await;
            assert_eq!(got.outcome(), "404 not_found", "{operation} of {id}");
            got.refusal(&id);
            asked += 1;
        }
    }
    assert!(asked >= 150, "{asked}");
    assert_eq!(resource.stored(&world.store).await, before);
    // Nor did a change make one.
    assert!(world.store.recording(&"rec_unknown".parse().unwrap()).await.unwrap().is_none());
    assert!(world.store.device(&"dev_unknown".parse().unwrap()).await.unwrap().is_none());
    assert!(world.store.end_user(&"eu_unknown".parse().unwrap()).await.unwrap().is_none());
    assert!(world.store.transcription(&"txn_unknown".parse().unwrap()).await.unwrap().is_none());
}
