//! What a connection does: the bytes that it sends, and its end.

use std::time::Duration;

use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Packet, PubAck, Publish};

use super::codec::append;

/// An action for a client. Actions are done in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Send(Vec<u8>),
    Wait(Duration),
    Close,
}

/// The reason to close the connection.
pub(super) struct End;

/// Appends a packet to the bytes to send.
pub(super) fn send(actions: &mut Vec<Action>, packet: &Packet) {
    let mut bytes = Vec::new();
    append(&mut bytes, packet);
    send_bytes(actions, bytes);
}

/// Appends bytes to the bytes to send.
pub(super) fn send_bytes(actions: &mut Vec<Action>, bytes: Vec<u8>) {
    // Over WebSocket, nothing would be a frame as well.
    if bytes.is_empty() {
        return;
    }
    if let Some(Action::Send(before)) = actions.last_mut() {
        before.extend(bytes);
    } else {
        actions.push(Action::Send(bytes));
    }
}

/// Returns the acknowledgement of a message, if its QoS requires one.
pub(super) fn acknowledgement(publish: &Publish) -> Option<Packet> {
    (publish.qos == QoS::AtLeastOnce).then(|| Packet::PubAck(PubAck::new(publish.pkid)))
}

/// Returns a message for the device, with a packet ID for QoS 1, and with QoS 0 without one.
pub(super) fn message(topic: String, payload: &[u8], packet_id: Option<u16>) -> Packet {
    let qos = if packet_id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
    Packet::Publish(Publish { pkid: packet_id.unwrap_or_default(), ..Publish::new(topic, qos, payload) })
}

/// Returns the next packet ID, which is never 0.
pub(super) fn next_id(last: &mut u16) -> u16 {
    *last = last.checked_add(1).unwrap_or(1);
    *last
}
