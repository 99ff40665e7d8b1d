//! The one percent-encoding set and the base64 of keys; nothing else encodes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode};

use crate::key::KeyError;
use crate::wipe;

/// All but the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Percent-encodes with upper-case hex, as every text that this crate signs or sends is encoded.
pub(crate) fn percent_encode<T: AsRef<[u8]> + ?Sized>(text: &T) -> PercentEncode<'_> {
    percent_encoding::percent_encode(text.as_ref(), RESERVED)
}

/// Undoes percent-encoding in either case; what is not encoded stays as it is.
pub(crate) fn percent_decode<T: AsRef<[u8]> + ?Sized>(text: &T) -> impl Iterator<Item = u8> + Clone + '_ {
    percent_encoding::percent_decode(text.as_ref())
}

/// The longest key that DPS takes, in bytes.
pub(crate) const MAX_KEY: usize = 64;
/// The shortest key that DPS takes, in bytes.
pub(crate) const MIN_KEY: usize = 16;
/// The length of an HMAC-SHA256 in bytes.
pub(crate) const MAC: usize = 32;
/// The length of an HMAC-SHA256 in base64.
pub(crate) const MAC_BASE64: usize = 44;
/// The length of the longest key in base64.
pub(crate) const MAX_KEY_BASE64: usize = 88;

/// A key's bytes.
#[derive(Clone)]
pub(crate) struct KeyBytes {
    bytes: wipe::Bytes<MAX_KEY>,
    length: usize,
}

impl KeyBytes {
    pub(crate) fn new(key: &[u8]) -> Result<Self, KeyError> {
        check_key_length(key.len())?;
        Ok(Self::copy(key))
    }

    pub(crate) fn of_mac(mac: &[u8; MAC]) -> Self {
        Self::copy(mac)
    }

    fn copy(key: &[u8]) -> Self {
        let mut bytes = wipe::Bytes([0; MAX_KEY]);
        for (to, from) in bytes.iter_mut().zip(key) {
            *to = *from;
        }
        Self { bytes, length: key.len() }
    }

    /// Reads a key in standard padded base64, white space around it aside.
    ///
    /// The decoder's own error would tell symbols of the key, so every fault is found and named here.
    pub(crate) fn from_base64(text: &str) -> Result<Self, KeyError> {
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
        let mut room = wipe::Bytes([0; MAX_KEY_BASE64 / 4 * 3]);
        match STANDARD.decode_slice(key, &mut room[..]) {
            Ok(decoded) if decoded == length => Ok(Self::copy(room.get(..decoded).unwrap_or_default())),
            _ => Err(KeyError::TrailingBits),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
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

/// Encodes into the front of `room` and gives back the text, ASCII; empty where the room is too small, which no caller has.
pub(crate) fn base64_into<'a>(bytes: &[u8], room: &'a mut [u8]) -> &'a [u8] {
    let length = STANDARD.encode_slice(bytes, room).unwrap_or_default();
    room.get(..length).unwrap_or_default()
}

/// Decodes a signature: standard padded base64 of exactly 32 bytes.
pub(crate) fn decode_mac(text: &[u8]) -> Option<[u8; MAC]> {
    let mut room = [0; MAC_BASE64 / 4 * 3];
    let length = STANDARD.decode_slice(text, &mut room).ok()?;
    room.get(..length)?.try_into().ok()
}
