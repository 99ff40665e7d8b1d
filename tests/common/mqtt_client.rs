//! The client's side of MQTT, by a codec that neither the library nor the simulator has.
//!
//! Source: OASIS, "MQTT Version 3.1.1"; section numbers below refer to it.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    clippy::panic,
    reason = "each suite uses a part, and a test may panic"
)]

pub use mqtt::QualityOfService as QoS;
pub use mqtt::control::ConnectReturnCode;
use mqtt::control::variable_header::ProtocolLevel;
use mqtt::packet::{
    ConnectPacket, DisconnectPacket, EncodablePacket, PingreqPacket, PubackPacket, PublishPacket,
    QoSWithPacketIdentifier, SubscribePacket, UnsubscribePacket, VariablePacket, suback::SubscribeReturnCode,
};
use mqtt::{Decodable, Encodable, TopicFilter, TopicName};

/// A packet that a server sends.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet {
    ConnAck {
        code: ConnectReturnCode,
        session_present: bool,
    },
    Publish(Message),
    /// With the packet ID, like those that follow.
    PubAck(u16),
    SubAck(u16, Vec<Granted>),
    UnsubAck(u16),
    PingResp,
}

/// A message for the client.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    /// `None` for QoS 0. No server here sends QoS 2.
    pub packet_id: Option<u16>,
}

/// The answer to a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granted {
    AtMostOnce,
    AtLeastOnce,
    ExactlyOnce,
    Refused,
}

/// The ID of a client's subscriptions.
const SUBSCRIPTION: u16 = 5;
/// The ID of a client's messages.
pub const MESSAGE: u16 = 9;

// Packets of a client, as bytes

pub fn connect(client_id: &str, user_name: &str, password: &str, keep_alive: u16) -> Vec<u8> {
    let mut connect = ConnectPacket::new(client_id);
    connect.set_clean_session(true);
    connect.set_keep_alive(keep_alive);
    connect.set_user_name(Some(user_name.into()));
    connect.set_password(Some(password.into()));
    encode(&connect)
}

pub fn publish(packet_id: u16, topic: &str, qos: QoS, payload: &str) -> Vec<u8> {
    let topic = TopicName::new(topic).expect("a topic name");
    encode(&PublishPacket::new(topic, QoSWithPacketIdentifier::new(qos, packet_id), payload))
}

pub fn subscribe(packet_id: u16, filter: &str, qos: QoS) -> Vec<u8> {
    encode(&SubscribePacket::new(packet_id, vec![(TopicFilter::new(filter).expect("a topic filter"), qos)]))
}

pub fn unsubscribe(packet_id: u16, filter: &str) -> Vec<u8> {
    encode(&UnsubscribePacket::new(packet_id, vec![TopicFilter::new(filter).expect("a topic filter")]))
}

pub fn puback(packet_id: u16) -> Vec<u8> {
    encode(&PubackPacket::new(packet_id))
}

pub fn pingreq() -> Vec<u8> {
    encode(&PingreqPacket::new())
}

pub fn disconnect() -> Vec<u8> {
    encode(&DisconnectPacket::new())
}

fn encode(packet: &impl Encodable) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(&mut bytes).expect("writes");
    bytes
}

// A client

/// What carries the bytes of a client.
pub trait Link {
    fn write(&mut self, bytes: &[u8]);

    /// Returns the bytes that come next, or `None` if none come.
    fn read(&mut self) -> Option<Vec<u8>>;

    /// Returns whether the server has closed the connection.
    fn is_closed(&mut self) -> bool;
}

/// A client that sends any bytes, and receives nothing but what the standard allows.
pub struct Client<L> {
    pub link: L,
    bytes: Vec<u8>,
}

impl<L: Link> Client<L> {
    pub fn new(link: L) -> Self {
        Self { link, bytes: Vec::new() }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.link.write(bytes);
    }

    /// Returns the packet that comes next, or `None` if none comes.
    pub fn receive(&mut self) -> Option<Packet> {
        loop {
            if let Some(packet) = received(&mut self.bytes) {
                return Some(packet);
            }
            self.bytes.extend(self.link.read()?);
        }
    }

    pub fn is_closed(&mut self) -> bool {
        self.bytes.is_empty() && self.link.is_closed()
    }

    pub fn connect(&mut self, client_id: &str, user_name: &str, password: &str, keep_alive: u16) -> ConnectReturnCode {
        self.send(&connect(client_id, user_name, password, keep_alive));
        match self.receive() {
            Some(Packet::ConnAck { code, session_present: false }) => code,
            other => panic!("{other:?}"),
        }
    }

    pub fn subscribe(&mut self, filter: &str, qos: QoS) -> Granted {
        self.send(&subscribe(SUBSCRIPTION, filter, qos));
        match self.receive() {
            Some(Packet::SubAck(SUBSCRIPTION, granted)) if granted.len() == 1 => granted[0],
            other => panic!("{other:?}"),
        }
    }

    pub fn unsubscribe(&mut self, filter: &str) {
        self.send(&unsubscribe(SUBSCRIPTION, filter));
        assert_eq!(self.receive(), Some(Packet::UnsubAck(SUBSCRIPTION)));
    }

    /// Sends a message with the ID [`MESSAGE`].
    pub fn publish(&mut self, topic: &str, qos: QoS, payload: &str) {
        self.send(&publish(MESSAGE, topic, qos, payload));
    }

    /// Returns the message that comes next.
    pub fn message(&mut self) -> Message {
        match self.receive() {
            Some(Packet::Publish(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    pub fn acknowledge(&mut self, message: &Message) {
        self.send(&puback(message.packet_id.expect("QoS 1")));
    }

    /// Sends a ping and returns whether it is answered.
    pub fn ping(&mut self) -> bool {
        self.send(&pingreq());
        self.receive() == Some(Packet::PingResp)
    }
}

/// Takes the first packet of a server from the bytes, if it is complete.
pub fn received(bytes: &mut Vec<u8>) -> Option<Packet> {
    let packet = take(bytes).expect("a packet of the standard")?;
    Some(match packet {
        VariablePacket::ConnackPacket(ack) => {
            Packet::ConnAck { code: ack.connect_return_code(), session_present: ack.connack_flags().session_present }
        }
        VariablePacket::PublishPacket(publish) => Packet::Publish(Message {
            topic: publish.topic_name().into(),
            payload: publish.payload().into(),
            packet_id: match publish.qos() {
                QoSWithPacketIdentifier::Level0 => None,
                QoSWithPacketIdentifier::Level1(id) => Some(id),
                QoSWithPacketIdentifier::Level2(_) => panic!("QoS 2"),
            },
        }),
        VariablePacket::PubackPacket(ack) => Packet::PubAck(ack.packet_identifier()),
        VariablePacket::SubackPacket(ack) => {
            Packet::SubAck(ack.packet_identifier(), ack.subscribes().iter().map(|code| Granted::from(*code)).collect())
        }
        VariablePacket::UnsubackPacket(ack) => Packet::UnsubAck(ack.packet_identifier()),
        VariablePacket::PingrespPacket(_) => Packet::PingResp,
        other => panic!("no packet of a server: {other:?}"),
    })
}

impl From<SubscribeReturnCode> for Granted {
    fn from(code: SubscribeReturnCode) -> Self {
        match code {
            SubscribeReturnCode::MaximumQoSLevel0 => Self::AtMostOnce,
            SubscribeReturnCode::MaximumQoSLevel1 => Self::AtLeastOnce,
            SubscribeReturnCode::MaximumQoSLevel2 => Self::ExactlyOnce,
            SubscribeReturnCode::Failure => Self::Refused,
        }
    }
}

// What the standard says of a packet

/// Takes the first packet from the bytes, if it is complete. The error tells what the standard
/// forbids.
pub fn take(bytes: &mut Vec<u8>) -> Result<Option<VariablePacket>, String> {
    let Some(length) = length(bytes)? else { return Ok(None) };
    let packet: Vec<u8> = bytes.drain(..length).collect();
    let told = |what: &dyn std::fmt::Display| format!("{what}: {packet:02x?}");
    let decoded = VariablePacket::decode(&mut &packet[..]).map_err(|error| told(&error))?;
    // The codec keeps the remaining length that it read, and does not write what it left over.
    if encode(&decoded) != packet {
        return Err(told(&"it is encoded in another way"));
    }
    flaw(&decoded).map_or(Ok(Some(decoded)), |flaw| Err(told(&flaw)))
}

/// Returns the length of the first packet, if it is complete (section 2.2.3).
fn length(bytes: &[u8]) -> Result<Option<usize>, String> {
    let mut length = 0;
    for (place, byte) in bytes.iter().skip(1).enumerate() {
        if place == 4 {
            return Err("a remaining length of more than four bytes".into());
        }
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            let whole = length + place + 2;
            return Ok((bytes.len() >= whole).then_some(whole));
        }
    }
    Ok(None)
}

/// Returns what the standard forbids of the packet and the codec does not check.
fn flaw(packet: &VariablePacket) -> Option<&'static str> {
    let mut texts: Vec<&str> = Vec::new();
    let mut packet_id = None;
    let mut flaws = Vec::new();
    match packet {
        VariablePacket::ConnectPacket(connect) => {
            let is_3_1_1 = connect.protocol_name() == "MQTT" && connect.protocol_level() == ProtocolLevel::Version311;
            let will = (connect.will_qos(), connect.will_retain());
            flaws.extend([
                (!is_3_1_1, "another version (sections 3.1.2.1 and 3.1.2.2)"),
                (connect.will().is_none() && will != (0, false), "flags of no will (sections 3.1.2.6 and 3.1.2.7)"),
                (will.0 == 3, "a will with QoS 3 (section 3.1.2.6)"),
                (connect.user_name().is_none() && connect.password().is_some(), "no user name (section 3.1.2.9)"),
                (connect.client_identifier().is_empty() && !connect.clean_session(), "no client ID (section 3.1.3.1)"),
            ]);
            texts.push(connect.client_identifier());
            texts.extend(connect.user_name());
            texts.extend(connect.will().map(|(topic, _)| topic));
        }
        VariablePacket::ConnackPacket(ack) => {
            let is_refused = ack.connect_return_code() != ConnectReturnCode::ConnectionAccepted;
            let is_reserved = matches!(ack.connect_return_code(), ConnectReturnCode::Reserved(_));
            flaws.push((ack.connack_flags().session_present && is_refused, "a session (section 3.2.2.2)"));
            flaws.push((is_reserved, "a reserved return code (section 3.2.2.3)"));
        }
        VariablePacket::PublishPacket(publish) => {
            match publish.qos() {
                QoSWithPacketIdentifier::Level0 => {
                    // The codec looks for DUP at another place.
                    let has_dup = packet.fixed_header().packet_type.flags() & 0x08 != 0;
                    flaws.push((has_dup, "DUP with QoS 0 (section 3.3.1.1)"));
                }
                QoSWithPacketIdentifier::Level1(id) | QoSWithPacketIdentifier::Level2(id) => packet_id = Some(id),
            }
            texts.push(publish.topic_name());
        }
        VariablePacket::PubackPacket(ack) => packet_id = Some(ack.packet_identifier()),
        VariablePacket::PubrecPacket(ack) => packet_id = Some(ack.packet_identifier()),
        VariablePacket::PubrelPacket(ack) => packet_id = Some(ack.packet_identifier()),
        VariablePacket::PubcompPacket(ack) => packet_id = Some(ack.packet_identifier()),
        VariablePacket::SubscribePacket(subscribe) => {
            packet_id = Some(subscribe.packet_identifier());
            texts.extend(subscribe.subscribes().iter().map(|(filter, _)| &filter[..]));
            flaws.push((subscribe.subscribes().is_empty(), "no topic filter (section 3.8.3)"));
        }
        VariablePacket::SubackPacket(ack) => {
            packet_id = Some(ack.packet_identifier());
            flaws.push((ack.subscribes().is_empty(), "no return code (section 3.9.3)"));
        }
        VariablePacket::UnsubscribePacket(unsubscribe) => {
            packet_id = Some(unsubscribe.packet_identifier());
            texts.extend(unsubscribe.subscribes().iter().map(|filter| &filter[..]));
            flaws.push((unsubscribe.subscribes().is_empty(), "no topic filter (section 3.10.3)"));
        }
        VariablePacket::UnsubackPacket(ack) => packet_id = Some(ack.packet_identifier()),
        VariablePacket::PingreqPacket(_) | VariablePacket::PingrespPacket(_) | VariablePacket::DisconnectPacket(_) => {}
    }
    flaws.push((packet_id == Some(0), "packet ID 0 (section 2.3.1)"));
    flaws.push((texts.iter().any(|text| text.contains('\0')), "U+0000 in a string (section 1.5.3)"));
    flaws.into_iter().find_map(|(is_there, flaw)| is_there.then_some(flaw))
}
