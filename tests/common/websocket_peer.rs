//! A TLS peer that accepts WebSocket with another library than the client's, and speaks MQTT over it
//! as a test wants.
#![allow(dead_code, unreachable_pub, clippy::expect_used, reason = "each suite uses a part, and a test may panic")]

use std::io::Read;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use azure_iot_dps::transport::MqttRoute;
use azure_iot_dps::{MqttTransport, Roots};
use base64::prelude::{BASE64_STANDARD as STANDARD, Engine};
use bytes::BytesMut;
use futures::io::AllowStdIo;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rumqttc::mqttbytes::v4::{ConnectReturnCode, Packet, SubAck, SubscribeReasonCode};
use rumqttc::mqttbytes::{Error, QoS};
use soketto::Parsing;
use soketto::base::{Codec, Header, OpCode};
use soketto::handshake::Server;
use soketto::handshake::server::Response;

use super::mqtt_peer::{assigned, connack, encode, puback};
use super::peer::{Peer, Stream, say};

/// The record of a peer's connections.
#[derive(Default)]
pub struct Seen {
    /// The heads of the handshakes, in lower case.
    pub handshakes: Vec<String>,
    /// All frames but the binary ones.
    pub control: Vec<Control>,
    pub packets: Vec<Packet>,
    /// Whether connections are closed at once. A test sets it.
    pub is_gone: bool,
    /// Whether connections are accepted and not answered. A test sets it.
    pub is_silent: bool,
}

/// A frame of the client that is not binary.
#[derive(Debug, PartialEq, Eq)]
pub enum Control {
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// The code and the reason.
    Close(Option<(u16, String)>),
    /// A frame, or MQTT within it, that breaks the rules. The peer closes the connection.
    Broken(String),
}

/// A connection after the handshake.
pub struct Socket<'a> {
    pub stream: &'a mut Stream,
    codec: Codec,
    bytes: Vec<u8>,
    /// Whether a message of the client continues in its next frame.
    continues: bool,
}

/// A test's handler of a packet and of the service's answer to it. `None` means to send the answer
/// in one message.
pub type Handler = dyn Fn(&Packet, &[u8], &mut Socket<'_>) -> Option<ControlFlow<()>> + Send + Sync;

/// Starts a peer that handles each packet with `handle`.
pub fn websocket_peer(
    handle: impl Fn(&Packet, &[u8], &mut Socket<'_>) -> Option<ControlFlow<()>> + Send + Sync + 'static,
) -> (Peer, Arc<Mutex<Seen>>) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let log = Arc::clone(&seen);
    let peer = Peer::serving(|_| {}, move |stream, _| serve(stream, &log, &handle));
    (peer, seen)
}

/// Returns a transport to the peer.
pub fn transport(peer: &Peer) -> MqttTransport {
    by(MqttRoute::WebSocket, peer.port, peer.roots())
}

pub fn by(route: MqttRoute, port: u16, roots: Roots) -> MqttTransport {
    MqttTransport::builder().roots(roots).route(route).websocket_port(port).build()
}

/// Sends one message.
pub fn send(socket: &mut Socket<'_>, bytes: &[u8]) -> ControlFlow<()> {
    let mut header = Header::new(OpCode::Binary);
    header.set_payload_len(bytes.len());
    let header = socket.codec.encode_header(&header).to_vec();
    say(socket.stream, &[&header, bytes].concat())
}

/// Sends raw bytes without the library.
pub fn send_raw(socket: &mut Socket<'_>, bytes: &[u8]) -> ControlFlow<()> {
    say(socket.stream, bytes)
}

/// Returns a frame of a server with this first byte and content. Source: RFC 6455, section 5.2.
pub fn frame(first: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match u16::try_from(content.len()).expect("short") {
        length @ 0..126 => bytes.push(u8::try_from(length).expect("short")),
        length => {
            bytes.push(126);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes.extend(content);
    bytes
}

impl Socket<'_> {
    /// Returns the next frame, or `None` when the client is gone. The error tells what breaks the
    /// rules.
    fn read(&mut self) -> Result<Option<(OpCode, Vec<u8>)>, String> {
        loop {
            let decoded = self.codec.decode_header(&self.bytes).map_err(|error| error.to_string())?;
            if let Parsing::Done { value: header, offset } = decoded {
                self.check(&header)?;
                let end = offset + header.payload_len();
                if self.bytes.len() >= end {
                    let mut content: Vec<u8> = self.bytes.drain(..end).skip(offset).collect();
                    Codec::apply_mask(&header, &mut content);
                    if !header.opcode().is_control() {
                        self.continues = !header.is_fin();
                    }
                    return Ok(Some((header.opcode(), content)));
                }
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(length @ 1..) => self.bytes.extend(&chunk[..length]),
                _ => return Ok(None),
            }
        }
    }

    /// Checks what the codec does not: the mask, the kind of data, and the order of fragments.
    /// Source: RFC 6455, sections 5.1 and 5.4.
    fn check(&self, header: &Header) -> Result<(), String> {
        let data = if self.continues { OpCode::Continue } else { OpCode::Binary };
        let is_expected = header.opcode().is_control() || header.opcode() == data;
        if header.is_masked() && is_expected { Ok(()) } else { Err(header.to_string()) }
    }
}

/// Accepts WebSocket. Returns the head of the request, or `None` if that is not sound.
fn accept(stream: &mut Stream) -> Option<String> {
    let mut server = Server::new(AllowStdIo::new(stream));
    server.add_protocol("mqtt");
    let request = pollster::block_on(server.receive_request()).ok()?;
    let (key, asks_for_mqtt) = (request.key(), request.protocols().eq(["mqtt"]));
    let head = String::from_utf8(server.take_buffer().to_vec()).ok()?;
    // A client waits for the answer, so nothing follows the head.
    if !asks_for_mqtt || !head.ends_with("\r\n\r\n") {
        return None;
    }
    let answer = Response::Accept { key, protocol: Some("mqtt") };
    pollster::block_on(server.send_response(&answer)).ok()?;
    Some(head.to_lowercase())
}

/// Returns the proof that a server read this key. Source: RFC 6455, section 4.2.2.
pub fn accept_key(key: &str) -> String {
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes());
    STANDARD.encode(digest)
}

fn serve(stream: &mut Stream, log: &Mutex<Seen>, handle: &Handler) {
    if log.lock().expect("not poisoned").is_gone {
        return;
    }
    if log.lock().expect("not poisoned").is_silent {
        let _ = stream.sock.read_to_end(&mut Vec::new());
        return;
    }
    let Some(head) = accept(stream) else { return };
    log.lock().expect("not poisoned").handshakes.push(head);
    let mut socket = Socket { stream, codec: Codec::new(), bytes: Vec::new(), continues: false };
    let mut bytes = BytesMut::new();
    loop {
        match Packet::read(&mut bytes, 256 * 1024) {
            Ok(packet) => {
                let answer = answer(&packet);
                log.lock().expect("not poisoned").packets.push(packet.clone());
                let goes_on = handle(&packet, &answer, &mut socket).unwrap_or_else(|| {
                    if answer.is_empty() { ControlFlow::Continue(()) } else { send(&mut socket, &answer) }
                });
                if goes_on.is_break() {
                    return;
                }
            }
            Err(Error::InsufficientBytes(_)) => {
                let (opcode, content) = match socket.read() {
                    Ok(Some(frame)) => frame,
                    Ok(None) => return,
                    Err(what) => {
                        log.lock().expect("not poisoned").control.push(Control::Broken(what));
                        return;
                    }
                };
                let control = match opcode {
                    OpCode::Ping => Control::Ping(content),
                    OpCode::Pong => Control::Pong(content),
                    OpCode::Close => {
                        // Goes on: nothing may follow.
                        let _ = send_raw(&mut socket, &frame(0x88, &content));
                        Control::Close(content.split_first_chunk().map(|(code, reason)| {
                            (u16::from_be_bytes(*code), String::from_utf8_lossy(reason).into_owned())
                        }))
                    }
                    _ => {
                        bytes.extend_from_slice(&content);
                        continue;
                    }
                };
                log.lock().expect("not poisoned").control.push(control);
            }
            Err(error) => {
                log.lock().expect("not poisoned").control.push(Control::Broken(error.to_string()));
                return;
            }
        }
    }
}

/// Returns the answer of a service.
fn answer(packet: &Packet) -> Vec<u8> {
    match packet {
        Packet::Connect(_) => connack(ConnectReturnCode::Success),
        Packet::Subscribe(subscribe) => {
            let granted = vec![SubscribeReasonCode::Success(QoS::AtLeastOnce)];
            encode(Packet::SubAck(SubAck::new(subscribe.pkid, granted)))
        }
        Packet::Publish(publish) => [puback(publish), assigned(publish)].concat(),
        _ => Vec::new(),
    }
}
