//! Whose certificates are trusted.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;

use super::pem::{self, PemProblem};

/// More than any list of roots has: Mozilla's has a fifth of it as PEM.
const MAX_FILE: u64 = 1024 * 1024;

/// The certificate authorities that a transport trusts.
///
/// A device outlives them: let them come from a file that an update can replace ([`Roots::file`]), and load that again with
/// a [`RootsHandle`](crate::transport::RootsHandle). Trust roots, not intermediates: those change without notice.
///
/// | cloud | endpoints | roots | bundled here |
/// | --- | --- | --- | --- |
/// | public | `*.azure-devices-provisioning.net`, `*.azure-devices.net` | DigiCert Global Root G2; Microsoft RSA Root Certificate Authority 2017 in case that one is retired | both |
/// | US Government | `*.azure-devices-provisioning.us`, `*.azure-devices.us` | DigiCert Global Root CA (G1); DigiCert Global Root G2 for its succession | G2 alone |
/// | China (21Vianet) | `*.azure-devices-provisioning.cn`, `*.azure-devices.cn` | DigiCert Global Root CA (G1); DigiCert Global Root G2 for its succession | G2 alone |
///
/// Sources: Microsoft, "Migrate IoT Hub resources to a new TLS certificate root" and "TLS support in IoT Hub" for the public cloud;
/// "Azure IoT guidance for DigiCert Global Root G1 trust-store updates in sovereign clouds" for the others. Read in November
/// 2026; the services change without regard to this table.
///
/// Mozilla has retired DigiCert Global Root CA (G1), so the bundled roots lack it: in the US Government and China clouds
/// give it from a file, `Roots::file(path)?.and_bundled()`.
#[derive(Clone)]
pub struct Roots {
    trust: Trust,
    own: Vec<CertificateDer<'static>>,
}

/// What is trusted beside one's own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    #[cfg(feature = "bundled-roots")]
    Bundled,
    #[cfg(feature = "platform-verifier")]
    Platform,
    Nothing,
}

impl Roots {
    /// Mozilla's, built into the program, as of the release of `webpki-roots` that it was built with. The default.
    #[cfg(feature = "bundled-roots")]
    #[must_use]
    pub fn bundled() -> Self {
        Self::with(Trust::Bundled)
    }

    /// Whatever the operating system trusts, as decided by its own verifier on Windows, macOS, iOS and Android, and by the files
    /// of OpenSSL on Linux.
    ///
    /// Say so where it is wanted: this is the default only of a build without the feature `bundled-roots`, and any crate of the same
    /// build may enable that.
    ///
    /// On Android the application must have initialised `rustls-platform-verifier`.
    #[cfg(feature = "platform-verifier")]
    #[must_use]
    pub fn platform() -> Self {
        Self::with(Trust::Platform)
    }

    /// Trusts these and no others: all certificates of a PEM file.
    ///
    /// As many as it has `BEGIN` lines of certificates, or an error; they may be indented or glued to each other, and a byte order
    /// mark is skipped.
    ///
    /// # Errors
    ///
    /// There is no certificate in it, or one that cannot be read, or a private key. The error holds nothing of the content.
    pub fn pem(pem: &[u8]) -> Result<Self, RootsError> {
        let certificates = pem::certificates(pem).map_err(|(line, problem)| RootsError::Pem { line, problem })?;
        Self::these(certificates.into_iter().map(Into::into).collect())
    }

    /// This one and no other: a certificate in DER.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn der(der: &[u8]) -> Result<Self, RootsError> {
        if der.is_empty() {
            return Err(RootsError::NoCertificate);
        }
        Self::these([der.to_vec().into()].into())
    }

    /// The same from a file: PEM with any number of certificates, or DER with one.
    ///
    /// # Errors
    ///
    /// The file cannot be read or has more than 1 MiB, there is no certificate in it, or one that cannot be read.
    pub fn file(path: impl AsRef<Path>) -> Result<Self, RootsError> {
        let path = path.as_ref();
        let mut bytes = Vec::new();
        let one_more = MAX_FILE.saturating_add(1);
        let result = File::open(path).and_then(|file| file.take(one_more).read_to_end(&mut bytes));
        result.map_err(|source| RootsError::File { path: path.into(), source })?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(RootsError::TooLarge { limit: MAX_FILE });
        }
        // The first byte of a certificate in DER is that of a sequence; but a text may begin with a 0, too.
        if bytes.first() == Some(&0x30) && !pem::is_pem(&bytes) { Self::der(&bytes) } else { Self::pem(&bytes) }
    }

    /// Returns the certificates as DER, for another TLS client of the program, such as the hub's. There are none for
    /// `Roots::platform`.
    pub fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        let bundled: &[CertificateDer<'static>] = match self.trust {
            #[cfg(feature = "bundled-roots")]
            Trust::Bundled => webpki_root_certs::TLS_SERVER_ROOT_CERTS,
            _ => &[],
        };
        bundled.iter().chain(&self.own).map(AsRef::as_ref)
    }

    /// Mozilla's in addition. Makes no difference to [`bundled`](Self::bundled); the platform decides for itself.
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
        // The TLS stack would leave out what it cannot read, and trust nobody in the end, without a word.
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

    /// Those of one's own.
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
        // Does not get this far: `lib.rs` refuses to be compiled.
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

/// Why there are no roots to be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootsError {
    /// The file cannot be read.
    #[error("the file of roots {} cannot be read", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is larger than any list of roots.
    #[error("the file of roots has more than {limit} bytes")]
    TooLarge {
        /// The most bytes that are read.
        limit: u64,
    },
    /// There is not one certificate in it.
    #[error("the roots hold no certificate")]
    NoCertificate,
    /// A line of the PEM is damaged, or a certificate that begins there.
    #[error("line {line} of the roots: {problem}")]
    Pem {
        /// The number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: PemProblem,
    },
    /// One of its certificates cannot be read.
    #[error("certificate {number} of the roots cannot be read")]
    Certificate {
        /// Which one, from 1.
        number: usize,
        /// What is wrong with it.
        source: Box<dyn core::error::Error + Send + Sync>,
    },
}

#[cfg(all(test, feature = "bundled-roots"))]
mod tests {
    /// What the table in the documentation says.
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
