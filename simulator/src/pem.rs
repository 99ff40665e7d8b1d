//! The reader of certificates.

use x509_parser::prelude::{FromDer, X509Certificate};

use crate::error::EnrollmentError;

/// Returns the certificates of a PEM text as DER, in their order.
///
/// # Errors
///
/// Returns [`EnrollmentError::NoCertificate`] if there is none, and
/// [`EnrollmentError::Certificate`] for the first block that cannot be read, or that is not a
/// certificate. No block is skipped.
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
    const BEGIN: &str = "-----BEGIN ";
    let text = String::from_utf8_lossy(text);
    // What stands before the first block is a comment.
    let blocks = text.split(BEGIN).skip(1).zip(1..);
    let read = |(block, number)| {
        let block = pem::parse(format!("{BEGIN}{block}")).map_err(|_| EnrollmentError::Certificate { number })?;
        Ok(block.into_contents())
    };
    checked(blocks.map(read).collect::<Result<Vec<_>, _>>()?)
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
