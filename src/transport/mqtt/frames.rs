//! WebSocket frames that carry MQTT, without I/O. Source: RFC 6455, section 5.
//!
//! MQTT packets need not align with frames (MQTT 3.1.1, section 6). So messages are not
//! reassembled: their content is one stream of bytes. Frame headers are read and written by
//! tungstenite. Its reading and writing of whole frames is not used, because it logs the content of
//! each frame, which may be a token.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// The maximum length of a control frame's content, in bytes.
const MAX_CONTROL: u64 = 125;

/// The close code of a normal closure.
pub(crate) const NORMAL: u16 = 1000;

/// Encodes a binary frame of a client.
pub(crate) fn binary(content: &[u8], mask: [u8; 4]) -> Vec<u8> {
    frame(OpCode::Data(Data::Binary), content, mask)
}

/// Encodes a pong frame, the answer to a ping.
pub(crate) fn pong(content: &[u8], mask: [u8; 4]) -> Vec<u8> {
    frame(OpCode::Control(Control::Pong), content, mask)
}

/// Encodes a close frame, the last one of a connection.
pub(crate) fn close(code: u16, mask: [u8; 4]) -> Vec<u8> {
    frame(OpCode::Control(Control::Close), &code.to_be_bytes(), mask)
}

fn frame(opcode: OpCode, content: &[u8], mask: [u8; 4]) -> Vec<u8> {
    const MAX_HEAD: usize = 14;
    let header = FrameHeader { opcode, mask: Some(mask), ..FrameHeader::default() };
    // The vector must not grow: a reallocation would leave a copy of the token behind.
    let mut bytes = Vec::with_capacity(content.len().saturating_add(MAX_HEAD));
    // Writing to memory does not fail.
    let _ = header.format(u64::try_from(content.len()).unwrap_or(u64::MAX), &mut bytes);
    let mask = mask.into_iter().cycle();
    bytes.extend(content.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A decoder of a server's frames.
pub(crate) struct Frames {
    /// The bytes of a header that is not complete yet.
    head: Vec<u8>,
    frame: Option<Open>,
    /// Whether a message continues in the next frame.
    continues: bool,
}

/// A frame whose content is being read.
struct Open {
    opcode: OpCode,
    left: u64,
    /// The content of a control frame that was read so far.
    control: Vec<u8>,
}

/// A control frame that needs a reaction.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// A ping. The answer must have the same content.
    Ping(Vec<u8>),
    /// A close frame. The peer sends nothing after it.
    Close(Close),
}

/// The peer's reason for closing the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Close {
    /// The close code, such as 1000 for a normal closure; `None` if the frame is empty.
    pub(crate) code: Option<u16>,
    /// The peer's text, unchanged.
    pub(crate) reason: String,
}

/// A violation of WebSocket, or of MQTT over WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misframed {
    #[error("received a text frame; MQTT needs binary frames")]
    Text,
    #[error("received a frame with an unknown opcode")]
    Opcode,
    #[error("received a masked frame from a server")]
    Mask,
    #[error("received a frame with an extension that was not negotiated")]
    Extension,
    #[error("received the fragments of a message out of order")]
    Order,
    #[error("received a fragmented, oversized or malformed control frame")]
    Control,
    #[error("received a frame with an invalid length")]
    Length,
}

impl Misframed {
    /// Returns the close code for this violation. Source: RFC 6455, section 7.4.1.
    pub(crate) fn code(self) -> u16 {
        if self == Self::Text { 1003 } else { 1002 }
    }
}

impl Frames {
    pub(crate) fn new() -> Self {
        Self { head: Vec::new(), frame: None, continues: false }
    }

    /// Moves the content of the binary frames to the start of `bytes`, and returns its length.
    ///
    /// Bytes after a [`Word::Close`] or after a violation are ignored.
    pub(crate) fn unframe(&mut self, bytes: &mut [u8], words: &mut Vec<Word>) -> (usize, Result<(), Misframed>) {
        let mut kept = 0;
        for at in 0..bytes.len() {
            let Some(byte) = bytes.get(at).copied() else { break };
            match self.take(byte, words) {
                Ok(false) => {}
                Ok(true) => {
                    if let Some(slot) = bytes.get_mut(kept) {
                        *slot = byte;
                    }
                    kept = kept.saturating_add(1);
                }
                Err(broken) => return (kept, Err(broken)),
            }
            if matches!(words.last(), Some(Word::Close(_))) {
                break;
            }
        }
        (kept, Ok(()))
    }

    /// Takes one byte, and returns whether it is content of a binary frame.
    fn take(&mut self, byte: u8, words: &mut Vec<Word>) -> Result<bool, Misframed> {
        let Some(frame) = &mut self.frame else {
            self.head.push(byte);
            self.begin()?;
            self.end(words)?;
            return Ok(false);
        };
        frame.left = frame.left.saturating_sub(1);
        let is_data = matches!(frame.opcode, OpCode::Data(_));
        if !is_data {
            frame.control.push(byte);
        }
        self.end(words)?;
        Ok(is_data)
    }

    /// Begins a frame if its header is complete.
    fn begin(&mut self) -> Result<(), Misframed> {
        // Parsing a header fails only for an unknown opcode.
        let parsed = FrameHeader::parse(&mut Cursor::new(&*self.head)).map_err(|_| Misframed::Opcode)?;
        let Some((header, left)) = parsed else { return Ok(()) };
        self.head.clear();
        if left > i64::MAX.unsigned_abs() {
            return Err(Misframed::Length);
        }
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Misframed::Extension);
        }
        if header.mask.is_some() {
            return Err(Misframed::Mask);
        }
        match header.opcode {
            OpCode::Control(_) if !header.is_final || left > MAX_CONTROL => return Err(Misframed::Control),
            OpCode::Control(_) => {}
            OpCode::Data(Data::Text) => return Err(Misframed::Text),
            OpCode::Data(data) => {
                if self.continues != (data == Data::Continue) {
                    return Err(Misframed::Order);
                }
                self.continues = !header.is_final;
            }
        }
        self.frame = Some(Open { opcode: header.opcode, left, control: Vec::new() });
        Ok(())
    }

    /// Ends the frame if it is complete.
    fn end(&mut self, words: &mut Vec<Word>) -> Result<(), Misframed> {
        let Some(frame) = self.frame.take_if(|frame| frame.left == 0) else { return Ok(()) };
        match frame.opcode {
            OpCode::Control(Control::Ping) => words.push(Word::Ping(frame.control)),
            OpCode::Control(Control::Close) => words.push(Word::Close(Close::parse(&frame.control)?)),
            _ => {}
        }
        Ok(())
    }
}

impl Close {
    fn parse(content: &[u8]) -> Result<Self, Misframed> {
        let (code, reason) = match content.split_first_chunk() {
            Some((code, reason)) => (Some(u16::from_be_bytes(*code)), reason),
            None if content.is_empty() => (None, content),
            None => return Err(Misframed::Control),
        };
        if !code.is_none_or(may_be_sent) {
            return Err(Misframed::Control);
        }
        Ok(Self { code, reason: String::from_utf8_lossy(reason).into_owned() })
    }
}

/// Returns whether a close frame may have this code.
///
/// Sources: RFC 6455, section 7.4, and IANA's registry of close codes.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes the bytes in parts of this length.
    fn unframe(mut frames: Frames, bytes: &[u8], part: usize) -> Result<(Vec<u8>, Vec<Word>), Misframed> {
        let (mut content, mut words) = (Vec::new(), Vec::new());
        for part in bytes.chunks(part) {
            let mut part = part.to_vec();
            let (kept, result) = frames.unframe(&mut part, &mut words);
            result?;
            content.extend(&part[..kept]);
        }
        Ok((content, words))
    }

    /// Encodes a frame of a server.
    fn of_server(opcode: OpCode, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let length = u64::try_from(content.len()).expect("fits");
        FrameHeader { opcode, ..FrameHeader::default() }.format(length, &mut bytes).expect("writes");
        [&*bytes, content].concat()
    }

    #[test]
    fn what_a_server_frames_comes_out_however_it_is_cut() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let sent: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).expect("small")).collect();
            let data = OpCode::Data(Data::Binary);
            let pong = of_server(OpCode::Control(Control::Pong), b"x");
            let bytes = [of_server(data, &sent), pong, of_server(data, b"more")].concat();
            for part in [1, 2, 7, 1000, bytes.len()] {
                let (content, words) = unframe(Frames::new(), &bytes, part).expect("framed");
                assert!(content == [&*sent, b"more"].concat() && words.is_empty(), "{length} in parts of {part}");
            }
        }
    }

    #[test]
    fn a_frame_of_a_client_has_its_length_and_its_mask() {
        for (length, head) in
            [(5, &[0x82, 0x85][..]), (126, &[0x82, 0xfe, 0, 126]), (65_536, &[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0])]
        {
            let mask = [1, 2, 4, 8];
            let content = alloc::vec![0xf0; length];
            let bytes = binary(&content, mask);
            let (start, masked) = bytes.split_at(head.len() + 4);
            assert_eq!(start, [head, &mask].concat());
            assert!(masked.iter().zip(mask.iter().cycle()).all(|(byte, mask)| byte ^ mask == 0xf0));
            assert_eq!(masked.len(), length);
        }
        assert_eq!(pong(b"x", [0; 4]), [0x8a, 0x81, 0, 0, 0, 0, b'x']);
        assert_eq!(close(NORMAL, [0; 4]), [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]);
    }

    #[test]
    fn messages_in_many_frames_are_one_stream_with_pings_in_between() {
        let bytes = [0x02, 1, b'a', 0x89, 2, b'p', b'q', 0x00, 0, 0x00, 1, b'b', 0x80, 1, b'c', 0x82, 1, b'd', 0x89, 0];
        let (content, words) = unframe(Frames::new(), &bytes, 1).expect("framed");
        assert_eq!(content, b"abcd");
        assert_eq!(words, [Word::Ping(b"pq".to_vec()), Word::Ping(Vec::new())]);
    }

    #[test]
    fn a_close_frame_tells_its_code_and_reason_and_is_the_last() {
        for (bytes, code, reason) in [
            (&[0x88, 0][..], None, ""),
            (&[0x88, 2, 0x03, 0xe8], Some(1000), ""),
            (&[0x88, 5, 0x03, 0xf0, b'n', b'o', 0xff], Some(1008), "no\u{fffd}"),
        ] {
            let bytes = [&[0x82, 1, b'a'], bytes, &[0x81, 1, b'!']].concat();
            let (content, words) = unframe(Frames::new(), &bytes, bytes.len()).expect("framed");
            assert_eq!(content, b"a");
            assert_eq!(words, [Word::Close(Close { code, reason: reason.into() })]);
        }
    }

    #[test]
    fn what_breaks_the_rules_is_refused() {
        for (bytes, expected) in [
            (&[0x81, 1, b'a'][..], Misframed::Text),
            (&[0x83, 0], Misframed::Opcode),
            (&[0x8b, 0], Misframed::Opcode),
            (&[0x82, 0x81, 0, 0, 0, 0, b'a'], Misframed::Mask),
            (&[0xc2, 1, b'a'], Misframed::Extension),
            (&[0x92, 1, b'a'], Misframed::Extension),
            (&[0x80, 1, b'a'], Misframed::Order),
            (&[0x02, 1, b'a', 0x82, 1, b'b'], Misframed::Order),
            (&[0x09, 0], Misframed::Control),
            (&[0x89, 126, 0, 126], Misframed::Control),
            (&[0x88, 1, 3], Misframed::Control),
            (&[0x88, 2, 0x03, 0xed], Misframed::Control),
            (&[0x88, 2, 0, 0], Misframed::Control),
            (&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], Misframed::Length),
        ] {
            assert_eq!(unframe(Frames::new(), bytes, 1).expect_err("refused"), expected, "{bytes:02x?}");
        }
    }
}
