//! Trusted root certificates.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;

use super::pem::{self, PemProblem};

/// The largest accepted file, in bytes. Mozilla's roots take a fifth of it as PEM.
const MAX_FILE: u64 = 1024 * 1024;

/// The certificate authorities that a transport trusts.
///
/// Devices are in use for longer than roots are valid. So load the roots from a file that an update
/// can replace ([`Roots::file`]), and reload it with a
/// [`RootsHandle`](crate::transport::RootsHandle). Do not trust intermediates: they change without
/// notice.
///
/// ```
/// use azure_iot_dps::Roots;
///
/// # let path = "tests/data/rsa/root.pem";
/// let roots = Roots::file(path)?;
/// assert_eq!(roots.certificates().count(), 1);
/// # Ok::<(), azure_iot_dps::transport::RootsError>(())
/// ```
///
/// | cloud | endpoints | roots | bundled |
/// | --- | --- | --- | --- |
/// | public | `*.azure-devices-provisioning.net`, `*.azure-devices.net` | DigiCert Global Root G2; Microsoft RSA Root Certificate Authority 2017 if that is retired | both |
/// | US Government | `*.azure-devices-provisioning.us`, `*.azure-devices.us` | DigiCert Global Root CA (G1); DigiCert Global Root G2 for its succession | G2 alone |
/// | China (21Vianet) | `*.azure-devices-provisioning.cn`, `*.azure-devices.cn` | DigiCert Global Root CA (G1); DigiCert Global Root G2 for its succession | G2 alone |
///
/// Mozilla has retired DigiCert Global Root CA (G1), so the bundled roots do not contain it. In the
/// US Government and China clouds, load it from a file: `Roots::file(path)?.and_bundled()`.
///
/// Sources: Microsoft, "Migrate IoT Hub resources to a new TLS certificate root" and "TLS support
/// in IoT Hub" for the public cloud; "Azure IoT guidance for DigiCert Global Root G1 trust-store
/// updates in sovereign clouds" for the others. They were read in November 2026. The services may
/// change at any time.
#[derive(Clone)]
pub struct Roots {
    trust: Trust,
    own: Vec<CertificateDer<'static>>,
}

/// The roots that are trusted in addition to `own`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    #[cfg(feature = "bundled-roots")]
    Bundled,
    #[cfg(feature = "platform-verifier")]
    Platform,
    Nothing,
}

impl Roots {
    /// Returns Mozilla's roots, which are built into the program. This is the default.
    ///
    /// They are as old as the release of `webpki-roots` in the build.
    #[cfg(feature = "bundled-roots")]
    #[must_use]
    pub fn bundled() -> Self {
        Self::with(Trust::Bundled)
    }

    /// Returns the roots of the operating system.
    ///
    /// The system's own verifier decides on Windows, macOS, iOS and Android, and the files of
    /// OpenSSL on Linux. On Android, the application must have initialised
    /// `rustls-platform-verifier`.
    ///
    /// Set these roots explicitly. They are the default only in a build without the feature
    /// `bundled-roots`, which any crate in the same build can enable.
    #[cfg(feature = "platform-verifier")]
    #[must_use]
    pub fn platform() -> Self {
        Self::with(Trust::Platform)
    }

    /// Creates roots from all certificates of a PEM text. No others are trusted.
    ///
    /// The result has one certificate for each `BEGIN` line of a certificate. Markers need not be
    /// at the start of a line, and a byte order mark is skipped.
    ///
    /// # Errors
    ///
    /// Returns [`RootsError`] if the text has no certificate, a certificate that cannot be read, or
    /// a private key. The error holds nothing of the text.
    pub fn pem(pem: &[u8]) -> Result<Self, RootsError> {
        let certificates = pem::certificates(pem).map_err(|(line, problem)| RootsError::Pem { line, problem })?;
        Self::these(certificates.into_iter().map(Into::into).collect())
    }

    /// Creates roots from one certificate in DER. No others are trusted.
    ///
    /// # Errors
    ///
    /// Returns [`RootsError`] if the certificate cannot be read or if `der` is empty.
    pub fn der(der: &[u8]) -> Result<Self, RootsError> {
        if der.is_empty() {
            return Err(RootsError::NoCertificate);
        }
        Self::these([der.to_vec().into()].into())
    }

    /// Creates roots from a file: PEM with any number of certificates, or DER with one.
    ///
    /// # Errors
    ///
    /// Returns [`RootsError::File`] if the file cannot be read, and [`RootsError::Content`] with the
    /// error of [`pem`](Self::pem) or [`der`](Self::der), or if it has more than 1 MiB.
    pub fn file(path: impl AsRef<Path>) -> Result<Self, RootsError> {
        let path = path.as_ref();
        let mut bytes = Vec::new();
        let one_more = MAX_FILE.saturating_add(1);
        let result = File::open(path).and_then(|file| file.take(one_more).read_to_end(&mut bytes));
        result.map_err(|source| RootsError::File { path: path.into(), source })?;
        let roots = if bytes.len() as u64 > MAX_FILE {
            Err(RootsError::TooLarge { limit: MAX_FILE })
        } else if bytes.first() == Some(&0x30) && !pem::is_pem(&bytes) {
            // A certificate in DER begins with 0x30, which is also the character `0` of a text.
            Self::der(&bytes)
        } else {
            Self::pem(&bytes)
        };
        roots.map_err(|source| RootsError::Content { path: path.into(), source: Box::new(source) })
    }

    /// Returns the certificates in DER, for another TLS client such as the hub's.
    ///
    /// There are none for `Roots::platform`.
    pub fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        let bundled: &[CertificateDer<'static>] = match self.trust {
            #[cfg(feature = "bundled-roots")]
            Trust::Bundled => webpki_root_certs::TLS_SERVER_ROOT_CERTS,
            _ => &[],
        };
        bundled.iter().chain(&self.own).map(AsRef::as_ref)
    }

    /// Adds Mozilla's roots to these.
    ///
    /// It changes neither [`bundled`](Self::bundled) nor `Roots::platform`.
    #[cfg(feature = "bundled-roots")]
    #[must_use]
    pub fn and_bundled(self) -> Self {
        let trust = if self.trust == Trust::Nothing { Trust::Bundled } else { self.trust };
        Self { trust, ..self }
    }

    fn with(trust: Trust) -> Self {
        Self { trust, own: Vec::new() }
    }

    fn these(own: Vec<CertificateDer<'static>>) -> Result<Self, RootsError> {
        // The TLS stack would silently ignore certificates that it cannot read, and might trust none at all.
        for (root, number) in own.iter().zip(1..) {
            let checked = rustls::RootCertStore::empty().add(root.clone());
            checked.map_err(|error| RootsError::Certificate { number, source: Box::new(error) })?;
        }
        if own.is_empty() { Err(RootsError::NoCertificate) } else { Ok(Self { trust: Trust::Nothing, own }) }
    }

    #[cfg(feature = "bundled-roots")]
    pub(super) fn is_bundled(&self) -> bool {
        self.trust == Trust::Bundled
    }

    #[cfg(feature = "platform-verifier")]
    pub(super) fn is_platform(&self) -> bool {
        self.trust == Trust::Platform
    }

    /// Returns the certificates that were given.
    pub(super) fn own(&self) -> &[CertificateDer<'static>] {
        &self.own
    }
}

impl Default for Roots {
    fn default() -> Self {
        #[cfg(feature = "bundled-roots")]
        let trust = Trust::Bundled;
        #[cfg(all(feature = "platform-verifier", not(feature = "bundled-roots")))]
        let trust = Trust::Platform;
        // This is unreachable: `lib.rs` does not compile without one of these features.
        #[cfg(not(any(feature = "platform-verifier", feature = "bundled-roots")))]
        let trust = Trust::Nothing;
        Self::with(trust)
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trust = match self.trust {
            #[cfg(feature = "bundled-roots")]
            Trust::Bundled => "bundled, ",
            #[cfg(feature = "platform-verifier")]
            Trust::Platform => "platform, ",
            Trust::Nothing => "",
        };
        write!(f, "Roots({trust}{} certificates)", self.own.len())
    }
}

/// The reason why roots cannot be loaded.
///
/// ```
/// use azure_iot_dps::transport::{Roots, RootsError};
///
/// match Roots::file("/nowhere/roots.pem") {
///     Ok(roots) => println!("{roots:?}"),
///     Err(RootsError::File { path, source }) => println!("{}: {source}", path.display()),
///     Err(RootsError::Content { path, source }) => println!("{}: {source}", path.display()),
///     Err(error) => println!("{error}"),
/// }
/// # assert!(matches!(Roots::pem(b""), Err(RootsError::NoCertificate)));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootsError {
    /// The file could not be read.
    #[error("the root certificate file {} cannot be read", .path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The content of the file cannot be used.
    #[error("the root certificate file {} cannot be used", .path.display())]
    Content {
        /// The path of the file.
        path: PathBuf,
        /// The error of the content.
        source: Box<Self>,
    },
    /// The file is larger than 1 MiB.
    #[error("root certificates must have at most {limit} bytes")]
    TooLarge {
        /// The largest accepted size, in bytes.
        limit: u64,
    },
    /// The input has no certificate.
    #[error("no root certificate was found; a PEM file has a line -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// A line of the PEM text, or a certificate that begins there, is damaged.
    #[error("line {line} of the root certificates: {problem}")]
    Pem {
        /// The number of the line, from 1.
        line: usize,
        /// The problem of the line.
        problem: PemProblem,
    },
    /// A certificate could not be parsed.
    #[error("root certificate {number} cannot be read")]
    Certificate {
        /// The number of the certificate, from 1.
        number: usize,
        /// The error of the parser.
        source: Box<dyn core::error::Error + Send + Sync>,
    },
}

#[cfg(all(test, feature = "bundled-roots"))]
mod tests {
    /// Checks the table in the documentation.
    #[test]
    fn the_bundled_roots_are_those_that_the_public_cloud_needs_and_lack_the_one_that_mozilla_retired() {
        let bundled = |name: &str| {
            webpki_root_certs::TLS_SERVER_ROOT_CERTS
                .iter()
                .any(|root| root.windows(name.len()).any(|window| window == name.as_bytes()))
        };
        assert!(bundled("DigiCert Global Root G2"));
        assert!(bundled("Microsoft RSA Root Certificate Authority 2017"));
        assert!(!bundled("DigiCert Global Root CA"), "it is back: say so in the table");
    }
}
