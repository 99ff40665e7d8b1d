//! A device that is connected to the provisioning service over MQTT.

use std::time::Duration;

use rumqttc::mqttbytes::v4::{Packet, Publish};

use super::codec::append;
use super::login::{Proof, ProvisioningLogin};
use super::output::{Action, End, acknowledgement, message, next_id, send_bytes};
use crate::journal::Asked;
use crate::service::{Addressee, Question};
use crate::state::{Delivery, Reply, State};
use crate::wire::percent_decode;

/// The topic filter of the answers of the service.
const ANSWERS: &str = "$dps/registrations/res/#";

#[derive(Debug)]
pub(super) struct ProvisioningSession {
    login: ProvisioningLogin,
    proof: Proof,
    subscribed: bool,
    last_id: u16,
}

impl ProvisioningSession {
    pub(super) fn new(login: ProvisioningLogin, proof: Proof) -> Self {
        Self { login, proof, subscribed: false, last_id: 0 }
    }

    pub(super) fn subscribe(&mut self, filter: &str) -> bool {
        let granted = filter == ANSWERS;
        self.subscribed |= granted;
        granted
    }

    pub(super) fn unsubscribe(&mut self, filter: &str) {
        self.subscribed &= filter != ANSWERS;
    }

    pub(super) fn publish(
        &mut self,
        state: &mut State,
        publish: &Publish,
        now: Duration,
        actions: &mut Vec<Action>,
    ) -> Result<(), End> {
        // A client that publishes to an unknown topic is disconnected.
        let (asked, rid) = self.asked(&publish.topic).ok_or(End)?;
        let question = Question {
            asked,
            to: Addressee::Service { id_scope: &self.login.id_scope },
            api_version: self.login.api_version.as_deref(),
            credentials: self.proof.credentials(),
            body: &publish.payload,
            id_in_body: false,
        };
        let delivery = state.deliver(&question, Ok(()), now);
        let acknowledgement = acknowledgement(publish);
        let mut bytes = Vec::new();
        let mut put = |packet: Option<&Packet>| packet.into_iter().for_each(|it| append(&mut bytes, it));
        match delivery {
            Delivery::Nothing => return Err(End),
            Delivery::Garbage(bytes) => {
                send_bytes(actions, bytes);
                return Err(End);
            }
            Delivery::OutOfOrder(reply) => {
                self.with_answer(&reply, rid, |answer| put(Some(answer)));
                put(acknowledgement.as_ref());
                send_bytes(actions, bytes);
            }
            Delivery::Cut { reply, bytes: whole } => {
                put(acknowledgement.as_ref());
                self.with_answer(&reply, rid, |answer| put(Some(answer)));
                bytes.truncate(whole);
                send_bytes(actions, bytes);
                return Err(End);
            }
            Delivery::Whole { reply, after, close } => {
                if !after.is_zero() {
                    actions.push(Action::Wait(after));
                }
                put(acknowledgement.as_ref());
                self.with_answer(&reply, rid, |answer| put(Some(answer)));
                send_bytes(actions, bytes);
                if close {
                    return Err(End);
                }
            }
        }
        Ok(())
    }

    /// Returns what a message to this topic asks, and its `$rid` as sent.
    fn asked<'t>(&self, topic: &'t str) -> Option<(Asked, &'t str)> {
        let (operation, parameters) = topic.strip_prefix("$dps/registrations/")?.split_once("/?")?;
        let parameter = |name: &str| {
            let mut pairs = parameters.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(it, _)| *it == name).map(|(_, value)| value)
        };
        let registration_id = self.login.registration_id.clone();
        let asked = match operation {
            "PUT/iotdps-register" => Asked::Register { registration_id },
            "GET/iotdps-get-operationstatus" => {
                Asked::OperationStatus { registration_id, operation_id: percent_decode(parameter("operationId")?) }
            }
            _ => return None,
        };
        Some((asked, parameter("$rid").unwrap_or_default()))
    }

    /// Passes the answering message to `hand_out` if the device has subscribed to answers.
    fn with_answer(&mut self, reply: &Reply, rid: &str, hand_out: impl FnOnce(&Packet)) {
        if !self.subscribed {
            return;
        }
        let scripted = reply.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
        let told = reply.answer.retry_after.map(|delay| delay.as_secs().to_string());
        let retry_after = scripted.map(|(_, value)| value.clone()).or(told);
        let retry_after = retry_after.map(|value| format!("&retry-after={value}")).unwrap_or_default();
        let topic = format!("$dps/registrations/res/{}/?$rid={rid}{retry_after}", reply.answer.status);
        let payload = reply.body.as_deref().unwrap_or(&reply.answer.json);
        hand_out(&message(topic, payload, Some(next_id(&mut self.last_id))));
    }
}
