//! Symmetric keys: group keys, device keys and other signers.
//!
//! All keys are HMAC-SHA256 keys (RFC 2104, FIPS 180-4); the `hmac` and `sha2` crates do the work.
//! Secrets are zeroized when dropped and hidden from `Debug`. In an optimized build, the functions
//! that create a key leave no copy of it on the stack. Moving a key can leave a copy behind,
//! because Rust does not zeroize the memory that a value is moved from. To avoid such copies, keep
//! the key where it was created, for example behind a `Box`.
//!
//! ```
//! use azure_iot_dps::{DeviceKey, GroupKey, KeyDerivation, RegistrationId};
//!
//! let derivation = KeyDerivation::new(&GroupKey::from_bytes(&[7; 64])?); // In the factory.
//! let text = derivation.derive_base64(&RegistrationId::new("my-device")?);
//! let device_key = DeviceKey::from_base64(text.as_str())?; // On the device.
//! assert_eq!(device_key.len(), 32);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod secret;
mod visitor;

use alloc::boxed::Box;
use core::fmt;
use core::str::FromStr;

use hmac::digest::FixedOutput;
use hmac::{Hmac, KeyInit, Mac};
use secret::KeyBytes;
pub use secret::{Base64Key, KeyError};
use serde::de::{Deserialize, Deserializer};
use sha2::Sha256;
use visitor::KeyVisitor;

use crate::encoding::MAC;
use crate::identity::RegistrationId;
use crate::zeroizing::{self, with_clean_stack};

/// An HMAC-SHA256 with its key set. Cloning it saves the two compressions that setting a key takes.
#[derive(Clone)]
struct KeyedMac(Hmac<Sha256>);

impl KeyedMac {
    #[expect(clippy::expect_used, reason = "no key is refused")]
    fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of every length (RFC 2104, section 2)"))
    }

    fn mac(&self, message: &[u8]) -> zeroizing::Bytes<MAC> {
        let mut mac = self.0.clone();
        mac.update(message);
        zeroizing::Bytes(mac.finalize_fixed().into())
    }

    /// Returns whether `signature` is the MAC of the message's parts. Compares in constant time.
    fn verify(&self, message: &[&[u8]], signature: &[u8; MAC]) -> bool {
        let mut mac = self.0.clone();
        for part in message {
            mac.update(part);
        }
        mac.verify_slice(signature).is_ok()
    }
}

/// A signer that holds a device's symmetric key.
///
/// [`DeviceKey`] signs with a key in memory. Implement this trait for a key that stays in a secure
/// element, a TPM or a PSA keystore. Put a driver that needs `&mut` into a `RefCell` or a mutex.
///
/// ```
/// use azure_iot_dps::key::{Signer, SignerError};
///
/// /// The key is in slot 3 of a chip and never leaves it.
/// struct SecureElement;
/// # impl SecureElement {
/// #     fn hmac_sha256(&self, _: u8, _: &[u8]) -> Result<[u8; 32], String> { Ok([7; 32]) }
/// # }
///
/// impl Signer for SecureElement {
///     fn sign(&self, message: &[u8]) -> Result<[u8; 32], SignerError> {
///         self.hmac_sha256(3, message).map_err(SignerError::new)
///     }
/// }
///
/// assert_eq!(SecureElement.sign(b"message")?, [7; 32]);
/// # Ok::<(), SignerError>(())
/// ```
pub trait Signer {
    /// Returns the HMAC-SHA256 of `message` under the device's key.
    ///
    /// # Errors
    ///
    /// Returns [`SignerError`] if the signer fails. The error ends a registration without a retry,
    /// because waiting does not repair a broken chip.
    fn sign(&self, message: &[u8]) -> Result<[u8; 32], SignerError>;
}

/// Implements [`Signer`] for pointers to signers.
macro_rules! signer_behind {
    ($($(#[$condition:meta])* $Pointer:ty),*) => {$(
        $(#[$condition])*
        impl<S: Signer + ?Sized> Signer for $Pointer {
            fn sign(&self, message: &[u8]) -> Result<[u8; 32], SignerError> {
                (**self).sign(message)
            }
        }
    )*};
}

signer_behind!(&S, Box<S>, alloc::rc::Rc<S>, #[cfg(target_has_atomic = "ptr")] alloc::sync::Arc<S>);

/// The error of a [`Signer`]. The reason is its `source()`.
///
/// ```
/// use azure_iot_dps::{Error, key::SignerError};
/// use std::error::Error as _;
///
/// let error = Error::from(SignerError::new("no answer from the chip"));
/// let Error::Signer(error) = &error else { panic!("{error}") };
/// let reason = error.source().map(|source| source.to_string());
/// assert_eq!(reason.as_deref(), Some("no answer from the chip"));
/// ```
#[derive(Debug, thiserror::Error)]
#[error("signing with the device's key failed")]
pub struct SignerError {
    source: Box<dyn core::error::Error + Send + Sync>,
}

impl SignerError {
    /// Creates an error from a driver's error or from a text.
    #[must_use]
    pub fn new(source: impl Into<Box<dyn core::error::Error + Send + Sync>>) -> Self {
        Self { source: source.into() }
    }
}

/// The symmetric key of an enrollment group, also called its master key.
///
/// It derives the keys of all devices in the group and does nothing else. It is not a [`Signer`],
/// so it cannot replace a [`DeviceKey`] by mistake. Keep it in the factory or the back office,
/// never on a device (see [`KeyDerivation`]).
///
/// ```
/// # use azure_iot_dps::{DeviceKey, sas::{Resource, SasToken}, time::UnixTime};
/// let key: DeviceKey = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=".parse()?;
/// SasToken::sign(Resource::uri("r"), &key, UnixTime::EPOCH)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A group key in its place does not compile:
///
/// ```compile_fail,E0277
/// # use azure_iot_dps::{GroupKey, sas::{Resource, SasToken}, time::UnixTime};
/// let key: GroupKey = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=".parse()?;
/// SasToken::sign(Resource::uri("r"), &key, UnixTime::EPOCH)?; // `GroupKey` is not a `Signer`.
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct GroupKey(KeyBytes);

/// The derivation of device keys from an enrollment group's key.
///
/// `device key = HMAC-SHA256(group key, registration ID)`. The registration ID is used exactly as
/// written. Source: Microsoft, "How to provision devices using symmetric key enrollment groups".
///
/// Use it on a factory line or in a back office. Do **not** put a group key into a device's image:
/// anyone who extracts it can impersonate every device in the group.
///
/// It is `Send` and `Sync`. Deriving a key does not allocate.
/// [`derive_base64`](Self::derive_base64) takes two SHA-256 compressions for an ID of up to 55
/// characters; [`derive`](Self::derive) takes two more.
///
/// ```
/// use azure_iot_dps::{GroupKey, KeyDerivation, RegistrationId};
///
/// let group_key = GroupKey::from_base64(
///     "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==",
/// )?;
/// let registration_id = RegistrationId::new("sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6")?;
/// let device_key = KeyDerivation::new(&group_key).derive_base64(&registration_id);
/// assert_eq!(device_key.as_str(), "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct KeyDerivation(KeyedMac);

impl KeyDerivation {
    /// Creates a derivation from a group's key.
    #[must_use]
    pub fn new(group_key: &GroupKey) -> Self {
        with_clean_stack(|| Self(KeyedMac::new(group_key.0.as_bytes())))
    }

    /// Derives the key of a device, to sign with.
    #[must_use]
    pub fn derive(&self, registration_id: &RegistrationId) -> DeviceKey {
        with_clean_stack(|| DeviceKey::from_mac(&self.0.mac(registration_id.as_str().as_bytes())))
    }

    /// Derives the key of a device as base64, to store on the device.
    ///
    /// This is the text that `az iot dps enrollment-group compute-device-key` prints.
    #[must_use]
    pub fn derive_base64(&self, registration_id: &RegistrationId) -> Base64Key {
        with_clean_stack(|| Base64Key::new(&self.0.mac(registration_id.as_str().as_bytes())[..]))
    }
}

/// The symmetric key of one device: derived from a group's key, or from an individual enrollment.
///
/// ```
/// use azure_iot_dps::key::{DeviceKey, KeyError};
///
/// let key = DeviceKey::from_base64("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=\n")?;
/// assert_eq!(key.len(), 32);
/// let error = DeviceKey::from_base64("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc").err();
/// assert_eq!(error, Some(KeyError::PaddingMissing));
/// # Ok::<(), KeyError>(())
/// ```
#[derive(Clone)]
pub struct DeviceKey {
    bytes: KeyBytes,
    mac: KeyedMac,
}

impl DeviceKey {
    fn from_key_bytes(bytes: KeyBytes) -> Self {
        let mac = KeyedMac::new(bytes.as_bytes());
        Self { bytes, mac }
    }

    fn from_mac(mac: &[u8; MAC]) -> Self {
        Self { bytes: KeyBytes::of_mac(mac), mac: KeyedMac::new(mac) }
    }

    /// Returns the key as base64, the form that the portal and connection strings use.
    #[must_use]
    pub fn to_base64(&self) -> Base64Key {
        Base64Key::new(self.bytes.as_bytes())
    }

    /// Returns the length in bytes, 16 to 64: a derived key has 32, a generated key has 64.
    #[expect(clippy::len_without_is_empty, reason = "no key is empty")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.as_bytes().len()
    }

    /// Returns whether `signature` is the MAC of the message's parts. Compares in constant time.
    pub(crate) fn verify(&self, message: &[&[u8]], signature: &[u8; MAC]) -> bool {
        self.mac.verify(message, signature)
    }
}

impl Signer for DeviceKey {
    fn sign(&self, message: &[u8]) -> Result<[u8; 32], SignerError> {
        Ok(*self.mac.mac(message))
    }
}

/// Implements the constructors and conversions of a key type.
macro_rules! key {
    ($Key:ident, $make:expr) => {
        impl $Key {
            /// Creates a key from 16 to 64 bytes.
            ///
            /// # Errors
            ///
            /// Returns [`KeyError`] if the length is out of range.
            pub fn from_bytes(key: &[u8]) -> Result<Self, KeyError> {
                with_clean_stack(|| KeyBytes::new(key).map($make))
            }

            /// Decodes a key from standard padded base64, the form that the portal shows.
            ///
            /// ASCII white space around the text is ignored.
            ///
            /// # Errors
            ///
            /// Returns [`KeyError`] if the text is not a key. The error contains none of it.
            pub fn from_base64(key: &str) -> Result<Self, KeyError> {
                with_clean_stack(|| KeyBytes::from_base64(key).map($make))
            }
        }

        impl FromStr for $Key {
            type Err = KeyError;

            fn from_str(key: &str) -> Result<Self, KeyError> {
                Self::from_base64(key)
            }
        }

        impl TryFrom<&str> for $Key {
            type Error = KeyError;

            fn try_from(key: &str) -> Result<Self, KeyError> {
                Self::from_base64(key)
            }
        }

        impl TryFrom<&[u8]> for $Key {
            type Error = KeyError;

            fn try_from(key: &[u8]) -> Result<Self, KeyError> {
                Self::from_bytes(key)
            }
        }

        /// Deserializes a key from base64 text.
        impl<'de> Deserialize<'de> for $Key {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                // The visitor hides a value that is not text; a format's own error would quote it.
                let key = if deserializer.is_human_readable() {
                    deserializer.deserialize_any(KeyVisitor)
                } else {
                    deserializer.deserialize_str(KeyVisitor)
                };
                key.map($make)
            }
        }

        impl fmt::Debug for $Key {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($Key), "(<hidden>)"))
            }
        }
    };
}

key!(GroupKey, GroupKey);
key!(DeviceKey, DeviceKey::from_key_bytes);

impl fmt::Debug for KeyDerivation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDerivation(<hidden>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::Digest;

    /// HMAC-SHA256 from the definition in RFC 2104, section 2.
    fn hmac_by_definition(key: &[u8], message: &[u8]) -> [u8; MAC] {
        let mut block = [0; 64];
        let hashed = Sha256::digest(key);
        let key = if key.len() > 64 { &hashed[..] } else { key };
        block[..key.len()].copy_from_slice(key);
        let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
        Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().into()
    }

    #[test]
    fn the_inner_mac_agrees_with_the_definition_for_keys_and_messages_of_every_length_around_the_blocks() {
        let bytes: [u8; 200] = core::array::from_fn(|index| u8::try_from(index).expect("fits") ^ 0x5a);
        for key in (0..200).map(|length| &bytes[..length]) {
            for message in [0, 1, 54, 55, 56, 63, 64, 65, 119, 120, 128, 200].map(|length| &bytes[..length]) {
                assert_eq!(*KeyedMac::new(key).mac(message), hmac_by_definition(key, message), "{}", key.len());
            }
        }
    }

    fn unhex(text: &str) -> impl Iterator<Item = u8> + '_ {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex"))
    }

    // RFC 4231, sections 4.2 to 4.8, against the inner MAC, which takes keys of every length.
    #[test]
    fn the_inner_mac_gives_every_answer_of_rfc_4231() {
        let cases: [(&[u8], &[u8], &str); 7] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (
                &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25],
                &[0xcd; 50],
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
            ),
            // Truncated to 128 bits in the RFC.
            (&[0x0c; 20], b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                &[0xaa; 131],
                b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.",
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ];
        for (key, message, expected) in cases {
            let mac = KeyedMac::new(key).mac(message);
            assert!(mac.iter().zip(unhex(expected)).all(|(byte, expected)| *byte == expected), "not {expected}");
            assert!(KeyedMac::new(key).verify(&[message], &mac));
        }
    }
}
