//! Signers for private keys that never leave a chip.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use rustls::SignatureAlgorithm;
use rustls::sign::{Signer, SigningKey};

use crate::key::SignerError;

/// The algorithm of a certificate's key.
///
/// ```
/// use azure_iot_dps::attestation::KeyAlgorithm;
///
/// // From the attribute CKA_KEY_TYPE of a PKCS #11 token:
/// fn algorithm(key_type: u32) -> Option<KeyAlgorithm> {
///     match key_type {
///         0x00 => Some(KeyAlgorithm::Rsa), // CKK_RSA
///         0x03 => Some(KeyAlgorithm::Ecdsa), // CKK_EC
///         _ => None,
///     }
/// }
/// assert_eq!(algorithm(0x03), Some(KeyAlgorithm::Ecdsa));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyAlgorithm {
    /// ECDSA on a NIST curve.
    Ecdsa,
    /// Ed25519.
    Ed25519,
    /// RSA.
    Rsa,
}

/// A signature scheme of the TLS handshake.
///
/// ```
/// use azure_iot_dps::attestation::SignatureScheme;
///
/// // The mechanism of a PKCS #11 token:
/// fn mechanism(scheme: SignatureScheme) -> Option<&'static str> {
///     match scheme {
///         SignatureScheme::EcdsaP256Sha256 => Some("CKM_ECDSA_SHA256"),
///         SignatureScheme::RsaPssSha256 => Some("CKM_SHA256_RSA_PKCS_PSS"),
///         _ => None,
///     }
/// }
/// assert_eq!(mechanism(SignatureScheme::EcdsaP256Sha256), Some("CKM_ECDSA_SHA256"));
/// ```
///
/// Source: RFC 8446, section 4.2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureScheme {
    /// ECDSA on P-256 with SHA-256.
    EcdsaP256Sha256,
    /// ECDSA on P-384 with SHA-384.
    EcdsaP384Sha384,
    /// Ed25519.
    Ed25519,
    /// RSA-PSS with SHA-256.
    RsaPssSha256,
    /// RSA-PSS with SHA-384.
    RsaPssSha384,
    /// RSA-PSS with SHA-512.
    RsaPssSha512,
    /// RSA PKCS #1 v1.5 with SHA-256, for TLS 1.2 only.
    RsaPkcs1Sha256,
    /// RSA PKCS #1 v1.5 with SHA-384, for TLS 1.2 only.
    RsaPkcs1Sha384,
    /// RSA PKCS #1 v1.5 with SHA-512, for TLS 1.2 only.
    RsaPkcs1Sha512,
}

/// A signer of TLS handshakes whose private key is in a PKCS #11 token, a TPM or a secure element.
///
/// It works with `HttpsTransport` and with `MqttTransport`.
///
/// ```
/// use azure_iot_dps::attestation::{CertificateSigner, ClientCertificate};
/// use azure_iot_dps::attestation::{KeyAlgorithm, SignatureScheme};
/// use azure_iot_dps::key::SignerError;
///
/// /// The key is in slot 0 of a chip and never leaves it.
/// struct SecureElement;
/// # impl SecureElement {
/// #     fn ecdsa(&self, _: u8, _: &[u8]) -> Result<Vec<u8>, std::io::Error> { Ok(vec![0x30, 0]) }
/// # }
///
/// impl CertificateSigner for SecureElement {
///     fn algorithm(&self) -> KeyAlgorithm { KeyAlgorithm::Ecdsa }
///     fn schemes(&self) -> &[SignatureScheme] { &[SignatureScheme::EcdsaP256Sha256] }
///     fn sign(&self, _: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, SignerError> {
///         self.ecdsa(0, message).map_err(SignerError::new)
///     }
/// }
///
/// # let chain = std::fs::read("tests/data/rsa/dev-ec.pem")?;
/// let certificate = ClientCertificate::with_signer(&chain, SecureElement)?;
/// # assert_eq!(certificate.common_name(), "dev-ec");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait CertificateSigner: Send + Sync {
    /// Returns the algorithm of the key.
    fn algorithm(&self) -> KeyAlgorithm;

    /// Returns the schemes that the signer supports, the preferred one first.
    fn schemes(&self) -> &[SignatureScheme];

    /// Signs a message that is not hashed yet. An ECDSA signature is in DER.
    ///
    /// # Errors
    ///
    /// Returns [`SignerError`] if the chip fails. The TLS handshake then fails, and a registration
    /// tries again.
    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, SignerError>;
}

impl SignatureScheme {
    fn to_rustls(self) -> rustls::SignatureScheme {
        match self {
            Self::EcdsaP256Sha256 => rustls::SignatureScheme::ECDSA_NISTP256_SHA256,
            Self::EcdsaP384Sha384 => rustls::SignatureScheme::ECDSA_NISTP384_SHA384,
            Self::Ed25519 => rustls::SignatureScheme::ED25519,
            Self::RsaPssSha256 => rustls::SignatureScheme::RSA_PSS_SHA256,
            Self::RsaPssSha384 => rustls::SignatureScheme::RSA_PSS_SHA384,
            Self::RsaPssSha512 => rustls::SignatureScheme::RSA_PSS_SHA512,
            Self::RsaPkcs1Sha256 => rustls::SignatureScheme::RSA_PKCS1_SHA256,
            Self::RsaPkcs1Sha384 => rustls::SignatureScheme::RSA_PKCS1_SHA384,
            Self::RsaPkcs1Sha512 => rustls::SignatureScheme::RSA_PKCS1_SHA512,
        }
    }
}

/// The signer as a key of the TLS library.
pub(super) struct Hook(Arc<dyn CertificateSigner>);

impl Hook {
    pub(super) fn new(signer: impl CertificateSigner + 'static) -> Self {
        Self(Arc::new(signer))
    }
}

impl SigningKey for Hook {
    fn choose_scheme(&self, offered: &[rustls::SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = self.0.schemes().iter().find(|scheme| offered.contains(&scheme.to_rustls()))?;
        Some(Box::new(Chosen { signer: Arc::clone(&self.0), scheme: *scheme }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.0.algorithm() {
            KeyAlgorithm::Ecdsa => SignatureAlgorithm::ECDSA,
            KeyAlgorithm::Ed25519 => SignatureAlgorithm::ED25519,
            KeyAlgorithm::Rsa => SignatureAlgorithm::RSA,
        }
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CertificateSigner")
    }
}

/// The signer with the scheme that both peers support.
struct Chosen {
    signer: Arc<dyn CertificateSigner>,
    scheme: SignatureScheme,
}

impl Signer for Chosen {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let signature = self.signer.sign(self.scheme, message);
        signature.map_err(|error| rustls::Error::Other(rustls::OtherError(Arc::new(error))))
    }

    fn scheme(&self) -> rustls::SignatureScheme {
        self.scheme.to_rustls()
    }
}

impl fmt::Debug for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificateSigner({:?})", self.scheme)
    }
}
