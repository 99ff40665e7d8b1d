//! The bytes of a key, from text and back to text.

use core::fmt;

use crate::encoding::{MAC, base64_decode_into, base64_into};
use crate::zeroizing;

/// The longest key that DPS takes, in bytes.
const MAX_KEY: usize = 64;
/// The shortest key that DPS takes, in bytes.
const MIN_KEY: usize = 16;
/// The length of the longest key in base64.
const MAX_KEY_BASE64: usize = 88;

/// A key's bytes.
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

    /// Reads a key in standard padded base64, white space around it aside.
    ///
    /// The decoder's own error would tell symbols of the key, so every fault is found and named here.
    pub(super) fn from_base64(text: &str) -> Result<Self, KeyError> {
        let key = text.trim_ascii();
        let start = text.len().saturating_sub(text.trim_ascii_start().len());
        if key.is_empty() {
            return Err(KeyError::Empty);
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
        let padding = key.len().saturating_sub(symbols.len());
        match (symbols.len() % 4, padding) {
            (0, 0) | (2, 2) | (3, 1) => {}
            (2, 0 | 1) | (3, 0) => return Err(KeyError::PaddingMissing),
            _ => return Err(KeyError::Truncated { length: symbols.len() }),
        }
        let length = check_key_length(symbols.len().saturating_mul(3) / 4)?;
        // The decoder wants room for whole groups of four symbols.
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

/// A key in base64: wiped when dropped, hidden from `Debug`, and without `Display`, so that printing one is on purpose.
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

    /// The secret itself, for a file, a flash page or a programming tool.
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

/// Why something is not a key. Tells positions and lengths, never a byte of what was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Nothing there, or white space alone.
    #[error("the key is empty")]
    Empty,
    /// Fewer than 16 bytes.
    #[error("a key has 16 to 64 bytes; this one has {length}")]
    TooShort {
        /// The number of bytes.
        length: usize,
    },
    /// More than 64 bytes.
    #[error("a key has 16 to 64 bytes; this one has {length}")]
    TooLong {
        /// The number of bytes.
        length: usize,
    },
    /// A quotation mark: the tool that printed the key printed it as JSON.
    #[error("the key is in quotation marks, which are not part of it (one is at position {position})")]
    Quoted {
        /// Where, in bytes from 0.
        position: usize,
    },
    /// A `-` or `_`, which are of the URL-safe alphabet; DPS keys are in the standard one, with `+` and `/`.
    #[error("the key is in URL-safe base64, but standard base64 is expected (position {position})")]
    UrlSafe {
        /// Where, in bytes from 0.
        position: usize,
    },
    /// A character that base64 does not have.
    #[error("the key is not base64: the character at position {position} does not belong there")]
    Character {
        /// Where, in bytes from 0.
        position: usize,
    },
    /// The `=` at the end are missing, or one of two is.
    #[error("the key's base64 lacks its padding: one or two \"=\" at the end")]
    PaddingMissing,
    /// The number of symbols is one that base64 cannot have, or there are too many `=`: a part of the key was lost.
    #[error("the key's base64 is cut off or has a surplus \"=\": it has {length} symbols")]
    Truncated {
        /// The number of symbols before the padding.
        length: usize,
    },
    /// The last symbol holds bits that belong to no byte: a part of the key was lost or changed.
    #[error("the key's base64 is damaged: its last symbol holds bits that belong to no byte")]
    TrailingBits,
}
