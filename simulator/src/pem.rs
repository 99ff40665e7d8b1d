//! The reader of certificates.

use x509_parser::prelude::{FromDer, X509Certificate};

use crate::error::EnrollmentError;

/// Returns the certificates of a PEM text as DER, in their order.
///
/// # Errors
///
/// Returns [`EnrollmentError::NoCertificate`] if there is none, and
/// [`EnrollmentError::Certificate`] for the first block that is not read, or not a certificate:
/// none is passed over.
///
/// # Examples
///
/// ```no_run
/// use azure_iot_dps_simulator::{EnrollmentGroup, Simulator, certificates_from_pem};
///
/// let authorities = certificates_from_pem(&std::fs::read("root.pem")?)?;
/// let group = EnrollmentGroup::x509("line-7", authorities)?;
/// let sim = Simulator::builder().group(group).build();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn certificates_from_pem(text: &[u8]) -> Result<Vec<Vec<u8>>, EnrollmentError> {
    let begun = String::from_utf8_lossy(text).matches("-----BEGIN ").count();
    // Blocks before the broken one are read, so its position is behind theirs.
    let blocks: Vec<_> = pem::parse_many(text).unwrap_or_default();
    if blocks.len() < begun {
        return Err(EnrollmentError::Certificate { number: blocks.len().saturating_add(1) });
    }
    checked(blocks.into_iter().map(pem::Pem::into_contents))
}

/// Checks that each of these is a certificate, and that there is one.
pub(crate) fn checked(certificates: impl IntoIterator<Item = Vec<u8>>) -> Result<Vec<Vec<u8>>, EnrollmentError> {
    let certificates: Vec<_> = certificates.into_iter().collect();
    if certificates.is_empty() {
        return Err(EnrollmentError::NoCertificate);
    }
    let is_certificate = |der: &Vec<u8>| X509Certificate::from_der(der).is_ok_and(|(rest, _)| rest.is_empty());
    match certificates.iter().position(|der| !is_certificate(der)) {
        Some(index) => Err(EnrollmentError::Certificate { number: index.saturating_add(1) }),
        None => Ok(certificates),
    }
}
