//! The packets of MQTT 3.1.1 that a device and its service exchange: [`FromClient`] and [`FromServer`], both to and from bytes.
//!
//! Every length is checked before anything is allocated for it. Nothing is copied out of the bytes that came. Source: OASIS, "MQTT
//! Version 3.1.1"; the sections stand beside what they say.

mod client;
mod fields;
mod publish;
mod server;
#[cfg(test)]
mod tests;

pub(crate) use client::{Connect, FromClient, LEVEL};
use fields::Fields;
pub(crate) use fields::TooLong;
pub(crate) use publish::Publish;
pub(crate) use server::{FromServer, REFUSED};

/// A packet as its bytes: type, flags, and what follows the length (section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    kind: u8,
    flags: u8,
    body: &'a [u8],
}

/// Why bytes are not a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// They break the protocol.
    Malformed(&'static str),
    /// The packet is longer than the limit.
    TooLarge,
}

impl<'a> Frame<'a> {
    /// The first packet of the bytes, and how many bytes it takes up. `None` while it is not complete.
    ///
    /// A packet with more than `limit` bytes behind its length is refused as soon as that is known.
    pub(crate) fn first(bytes: &'a [u8], limit: usize) -> Result<Option<(Self, usize)>, FrameError> {
        let Some((first, rest)) = bytes.split_first() else { return Ok(None) };
        let Some((length, prefix)) = read_length(rest)? else { return Ok(None) };
        if length > limit {
            return Err(FrameError::TooLarge);
        }
        let start = prefix.saturating_add(1);
        let end = start.saturating_add(length);
        let frame = bytes.get(start..end).map(|body| Self { kind: first >> 4, flags: first & 0xf, body });
        Ok(frame.map(|frame| (frame, end)))
    }

    /// What follows the length, of a packet that has no flags but these.
    fn with_flags(self, flags: u8) -> Result<Fields<'a>, FrameError> {
        if self.flags == flags {
            Ok(Fields(self.body))
        } else {
            Err(FrameError::Malformed("a packet with wrong flags"))
        }
    }
}

/// The most bytes of a remaining length, and the most that it can say (section 2.2.3).
const MAX_LENGTH_BYTES: usize = 4;
const MAX_LENGTH: usize = (1 << (7 * MAX_LENGTH_BYTES)) - 1;

/// A remaining length, and how many bytes it takes up. `None` while it is not complete.
fn read_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, FrameError> {
    let mut length = 0;
    // Seven bits in each byte, the lowest ones first.
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

/// The type of each packet (section 2.2.1).
mod kind {
    pub(super) const CONNECT: u8 = 1;
    pub(super) const CONNACK: u8 = 2;
    pub(super) const PUBLISH: u8 = 3;
    pub(super) const PUBACK: u8 = 4;
    pub(super) const SUBSCRIBE: u8 = 8;
    pub(super) const SUBACK: u8 = 9;
    pub(super) const UNSUBSCRIBE: u8 = 10;
    pub(super) const UNSUBACK: u8 = 11;
    pub(super) const PINGREQ: u8 = 12;
    pub(super) const PINGRESP: u8 = 13;
    pub(super) const DISCONNECT: u8 = 14;
}

/// The flags of SUBSCRIBE and UNSUBSCRIBE (sections 3.8.1 and 3.10.1).
const SUBSCRIPTION_FLAGS: u8 = 0b0010;
