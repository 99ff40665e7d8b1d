//! Whose certificates are trusted.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};

/// The certificate authorities that a transport trusts.
///
/// The bundled ones are Mozilla's, as of the release of `webpki-roots` that was built in. Those of one's own replace
/// or extend them.
#[derive(Clone)]
pub struct Roots(RootCerts);

impl Roots {
    /// Mozilla's, built into the program. The default.
    #[must_use]
    pub fn bundled() -> Self {
        Self(RootCerts::WebPki)
    }

    /// These and no others: all certificates of a PEM file.
    ///
    /// # Errors
    ///
    /// There is no certificate in it, or one that cannot be read.
    pub fn pem(pem: &[u8]) -> Result<Self, RootsError> {
        read(pem).map(|roots| Self(roots.into()))
    }

    /// The bundled ones and all certificates of a PEM file.
    ///
    /// # Errors
    ///
    /// There is no certificate in it, or one that cannot be read.
    pub fn bundled_and_pem(pem: &[u8]) -> Result<Self, RootsError> {
        let bundled = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|root| Certificate::from_der(root));
        read(pem).map(|roots| Self(bundled.chain(roots).collect::<Vec<_>>().into()))
    }

    pub(super) fn into_inner(self) -> RootCerts {
        self.0
    }
}

impl Default for Roots {
    fn default() -> Self {
        Self::bundled()
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            RootCerts::Specific(roots) => write!(f, "Roots({} certificates)", roots.len()),
            _ => f.write_str("Roots(bundled)"),
        }
    }
}

fn read(pem: &[u8]) -> Result<Vec<Certificate<'static>>, RootsError> {
    let mut roots = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(root) = item.map_err(|error| RootsError::Pem(Box::new(error)))? {
            // The TLS stack would leave out what it cannot read, and trust nobody in the end, without a word.
            let number = roots.len().saturating_add(1);
            let checked = rustls::RootCertStore::empty().add(root.der().into());
            checked.map_err(|error| RootsError::Certificate { number, source: Box::new(error) })?;
            roots.push(root);
        }
    }
    if roots.is_empty() { Err(RootsError::NoCertificate) } else { Ok(roots) }
}

/// Why a file holds no roots.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootsError {
    /// There is not one certificate in it.
    #[error("the PEM file holds no certificate")]
    NoCertificate,
    /// It is no PEM file, or a damaged one.
    #[error("the PEM file is damaged")]
    Pem(#[source] Box<dyn core::error::Error + Send + Sync>),
    /// One of its certificates cannot be read.
    #[error("certificate {number} of the PEM file cannot be read")]
    Certificate {
        /// Which one, from 1.
        number: usize,
        /// What is wrong with it.
        source: Box<dyn core::error::Error + Send + Sync>,
    },
}
