//! Errors of client certificates, and reasons for which the service may refuse one.

use alloc::boxed::Box;
use core::fmt;
use std::io;
use std::path::PathBuf;

use crate::crypto::NoCryptoProvider;
use crate::identity::{NameError, RegistrationId};
use crate::time::UnixTime;

/// The reason why a client certificate cannot be used.
///
/// It holds nothing of the private key.
///
/// ```
/// use azure_iot_dps::attestation::{CertificateError, ClientCertificate};
///
/// match ClientCertificate::files("/nowhere/chain.pem", "/nowhere/device.key") {
///     Ok(certificate) => println!("the certificate of {}", certificate.common_name()),
///     Err(CertificateError::File { path, source }) => println!("{}: {source}", path.display()),
///     Err(CertificateError::EncryptedKey) => println!("decrypt the key first"),
///     Err(error) => println!("{error}"),
/// }
///
/// assert!(matches!(ClientCertificate::pem(b"", b""), Err(CertificateError::NoKey)));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file could not be read.
    #[error("the file {} cannot be read", .path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file is larger than 256 KiB, which is more than any chain and its key need.
    #[error("the file {} has more than {limit} bytes", .path.display())]
    TooLarge {
        /// The path of the file.
        path: PathBuf,
        /// The largest accepted size, in bytes.
        limit: u64,
    },
    /// A PEM block is damaged.
    #[error("the PEM of the certificate or of its key is damaged")]
    Pem,
    /// The input has no certificate.
    #[error("no certificate was found; a PEM file has a line -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// A certificate could not be parsed.
    #[error("certificate {number} of the chain cannot be read")]
    Certificate {
        /// The number of the certificate. The leaf is 1.
        number: usize,
    },
    /// The input has no private key.
    #[error("no private key was found; a PEM file has a line such as -----BEGIN PRIVATE KEY-----")]
    NoKey,
    /// The private key is encrypted.
    #[error("the private key is encrypted; remove its passphrase first")]
    EncryptedKey,
    /// The private key could not be parsed, or its type is not supported.
    #[error("the private key cannot be read, or it is not one of ECDSA P-256, ECDSA P-384, Ed25519 and RSA")]
    Key,
    /// The feature `ring` is off, and the process has no default `CryptoProvider` to load the key.
    #[error("{}", NoCryptoProvider)]
    NoCryptoProvider,
    /// The private key belongs to a certificate other than the leaf.
    #[error("the private key does not belong to the first certificate of the chain")]
    KeyMismatch,
    /// The chain contains the issuer of a certificate, but not directly after it.
    #[error(
        "the chain is out of order: certificate {number} is not followed by its issuer, which is elsewhere in the chain"
    )]
    OutOfOrder {
        /// The number of the certificate. The leaf is 1.
        number: usize,
    },
    /// The chain does not contain the issuer of a certificate that is not the last one.
    #[error("the chain does not contain the issuer of certificate {number}, {issuer}")]
    IssuerMissing {
        /// The number of the certificate. The leaf is 1.
        number: usize,
        /// The issuer's name.
        issuer: Box<str>,
    },
    /// The leaf has no common name. The common name must be the registration ID.
    #[error("the certificate has no common name; the common name must be the registration ID")]
    NoCommonName,
    /// The leaf's common name is not a valid registration ID.
    #[error("the certificate's common name {common_name:?} is not a valid registration ID")]
    NotARegistrationId {
        /// The common name.
        common_name: Box<str>,
        /// The rule that the name breaks.
        source: NameError,
    },
    /// The leaf's common name is not the device's registration ID.
    #[error("the certificate belongs to {common_name:?}, but the registration ID is {:?}", .registration_id.as_str())]
    OtherDevice {
        /// The common name.
        common_name: Box<str>,
        /// The registration ID.
        registration_id: RegistrationId,
    },
}

/// A reason for which the service may refuse a certificate.
///
/// It is not an error: the device's clock may be wrong, or the enrollment may know the issuer.
///
/// ```
/// use azure_iot_dps::attestation::{CertificateNote, ClientCertificate};
/// use azure_iot_dps::time::UnixTime;
///
/// # let (chain, key) = ("tests/data/rsa/dev-ec.pem", "tests/data/rsa/dev-ec.sec1.key");
/// let certificate = ClientCertificate::files(chain, key)?;
/// let note = certificate.notes(Some(UnixTime::EPOCH)).next();
/// assert!(matches!(note, Some(CertificateNote::NotYetValid { .. })));
/// # Ok::<(), azure_iot_dps::attestation::CertificateError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateNote {
    /// The certificate is not valid yet, according to the device's clock.
    NotYetValid {
        /// The time at which the certificate becomes valid.
        not_before: UnixTime,
    },
    /// The certificate has expired, according to the device's clock.
    Expired {
        /// The time at which the certificate expired.
        not_after: UnixTime,
    },
    /// The chain consists of a leaf that another authority issued.
    ///
    /// If that authority is an intermediate, the service needs its certificate, too.
    IssuerNotIncluded,
}

impl fmt::Display for CertificateNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYetValid { not_before } => {
                write!(f, "the certificate is not valid before {not_before}, according to the device's clock")
            }
            Self::Expired { not_after } => {
                write!(f, "the certificate expired at {not_after}, according to the device's clock")
            }
            Self::IssuerNotIncluded => f.write_str(
                "the chain does not contain the certificate's issuer; the service needs it if it is an intermediate",
            ),
        }
    }
}
