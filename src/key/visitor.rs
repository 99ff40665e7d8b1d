//! Reads a key from serde, and tells nothing of what is no key.

use core::fmt;

use serde::de;

use crate::key::secret::KeyBytes;

const NOT_TEXT: &str = "a key is text in base64";

/// Takes a key from borrowed text, and tells nothing of what it was given instead: it may be a key all the same.
pub(super) struct KeyVisitor;

impl de::Visitor<'_> for KeyVisitor {
    type Value = KeyBytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key in base64")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<KeyBytes, E> {
        KeyBytes::from_base64(text).map_err(E::custom)
    }

    // Serde's own words would repeat the number, which may be a key that somebody forgot to quote.
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
