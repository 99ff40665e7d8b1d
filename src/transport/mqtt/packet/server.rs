//! The packets that a server sends.

use super::{Frame, FrameError, Publish, kind};

/// A packet of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FromServer<'a> {
    /// The answer to CONNECT. A return code of 0 accepts the connection (section 3.2.2.3).
    ConnAck {
        session_present: bool,
        code: u8,
    },
    Publish(Publish<'a>),
    PubAck(u16),
    /// The granted QoS of each topic filter, or [`REFUSED`].
    SubAck {
        packet_id: u16,
        codes: &'a [u8],
    },
    UnsubAck(u16),
    PingResp,
}

/// The return code of a refused subscription (section 3.9.3).
pub(crate) const REFUSED: u8 = 0x80;

impl<'a> FromServer<'a> {
    pub(crate) fn decode(frame: Frame<'a>) -> Result<Self, FrameError> {
        if frame.kind == kind::PUBLISH {
            return Publish::decode(frame).map(Self::Publish);
        }
        let mut fields = frame.with_flags(0)?;
        let packet = match frame.kind {
            kind::CONNACK => {
                let (flags, code) = (fields.byte()?, fields.byte()?);
                if flags > 1 {
                    return Err(FrameError::Malformed("a CONNACK with invalid flags"));
                }
                Self::ConnAck { session_present: flags == 1, code }
            }
            kind::PUBACK => Self::PubAck(fields.packet_id()?),
            kind::SUBACK => Self::SubAck { packet_id: fields.packet_id()?, codes: fields.rest() },
            kind::UNSUBACK => Self::UnsubAck(fields.packet_id()?),
            kind::PINGRESP => Self::PingResp,
            _ => return Err(FrameError::Malformed("a packet that no server sends, or one of QoS 2")),
        };
        fields.end()?;
        Ok(packet)
    }
}
