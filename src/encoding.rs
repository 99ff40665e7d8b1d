//! Percent-encoding and base64 for the whole crate.

use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode};

/// All but the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Percent-encodes with upper-case hex digits. All text that the crate signs or sends uses it.
pub(crate) fn percent_encode<T: AsRef<[u8]> + ?Sized>(text: &T) -> PercentEncode<'_> {
    percent_encoding::percent_encode(text.as_ref(), RESERVED)
}

/// Decodes percent-encoding with hex digits in either case. Leaves all other text unchanged.
pub(crate) fn percent_decode<T: AsRef<[u8]> + ?Sized>(text: &T) -> impl Iterator<Item = u8> + Clone + '_ {
    percent_encoding::percent_decode(text.as_ref())
}

/// The length of an HMAC-SHA256 in bytes.
pub(crate) const MAC: usize = 32;
/// The length of an HMAC-SHA256 in base64.
pub(crate) const MAC_BASE64: usize = 44;

/// Encodes into the front of `room` and returns the ASCII text.
///
/// The text is empty if `room` is too small, which no caller lets happen.
pub(crate) fn base64_into<'a>(bytes: &[u8], room: &'a mut [u8]) -> &'a [u8] {
    let length = STANDARD.encode_slice(bytes, room).unwrap_or_default();
    room.get(..length).unwrap_or_default()
}

/// Decodes base64 that is not secret, such as a certificate.
pub(crate) fn base64_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = alloc::vec![0; text.len().div_ceil(4).saturating_mul(3)];
    let length = STANDARD.decode_slice(text, &mut bytes).ok()?;
    bytes.truncate(length);
    Some(bytes)
}

/// Encodes data that is not secret as base64, such as a certificate signing request.
pub(crate) fn base64_encode(bytes: &[u8]) -> String {
    let mut text = alloc::vec![0; bytes.len().div_ceil(3).saturating_mul(4)];
    let length = base64_into(bytes, &mut text).len();
    text.truncate(length);
    String::from_utf8(text).unwrap_or_default()
}

/// Decodes a signature from standard padded base64 of exactly 32 bytes.
pub(crate) fn decode_mac(text: &[u8]) -> Option<[u8; MAC]> {
    let mut room = [0; MAC_BASE64 / 4 * 3];
    let length = STANDARD.decode_slice(text, &mut room).ok()?;
    room.get(..length)?.try_into().ok()
}

/// Decodes standard padded base64 into the front of `room` and returns the number of bytes.
///
/// `room` must have three bytes for every four symbols, rounded up. The decoder's error is dropped
/// because it contains symbols of the input, which may be a key.
pub(crate) fn base64_decode_into(text: &str, room: &mut [u8]) -> Option<usize> {
    STANDARD.decode_slice(text, room).ok()
}
