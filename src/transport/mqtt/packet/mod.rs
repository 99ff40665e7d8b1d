//! The MQTT 3.1.1 packets of a device and its service: [`FromClient`] and [`FromServer`].
//!
//! A client encodes the former and decodes the latter. Every length is checked before memory is
//! allocated for it. Decoded packets borrow from the bytes that were read. Source: OASIS, "MQTT
//! Version 3.1.1"; section numbers below refer to it.
#![cfg_attr(
    test,
    allow(dead_code, unused_imports, reason = "`tests/mqtt_codec.rs` includes this module and tests all of it")
)]

mod client;
mod fields;
mod publish;
mod server;

pub(crate) use client::{Connect, FromClient};
use fields::{Fields, read_length};
pub(crate) use fields::{FrameError, TooLong};
pub(crate) use publish::Publish;
pub(crate) use server::{FromServer, REFUSED};

/// An undecoded packet: type, flags, and the bytes after the length (section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    kind: u8,
    flags: u8,
    body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Returns the first packet of the bytes and its length, or `None` if it is not complete.
    ///
    /// A packet with more than `limit` bytes after its length is refused as soon as that is known.
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

    /// Returns the fields of a packet that must have exactly these flags.
    fn with_flags(self, flags: u8) -> Result<Fields<'a>, FrameError> {
        if self.flags == flags {
            Ok(Fields(self.body))
        } else {
            Err(FrameError::Malformed("a packet with wrong flags"))
        }
    }
}

/// The packet types (section 2.2.1).
mod kind {
    pub(super) const CONNECT: u8 = 1;
    pub(super) const CONNACK: u8 = 2;
    pub(super) const PUBLISH: u8 = 3;
    pub(super) const PUBACK: u8 = 4;
    pub(super) const SUBSCRIBE: u8 = 8;
    pub(super) const SUBACK: u8 = 9;
    pub(super) const UNSUBACK: u8 = 11;
    pub(super) const PINGREQ: u8 = 12;
    pub(super) const PINGRESP: u8 = 13;
    pub(super) const DISCONNECT: u8 = 14;
}

/// The flags of SUBSCRIBE (section 3.8.1).
const SUBSCRIPTION_FLAGS: u8 = 0b0010;
