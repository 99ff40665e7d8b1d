//! IDs in the formats of the service.
//!
//! All IDs are hashes, so that they are the same in each run of a test.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::wire::base64_encode;

/// Returns a GUID in quotes, in base64.
pub(crate) fn etag(parts: &[&[u8]]) -> String {
    base64_encode(format!("\"{}\"", uuid(parts)).as_bytes())
}

/// Returns an operation ID such as `5.316aac5bdc130deb.b1e02da8-c3a0-4ff2-a121-7ea7a6b7f550`.
///
/// It differs for each number.
pub(crate) fn operation_id(key: &str, number: u64) -> String {
    let hash = hex(&[b"operation", key.as_bytes()]);
    let prefix = hash.get(..16).unwrap_or_default();
    format!("5.{prefix}.{}", uuid(&[key.as_bytes(), &number.to_be_bytes()]))
}

pub(crate) fn uuid(parts: &[&[u8]]) -> String {
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
