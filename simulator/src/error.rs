//! The error of an enrollment.

/// The error of a key or certificate that cannot be enrolled.
///
/// ```
/// use azure_iot_dps_simulator::{EnrollmentError, SymmetricKey};
///
/// let error = SymmetricKey::from_bytes(b"short").err();
/// assert_eq!(error, Some(EnrollmentError::KeyLength { length: 5 }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnrollmentError {
    /// The text of a key is not standard base64 with its padding.
    #[error("the key is not base64")]
    KeyNotBase64,
    /// The service takes keys of 16 to 64 bytes.
    #[error("the key has {length} bytes; the service takes keys of 16 to 64 bytes")]
    KeyLength {
        /// The number of bytes.
        length: usize,
    },
    /// There is no certificate.
    #[error("there is no certificate")]
    NoCertificate,
    /// A block of PEM, or DER, is not an X.509 certificate.
    #[error("certificate {number} cannot be read")]
    Certificate {
        /// The position of the certificate, counted from 1.
        number: usize,
    },
}
