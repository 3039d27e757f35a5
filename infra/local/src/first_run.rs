//! The first project of a data directory: made once, with an end user, a device and a key for each side.

use capstan_domain::{DeviceId, EndUserId, Error, Grant, Mode, ProjectId, Tenant};
use capstan_store::Store;

use crate::keys;
use crate::local_env::LocalEnv;

/// What runs here is for trying out.
const MODE: Mode = Mode::Test;

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
        let mut entropy = [0; 16];
        getrandom::fill(&mut entropy).map_err(|error| Error::internal(error.to_string()))?;
        let (now, entropy) = (keys::now(), u128::from_le_bytes(entropy));
        let end_user_id = EndUserId::new(now, entropy);
        let device_id = DeviceId::new(now, entropy);
        let device = Grant::Device { device_id: device_id.clone(), end_user_id: end_user_id.clone() };
        Ok(Self {
            project_id: ProjectId::new(now, entropy),
            api_key: keys::draw(&Grant::Secret, MODE)?,
            device_token: keys::draw(&device, MODE)?,
            end_user_id,
            device_id,
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
        let device = Grant::Device { device_id: self.device_id.clone(), end_user_id: self.end_user_id.clone() };
        keys::put_if_absent(store, &self.api_key, tenant.clone(), Grant::Secret, "first key").await?;
        keys::put_if_absent(store, &self.device_token, tenant, device, "first device").await
    }
}
