//! WebSocket frames of a client that carry MQTT, by soketto's codec of frames.
//!
//! MQTT packets need not align with frames (MQTT 3.1.1, section 6). So messages are not put
//! together: their content is one stream of bytes. Source: RFC 6455, section 5.

use soketto::Parsing;
use soketto::base::{Codec, Error, Header, OpCode};

/// More than a packet may have.
const MAX_FRAME: usize = 1024 * 1024;

/// The close code of a normal closure. Source: RFC 6455, section 7.4.1.
pub(super) const NORMAL: u16 = 1000;
/// The close code of a server that stops.
pub(super) const GOING_AWAY: u16 = 1001;
/// The close code for a violation of WebSocket.
const PROTOCOL_ERROR: u16 = 1002;
/// The close code for a text frame; MQTT needs binary frames.
const UNSUPPORTED: u16 = 1003;
/// The close code for a frame that is too long.
const TOO_BIG: u16 = 1009;

/// A complete frame that a client sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    /// The client closes the connection, with this code if it gave one.
    Close(Option<u16>),
}

/// A decoder of frames.
#[derive(Debug)]
pub(super) struct Frames {
    codec: Codec,
    input: Vec<u8>,
    /// Whether a message continues in the next frame.
    continues: bool,
}

impl Frames {
    pub(super) fn new() -> Self {
        let mut codec = Codec::new();
        codec.set_max_data_size(MAX_FRAME);
        Self { codec, input: Vec::new(), continues: false }
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.input.extend(bytes);
    }

    /// Takes the next frame, if it is complete. A violation is a close code.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, u16> {
        let (header, offset) = match self.codec.decode_header(&self.input) {
            Ok(Parsing::Done { value, offset }) => (value, offset),
            Ok(Parsing::NeedMore(_)) => return Ok(None),
            Err(Error::PayloadTooLarge { .. }) => return Err(TOO_BIG),
            Err(_) => return Err(PROTOCOL_ERROR),
        };
        self.check(&header)?;
        let end = offset.saturating_add(header.payload_len());
        if self.input.len() < end {
            return Ok(None);
        }
        let mut content: Vec<u8> = self.input.drain(..end).skip(offset).collect();
        Codec::apply_mask(&header, &mut content);
        match header.opcode() {
            OpCode::Ping => Ok(Some(Frame::Ping(content))),
            OpCode::Pong => Ok(Some(Frame::Pong)),
            OpCode::Close => close_code(&content).map(|code| Some(Frame::Close(code))),
            _ => {
                self.continues = !header.is_fin();
                Ok(Some(Frame::Binary(content)))
            }
        }
    }

    /// Checks what the codec does not: the mask, the kind of data, and the order of fragments.
    fn check(&self, header: &Header) -> Result<(), u16> {
        match header.opcode() {
            _ if !header.is_masked() => Err(PROTOCOL_ERROR),
            OpCode::Text => Err(UNSUPPORTED),
            OpCode::Binary if self.continues => Err(PROTOCOL_ERROR),
            OpCode::Continue if !self.continues => Err(PROTOCOL_ERROR),
            _ => Ok(()),
        }
    }
}

/// Returns the code of a close frame. A reason in UTF-8 may follow it.
///
/// Sources: RFC 6455, sections 5.5.1 and 7.4, and IANA's registry of close codes.
fn close_code(content: &[u8]) -> Result<Option<u16>, u16> {
    let Some((code, reason)) = content.split_first_chunk() else {
        return if content.is_empty() { Ok(None) } else { Err(PROTOCOL_ERROR) };
    };
    let code = u16::from_be_bytes(*code);
    let may_be_sent = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    if may_be_sent && std::str::from_utf8(reason).is_ok() { Ok(Some(code)) } else { Err(PROTOCOL_ERROR) }
}

/// Encodes a frame of a server, which has no mask.
fn frame(opcode: OpCode, content: &[u8]) -> Vec<u8> {
    let mut header = Header::new(opcode);
    header.set_payload_len(content.len());
    [Codec::new().encode_header(&header), content].concat()
}

pub(super) fn binary(content: &[u8]) -> Vec<u8> {
    frame(OpCode::Binary, content)
}

pub(super) fn pong(content: &[u8]) -> Vec<u8> {
    frame(OpCode::Pong, content)
}

pub(super) fn close(code: u16) -> Vec<u8> {
    frame(OpCode::Close, &code.to_be_bytes())
}
