//! A device or module that is connected to its hub over MQTT.
//!
//! Source: Microsoft, "Communicate with an IoT hub using the MQTT protocol".

use std::collections::BTreeMap;
use std::time::Duration;

use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::Publish;

use super::codec::append;
use super::login::{HubLogin, Proof};
use super::output::{Action, End, acknowledgement, message, next_id, send, send_bytes};
use crate::journal::Asked;
use crate::service::{Addressee, Question};
use crate::state::{Delivery, State};
use crate::wire::percent_encode;

/// The most messages that may wait for the acknowledgement of the device.
const MAX_IN_FLIGHT: usize = 8;

const TWIN_ANSWERS: &str = "$iothub/twin/res/#";

#[derive(Debug)]
pub(super) struct HubSession {
    login: HubLogin,
    proof: Proof,
    expires_at: Option<Duration>,
    /// The number of this connection among those of the same client.
    number: u64,
    /// The QoS of the subscription to messages from the cloud.
    messages: Option<QoS>,
    twin: bool,
    last_id: u16,
    /// The lock tokens of unacknowledged messages, by packet ID.
    in_flight: BTreeMap<u16, String>,
}

impl HubSession {
    pub(super) fn new(login: HubLogin, proof: Proof, expires_at: Option<Duration>, state: &mut State) -> Self {
        let number = state.mailboxes.connect(&login.client_id());
        Self { login, proof, expires_at, number, messages: None, twin: false, last_id: 0, in_flight: BTreeMap::new() }
    }

    /// Returns when the hub ends the connection because its token expires.
    pub(super) fn expires_at(&self) -> Option<Duration> {
        self.expires_at
    }

    pub(super) fn is_newest(&self, state: &State) -> bool {
        state.mailboxes.is_connected(&self.login.client_id(), self.number)
    }

    /// Ends the connection and returns unacknowledged messages to the queue.
    pub(super) fn end(&self, state: &mut State) {
        self.in_flight.values().for_each(|token| state.mailboxes.abandon(&self.login.device_id, token));
        state.mailboxes.disconnect(&self.login.client_id(), self.number);
    }

    pub(super) fn subscribe(&mut self, filter: &str, qos: QoS) -> bool {
        if self.is_for_messages(filter) {
            self.messages = Some(qos);
        }
        self.twin |= filter == TWIN_ANSWERS;
        // Methods, desired properties and a module's inputs are granted, but nothing is sent to them.
        filter.starts_with("$iothub/") || filter.starts_with(&self.login.topics())
    }

    pub(super) fn unsubscribe(&mut self, filter: &str) {
        if self.is_for_messages(filter) {
            self.messages = None;
        }
        self.twin &= filter != TWIN_ANSWERS;
    }

    fn is_for_messages(&self, filter: &str) -> bool {
        let rest = filter.strip_prefix(&self.login.topics());
        self.login.module_id.is_none()
            && matches!(rest, Some("messages/devicebound/#" | "messages/devicebound/+" | "#"))
    }

    /// Sends the queued messages from the cloud to the device.
    pub(super) fn send_messages(&mut self, state: &mut State, now: Duration, actions: &mut Vec<Action>) {
        let Some(qos) = self.messages else { return };
        let device_id = &self.login.device_id;
        while self.in_flight.len() < MAX_IN_FLIGHT {
            let Some(given) = state.mailboxes.give(device_id, now) else { return };
            let to = format!("/devices/{device_id}/messages/devicebound");
            let topic = format!("devices/{device_id}/messages/devicebound/%24.to={}", percent_encode(&to));
            let packet_id = (qos == QoS::AtLeastOnce).then(|| free_id(&self.in_flight, &mut self.last_id));
            send(actions, &message(topic, &given.body, packet_id));
            match packet_id {
                Some(packet_id) => {
                    self.in_flight.insert(packet_id, given.lock_token);
                }
                None => {
                    state.mailboxes.complete(device_id, &given.lock_token);
                }
            }
        }
    }

    pub(super) fn acknowledged(&mut self, state: &mut State, packet_id: u16) {
        if let Some(token) = self.in_flight.remove(&packet_id) {
            state.mailboxes.complete(&self.login.device_id, &token);
        }
    }

    pub(super) fn publish(
        &mut self,
        state: &mut State,
        publish: &Publish,
        now: Duration,
        actions: &mut Vec<Action>,
    ) -> Result<(), End> {
        let telemetry = publish.topic.strip_prefix(&self.login.topics());
        if telemetry.is_some_and(|topic| topic.starts_with("messages/events/") || topic == "messages/events") {
            return self.telemetry(state, publish, now, actions);
        }
        let TwinAnswer { status, answer } = TwinAnswer::to(&publish.topic).ok_or(End)?;
        state.note(Asked::Other { text: publish.topic.clone() }, &publish.payload, Some(status), now);
        if let Some(packet) = acknowledgement(publish) {
            send(actions, &packet);
        }
        if let Some((topic, payload)) = answer.filter(|_| self.twin) {
            send(actions, &message(topic, payload, None));
        }
        Ok(())
    }

    fn telemetry(
        &mut self,
        state: &mut State,
        publish: &Publish,
        now: Duration,
        actions: &mut Vec<Action>,
    ) -> Result<(), End> {
        let question = Question {
            asked: Asked::SendMessage { device_id: self.login.device_id.clone() },
            to: Addressee::Hub { module_id: self.login.module_id.as_deref() },
            // A connection without an API version is accepted, too.
            api_version: Some(self.login.api_version.as_deref().unwrap_or_default()),
            credentials: self.proof.credentials(),
            body: &publish.payload,
            id_in_body: false,
        };
        let mut bytes = Vec::new();
        if let Some(packet) = acknowledgement(publish) {
            append(&mut bytes, &packet);
        }
        match state.deliver(&question, Ok(()), now) {
            Delivery::OutOfOrder(reply) | Delivery::Whole { reply, close: false, after: Duration::ZERO }
                if reply.answer.status < 300 =>
            {
                send_bytes(actions, bytes);
                Ok(())
            }
            Delivery::Whole { reply, close, after } if reply.answer.status < 300 => {
                actions.push(Action::Wait(after));
                send_bytes(actions, bytes);
                if close { Err(End) } else { Ok(()) }
            }
            Delivery::Cut { bytes: whole, .. } => {
                bytes.truncate(whole);
                send_bytes(actions, bytes);
                Err(End)
            }
            Delivery::Garbage(bytes) => {
                send_bytes(actions, bytes);
                Err(End)
            }
            // MQTT cannot express a refusal, so the hub closes the connection.
            Delivery::Whole { .. } | Delivery::OutOfOrder(_) | Delivery::Nothing => Err(End),
        }
    }
}

/// Returns a packet ID that no message in flight has.
fn free_id(in_flight: &BTreeMap<u16, String>, last: &mut u16) -> u16 {
    loop {
        let id = next_id(last);
        if !in_flight.contains_key(&id) {
            return id;
        }
    }
}

/// The answer of the hub to a message that is not telemetry.
struct TwinAnswer {
    status: u16,
    /// The topic and the payload, if there is an answer.
    answer: Option<(String, &'static [u8])>,
}

impl TwinAnswer {
    /// Returns the answer to a topic; `None` if the hub does not know the topic.
    fn to(topic: &str) -> Option<Self> {
        const EMPTY_TWIN: &[u8] = br#"{"desired":{"$version":1},"reported":{"$version":1}}"#;
        let (operation, parameters) = topic.strip_prefix("$iothub/")?.split_once("/?")?;
        let rid = parameters.split('&').find_map(|pair| pair.strip_prefix("$rid=")).unwrap_or_default();
        match operation {
            "twin/GET" => {
                let answer = Some((format!("$iothub/twin/res/200/?$rid={rid}"), EMPTY_TWIN));
                Some(Self { status: 200, answer })
            }
            "twin/PATCH/properties/reported" => {
                let answer: Option<(_, &[u8])> = Some((format!("$iothub/twin/res/204/?$rid={rid}&$version=2"), &[]));
                Some(Self { status: 204, answer })
            }
            _ if operation.starts_with("methods/res/") => Some(Self { status: 204, answer: None }),
            _ => None,
        }
    }
}
