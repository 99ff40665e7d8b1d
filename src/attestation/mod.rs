//! The proof of a device's identity: a symmetric key, or a certificate in the device's TLS stack.
//!
//! An enrollment with symmetric keys has two keys, so that one can be rolled while the other is in
//! use ([`KeySlot`]). A device may hold one or both.
//!
//! ```
//! use azure_iot_dps::{Attestation, DeviceKey};
//!
//! let key = DeviceKey::from_base64("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=")?;
//! assert!(Attestation::from(key).kind().uses_tokens());
//! # Ok::<(), azure_iot_dps::key::KeyError>(())
//! ```
//!
//! Sources: Microsoft, "Symmetric key attestation" and "X.509 certificate attestation".

#[cfg(feature = "x509")]
mod certificate;

use alloc::boxed::Box;
use core::fmt;

#[cfg(feature = "x509")]
pub use certificate::{
    CertificateError, CertificateNote, CertificateSigner, ClientCertificate, KeyAlgorithm, SignatureScheme,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::key::{Signer, SignerError};

/// One of the two symmetric keys of an enrollment.
///
/// ```
/// use azure_iot_dps::attestation::KeySlot;
///
/// assert_eq!(KeySlot::default(), KeySlot::Primary);
/// assert_eq!(KeySlot::Secondary.to_string(), "secondary");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum KeySlot {
    /// The primary key.
    #[default]
    Primary,
    /// The secondary key.
    Secondary,
}

impl KeySlot {
    /// Returns the value of this key, or that of the primary key if the secondary key has none.
    pub(crate) fn of<T>(self, primary: T, secondary: Option<T>) -> T {
        match (self, secondary) {
            (Self::Secondary, Some(secondary)) => secondary,
            _ => primary,
        }
    }

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Primary => Self::Secondary,
            Self::Secondary => Self::Primary,
        }
    }
}

/// Writes `primary` or `secondary`.
impl fmt::Display for KeySlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
        })
    }
}

/// The kind of proof that a device has, without the keys.
///
/// A [`Registration`](crate::registration::Registration) needs only this: it states what to sign
/// and with which key, and never sees the key.
///
/// ```
/// use azure_iot_dps::attestation::{Attestation, AttestationKind};
///
/// assert_eq!(Attestation::x509().kind(), AttestationKind::X509);
/// assert!(!AttestationKind::X509.uses_tokens());
/// assert!(AttestationKind::SymmetricKeyPair.uses_tokens());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AttestationKind {
    /// SAS tokens, signed with one symmetric key.
    SymmetricKey,
    /// SAS tokens, signed with one of two symmetric keys. If the service refuses one key, the other
    /// is tried.
    SymmetricKeyPair,
    /// A client certificate that the TLS stack presents. There is no token and nothing to sign.
    X509,
}

impl AttestationKind {
    /// Returns whether requests carry a SAS token.
    #[must_use]
    pub const fn uses_tokens(self) -> bool {
        matches!(self, Self::SymmetricKey | Self::SymmetricKeyPair)
    }

    /// Returns whether a device of this kind holds the credential that the service accepted: the
    /// key in this slot, or a certificate if `key_used` is `None`.
    pub(crate) const fn holds(self, key_used: Option<KeySlot>) -> bool {
        match self {
            Self::SymmetricKey => matches!(key_used, Some(KeySlot::Primary)),
            Self::SymmetricKeyPair => key_used.is_some(),
            Self::X509 => key_used.is_none(),
        }
    }
}

/// The proof of a device's identity.
///
/// A [`DeviceKey`](crate::DeviceKey) and every other [`Signer`] convert into it.
///
/// ```
/// use azure_iot_dps::attestation::{Attestation, AttestationKind};
/// use azure_iot_dps::DeviceKey;
///
/// let primary = DeviceKey::from_base64("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=")?;
/// let secondary = DeviceKey::from_base64("miuSB501eJKWtdSGawOlw0wbqw7z4flDPUIeAsCTiWs=")?;
///
/// assert_eq!(Attestation::from(primary.clone()).kind(), AttestationKind::SymmetricKey);
/// let both = Attestation::symmetric_keys(primary, secondary);
/// assert_eq!(both.kind(), AttestationKind::SymmetricKeyPair);
/// # Ok::<(), azure_iot_dps::key::KeyError>(())
/// ```
pub struct Attestation(Proof);

enum Proof {
    /// One or two symmetric keys: an individual enrollment's own, or derived from the keys of an
    /// enrollment group.
    SymmetricKey {
        primary: Box<dyn Signer + Send>,
        secondary: Option<Box<dyn Signer + Send>>,
    },
    X509,
}

impl Attestation {
    /// Creates an attestation from both keys of an enrollment.
    ///
    /// If the service refuses one key and the clock is not at fault, the other key is used.
    #[must_use]
    pub fn symmetric_keys(primary: impl Signer + Send + 'static, secondary: impl Signer + Send + 'static) -> Self {
        Self(Proof::SymmetricKey { primary: Box::new(primary), secondary: Some(Box::new(secondary)) })
    }

    /// Creates an attestation with a client certificate, which the transport's TLS stack holds and
    /// presents.
    #[must_use]
    pub const fn x509() -> Self {
        Self(Proof::X509)
    }

    /// Returns the kind of proof.
    #[must_use]
    pub fn kind(&self) -> AttestationKind {
        match self.0 {
            Proof::SymmetricKey { secondary: None, .. } => AttestationKind::SymmetricKey,
            Proof::SymmetricKey { secondary: Some(_), .. } => AttestationKind::SymmetricKeyPair,
            Proof::X509 => AttestationKind::X509,
        }
    }

    /// Signs a message with one of the keys, by HMAC-SHA256.
    ///
    /// If there is only one key, that key signs, whichever slot is asked for.
    ///
    /// # Errors
    ///
    /// Returns [`SignerError`] if the signer fails or if there is no symmetric key.
    pub fn sign(&self, key: KeySlot, message: &[u8]) -> Result<[u8; 32], SignerError> {
        match &self.0 {
            Proof::SymmetricKey { primary, secondary } => key.of(primary, secondary.as_ref()).sign(message),
            Proof::X509 => Err(SignerError::new("a device with an X.509 certificate has no symmetric key")),
        }
    }
}

impl Attestation {
    /// Returns a fingerprint of the keys, or `None` for a certificate or if a signer fails.
    ///
    /// It consists of eight bytes of a hash of the keys' signatures, which reveal nothing about the
    /// keys.
    pub(crate) fn fingerprint(&self) -> Option<[u8; 8]> {
        let Proof::SymmetricKey { primary, secondary } = &self.0 else { return None };
        let mut keys = [Some(primary), secondary.as_ref()].into_iter().flatten();
        let hash = keys.try_fold(Sha256::new(), |hash, key| {
            Some(hash.chain_update(key.sign(b"azure-iot-dps: which keys are these?").ok()?))
        });
        hash?.finalize().first_chunk().copied()
    }
}

impl<S: Signer + Send + 'static> From<S> for Attestation {
    fn from(signer: S) -> Self {
        Self(Proof::SymmetricKey { primary: Box::new(signer), secondary: None })
    }
}

impl fmt::Debug for Attestation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attestation({:?})", self.kind())
    }
}
