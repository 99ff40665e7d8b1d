//! PUBLISH, the only packet with a payload, which both sides send (section 3.3).

use alloc::vec::Vec;

use super::fields::{Fields, TooLong, begin, put_bytes, sized};
use super::{Frame, FrameError, kind};

/// A message with QoS 1 if it has a packet ID, otherwise with QoS 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Publish<'a> {
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a [u8],
    /// The packet ID of a message with QoS 1; `None` for QoS 0.
    pub(crate) packet_id: Option<u16>,
    pub(crate) duplicate: bool,
    pub(crate) retain: bool,
}

const RETAIN: u8 = 0b0001;
const QOS: u8 = 0b0110;
const QOS_1: u8 = 0b0010;
const DUPLICATE: u8 = 0b1000;

impl<'a> Publish<'a> {
    /// Creates a message with QoS 1 that was not sent before.
    pub(crate) fn new(topic: &'a str, payload: &'a [u8], packet_id: u16) -> Self {
        Self { topic, payload, packet_id: Some(packet_id), duplicate: false, retain: false }
    }

    pub(super) fn encode(&self, output: &mut Vec<u8>) -> Result<(), TooLong> {
        let flag = |on: bool, flag: u8| if on { flag } else { 0 };
        let flags = flag(self.packet_id.is_some(), QOS_1) | flag(self.duplicate, DUPLICATE) | flag(self.retain, RETAIN);
        let id = if self.packet_id.is_some() { 2 } else { 0 };
        begin(output, kind::PUBLISH, flags, &[sized(self.topic.as_bytes()), id, self.payload.len()])?;
        put_bytes(output, self.topic.as_bytes())?;
        output.extend(self.packet_id.into_iter().flat_map(u16::to_be_bytes));
        output.extend(self.payload);
        Ok(())
    }

    pub(super) fn decode(frame: Frame<'a>) -> Result<Self, FrameError> {
        let mut fields = Fields(frame.body);
        let topic = fields.text()?;
        let packet_id = match frame.flags & QOS {
            0 => None,
            QOS_1 => Some(fields.packet_id()?),
            // Neither the service nor the hub supports QoS 2, and QoS 3 does not exist.
            _ => return Err(FrameError::Malformed("a PUBLISH with QoS 2 or 3")),
        };
        let duplicate = frame.flags & DUPLICATE != 0;
        Ok(Self { topic, payload: fields.rest(), packet_id, duplicate, retain: frame.flags & RETAIN != 0 })
    }
}
