//! Enrollments: which devices may register, with which keys, and on which terms.

use alloc::boxed::Box;
#[cfg(feature = "x509")]
use alloc::vec::Vec;
use core::fmt;

#[cfg(feature = "x509")]
use crate::attestation::{CertificateError, certificates_from_pem};
use crate::identity::{DeviceId, HostName, RegistrationId};
use crate::key::{DeviceKey, GroupKey, KeyDerivation};
use crate::sas::SasToken;

/// The policy for a device that registers again and is allocated to another hub.
///
/// ```
/// use azure_iot_dps::GroupKey;
/// use azure_iot_dps::simulator::{EnrollmentGroup, Reprovisioning};
///
/// let key = GroupKey::from_bytes(&[1; 64])?;
/// let group = EnrollmentGroup::new("line-7", &key).reprovisioning(Reprovisioning::Never);
/// # assert_eq!(group.name(), "line-7");
/// assert_eq!(Reprovisioning::default(), Reprovisioning::Migrate);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reprovisioning {
    /// The device moves and its data is migrated: substatus `deviceDataMigrated`. The default of
    /// the service.
    #[default]
    Migrate,
    /// The device moves and its data is reset: substatus `deviceDataReset`.
    Reset,
    /// The device stays at its first hub.
    Never,
}

/// The settings that individual enrollments and groups share.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    pub(super) hub: Option<HostName>,
    pub(super) reprovisioning: Reprovisioning,
    pub(super) disabled: bool,
}

/// Declares the methods that set the [`Terms`].
macro_rules! terms {
    () => {
        /// Sets the one hub for the devices of this enrollment. Default: the allocation of the
        /// simulator.
        ///
        /// The hub need not be linked.
        #[must_use]
        pub fn hub(mut self, hub: HostName) -> Self {
            self.terms.hub = Some(hub);
            self
        }

        /// Sets what happens when a device registers again. Default: [`Reprovisioning::Migrate`].
        #[must_use]
        pub fn reprovisioning(mut self, reprovisioning: Reprovisioning) -> Self {
            self.terms.reprovisioning = reprovisioning;
            self
        }

        /// Disables the enrollment: a registration ends with the status `disabled`. Default:
        /// enabled.
        #[must_use]
        pub fn disabled(mut self) -> Self {
            self.terms.disabled = true;
            self
        }
    };
}

/// An enrollment group: many devices, whose keys are derived from the key of the group.
///
/// ```
/// use azure_iot_dps::simulator::{EnrollmentGroup, Simulator};
/// use azure_iot_dps::{GroupKey, KeyDerivation, RegistrationId};
///
/// let group_key = GroupKey::from_bytes(&[1; 64])?;
/// let sim = Simulator::builder().group(EnrollmentGroup::new("line-7", &group_key)).build();
///
/// let id = RegistrationId::new("my-device")?;
/// let device_key = sim.device_key(&id).ok_or("no key")?;
/// let derived = KeyDerivation::new(&group_key).derive(&id);
/// assert_eq!(device_key.to_base64().as_str(), derived.to_base64().as_str());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct EnrollmentGroup {
    name: Box<str>,
    proof: Proof<KeyDerivation>,
    pub(super) terms: Terms,
}

/// The credentials that an enrollment accepts.
#[derive(Clone, Debug)]
enum Proof<K> {
    /// Symmetric keys. Boxed, so that moving an enrollment copies no key.
    Keys { primary: Box<K>, secondary: Option<Box<K>> },
    /// Certificates: those of the device, or the authorities of a group.
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
    /// Creates a group with this primary key.
    #[must_use]
    pub fn new(name: &str, primary_key: &GroupKey) -> Self {
        let proof = Proof::Keys { primary: Box::new(KeyDerivation::new(primary_key)), secondary: None };
        Self { name: name.into(), proof, terms: Terms::default() }
    }

    /// Creates a group of devices whose certificates were issued by this authority, as PEM.
    ///
    /// The authority is a root or an intermediate. PEM with several certificates enrolls each of
    /// them.
    ///
    /// # Errors
    ///
    /// Returns [`CertificateError`] if there is no certificate, or one that cannot be read.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use azure_iot_dps::simulator::{EnrollmentGroup, Simulator};
    ///
    /// let group = EnrollmentGroup::x509("line-7", &std::fs::read("root.pem")?)?;
    /// let sim = Simulator::builder().group(group).build();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "x509")]
    pub fn x509(name: &str, authority: &[u8]) -> Result<Self, CertificateError> {
        let proof = Proof::Certificates(Vec::new()).with_certificates(authority)?;
        Ok(Self { name: name.into(), proof, terms: Terms::default() })
    }

    /// Sets the secondary key, which the service accepts like the primary one. Default: none.
    ///
    /// Has no effect on a group with certificates.
    #[must_use]
    pub fn secondary_key(mut self, secondary_key: &GroupKey) -> Self {
        self.proof.set_secondary(KeyDerivation::new(secondary_key));
        self
    }

    terms!();

    /// Returns the name of the group.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn device_key(&self, registration_id: &RegistrationId) -> Option<DeviceKey> {
        Some(self.proof.keys().next()?.derive(registration_id))
    }

    /// Returns whether the devices of the group have symmetric keys.
    pub(super) fn has_keys(&self) -> bool {
        self.proof.keys().next().is_some()
    }

    /// Returns the authorities that issue the certificates of the devices.
    #[cfg(feature = "x509")]
    pub(super) fn authorities(&self) -> &[Vec<u8>] {
        self.proof.certificates()
    }

    /// Returns whether a key of this group signed the token.
    ///
    /// The key may be derived from the registration ID as it is written here, or in lower case.
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

/// An individual enrollment: one device with its own key or certificate.
///
/// ```
/// use azure_iot_dps::identity::DeviceId;
/// use azure_iot_dps::simulator::{IndividualEnrollment, Simulator};
/// use azure_iot_dps::{DeviceKey, ProvisioningClient, RegistrationId};
///
/// let (id, key) = (RegistrationId::new("my-device")?, DeviceKey::from_bytes(&[7; 32])?);
/// let enrollment = IndividualEnrollment::new(id.clone(), key.clone());
/// let enrollment = enrollment.device_id(DeviceId::new("lift-1")?);
/// let sim = Simulator::builder().individual(enrollment).build();
///
/// let builder = ProvisioningClient::builder(sim.id_scope(), id, key);
/// let assignment = builder.build_with(sim.transport(), sim.clock()).register()?;
/// assert_eq!(assignment.device_id().as_str(), "lift-1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct IndividualEnrollment {
    registration_id: RegistrationId,
    proof: Proof<DeviceKey>,
    device_id: Option<DeviceId>,
    pub(super) terms: Terms,
}

impl IndividualEnrollment {
    /// Creates an enrollment of a device with this primary key.
    #[must_use]
    pub fn new(registration_id: RegistrationId, primary_key: DeviceKey) -> Self {
        let proof = Proof::Keys { primary: Box::new(primary_key), secondary: None };
        Self { registration_id, proof, device_id: None, terms: Terms::default() }
    }

    /// Creates an enrollment of a device with this certificate, as PEM.
    ///
    /// Further certificates in the PEM are accepted, too.
    ///
    /// # Errors
    ///
    /// Returns [`CertificateError`] if there is no certificate, or one that cannot be read.
    #[cfg(feature = "x509")]
    pub fn x509(registration_id: RegistrationId, certificate: &[u8]) -> Result<Self, CertificateError> {
        let proof = Proof::Certificates(Vec::new()).with_certificates(certificate)?;
        Ok(Self { registration_id, proof, device_id: None, terms: Terms::default() })
    }

    /// Sets the secondary key, which the service accepts like the primary one. Default: none.
    ///
    /// Has no effect on an enrollment with certificates.
    #[must_use]
    pub fn secondary_key(mut self, secondary_key: DeviceKey) -> Self {
        self.proof.set_secondary(secondary_key);
        self
    }

    /// Sets the device ID, the name of the device in its hub. Default: the registration ID.
    #[must_use]
    pub fn device_id(self, device_id: DeviceId) -> Self {
        Self { device_id: Some(device_id), ..self }
    }

    terms!();

    /// Returns whether this enrollment is for the registration ID.
    ///
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

    /// Returns whether this is a certificate of the device, byte for byte.
    #[cfg(feature = "x509")]
    pub(super) fn has_certificate(&self, der: &[u8]) -> bool {
        self.proof.certificates().iter().any(|certificate| certificate == der)
    }

    pub(super) fn own_device_id(&self) -> Option<&DeviceId> {
        self.device_id.as_ref()
    }
}
