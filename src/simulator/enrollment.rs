//! Who may register, with which keys, and what is arranged for them.

use alloc::boxed::Box;
#[cfg(feature = "x509")]
use alloc::vec::Vec;
use core::fmt;

#[cfg(feature = "x509")]
use crate::attestation::{CertificateError, certificates_from_pem};
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
    proof: Proof<KeyDerivation>,
    pub(super) terms: Terms,
}

/// What the devices of an enrollment prove themselves with.
#[derive(Clone, Debug)]
enum Proof<K> {
    /// A symmetric key. Boxed, so that moving an enrollment copies no key.
    Keys { primary: Box<K>, secondary: Option<Box<K>> },
    /// One of these certificates: a device's own, or the authority's of a group.
    #[cfg(feature = "x509")]
    Certificates(Vec<Vec<u8>>),
}

impl<K> Proof<K> {
    fn keys(&self) -> impl Iterator<Item = &K> + Clone {
        let keys: [Option<&K>; 2] = match self {
            Self::Keys { primary, secondary } => [Some(primary), secondary.as_deref()],
            #[cfg(feature = "x509")]
            Self::Certificates(_) => [None, None],
        };
        keys.into_iter().flatten()
    }

    fn set_secondary(&mut self, key: K) {
        match self {
            Self::Keys { secondary, .. } => *secondary = Some(Box::new(key)),
            #[cfg(feature = "x509")]
            Self::Certificates(_) => {}
        }
    }

    #[cfg(feature = "x509")]
    fn certificates(&self) -> &[Vec<u8>] {
        match self {
            Self::Keys { .. } => &[],
            Self::Certificates(certificates) => certificates,
        }
    }

    /// Adds certificates from PEM.
    #[cfg(feature = "x509")]
    fn with_certificates(self, pem: &[u8]) -> Result<Self, CertificateError> {
        let added = certificates_from_pem(pem)?;
        match self {
            Self::Certificates(certificates) => Ok(Self::Certificates([certificates, added].concat())),
            keys @ Self::Keys { .. } => Ok(keys),
        }
    }
}

impl EnrollmentGroup {
    /// A group with this primary key.
    #[must_use]
    pub fn new(name: &str, primary_key: &GroupKey) -> Self {
        let proof = Proof::Keys { primary: Box::new(KeyDerivation::new(primary_key)), secondary: None };
        Self { name: name.into(), proof, terms: Terms::default() }
    }

    /// A group of devices whose certificates this authority issued, a root or an intermediate, as PEM.
    ///
    /// # Errors
    ///
    /// There is no certificate, or one that cannot be read.
    #[cfg(feature = "x509")]
    pub fn x509(name: &str, authority: &[u8]) -> Result<Self, CertificateError> {
        let proof = Proof::Certificates(Vec::new()).with_certificates(authority)?;
        Ok(Self { name: name.into(), proof, terms: Terms::default() })
    }

    /// With a secondary key too, which is as good as the primary one.
    #[must_use]
    pub fn secondary_key(mut self, secondary_key: &GroupKey) -> Self {
        self.proof.set_secondary(KeyDerivation::new(secondary_key));
        self
    }

    terms!();

    /// The group's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn device_key(&self, registration_id: &RegistrationId) -> Option<DeviceKey> {
        Some(self.proof.keys().next()?.derive(registration_id))
    }

    /// Whether its devices have keys.
    pub(super) fn has_keys(&self) -> bool {
        self.proof.keys().next().is_some()
    }

    /// The authorities that issue its devices' certificates.
    #[cfg(feature = "x509")]
    pub(super) fn authorities(&self) -> &[Vec<u8>] {
        self.proof.certificates()
    }

    /// Whether a device of this group signed the token that writes its registration ID like that, or in lower case where it counts.
    pub(super) fn signed(&self, token: &SasToken, registration_id: &RegistrationId) -> bool {
        let lower_case = RegistrationId::new(registration_id.as_str().to_ascii_lowercase()).ok();
        let mut spellings = [Some(registration_id), lower_case.as_ref()].into_iter().flatten();
        let keys = self.proof.keys();
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
    proof: Proof<DeviceKey>,
    device_id: Option<DeviceId>,
    pub(super) terms: Terms,
}

impl IndividualEnrollment {
    /// A device with this primary key.
    #[must_use]
    pub fn new(registration_id: RegistrationId, primary_key: DeviceKey) -> Self {
        let proof = Proof::Keys { primary: Box::new(primary_key), secondary: None };
        Self { registration_id, proof, device_id: None, terms: Terms::default() }
    }

    /// A device with this certificate, as PEM; with a second one behind it, that is as good.
    ///
    /// # Errors
    ///
    /// There is no certificate, or one that cannot be read.
    #[cfg(feature = "x509")]
    pub fn x509(registration_id: RegistrationId, certificate: &[u8]) -> Result<Self, CertificateError> {
        let proof = Proof::Certificates(Vec::new()).with_certificates(certificate)?;
        Ok(Self { registration_id, proof, device_id: None, terms: Terms::default() })
    }

    /// With a secondary key too, which is as good as the primary one.
    #[must_use]
    pub fn secondary_key(mut self, secondary_key: DeviceKey) -> Self {
        self.proof.set_secondary(secondary_key);
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

    pub(super) fn device_key(&self) -> Option<DeviceKey> {
        self.proof.keys().next().cloned()
    }

    pub(super) fn signed(&self, token: &SasToken) -> bool {
        self.proof.keys().any(|key| token.verify(key))
    }

    /// Whether this is one of the device's certificates, byte for byte.
    #[cfg(feature = "x509")]
    pub(super) fn has_certificate(&self, der: &[u8]) -> bool {
        self.proof.certificates().iter().any(|certificate| certificate == der)
    }

    pub(super) fn own_device_id(&self) -> Option<&DeviceId> {
        self.device_id.as_ref()
    }
}
