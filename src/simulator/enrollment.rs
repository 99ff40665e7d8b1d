//! Who may register, and the check that it is them.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::identity::{DeviceId, RegistrationId};
use crate::key::{DeviceKey, GroupKey, KeyDerivation};
use crate::sas::SasToken;

/// An enrollment group: many devices, whose keys are derived from the group's.
#[derive(Clone)]
pub struct EnrollmentGroup {
    name: Box<str>,
    keys: Vec<KeyDerivation>,
}

impl EnrollmentGroup {
    /// A group with this primary key.
    #[must_use]
    pub fn new(name: &str, primary_key: &GroupKey) -> Self {
        let primary_key = KeyDerivation::new(primary_key);
        Self { name: name.into(), keys: [primary_key].into() }
    }

    /// With a secondary key too, which is as good as the primary one.
    #[must_use]
    pub fn secondary_key(mut self, secondary_key: &GroupKey) -> Self {
        self.keys.push(KeyDerivation::new(secondary_key));
        self
    }

    /// The group's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn device_key(&self, registration_id: &RegistrationId) -> Option<DeviceKey> {
        self.keys.first().map(|key| key.derive(registration_id))
    }

    /// Whether a device of this group that writes its registration ID like that signed the token.
    pub(super) fn signed(&self, token: &SasToken, registration_id: &RegistrationId) -> bool {
        self.keys.iter().any(|key| token.verify(&key.derive(registration_id)))
    }
}

impl fmt::Debug for EnrollmentGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrollmentGroup").field("name", &self.name).finish_non_exhaustive()
    }
}

/// An individual enrollment: one device with a key of its own.
#[derive(Clone, Debug)]
pub struct IndividualEnrollment {
    registration_id: RegistrationId,
    keys: Vec<DeviceKey>,
    device_id: Option<DeviceId>,
}

impl IndividualEnrollment {
    /// A device with this primary key.
    #[must_use]
    pub fn new(registration_id: RegistrationId, primary_key: DeviceKey) -> Self {
        Self { registration_id, keys: [primary_key].into(), device_id: None }
    }

    /// With a secondary key too, which is as good as the primary one.
    #[must_use]
    pub fn secondary_key(mut self, secondary_key: DeviceKey) -> Self {
        self.keys.push(secondary_key);
        self
    }

    /// Under another name in its hub. Default the registration ID.
    #[must_use]
    pub fn device_id(self, device_id: DeviceId) -> Self {
        Self { device_id: Some(device_id), ..self }
    }

    /// The service compares registration IDs without regard to case.
    pub(super) fn is_for(&self, registration_id: &RegistrationId) -> bool {
        self.registration_id.as_str().eq_ignore_ascii_case(registration_id.as_str())
    }

    pub(super) fn device_key(&self) -> Option<DeviceKey> {
        self.keys.first().cloned()
    }

    pub(super) fn signed(&self, token: &SasToken) -> bool {
        self.keys.iter().any(|key| token.verify(key))
    }

    pub(super) fn own_device_id(&self) -> Option<&DeviceId> {
        self.device_id.as_ref()
    }
}
