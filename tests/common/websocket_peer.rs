//! A TLS peer that accepts WebSocket with an independent library, and speaks MQTT over it as a test
//! wants.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    clippy::panic,
    reason = "each suite uses a part, and a test may panic"
)]

use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use azure_iot_dps::transport::MqttRoute;
use azure_iot_dps::{MqttTransport, Roots};
use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{ConnectReturnCode, Packet, SubAck, SubscribeReasonCode};
use rumqttc::mqttbytes::{Error, QoS};
use tungstenite::handshake::server::{Request, Response};
use tungstenite::{Message, WebSocket};

use super::mqtt_peer::{assigned, connack, encode, puback};
use super::peer::{Peer, Stream};

/// The record of a peer's connections.
#[derive(Default)]
pub struct Seen {
    /// The paths and headers of the handshakes, in lower case.
    pub handshakes: Vec<String>,
    /// All messages except the binary ones.
    pub messages: Vec<Message>,
    pub packets: Vec<Packet>,
    /// Whether connections are closed at once. A test sets it.
    pub is_gone: bool,
    /// Whether connections are accepted and not answered. A test sets it.
    pub is_silent: bool,
}

pub type Socket<'a> = WebSocket<&'a mut Stream>;

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
    go_on(socket.send(Message::binary(bytes.to_vec())).is_ok())
}

/// Sends raw bytes without the library.
pub fn send_raw(socket: &mut Socket<'_>, bytes: &[u8]) -> ControlFlow<()> {
    let stream = socket.get_mut();
    go_on(stream.write_all(bytes).and_then(|()| stream.flush()).is_ok())
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

fn go_on(yes: bool) -> ControlFlow<()> {
    if yes { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

fn serve(stream: &mut Stream, log: &Mutex<Seen>, handle: &Handler) {
    #[allow(clippy::result_large_err, reason = "the library's")]
    let take = |request: &Request, mut response: Response| {
        log.lock().expect("not poisoned").handshakes.push(format!("{request:?}").to_lowercase());
        response.headers_mut().insert("Sec-WebSocket-Protocol", "mqtt".parse().expect("valid"));
        Ok(response)
    };
    if log.lock().expect("not poisoned").is_gone {
        return;
    }
    if log.lock().expect("not poisoned").is_silent {
        let _ = stream.sock.read_to_end(&mut Vec::new());
        return;
    }
    let Ok(mut socket) = tungstenite::accept_hdr(stream, take) else { return };
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
            Err(Error::InsufficientBytes(_)) => match socket.read() {
                Ok(Message::Binary(content)) => bytes.extend_from_slice(&content),
                Ok(other) => log.lock().expect("not poisoned").messages.push(other),
                Err(_) => return,
            },
            Err(error) => panic!("no MQTT: {error}"),
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
