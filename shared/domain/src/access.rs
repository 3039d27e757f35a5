//! Permissions: credentials, scopes and visibility.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::{DeviceId, EndUserId, Error, KeyId, NamedDevice, ProjectId, Recording, RecordingId, Sha256, Timestamp};

/// Live or test data. They are separate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Data of real devices.
    Live,
    /// Data of development.
    Test,
}

impl Mode {
    /// `live` or `test`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }
}

/// A project in one mode. All data belongs to one tenant, and no request crosses tenants.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Tenant {
    /// The project.
    pub project_id: ProjectId,
    /// Live or test data.
    pub mode: Mode,
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.project_id, self.mode.as_str())
    }
}

impl From<Tenant> for String {
    fn from(tenant: Tenant) -> Self {
        tenant.to_string()
    }
}

impl TryFrom<String> for Tenant {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (project, mode) = text.split_once('#').ok_or("a tenant is project#mode")?;
        let project_id = project.parse().map_err(|_| "a tenant starts with a project id")?;
        let mode = match mode {
            "live" => Mode::Live,
            "test" => Mode::Test,
            _ => return Err("a mode is live or test"),
        };
        Ok(Self { project_id, mode })
    }
}

macro_rules! scopes {
    ($($variant:ident => $text:literal),* $(,)?) => {
        /// A permission of a restricted key.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Scope {
            $(#[doc = $text] #[serde(rename = $text)] $variant,)*
        }

        impl Scope {
            /// Every scope.
            pub const ALL: &[Scope] = &[$(Self::$variant),*];

            /// As the API writes it, such as `recordings:read`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    };
}

scopes! {
    RecordingsRead => "recordings:read",
    RecordingsWrite => "recordings:write",
    TranscriptionsRead => "transcriptions:read",
    TranscriptionsWrite => "transcriptions:write",
    EndUsersRead => "end_users:read",
    EndUsersWrite => "end_users:write",
    DevicesRead => "devices:read",
    DevicesWrite => "devices:write",
    WebhooksRead => "webhooks:read",
    WebhooksWrite => "webhooks:write",
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|scope| scope.as_str() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|scope| scope.as_str()).collect();
            format!("`{text}` is no scope; the scopes are {}", known.join(", "))
        })
    }
}

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident => $scope:ident),* $(,)?) => {
        /// What an endpoint does, for permissions.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Action {
            $($(#[$doc])* $variant,)*
        }

        impl Action {
            /// Every action.
            pub const ALL: &[Action] = &[$(Self::$variant),*];

            /// The scope that a restricted key needs.
            fn scope(self) -> Scope {
                match self { $(Self::$variant => Scope::$scope),* }
            }
        }
    };
}

actions! {
    /// Create a recording.
    CreateRecording => RecordingsWrite,
    /// Create upload URLs and complete the upload.
    Upload => RecordingsWrite,
    /// Create a token for the upload of one recording.
    CreateUploadToken => RecordingsWrite,
    /// Read recordings and download their files.
    ReadRecordings => RecordingsRead,
    /// Update or delete recordings.
    WriteRecordings => RecordingsWrite,
    /// Read end users.
    ReadEndUsers => EndUsersRead,
    /// Create or delete end users.
    WriteEndUsers => EndUsersWrite,
    /// Read devices.
    ReadDevices => DevicesRead,
    /// Create, update, bind or unbind devices.
    WriteDevices => DevicesWrite,
    /// Record a heartbeat of a device.
    Heartbeat => DevicesWrite,
    /// Replace the token of a device.
    RefreshToken => DevicesWrite,
    /// Read transcriptions and settings.
    ReadTranscriptions => TranscriptionsRead,
    /// Create transcriptions and replace settings.
    WriteTranscriptions => TranscriptionsWrite,
}

const DEVICE_TOKEN_PREFIX: &str = "dtok_";
const UPLOAD_TOKEN_PREFIX: &str = "up_";
/// The prefixes of all credentials.
pub const CREDENTIAL_PREFIXES: [&str; 6] =
    ["sk_live_", "sk_test_", "rk_live_", "rk_test_", DEVICE_TOKEN_PREFIX, UPLOAD_TOKEN_PREFIX];

/// Seconds for which the recorded last use of a key is not updated.
const USE_NOTED_SECONDS: i64 = 3600;

/// A device during one of its bindings to an end user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundDevice {
    /// The device.
    pub device_id: DeviceId,
    /// The end user that it is bound to.
    pub end_user_id: EndUserId,
    /// Which binding of the device it is, counted from 1. A device that is bound again does not see what it recorded
    /// before.
    pub generation: u32,
}

impl BoundDevice {
    /// Whether the device created the recording during this binding, or an API key created the recording for the device and
    /// its end user.
    fn sees(&self, recording: &Recording) -> bool {
        let origin = &recording.origin;
        origin.device_id.as_ref() == Some(&self.device_id)
            && origin.end_user_id.as_ref() == Some(&self.end_user_id)
            && origin.binding_generation.is_none_or(|generation| generation == self.generation)
    }
}

/// What a credential authorizes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Grant {
    /// `sk_`: everything of the project.
    Secret,
    /// `rk_`: what its scopes allow.
    Restricted {
        /// The scopes.
        scopes: BTreeSet<Scope>,
    },
    /// `dtok_`: one device during one binding.
    Device(BoundDevice),
    /// `up_`: the upload of one recording.
    Upload {
        /// The recording.
        recording_id: RecordingId,
    },
}

impl Grant {
    /// Prefix of such a credential, such as `sk_live_`.
    pub fn prefix(&self, mode: Mode) -> &'static str {
        match (self, mode) {
            (Self::Secret, Mode::Live) => "sk_live_",
            (Self::Secret, Mode::Test) => "sk_test_",
            (Self::Restricted { .. }, Mode::Live) => "rk_live_",
            (Self::Restricted { .. }, Mode::Test) => "rk_test_",
            (Self::Device(_), _) => DEVICE_TOKEN_PREFIX,
            (Self::Upload { .. }, _) => UPLOAD_TOKEN_PREFIX,
        }
    }

    fn permits(&self, action: Action) -> bool {
        match self {
            Self::Secret => true,
            Self::Restricted { scopes } => scopes.contains(&action.scope()),
            Self::Device(_) => {
                matches!(action, Action::CreateRecording | Action::Upload | Action::Heartbeat | Action::RefreshToken)
            }
            Self::Upload { .. } => action == Action::Upload,
        }
    }
}

/// SHA-256 of a credential. The credential itself is never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CredentialHash(Sha256);

impl CredentialHash {
    /// The hash of a credential as sent by the client.
    pub fn of(credential: &str) -> Self {
        Self(Sha256::of(credential.as_bytes()))
    }
}

impl fmt::Display for CredentialHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A credential in clear text, which is shown once. `Debug` does not print it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A prefix and 256 random bits.
    pub fn new(grant: &Grant, mode: Mode, bits: [u8; 32]) -> Self {
        Self(format!("{}{}", grant.prefix(mode), URL_SAFE_NO_PAD.encode(bits)))
    }

    /// A device token, from 256 random bits.
    pub fn device_token(bits: [u8; 32]) -> Self {
        Self(format!("{DEVICE_TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bits)))
    }

    /// An upload token, from 256 random bits.
    pub fn upload_token(bits: [u8; 32]) -> Self {
        Self(format!("{UPLOAD_TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bits)))
    }

    /// Its hash, which is stored.
    pub fn hash(&self) -> CredentialHash {
        CredentialHash::of(&self.0)
    }

    /// The clear text, for its owner only.
    pub fn reveal(self) -> String {
        self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A credential as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Identifier of an API key. `None` for a token, which belongs to its device or recording.
    pub key_id: Option<KeyId>,
    /// The tenant that it gives access to.
    pub tenant: Tenant,
    /// What it authorizes.
    pub grant: Grant,
    /// Name given by its owner.
    pub name: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires; `None` if it does not.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// The device token that replaced this one. The first use of that token revokes this one.
    pub replaced_by: Option<CredentialHash>,
    /// The device token that this one replaced, if the replaced token was not revoked at once.
    pub replaces: Option<CredentialHash>,
    /// When an API key was last used, to the hour; when a device token that replaces another was first used.
    pub last_used_at: Option<Timestamp>,
}

/// Whether a credential is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialStatus {
    /// Valid until it is revoked.
    Good,
    /// Valid until then.
    GoodUntil(Timestamp),
    /// Expired.
    Ended(Timestamp),
    /// Revoked.
    Revoked(Timestamp),
}

impl Credential {
    /// A credential without a name and without an expiry.
    pub fn new(tenant: Tenant, grant: Grant, now: Timestamp) -> Self {
        Self {
            key_id: None,
            tenant,
            grant,
            name: None,
            created_at: now,
            expires_at: None,
            revoked_at: None,
            replaced_by: None,
            replaces: None,
            last_used_at: None,
        }
    }

    /// The key that replaces this one, with the same permissions and name.
    ///
    /// # Errors
    /// [`Error::Conflict`] when this one is no longer good, so that nothing dead is brought back to life.
    pub fn successor(&self, id: KeyId, now: Timestamp) -> Result<Self, Error> {
        let is_over = |how: &str, at: Timestamp| {
            Err(Error::Conflict { reason: format!("the key {how} at {at}; make a new one instead") })
        };
        match self.status(now) {
            CredentialStatus::Revoked(at) => is_over("was revoked", at),
            CredentialStatus::Ended(at) => is_over("ended", at),
            CredentialStatus::Good | CredentialStatus::GoodUntil(_) => {
                let new = Self::new(self.tenant.clone(), self.grant.clone(), now);
                Ok(Self { key_id: Some(id), name: self.name.clone(), ..new })
            }
        }
    }

    /// Whether it is valid now.
    pub fn status(&self, now: Timestamp) -> CredentialStatus {
        match (self.revoked_at, self.expires_at) {
            (Some(at), _) => CredentialStatus::Revoked(at),
            (None, Some(end)) if end <= now => CredentialStatus::Ended(end),
            (None, Some(end)) => CredentialStatus::GoodUntil(end),
            (None, None) => CredentialStatus::Good,
        }
    }

    /// Whether a use now is to be recorded: the first use of a valid key within an hour, and the first use of a device
    /// token, which revokes the token that it replaces.
    pub fn is_use_to_record(&self, now: Timestamp) -> bool {
        let is_good = matches!(self.status(now), CredentialStatus::Good | CredentialStatus::GoodUntil(_));
        let noted = |at: Timestamp| now < at.plus_seconds(USE_NOTED_SECONDS);
        let is_recorded = match self.key_id {
            Some(_) => self.last_used_at.is_some_and(noted),
            None => self.replaces.is_none() || self.last_used_at.is_some(),
        };
        is_good && !is_recorded
    }

    /// The caller with this credential, which is stored under `hash`.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] when it was revoked or has ended.
    pub fn caller(self, hash: CredentialHash, now: Timestamp) -> Result<Caller, Error> {
        if matches!(self.status(now), CredentialStatus::Revoked(_) | CredentialStatus::Ended(_)) {
            return Err(Error::Unauthorized);
        }
        Ok(self.holder(hash))
    }

    /// The holder of this credential, valid or not, which is stored under `hash`.
    pub fn holder(self, hash: CredentialHash) -> Caller {
        Caller { tenant: self.tenant, grant: self.grant, credential: hash }
    }
}

/// Who makes a request, with a valid credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The tenant that the request may access.
    pub tenant: Tenant,
    /// What it authorizes.
    pub grant: Grant,
    /// The hash of the credential.
    pub credential: CredentialHash,
}

impl Caller {
    /// The caller, if it has permission for the action.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when it is not.
    pub fn permitted(self, action: Action) -> Result<Self, Error> {
        if self.grant.permits(action) { Ok(self) } else { Err(Error::Forbidden) }
    }

    /// The device that a path names.
    ///
    /// # Errors
    /// [`Error::NotFound`] of any but its own for a device, and of `me` for whoever is none.
    pub fn device(&self, named: NamedDevice) -> Result<DeviceId, Error> {
        match (&self.grant, named) {
            (Grant::Device(bound), NamedDevice::Me) => Ok(bound.device_id.clone()),
            (Grant::Device(bound), NamedDevice::Id(id)) if id == bound.device_id => Ok(id),
            (Grant::Secret | Grant::Restricted { .. }, NamedDevice::Id(id)) => Ok(id),
            _ => Err(Error::no_device()),
        }
    }

    /// The recordings that the caller can see.
    pub fn visibility(&self) -> Visibility {
        let tenant = self.tenant.clone();
        match &self.grant {
            Grant::Secret | Grant::Restricted { .. } => Visibility::Tenant { tenant },
            Grant::Device(device) => Visibility::Device { tenant, device: device.clone() },
            Grant::Upload { recording_id } => Visibility::Recording { tenant, recording_id: recording_id.clone() },
        }
    }
}

/// The recordings that a caller can see. All others get 404.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// All recordings of a tenant.
    Tenant {
        /// Whose.
        tenant: Tenant,
    },
    /// Recordings of one device during one binding.
    Device {
        /// Whose.
        tenant: Tenant,
        /// The device and its binding.
        device: BoundDevice,
    },
    /// A single recording.
    Recording {
        /// Whose.
        tenant: Tenant,
        /// The recording.
        recording_id: RecordingId,
    },
}

impl Visibility {
    /// The tenant of these recordings.
    pub fn tenant(&self) -> &Tenant {
        match self {
            Self::Tenant { tenant } | Self::Device { tenant, .. } | Self::Recording { tenant, .. } => tenant,
        }
    }

    /// The recording, if it is visible and not deleted.
    ///
    /// # Errors
    /// [`Error::NotFound`] otherwise.
    pub fn admit(&self, recording: Recording) -> Result<Recording, Error> {
        let covered = match self {
            Self::Tenant { .. } => true,
            Self::Device { device, .. } => device.sees(&recording),
            Self::Recording { recording_id, .. } => recording.id == *recording_id,
        };
        if covered && recording.tenant == *self.tenant() && recording.deleted_at.is_none() {
            Ok(recording)
        } else {
            Err(Error::no_recording())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(grant: Grant) -> Credential {
        Credential::new(Tenant { project_id: "proj_1".parse().unwrap(), mode: Mode::Live }, grant, now())
    }

    fn now() -> Timestamp {
        Timestamp::from_milliseconds(1_736_931_600_000).unwrap()
    }

    fn device() -> Grant {
        Grant::Device(BoundDevice {
            device_id: "dev_1".parse().unwrap(),
            end_user_id: "eu_1".parse().unwrap(),
            generation: 2,
        })
    }

    fn authorize(credential: Credential, action: Action) -> Result<Caller, Error> {
        credential.caller(CredentialHash::of("x"), now())?.permitted(action)
    }

    fn permitted(grant: &Grant) -> Vec<Action> {
        let is_permitted = |action: &Action| authorize(credential(grant.clone()), *action).is_ok();
        Action::ALL.iter().copied().filter(is_permitted).collect()
    }

    #[test]
    fn each_kind_of_credential_does_its_own_actions_and_no_others() {
        let scopes = |scope| Grant::Restricted { scopes: BTreeSet::from([scope]) };
        let device = device();
        assert_eq!(permitted(&Grant::Secret), Action::ALL);
        assert_eq!(permitted(&scopes(Scope::RecordingsRead)), [Action::ReadRecordings]);
        assert_eq!(
            permitted(&scopes(Scope::RecordingsWrite)),
            [Action::CreateRecording, Action::Upload, Action::CreateUploadToken, Action::WriteRecordings]
        );
        assert_eq!(permitted(&scopes(Scope::WebhooksWrite)), []);
        assert_eq!(permitted(&scopes(Scope::TranscriptionsRead)), [Action::ReadTranscriptions]);
        assert_eq!(permitted(&scopes(Scope::TranscriptionsWrite)), [Action::WriteTranscriptions]);
        assert_eq!(permitted(&scopes(Scope::EndUsersRead)), [Action::ReadEndUsers]);
        assert_eq!(permitted(&scopes(Scope::EndUsersWrite)), [Action::WriteEndUsers]);
        assert_eq!(permitted(&scopes(Scope::DevicesRead)), [Action::ReadDevices]);
        assert_eq!(
            permitted(&scopes(Scope::DevicesWrite)),
            [Action::WriteDevices, Action::Heartbeat, Action::RefreshToken]
        );
        assert_eq!(
            permitted(&device),
            [Action::CreateRecording, Action::Upload, Action::Heartbeat, Action::RefreshToken]
        );
        assert_eq!(permitted(&Grant::Upload { recording_id: "rec_1".parse().unwrap() }), [Action::Upload]);
    }

    #[test]
    fn a_revoked_or_ended_credential_is_unknown() {
        let mut revoked = credential(Grant::Secret);
        revoked.revoked_at = Some(now());
        assert!(matches!(authorize(revoked, Action::ReadRecordings), Err(Error::Unauthorized)));
        let mut ended = credential(Grant::Secret);
        ended.expires_at = Some(now());
        assert!(matches!(authorize(ended, Action::ReadRecordings), Err(Error::Unauthorized)));
    }

    #[test]
    fn a_key_that_is_good_has_a_successor_that_may_do_the_same() {
        let (first, second) = ("key_1".parse().unwrap(), "key_2".parse::<KeyId>().unwrap());
        let grant = Grant::Restricted { scopes: BTreeSet::from([Scope::DevicesRead]) };
        let key = Credential { key_id: Some(first), name: Some("server".to_owned()), ..credential(grant) };
        let ending = Credential { expires_at: Some(now().plus_seconds(1)), ..key.clone() };
        for good in [&key, &ending] {
            let successor = good.successor(second.clone(), now()).unwrap();
            assert_eq!(successor, Credential { key_id: Some(second.clone()), ..key.clone() });
        }
        let ended = Credential { expires_at: Some(now()), ..key.clone() };
        let revoked = Credential { revoked_at: Some(now()), ..key };
        for over in [ended, revoked] {
            assert!(matches!(over.successor(second.clone(), now()), Err(Error::Conflict { .. })));
        }
    }

    #[test]
    fn records_the_use_of_a_key_once_an_hour_and_of_a_token_once() {
        let token = credential(Grant::Secret);
        let key = Credential { key_id: Some("key_1".parse().unwrap()), ..token.clone() };
        let used = Credential { last_used_at: Some(now()), ..key.clone() };
        assert!(!token.is_use_to_record(now()) && key.is_use_to_record(now()));
        assert!(!used.is_use_to_record(now().plus_seconds(3599)) && used.is_use_to_record(now().plus_seconds(3600)));
        let refreshed = Credential { replaces: Some(CredentialHash::of("x")), ..token };
        assert!(refreshed.is_use_to_record(now()));
        assert!(!Credential { last_used_at: Some(now()), ..refreshed }.is_use_to_record(now().plus_seconds(3600)));
        let revoked = Credential { revoked_at: Some(now()), ..key };
        assert!(!revoked.is_use_to_record(now()));
    }

    #[test]
    fn a_device_is_found_by_id_and_by_me() {
        let of = |grant| authorize(credential(grant), Action::Heartbeat).unwrap();
        let device = of(device());
        let server = of(Grant::Secret);
        let names = |caller: &Caller, named: &str| caller.device(named.parse().unwrap()).ok().map(|id| id.to_string());
        assert_eq!(names(&device, "me"), Some("dev_1".into()));
        assert_eq!(names(&device, "dev_1"), Some("dev_1".into()));
        assert_eq!(names(&device, "dev_2"), None);
        assert_eq!(names(&server, "dev_2"), Some("dev_2".into()));
        assert_eq!(names(&server, "me"), None);
    }

    #[test]
    fn a_device_sees_the_recordings_of_its_binding_only() {
        let caller = authorize(credential(device()), Action::Upload).unwrap();
        let sees = |device_id: &str, end_user_id: &str, binding_generation| {
            let end_user_id = Some(end_user_id.parse().unwrap());
            let mut recording = Recording::new("rec_1".parse().unwrap(), caller.tenant.clone(), end_user_id, now());
            recording.origin.device_id = Some(device_id.parse().unwrap());
            recording.origin.binding_generation = binding_generation;
            caller.visibility().admit(recording).is_ok()
        };
        assert!(sees("dev_1", "eu_1", Some(2)) && sees("dev_1", "eu_1", None));
        assert!(!sees("dev_1", "eu_1", Some(1)) && !sees("dev_1", "eu_2", Some(2)));
        assert!(!sees("dev_1", "eu_2", None) && !sees("dev_2", "eu_1", Some(2)));
    }

    #[test]
    fn a_secret_is_256_bits_behind_its_prefix_and_is_not_printed() {
        let secret = Secret::new(&Grant::Secret, Mode::Test, [255; 32]);
        assert_eq!(format!("{secret:?}"), "Secret");
        let text = secret.clone().reveal();
        assert_eq!(secret.hash(), CredentialHash::of(&text));
        assert_eq!(URL_SAFE_NO_PAD.decode(text.strip_prefix("sk_test_").unwrap()).unwrap(), [255; 32]);
    }

    #[test]
    fn tenants_round_trip() {
        let tenant = credential(Grant::Secret).tenant;
        assert_eq!(Tenant::try_from(tenant.to_string()), Ok(tenant));
        assert!(Tenant::try_from("proj_1".to_owned()).is_err());
        assert!(Tenant::try_from("proj_1#prod".to_owned()).is_err());
    }
}
