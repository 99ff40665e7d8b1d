//! IDs and times in the formats of the service.
//!
//! All IDs are hashes, so that they are the same in each run of a test.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::Write;
use core::time::Duration;

use sha2::{Digest, Sha256};

use crate::encoding::base64_encode;
use crate::time::UnixTime;

/// Formats a time with up to seven digits of fraction, without trailing zeros.
///
/// Examples: `2022-08-31T22:02:50.5163352Z`, `…36.949507Z`.
pub(super) fn timestamp(unix: Duration) -> String {
    let whole = UnixTime::from_secs(unix.as_secs()).to_string();
    let fraction = format!(".{:07}", unix.subsec_nanos() / 100);
    format!("{}{}Z", whole.trim_end_matches('Z'), fraction.trim_end_matches('0').trim_end_matches('.'))
}

/// Returns a GUID in quotes, in base64.
pub(super) fn etag(parts: &[&[u8]]) -> String {
    base64_encode(format!("\"{}\"", uuid(parts)).as_bytes())
}

/// Returns an operation ID such as `5.316aac5bdc130deb.b1e02da8-c3a0-4ff2-a121-7ea7a6b7f550`.
///
/// It differs for each number.
pub(super) fn operation_id(key: &str, number: u64) -> String {
    let hash = hex(&[b"operation", key.as_bytes()]);
    let prefix = hash.get(..16).unwrap_or_default();
    format!("5.{prefix}.{}", uuid(&[key.as_bytes(), &number.to_be_bytes()]))
}

pub(super) fn uuid(parts: &[&[u8]]) -> String {
    let hash = hex(parts);
    let part = |range| hash.get(range).unwrap_or_default();
    format!("{}-{}-4{}-a{}-{}", part(0..8), part(8..12), part(13..16), part(17..20), part(20..32))
}

fn hex(parts: &[&[u8]]) -> String {
    let hash = parts.iter().fold(Sha256::new(), Digest::chain_update).finalize();
    hash.iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
