//! The first project of a data directory: made once, with an end user, a device and a key for each side.

use capstan_domain::{
    CredentialHash, Device, DeviceId, EndUser, EndUserId, Error, Grant, Mode, ProjectId, Secret, Tenant,
};
use capstan_store::{Registered, Store};

use crate::keys;
use crate::local_env::LocalEnv;

/// What runs here is for trying out.
const MODE: Mode = Mode::Test;
const SERIAL_NUMBER: &str = "LOCAL-0001";

/// Who uses a local stack.
#[derive(Clone, Debug)]
pub struct FirstProject {
    /// The project.
    pub project_id: ProjectId,
    /// A person who records.
    pub end_user_id: EndUserId,
    /// The device that the person records with.
    pub device_id: DeviceId,
    /// A secret key: what the project's server has.
    pub api_key: String,
    /// A device token: what the device has.
    pub device_token: String,
}

impl FirstProject {
    /// Draws a new one.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new() -> Result<Self, Error> {
        let (mut entropy, mut token) = ([0; 16], [0; 32]);
        for bits in [&mut entropy[..], &mut token[..]] {
            getrandom::fill(bits).map_err(|error| Error::internal(error.to_string()))?;
        }
        let (now, entropy) = (keys::now(), u128::from_le_bytes(entropy));
        Ok(Self {
            project_id: ProjectId::new(now, entropy),
            end_user_id: EndUserId::new(now, entropy),
            device_id: DeviceId::new(now, entropy),
            api_key: keys::draw(&Grant::Secret, MODE)?,
            device_token: Secret::device_token(token).reveal(),
        })
    }

    /// The one that an earlier start wrote down; `None` when a part of it is missing.
    #[must_use]
    pub fn from_env(env: &LocalEnv) -> Option<Self> {
        Some(Self {
            project_id: env.get("CAPSTAN_PROJECT_ID")?.parse().ok()?,
            end_user_id: env.get("CAPSTAN_END_USER_ID")?.parse().ok()?,
            device_id: env.get("CAPSTAN_DEVICE_ID")?.parse().ok()?,
            api_key: env.get("CAPSTAN_API_KEY")?.to_owned(),
            device_token: env.get("CAPSTAN_DEVICE_TOKEN")?.to_owned(),
        })
    }

    /// Adds it to what other processes are told.
    pub fn write_to(&self, env: &mut LocalEnv) {
        env.set("CAPSTAN_API_KEY", &self.api_key);
        env.set("CAPSTAN_DEVICE_TOKEN", &self.device_token);
        env.set("CAPSTAN_PROJECT_ID", self.project_id.as_str());
        env.set("CAPSTAN_END_USER_ID", self.end_user_id.as_str());
        env.set("CAPSTAN_DEVICE_ID", self.device_id.as_str());
    }

    /// Stores what of it is not stored yet: an earlier start may have been killed between writing it down and this.
    ///
    /// # Errors
    /// When the table refuses.
    pub async fn register(&self, store: &Store) -> Result<(), Error> {
        let tenant = Tenant { project_id: self.project_id.clone(), mode: MODE };
        // The key is stored last: once it is there, all is, and what was unbound or deleted since stays so.
        if store.credential(&CredentialHash::of(&self.api_key)).await?.is_some() {
            return Ok(());
        }
        if store.end_user(&self.end_user_id).await?.is_none() {
            let end_user = EndUser::new(self.end_user_id.clone(), tenant.clone(), keys::now());
            store.create_end_user(end_user).await?;
        }
        let serial_number = SERIAL_NUMBER.parse().map_err(Error::internal)?;
        let device = Device::new(self.device_id.clone(), tenant.clone(), serial_number, keys::now());
        let device = match store.register_device(&device).await? {
            Registered::New => device,
            Registered::Known(known) => *known,
        };
        if device.binding.is_none() {
            let token = CredentialHash::of(&self.device_token);
            store.bind_device(device, self.end_user_id.clone(), token, keys::now()).await?;
        }
        keys::put(store, &self.api_key, tenant, Grant::Secret, Some("first key".to_owned())).await.map(drop)
    }
}
