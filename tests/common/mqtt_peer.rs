//! A TLS peer that speaks MQTT with an independent codec, and sends what a test wants.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    clippy::needless_pass_by_value,
    reason = "each suite uses a part, and a test may panic"
)]

use std::io::Read;
use std::ops::ControlFlow;
use std::sync::Mutex;

use azure_iot_dps::MqttTransport;
use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{ConnAck, ConnectReturnCode, Packet, PubAck, Publish, SubAck, SubscribeReasonCode};
use rumqttc::mqttbytes::{Error, QoS};

use super::common::ASSIGNED;
use super::peer::{Log, Peer, Stream, say};

const MAX_PACKET: usize = 256 * 1024;

/// A packet that the device sent.
pub struct Arrived<'a> {
    pub packet: &'a Packet,
    /// The number of the connection, from 0.
    pub connection: usize,
    /// The number of messages that the peer received before this packet, on all connections.
    pub messages: usize,
}

/// A test's handler of a packet. `None` means to answer as a service does.
pub type Handler = dyn Fn(&Arrived<'_>, &mut Stream) -> Option<ControlFlow<()>> + Send + Sync;

/// Starts a peer that handles each packet with `handle`.
pub fn mqtt_peer(
    handle: impl Fn(&Arrived<'_>, &mut Stream) -> Option<ControlFlow<()>> + Send + Sync + 'static,
) -> Peer {
    Peer::serving(|_| {}, move |stream, log| serve(stream, log, &handle))
}

/// Starts a peer that acknowledges each message, then answers with these bytes.
pub fn answering(answer: impl Fn(&Publish) -> Vec<u8> + Send + Sync + 'static) -> Peer {
    mqtt_peer(move |arrived, stream| match arrived.packet {
        Packet::Publish(publish) => Some(say(stream, &[puback(publish), answer(publish)].concat())),
        _ => None,
    })
}

pub fn transport(peer: &Peer) -> MqttTransport {
    MqttTransport::builder().roots(peer.roots()).build()
}

pub fn encode(packet: Packet) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    packet.write(&mut bytes, MAX_PACKET).expect("writes");
    bytes.to_vec()
}

pub fn connack(code: ConnectReturnCode) -> Vec<u8> {
    encode(Packet::ConnAck(ConnAck::new(code, false)))
}

pub fn puback(publish: &Publish) -> Vec<u8> {
    encode(Packet::PubAck(PubAck::new(publish.pkid)))
}

/// Returns the `$rid` of a request.
pub fn rid(publish: &Publish) -> &str {
    let parameters = publish.topic.split_once("/?").map_or("", |(_, parameters)| parameters);
    parameters.split('&').find_map(|pair| pair.strip_prefix("$rid=")).unwrap_or_default()
}

/// Returns a message with QoS 1.
pub fn message(topic: &str, payload: impl Into<Vec<u8>>) -> Vec<u8> {
    let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload);
    publish.pkid = 7;
    encode(Packet::Publish(publish))
}

/// Returns the answer to a request, with `more` after the `$rid` in its topic.
pub fn answer(publish: &Publish, status: u16, more: &str, body: impl Into<Vec<u8>>) -> Vec<u8> {
    message(&format!("$dps/registrations/res/{status}/?$rid={}{more}", rid(publish)), body)
}

/// Returns the answer that assigns a device.
pub fn assigned(publish: &Publish) -> Vec<u8> {
    answer(publish, 200, "", ASSIGNED)
}

fn serve(stream: &mut Stream, log: &Mutex<Log>, handle: &Handler) {
    let mut bytes = BytesMut::new();
    let mut connection = None;
    loop {
        let packet = match Packet::read(&mut bytes, MAX_PACKET) {
            Ok(packet) => packet,
            Err(Error::InsufficientBytes(_)) => {
                let mut chunk = [0; 4096];
                match stream.read(&mut chunk) {
                    Ok(length @ 1..) => {
                        log.lock().expect("not poisoned").bytes += length;
                        bytes.extend_from_slice(&chunk[..length]);
                    }
                    _ => return,
                }
                continue;
            }
            Err(_) => return,
        };
        let arrived = {
            let mut log = log.lock().expect("not poisoned");
            let connection = *connection.get_or_insert_with(|| {
                log.handshakes.push(stream.conn.handshake_kind());
                log.handshakes.len() - 1
            });
            let messages = log.requests.len();
            if let Packet::Publish(publish) = &packet {
                log.requests.push(format!("{} {}", publish.topic, String::from_utf8_lossy(&publish.payload)));
            }
            Arrived { packet: &packet, connection, messages }
        };
        let goes_on = handle(&arrived, stream).unwrap_or_else(|| match &packet {
            Packet::Connect(_) => say(stream, &connack(ConnectReturnCode::Success)),
            Packet::Subscribe(subscribe) => {
                let granted = vec![SubscribeReasonCode::Success(QoS::AtLeastOnce)];
                say(stream, &encode(Packet::SubAck(SubAck::new(subscribe.pkid, granted))))
            }
            Packet::Publish(publish) => say(stream, &[puback(publish), assigned(publish)].concat()),
            Packet::PingReq => say(stream, &encode(Packet::PingResp)),
            Packet::Disconnect => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        if goes_on.is_break() {
            return;
        }
    }
}
