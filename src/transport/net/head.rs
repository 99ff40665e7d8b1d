//! The head of an HTTP answer, from a stream that goes on as something else.

use alloc::vec::Vec;
use std::io::{self, Read};

const MAX_HEAD: usize = 16 * 1024;

/// Reads a head up to its empty line. The next byte belongs to the protocol that follows.
pub(in crate::transport) fn read_head(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && !head.ends_with(b"\n\n") {
        if head.len() == MAX_HEAD {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the head of the answer is too large"));
        }
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(head)
}
