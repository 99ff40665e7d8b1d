//! The fields that packets are made of (section 1.5), and a packet's first bytes.

use alloc::vec::Vec;

use super::{FrameError, MAX_LENGTH};

/// What is still to be read of a packet.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

const SHORT: FrameError = FrameError::Malformed("a packet that is too short");

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], FrameError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, FrameError> {
        let (byte, rest) = self.0.split_first().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*byte)
    }

    pub(super) fn number(&mut self) -> Result<u16, FrameError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(u16::from_be_bytes(*bytes))
    }

    /// A packet ID, which is never 0 (section 2.3.1).
    pub(super) fn packet_id(&mut self) -> Result<u16, FrameError> {
        match self.number()? {
            0 => Err(FrameError::Malformed("a packet ID of zero")),
            id => Ok(id),
        }
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], FrameError> {
        let length = self.number()?;
        self.take(length.into())
    }

    /// A text, which holds no NUL (section 1.5.3).
    pub(super) fn text(&mut self) -> Result<&'a str, FrameError> {
        let text =
            core::str::from_utf8(self.bytes()?).map_err(|_| FrameError::Malformed("a text that is not UTF-8"))?;
        if text.contains('\0') { Err(FrameError::Malformed("a text with a NUL")) } else { Ok(text) }
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }

    #[cfg(any(test, feature = "simulator"))]
    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn end(self) -> Result<(), FrameError> {
        if self.0.is_empty() { Ok(()) } else { Err(FrameError::Malformed("a packet that is too long")) }
    }
}

/// A field has more bytes than MQTT can tell. No field of this crate's has; one of a caller's may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Writes the first bytes of a packet whose body has these parts, with room for all of it, so that a secret is not left behind where
/// the bytes grow.
pub(super) fn begin(output: &mut Vec<u8>, kind: u8, flags: u8, parts: &[usize]) -> Result<(), TooLong> {
    const FIRST: usize = 5;
    let length = parts.iter().try_fold(0, |sum: usize, part| sum.checked_add(*part)).filter(|sum| *sum <= MAX_LENGTH);
    let mut length = length.ok_or(TooLong)?;
    output.reserve_exact(FIRST.saturating_add(length));
    output.push(kind << 4 | flags);
    loop {
        let low = u8::try_from(length & 0x7f).unwrap_or_default();
        length >>= 7;
        let more = if length > 0 { 0x80 } else { 0 };
        output.push(low | more);
        if more == 0 {
            return Ok(());
        }
    }
}

/// How many bytes a field of so many bytes takes up.
pub(super) fn sized(bytes: &[u8]) -> usize {
    bytes.len().saturating_add(2)
}

pub(super) fn put_bytes(output: &mut Vec<u8>, bytes: &[u8]) -> Result<(), TooLong> {
    let length = u16::try_from(bytes.len()).map_err(|_| TooLong)?;
    output.extend(length.to_be_bytes());
    output.extend(bytes);
    Ok(())
}
