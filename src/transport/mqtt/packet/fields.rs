//! The fields of packets (section 1.5), and the first bytes of a packet.

use alloc::vec::Vec;

/// The reason why bytes are not a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// The bytes violate the protocol.
    Malformed(&'static str),
    /// The packet is longer than the limit.
    TooLarge,
}

/// The part of a packet that is not read yet.
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

    fn number(&mut self) -> Result<u16, FrameError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(u16::from_be_bytes(*bytes))
    }

    /// Reads a packet ID, which is never 0 (section 2.3.1).
    pub(super) fn packet_id(&mut self) -> Result<u16, FrameError> {
        match self.number()? {
            0 => Err(FrameError::Malformed("a packet ID of zero")),
            id => Ok(id),
        }
    }

    fn bytes(&mut self) -> Result<&'a [u8], FrameError> {
        let length = self.number()?;
        self.take(length.into())
    }

    /// Reads a string, which has no NUL character (section 1.5.3).
    pub(super) fn text(&mut self) -> Result<&'a str, FrameError> {
        let text =
            core::str::from_utf8(self.bytes()?).map_err(|_| FrameError::Malformed("a string that is not UTF-8"))?;
        if text.contains('\0') { Err(FrameError::Malformed("a string with a NUL character")) } else { Ok(text) }
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }

    pub(super) fn end(self) -> Result<(), FrameError> {
        if self.0.is_empty() { Ok(()) } else { Err(FrameError::Malformed("a packet that is too long")) }
    }
}

/// The maximum size of a remaining length in bytes, and its maximum value (section 2.2.3).
const MAX_LENGTH_BYTES: usize = 4;
const MAX_LENGTH: usize = (1 << (7 * MAX_LENGTH_BYTES)) - 1;

/// Reads a remaining length and returns it with its size, or `None` if it is not complete.
pub(super) fn read_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, FrameError> {
    let mut length = 0;
    // Each byte has seven bits of the length, the lowest bits first.
    for (byte, (number, shift)) in bytes.iter().zip([(1, 0), (2, 7), (3, 14), (MAX_LENGTH_BYTES, 21)]) {
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(Some((length, number)));
        }
    }
    if bytes.len() < MAX_LENGTH_BYTES {
        Ok(None)
    } else {
        Err(FrameError::Malformed("a length of more than four bytes"))
    }
}

/// A field is longer than MQTT allows. Only a caller's field can be that long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Writes the first bytes of a packet whose body has parts of these lengths.
///
/// It reserves memory for the whole packet: a reallocation could leave a copy of a secret behind.
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

/// Returns the length of a field with these bytes, its two bytes of length included.
pub(super) fn sized(bytes: &[u8]) -> usize {
    bytes.len().saturating_add(2)
}

pub(super) fn put_bytes(output: &mut Vec<u8>, bytes: &[u8]) -> Result<(), TooLong> {
    let length = u16::try_from(bytes.len()).map_err(|_| TooLong)?;
    output.extend(length.to_be_bytes());
    output.extend(bytes);
    Ok(())
}
