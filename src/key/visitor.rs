//! A serde visitor that reads a key and never repeats its input in an error.

use core::fmt;

use serde::de;

use crate::key::secret::KeyBytes;

const NOT_TEXT: &str = "a key must be a base64 string";

/// A visitor that decodes a key from borrowed text.
///
/// Its errors never contain the rejected value, which may still be a key.
pub(super) struct KeyVisitor;

impl de::Visitor<'_> for KeyVisitor {
    type Value = KeyBytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key in base64")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<KeyBytes, E> {
        KeyBytes::from_base64(text).map_err(E::custom)
    }

    // Serde's default error would repeat the number, which may be a key without quotation marks.
    fn visit_u64<E: de::Error>(self, _: u64) -> Result<KeyBytes, E> {
        Err(E::custom(NOT_TEXT))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<KeyBytes, E> {
        Err(E::custom(NOT_TEXT))
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<KeyBytes, E> {
        Err(E::custom(NOT_TEXT))
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<KeyBytes, E> {
        Err(E::custom(NOT_TEXT))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<KeyBytes, E> {
        Err(E::custom(NOT_TEXT))
    }

    fn visit_bytes<E: de::Error>(self, _: &[u8]) -> Result<KeyBytes, E> {
        Err(E::custom(NOT_TEXT))
    }
}
