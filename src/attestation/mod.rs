//! How a device proves who it is: with a symmetric key, or with a certificate in its TLS stack.
//!
//! An enrollment with symmetric keys has two of them, so that one can be rolled while the other is in use ([`KeySlot`]).
//! A device may hold one or both. Source: Microsoft, "Symmetric key attestation" and "X.509 certificate attestation".

#[cfg(feature = "x509")]
mod certificate;

use alloc::boxed::Box;
use core::fmt;

#[cfg(all(feature = "x509", feature = "simulator"))]
pub(crate) use certificate::certificates_from_pem;
#[cfg(feature = "x509")]
pub use certificate::{
    CertificateError, CertificateNote, CertificateSigner, ClientCertificate, KeyAlgorithm, SignatureScheme,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::key::{Signer, SignerError};

/// Which of an enrollment's two symmetric keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeySlot {
    /// The primary key.
    #[default]
    Primary,
    /// The secondary key.
    Secondary,
}

impl KeySlot {
    /// Of what belongs to the two keys, this one's; the primary key's where there is nothing for the secondary one.
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

/// `primary` or `secondary`.
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
/// A [`Registration`](crate::registration::Registration) needs no more than that: it says what to sign and with which key, and
/// never sees the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AttestationKind {
    /// SAS tokens, signed with one symmetric key.
    SymmetricKey,
    /// SAS tokens, signed with the primary key or, where the service refuses that, with the secondary key.
    SymmetricKeyPair,
    /// A client certificate that the TLS stack presents: no token, and nothing to sign.
    X509,
}

impl AttestationKind {
    /// Whether requests carry a SAS token.
    #[must_use]
    pub const fn uses_tokens(self) -> bool {
        matches!(self, Self::SymmetricKey | Self::SymmetricKeyPair)
    }

    /// Whether it holds the key that let a device in, or the certificate where no key did.
    pub(crate) const fn holds(self, key_used: Option<KeySlot>) -> bool {
        match self {
            Self::SymmetricKey => matches!(key_used, Some(KeySlot::Primary)),
            Self::SymmetricKeyPair => key_used.is_some(),
            Self::X509 => key_used.is_none(),
        }
    }
}

/// The proof of a device's identity. Made from a [`DeviceKey`](crate::DeviceKey), or whatever else is a [`Signer`].
///
/// ```
/// use azure_iot_dps::attestation::{Attestation, AttestationKind};
/// use azure_iot_dps::DeviceKey;
///
/// let primary = DeviceKey::from_base64("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=")?;
/// let secondary = DeviceKey::from_base64("miuSB501eJKWtdSGawOlw0wbqw7z4flDPUIeAsCTiWs=")?;
///
/// assert_eq!(Attestation::from(primary.clone()).kind(), AttestationKind::SymmetricKey);
/// assert_eq!(Attestation::symmetric_keys(primary, secondary).kind(), AttestationKind::SymmetricKeyPair);
/// # Ok::<(), azure_iot_dps::key::KeyError>(())
/// ```
#[non_exhaustive]
pub enum Attestation {
    /// A symmetric key of the enrollment, or derived from an enrollment group's.
    SymmetricKey {
        /// Signs with the primary key.
        primary: Box<dyn Signer + Send>,
        /// Signs with the secondary key, which is used where the service refuses the primary one.
        secondary: Option<Box<dyn Signer + Send>>,
    },
    /// A client certificate, which the transport's TLS stack holds and presents.
    X509,
}

impl Attestation {
    /// Takes both keys of an enrollment. Where the service refuses one and the clock is not at fault, the other is used.
    #[must_use]
    pub fn symmetric_keys(primary: impl Signer + Send + 'static, secondary: impl Signer + Send + 'static) -> Self {
        Self::SymmetricKey { primary: Box::new(primary), secondary: Some(Box::new(secondary)) }
    }

    /// The kind of proof.
    #[must_use]
    pub fn kind(&self) -> AttestationKind {
        match self {
            Self::SymmetricKey { secondary: None, .. } => AttestationKind::SymmetricKey,
            Self::SymmetricKey { secondary: Some(_), .. } => AttestationKind::SymmetricKeyPair,
            Self::X509 => AttestationKind::X509,
        }
    }

    /// Signs a message with one of the keys: HMAC-SHA256. With one key only, that one signs.
    ///
    /// # Errors
    ///
    /// The signer failed, or there is no symmetric key.
    pub fn sign(&self, key: KeySlot, message: &[u8]) -> Result<[u8; 32], SignerError> {
        match self {
            Self::SymmetricKey { primary, secondary } => key.of(primary, secondary.as_ref()).sign(message),
            Self::X509 => Err(SignerError::new("a device with an X.509 certificate has no symmetric key")),
        }
    }
}

impl Attestation {
    /// Returns a fingerprint of the keys: eight bytes of a hash of what they sign, which reveal nothing about them. `None` for a
    /// certificate, and where a signer fails.
    pub(crate) fn fingerprint(&self) -> Option<[u8; 8]> {
        let Self::SymmetricKey { primary, secondary } = self else { return None };
        let mut keys = [Some(primary), secondary.as_ref()].into_iter().flatten();
        let hash = keys.try_fold(Sha256::new(), |hash, key| {
            Some(hash.chain_update(key.sign(b"azure-iot-dps: which keys are these?").ok()?))
        });
        hash?.finalize().first_chunk().copied()
    }
}

impl<S: Signer + Send + 'static> From<S> for Attestation {
    fn from(signer: S) -> Self {
        Self::SymmetricKey { primary: Box::new(signer), secondary: None }
    }
}

impl fmt::Debug for Attestation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attestation({:?})", self.kind())
    }
}
