//! End users and devices, for tests.

use capstan_domain::{CredentialHash, Device, DeviceId, EndUser, EndUserId, Grant, Mode, SerialNumber, Tenant};
use capstan_store::Registered;

use crate::{DEVICE, SERIAL_NUMBER, TestEnvironment};

impl TestEnvironment {
    /// The project's test data.
    pub fn test_data() -> Tenant {
        Tenant { mode: Mode::Test, ..Self::tenant() }
    }

    /// Another project's live data.
    pub fn other_project() -> Tenant {
        Tenant { project_id: "proj_other".parse().expect("a project id"), mode: Mode::Live }
    }

    /// Secret keys that open another project's data and the project's own test data.
    pub async fn other_tenants(&self) -> [String; 2] {
        let credentials = ["sk_live_stranger".to_owned(), "sk_test_stranger".to_owned()];
        for (credential, tenant) in credentials.iter().zip([Self::other_project(), Self::test_data()]) {
            self.credential_of(tenant, credential, Grant::Secret).await;
        }
        let _ = self.emulators.take_calls();
        credentials
    }

    /// Keeps an end user, unless there is one of that id. It has no external id.
    pub async fn end_user(&self, tenant: &Tenant, id: &EndUserId) -> EndUser {
        if let Some(known) = self.store.end_user(id).await.expect("the table answers") {
            return known;
        }
        let end_user = EndUser::new(id.clone(), tenant.clone(), self.now());
        self.store.create_end_user(end_user).await.expect("the end user is kept")
    }

    /// Keeps a device, unless there is one of that id. Its serial number is that of the event files for the device in
    /// them, its id for any other.
    pub async fn device(&self, tenant: &Tenant, id: &DeviceId) -> Device {
        if let Some(known) = self.store.device(id).await.expect("the table answers") {
            return known;
        }
        let serial_number = if id.as_str() == DEVICE { SERIAL_NUMBER } else { id.as_str() };
        let serial_number: SerialNumber = serial_number.parse().expect("a serial number");
        let device = Device::new(id.clone(), tenant.clone(), serial_number, self.now());
        match self.store.register_device(&device).await.expect("the device is kept") {
            Registered::New => device,
            Registered::Known(known) => *known,
        }
    }

    /// Whether a token lets a device in.
    pub async fn is_valid(&self, token: &str) -> bool {
        let hash = CredentialHash::of(token);
        let kept = self.store.credential(&hash).await.expect("the table answers");
        kept.is_some_and(|credential| credential.caller(hash, self.now()).is_ok())
    }

    /// Whether the API accepts a credential.
    pub async fn is_accepted(&self, credential: &str) -> bool {
        capstan_auth::Authenticator::new(self.store.clone()).caller(credential, self.now()).await.is_ok()
    }

    /// Keeps a device that is bound to an end user and has this token.
    pub async fn bound_device(&self, tenant: &Tenant, id: &DeviceId, end_user_id: &EndUserId, token: &str) -> Device {
        let device = self.device(tenant, id).await;
        let token = CredentialHash::of(token);
        self.store.bind_device(device, end_user_id.clone(), token, self.now()).await.expect("the device is bound")
    }

    /// Reads a device as it is stored.
    pub async fn stored_device(&self, id: &str) -> Option<Device> {
        self.store.device(&id.parse().expect("a device id")).await.expect("the table answers")
    }

    /// Reads an end user as it is stored.
    pub async fn stored_end_user(&self, id: &str) -> Option<EndUser> {
        self.store.end_user(&id.parse().expect("an end user id")).await.expect("the table answers")
    }
}
