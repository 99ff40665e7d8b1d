//! Enrollments: which devices may register, with which keys, and on which terms.

use std::fmt;

use azure_iot_dps::identity::{DeviceId, HostName, RegistrationId};

use crate::error::EnrollmentError;
use crate::key::SymmetricKey;
use crate::pem::checked;
use crate::token::Token;

/// The policy for a device that registers again and is allocated to another hub.
///
/// ```
/// use azure_iot_dps_simulator::{EnrollmentGroup, Reprovisioning, SymmetricKey};
///
/// let key = SymmetricKey::from_bytes(&[1; 64])?;
/// let group = EnrollmentGroup::new("line-7", key).reprovisioning(Reprovisioning::Never);
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
pub(crate) struct Terms {
    pub(crate) hub: Option<HostName>,
    pub(crate) reprovisioning: Reprovisioning,
    pub(crate) disabled: bool,
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
/// use azure_iot_dps::{GroupKey, KeyDerivation, RegistrationId};
/// use azure_iot_dps_simulator::{EnrollmentGroup, Simulator, SymmetricKey};
///
/// let key = SymmetricKey::from_bytes(&[1; 64])?;
/// let sim = Simulator::builder().group(EnrollmentGroup::new("line-7", key)).build();
///
/// // As a factory derives it.
/// let id = RegistrationId::new("my-device")?;
/// let device_key = KeyDerivation::new(&GroupKey::from_bytes(&[1; 64])?).derive(&id);
/// assert_eq!(sim.device_key(&id).as_deref(), Some(device_key.to_base64().as_str()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct EnrollmentGroup {
    name: Box<str>,
    proof: Proof,
    pub(crate) terms: Terms,
}

/// The credentials that an enrollment accepts.
#[derive(Clone, Debug)]
enum Proof {
    Keys {
        primary: SymmetricKey,
        secondary: Option<SymmetricKey>,
    },
    /// Certificates as DER: those of the device, or the authorities of a group.
    Certificates(Vec<Vec<u8>>),
}

impl Proof {
    fn of(primary: SymmetricKey) -> Self {
        Self::Keys { primary, secondary: None }
    }

    fn keys(&self) -> impl Iterator<Item = &SymmetricKey> + Clone {
        let keys = match self {
            Self::Keys { primary, secondary } => [Some(primary), secondary.as_ref()],
            Self::Certificates(_) => [None, None],
        };
        keys.into_iter().flatten()
    }

    fn set_secondary(&mut self, key: SymmetricKey) {
        if let Self::Keys { secondary, .. } = self {
            *secondary = Some(key);
        }
    }

    fn certificates(&self) -> &[Vec<u8>] {
        match self {
            Self::Keys { .. } => &[],
            Self::Certificates(certificates) => certificates,
        }
    }
}

impl EnrollmentGroup {
    /// Creates a group with this primary key.
    #[must_use]
    pub fn new(name: &str, primary_key: SymmetricKey) -> Self {
        Self { name: name.into(), proof: Proof::of(primary_key), terms: Terms::default() }
    }

    /// Creates a group of devices whose certificates were issued by one of these authorities, as
    /// DER.
    ///
    /// An authority is a root or an intermediate. [`certificates_from_pem`] reads them from PEM.
    ///
    /// # Errors
    ///
    /// Returns [`EnrollmentError`] if there is no certificate, or one that cannot be read.
    ///
    /// [`certificates_from_pem`]: crate::certificates_from_pem
    pub fn x509(name: &str, authorities: impl IntoIterator<Item = Vec<u8>>) -> Result<Self, EnrollmentError> {
        let proof = Proof::Certificates(checked(authorities)?);
        Ok(Self { name: name.into(), proof, terms: Terms::default() })
    }

    /// Sets the secondary key, which the service accepts like the primary one. Default: none.
    ///
    /// Has no effect on a group with certificates.
    #[must_use]
    pub fn secondary_key(mut self, secondary_key: SymmetricKey) -> Self {
        self.proof.set_secondary(secondary_key);
        self
    }

    terms!();

    /// Returns the name of the group.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn device_key(&self, registration_id: &RegistrationId) -> Option<SymmetricKey> {
        self.proof.keys().next()?.derive(registration_id.as_str())
    }

    /// Returns whether the devices of the group have symmetric keys.
    pub(crate) fn has_keys(&self) -> bool {
        self.proof.keys().next().is_some()
    }

    /// Returns the authorities that issue the certificates of the devices.
    pub(crate) fn authorities(&self) -> &[Vec<u8>] {
        self.proof.certificates()
    }

    /// Returns whether a key of this group signed the token.
    ///
    /// The key may be derived from the registration ID as it is written here, or in lower case.
    pub(crate) fn signed(&self, token: &Token<'_>, registration_id: &RegistrationId) -> bool {
        let written = registration_id.as_str();
        let lower_case = written.to_ascii_lowercase();
        let spellings = [written, lower_case.as_str()];
        let mut device_keys =
            self.proof.keys().flat_map(|key| spellings.into_iter().filter_map(|spelling| key.derive(spelling)));
        device_keys.any(|key| token.is_signed_with(&key))
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
/// use azure_iot_dps::{DeviceKey, ProvisioningClient, RegistrationId};
/// use azure_iot_dps_simulator::{IndividualEnrollment, Simulator, SymmetricKey};
///
/// let (id, key) = (RegistrationId::new("my-device")?, DeviceKey::from_bytes(&[7; 32])?);
/// let enrollment = IndividualEnrollment::new(id.clone(), SymmetricKey::from_bytes(&[7; 32])?);
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
    proof: Proof,
    device_id: Option<DeviceId>,
    pub(crate) terms: Terms,
}

impl IndividualEnrollment {
    /// Creates an enrollment of a device with this primary key.
    #[must_use]
    pub fn new(registration_id: RegistrationId, primary_key: SymmetricKey) -> Self {
        let proof = Proof::of(primary_key);
        Self { registration_id, proof, device_id: None, terms: Terms::default() }
    }

    /// Creates an enrollment of a device with this certificate, as DER.
    ///
    /// Further certificates are accepted, too.
    ///
    /// # Errors
    ///
    /// Returns [`EnrollmentError`] if there is no certificate, or one that cannot be read.
    pub fn x509(
        registration_id: RegistrationId,
        certificates: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<Self, EnrollmentError> {
        let proof = Proof::Certificates(checked(certificates)?);
        Ok(Self { registration_id, proof, device_id: None, terms: Terms::default() })
    }

    /// Sets the secondary key, which the service accepts like the primary one. Default: none.
    ///
    /// Has no effect on an enrollment with certificates.
    #[must_use]
    pub fn secondary_key(mut self, secondary_key: SymmetricKey) -> Self {
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
    pub(crate) fn is_for(&self, registration_id: &RegistrationId) -> bool {
        self.registration_id.as_str().eq_ignore_ascii_case(registration_id.as_str())
    }

    pub(crate) fn device_key(&self) -> Option<SymmetricKey> {
        self.proof.keys().next().cloned()
    }

    pub(crate) fn signed(&self, token: &Token<'_>) -> bool {
        self.proof.keys().any(|key| token.is_signed_with(key))
    }

    /// Returns whether this is a certificate of the device, byte for byte.
    pub(crate) fn has_certificate(&self, der: &[u8]) -> bool {
        self.proof.certificates().iter().any(|certificate| certificate == der)
    }

    pub(crate) fn own_device_id(&self) -> Option<&DeviceId> {
        self.device_id.as_ref()
    }
}
