//! Why there is no client certificate to be had, and what may keep the service from taking one.

use alloc::boxed::Box;
use core::fmt;
use std::io;
use std::path::PathBuf;

use crate::identity::{NameError, RegistrationId};
use crate::time::UnixTime;

/// Why a client certificate cannot be used. Holds nothing of the private key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("the file {} cannot be read", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is larger than any chain with its key.
    #[error("the file {} has more than {limit} bytes", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most bytes that are read.
        limit: u64,
    },
    /// A block of the PEM is damaged.
    #[error("the PEM of the certificate or of its key is damaged")]
    Pem,
    /// There is no certificate.
    #[error("there is no certificate; a file in PEM begins with -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// A certificate cannot be read.
    #[error("certificate {number} of the chain cannot be read")]
    Certificate {
        /// Which one, from 1, the leaf.
        number: usize,
    },
    /// There is no private key.
    #[error("there is no private key; a file in PEM begins with -----BEGIN PRIVATE KEY----- or the like")]
    NoKey,
    /// The private key is encrypted.
    #[error("the private key is encrypted; write it without a passphrase first")]
    EncryptedKey,
    /// The private key cannot be read, or is of a kind that is not supported.
    #[error("the private key cannot be read, or is not ECDSA P-256 or P-384, Ed25519 or RSA")]
    Key,
    /// The private key belongs to another certificate.
    #[error("the private key does not belong to the first certificate of the chain")]
    KeyMismatch,
    /// The chain has the issuer of a certificate, but not behind it.
    #[error(
        "the chain is out of order: certificate {number} is not followed by its issuer, which is elsewhere in the chain"
    )]
    OutOfOrder {
        /// Which certificate, from 1, the leaf.
        number: usize,
    },
    /// The chain lacks the issuer of a certificate that is not its last one.
    #[error("the chain lacks the issuer of certificate {number}, {issuer}")]
    IssuerMissing {
        /// Which certificate, from 1, the leaf.
        number: usize,
        /// The name of the issuer.
        issuer: Box<str>,
    },
    /// The leaf has no common name, which would be the registration ID.
    #[error("the certificate has no common name; it must be the registration ID")]
    NoCommonName,
    /// The leaf's common name is no registration ID.
    #[error("the certificate's common name {common_name:?} is no registration ID")]
    NotARegistrationId {
        /// The common name.
        common_name: Box<str>,
        /// Which rule it breaks.
        source: NameError,
    },
    /// The leaf's common name is not the registration ID.
    #[error("the certificate is that of {common_name:?}, and the registration ID is {:?}", .registration_id.as_str())]
    OtherDevice {
        /// The common name.
        common_name: Box<str>,
        /// The registration ID.
        registration_id: RegistrationId,
    },
}

/// What may keep the service from taking a certificate. The device's clock may be what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateNote {
    /// By the device's clock, it is not valid yet.
    NotYetValid {
        /// When it will be.
        not_before: UnixTime,
    },
    /// By the device's clock, it has expired.
    Expired {
        /// When it did.
        not_after: UnixTime,
    },
    /// The leaf is alone, and another authority issued it: where that is an intermediate, the service will need it.
    IssuerNotIncluded,
}

impl fmt::Display for CertificateNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYetValid { not_before } => {
                write!(f, "by the device's clock the certificate is not valid before {not_before}")
            }
            Self::Expired { not_after } => write!(f, "by the device's clock the certificate expired at {not_after}"),
            Self::IssuerNotIncluded => f.write_str(
                "the certificate comes without its issuer: if that is an intermediate, the service will need it",
            ),
        }
    }
}
