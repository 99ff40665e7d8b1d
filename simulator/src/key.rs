//! The symmetric keys of enrollments.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::error::EnrollmentError;
use crate::wire::{base64_decode, base64_encode};

/// A symmetric key of an enrollment: a group's, or a device's own.
///
/// Its `Debug` text does not show the key.
///
/// ```
/// use azure_iot_dps_simulator::SymmetricKey;
///
/// let key = SymmetricKey::from_base64("c2l4dGVlbiBieXRlcyBvayE=")?;
/// assert_eq!(key, SymmetricKey::from_bytes(b"sixteen bytes ok!")?);
/// # Ok::<(), azure_iot_dps_simulator::EnrollmentError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SymmetricKey(Box<[u8]>);

impl SymmetricKey {
    /// Creates a key from its 16 to 64 bytes.
    ///
    /// # Errors
    ///
    /// Returns [`EnrollmentError::KeyLength`] if there are fewer or more.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EnrollmentError> {
        if (16..=64).contains(&bytes.len()) {
            Ok(Self(bytes.into()))
        } else {
            Err(EnrollmentError::KeyLength { length: bytes.len() })
        }
    }

    /// Creates a key from standard base64, as the service shows it.
    ///
    /// White space around the text is ignored.
    ///
    /// # Errors
    ///
    /// Returns [`EnrollmentError::KeyNotBase64`] if the text is not base64, and
    /// [`EnrollmentError::KeyLength`] if it is not that of 16 to 64 bytes.
    pub fn from_base64(text: &str) -> Result<Self, EnrollmentError> {
        Self::from_bytes(&base64_decode(text.trim()).ok_or(EnrollmentError::KeyNotBase64)?)
    }

    pub(crate) fn to_base64(&self) -> String {
        base64_encode(&self.0)
    }

    /// Returns the key of a device of the group whose key this is.
    ///
    /// Source: Microsoft, "Symmetric key attestation", section "Group enrollments".
    pub(crate) fn derive(&self, registration_id: &str) -> Option<Self> {
        Some(Self(self.hmac(&[registration_id])?.finalize().into_bytes().as_slice().into()))
    }

    /// Returns the HMAC-SHA256 of these parts, to finish or to verify.
    ///
    /// It takes a key of any length, so it is always there.
    pub(crate) fn hmac(&self, parts: &[&str]) -> Option<Hmac<Sha256>> {
        let mac = Hmac::new_from_slice(&self.0).ok()?;
        Some(parts.iter().fold(mac, Mac::chain_update))
    }
}

impl fmt::Debug for SymmetricKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SymmetricKey(..)")
    }
}
