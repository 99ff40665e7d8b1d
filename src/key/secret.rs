//! The bytes of a key, and their base64 form.

use core::fmt;

use crate::encoding::{MAC, base64_decode_into, base64_into};
use crate::zeroizing;

/// The longest key that DPS takes, in bytes.
const MAX_KEY: usize = 64;
/// The shortest key that DPS takes, in bytes.
const MIN_KEY: usize = 16;
/// The length of the longest key in base64.
const MAX_KEY_BASE64: usize = 88;

/// What stands before the key in a connection string.
const OF_CONNECTION_STRING: &[u8] = b";SharedAccessKey=";

/// The bytes of a key.
#[derive(Clone)]
pub(super) struct KeyBytes {
    bytes: zeroizing::Bytes<MAX_KEY>,
    length: usize,
}

impl KeyBytes {
    pub(super) fn new(key: &[u8]) -> Result<Self, KeyError> {
        check_key_length(key.len())?;
        Ok(Self::copy(key))
    }

    pub(super) fn of_mac(mac: &[u8; MAC]) -> Self {
        Self::copy(mac)
    }

    fn copy(key: &[u8]) -> Self {
        let mut bytes = zeroizing::Bytes([0; MAX_KEY]);
        for (to, from) in bytes.iter_mut().zip(key) {
            *to = *from;
        }
        Self { bytes, length: key.len() }
    }

    /// Decodes a key from standard padded base64. Ignores ASCII white space around it.
    ///
    /// The decoder's own error would contain symbols of the key, so this function detects each
    /// fault itself.
    pub(super) fn from_base64(text: &str) -> Result<Self, KeyError> {
        // Some editors write a byte order mark before the text of a file.
        let key = text.strip_prefix('\u{feff}').unwrap_or(text).trim_ascii_start();
        let start = text.len().saturating_sub(key.len());
        let key = key.trim_ascii_end();
        if key.is_empty() {
            return Err(KeyError::Empty);
        }
        // `str::contains` would take a kilobyte of a small board's flash.
        if key.as_bytes().windows(OF_CONNECTION_STRING.len()).any(|part| part == OF_CONNECTION_STRING) {
            return Err(KeyError::ConnectionString);
        }
        let symbols = key.trim_end_matches('=');
        if let Some((offset, found)) =
            symbols.char_indices().find(|(_, c)| !matches!(c, 'A'..='Z' | 'a'..='z' | '0'..='9' | '+' | '/'))
        {
            let position = start.saturating_add(offset);
            return Err(match found {
                '-' | '_' => KeyError::UrlSafe { position },
                '"' | '\'' => KeyError::Quoted { position },
                _ => KeyError::Character { position },
            });
        }
        let length = check_key_length(symbols.len().saturating_mul(3) / 4)?;
        let padding = key.len().saturating_sub(symbols.len());
        match (symbols.len() % 4, padding) {
            (0, 0) | (2, 2) | (3, 1) => {}
            (2, 0 | 1) | (3, 0) => return Err(KeyError::PaddingMissing),
            _ => return Err(KeyError::Truncated { length: symbols.len() }),
        }
        // The decoder needs room for whole groups of four symbols.
        let mut room = zeroizing::Bytes([0; MAX_KEY_BASE64 / 4 * 3]);
        match base64_decode_into(key, &mut room[..]) {
            Some(decoded) if decoded == length => Ok(Self::copy(room.get(..decoded).unwrap_or_default())),
            _ => Err(KeyError::TrailingBits),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

fn check_key_length(length: usize) -> Result<usize, KeyError> {
    match length {
        0 => Err(KeyError::Empty),
        1..MIN_KEY => Err(KeyError::TooShort { length }),
        MIN_KEY..=MAX_KEY => Ok(length),
        _ => Err(KeyError::TooLong { length }),
    }
}

/// A key as base64 text.
///
/// It is zeroized when dropped and hidden from `Debug`. It has no `Display`, so that no key is
/// printed by accident.
///
/// ```
/// use azure_iot_dps::DeviceKey;
///
/// let key = DeviceKey::from_base64("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=\n")?;
/// let text = key.to_base64();
/// assert_eq!(text.as_str(), "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=");
/// assert_eq!(format!("{text:?}"), "Base64Key(<hidden>)");
/// # Ok::<(), azure_iot_dps::key::KeyError>(())
/// ```
#[derive(Clone)]
pub struct Base64Key {
    text: zeroizing::Bytes<MAX_KEY_BASE64>,
    length: usize,
}

impl Base64Key {
    pub(super) fn new(key: &[u8]) -> Self {
        let mut text = zeroizing::Bytes([0; MAX_KEY_BASE64]);
        let length = base64_into(key, &mut text[..]).len();
        Self { text, length }
    }

    /// Returns the secret text, to write to a file, a flash page or a programming tool.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.text.get(..self.length).and_then(|text| core::str::from_utf8(text).ok()).unwrap_or_default()
    }
}

impl fmt::Debug for Base64Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Base64Key(<hidden>)")
    }
}

/// The reason why an input is not a key.
///
/// It contains positions and lengths, but no byte of the input.
///
/// ```
/// use azure_iot_dps::key::{DeviceKey, KeyError};
///
/// match DeviceKey::from_base64("\"Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=\"") {
///     Err(KeyError::Quoted { position }) => assert_eq!(position, 0),
///     Err(other) => panic!("{other}"),
///     Ok(_) => panic!("quotation marks are not part of a key"),
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The input is empty or consists of white space.
    #[error("the key is empty")]
    Empty,
    /// The key has fewer than 16 bytes.
    #[error("a key must have 16 to 64 bytes; this one has {length}")]
    TooShort {
        /// The number of bytes.
        length: usize,
    },
    /// The key has more than 64 bytes.
    #[error("a key must have 16 to 64 bytes; this one has {length}")]
    TooLong {
        /// The number of bytes.
        length: usize,
    },
    /// The text is a connection string, of which the key is a part.
    #[error("this is a connection string; the key is its part after \"SharedAccessKey=\"")]
    ConnectionString,
    /// The text contains a quotation mark, often because a tool printed the key as JSON.
    #[error("the key contains a quotation mark at position {position}, which is not part of it")]
    Quoted {
        /// The position in bytes, from 0.
        position: usize,
    },
    /// The text contains `-` or `_` of the URL-safe alphabet.
    ///
    /// DPS keys use the standard alphabet, with `+` and `/`.
    #[error("the key is URL-safe base64 (position {position}), but must be standard base64")]
    UrlSafe {
        /// The position in bytes, from 0.
        position: usize,
    },
    /// The text contains a character that is not allowed at its position.
    #[error("the key is not base64: the character at position {position} is not allowed there")]
    Character {
        /// The position in bytes, from 0.
        position: usize,
    },
    /// One or both `=` at the end of the text are missing.
    #[error("the key's base64 is not padded: one or two \"=\" are missing at the end")]
    PaddingMissing,
    /// The number of symbols is impossible in base64, or there are too many `=`.
    ///
    /// Part of the key is probably missing.
    #[error("the key's base64 is truncated or has too many \"=\": it has {length} symbols before the padding")]
    Truncated {
        /// The number of symbols before the padding.
        length: usize,
    },
    /// The last symbol has unused bits that are not zero.
    ///
    /// Part of the key is missing or changed.
    #[error("the key's base64 is damaged: the unused bits of its last symbol are not zero")]
    TrailingBits,
}
