//! Who may register, with which keys, and what is arranged for them.

use alloc::boxed::Box;
use core::fmt;

use crate::identity::{DeviceId, HostName, RegistrationId};
use crate::key::{DeviceKey, GroupKey, KeyDerivation};
use crate::sas::SasToken;

/// What becomes of a device's data when it registers again and its hub is another one than before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reprovisioning {
    /// The device moves and its data is migrated: substatus `deviceDataMigrated`. The service's default.
    #[default]
    Migrate,
    /// The device moves and its data is reset: substatus `deviceDataReset`.
    Reset,
    /// The device stays where it was assigned first.
    Never,
}

/// What individual enrollments and groups have in common.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    pub(super) hub: Option<HostName>,
    pub(super) reprovisioning: Reprovisioning,
    pub(super) disabled: bool,
}

/// The settings that individual enrollments and groups have in common.
macro_rules! terms {
    () => {
        /// The one hub that its devices are assigned to. Default: as the simulator allocates.
        #[must_use]
        pub fn hub(mut self, hub: HostName) -> Self {
            self.terms.hub = Some(hub);
            self
        }

        /// What happens when a device registers again. Default [`Reprovisioning::Migrate`].
        #[must_use]
        pub fn reprovisioning(mut self, reprovisioning: Reprovisioning) -> Self {
            self.terms.reprovisioning = reprovisioning;
            self
        }

        /// Disabled: a registration is answered with the status `disabled`. Default enabled.
        #[must_use]
        pub fn disabled(mut self) -> Self {
            self.terms.disabled = true;
            self
        }
    };
}

/// An enrollment group: many devices, whose keys are derived from the group's.
#[derive(Clone)]
pub struct EnrollmentGroup {
    name: Box<str>,
    // Boxed, so that moving an enrollment copies no key.
    primary_key: Box<KeyDerivation>,
    secondary_key: Option<Box<KeyDerivation>>,
    pub(super) terms: Terms,
}

impl EnrollmentGroup {
    /// A group with this primary key.
    #[must_use]
    pub fn new(name: &str, primary_key: &GroupKey) -> Self {
        let primary_key = Box::new(KeyDerivation::new(primary_key));
        Self { name: name.into(), primary_key, secondary_key: None, terms: Terms::default() }
    }

    /// With a secondary key too, which is as good as the primary one.
    #[must_use]
    pub fn secondary_key(mut self, secondary_key: &GroupKey) -> Self {
        self.secondary_key = Some(Box::new(KeyDerivation::new(secondary_key)));
        self
    }

    terms!();

    /// The group's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn device_key(&self, registration_id: &RegistrationId) -> DeviceKey {
        self.primary_key.derive(registration_id)
    }

    /// Whether a device of this group signed the token that writes its registration ID like that, or in lower case where it counts.
    pub(super) fn signed(&self, token: &SasToken, registration_id: &RegistrationId) -> bool {
        let lower_case = RegistrationId::new(registration_id.as_str().to_ascii_lowercase()).ok();
        let mut spellings = [Some(registration_id), lower_case.as_ref()].into_iter().flatten();
        let keys = [Some(&self.primary_key), self.secondary_key.as_ref()].into_iter().flatten();
        spellings.any(|spelling| keys.clone().any(|key| token.verify(&key.derive(spelling))))
    }
}

impl fmt::Debug for EnrollmentGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrollmentGroup").field("name", &self.name).field("terms", &self.terms).finish_non_exhaustive()
    }
}

/// An individual enrollment: one device with a key of its own.
#[derive(Clone, Debug)]
pub struct IndividualEnrollment {
    registration_id: RegistrationId,
    primary_key: Box<DeviceKey>,
    secondary_key: Option<Box<DeviceKey>>,
    device_id: Option<DeviceId>,
    pub(super) terms: Terms,
}

impl IndividualEnrollment {
    /// A device with this primary key.
    #[must_use]
    pub fn new(registration_id: RegistrationId, primary_key: DeviceKey) -> Self {
        let primary_key = Box::new(primary_key);
        Self { registration_id, primary_key, secondary_key: None, device_id: None, terms: Terms::default() }
    }

    /// With a secondary key too, which is as good as the primary one.
    #[must_use]
    pub fn secondary_key(mut self, secondary_key: DeviceKey) -> Self {
        self.secondary_key = Some(Box::new(secondary_key));
        self
    }

    /// Under another name in its hub. Default the registration ID.
    #[must_use]
    pub fn device_id(self, device_id: DeviceId) -> Self {
        Self { device_id: Some(device_id), ..self }
    }

    terms!();

    /// The service compares registration IDs without regard to case.
    pub(super) fn is_for(&self, registration_id: &RegistrationId) -> bool {
        self.registration_id.as_str().eq_ignore_ascii_case(registration_id.as_str())
    }

    pub(super) fn device_key(&self) -> DeviceKey {
        (*self.primary_key).clone()
    }

    pub(super) fn signed(&self, token: &SasToken) -> bool {
        [Some(&self.primary_key), self.secondary_key.as_ref()].into_iter().flatten().any(|key| token.verify(key))
    }

    pub(super) fn own_device_id(&self) -> Option<&DeviceId> {
        self.device_id.as_ref()
    }
}
