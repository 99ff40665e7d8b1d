//! The MQTT side of the simulator: one connection, bytes in, actions out.
//!
//! It is not a broker: a client reaches the provisioning service or its hub, and no other client.

mod codec;
mod hub;
mod login;
mod output;
mod provisioning;

use std::time::Duration;

use bytes::BytesMut;
use codec::Refused;
use hub::HubSession;
use login::{Login, Proof};
pub(crate) use output::Action;
use output::{End, send, send_bytes};
use provisioning::ProvisioningSession;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{ConnAck, Connect, ConnectReturnCode, Packet, SubAck, SubscribeReasonCode, UnsubAck};

use crate::journal::Asked;
use crate::service::HubCaller;
use crate::state::State;

/// The first byte of a connection.
const CONNECT: u8 = 0x10;
/// The return code for a client of another version of MQTT.
const OTHER_VERSION: u8 = 1;
/// The time that a client has to connect. An emulated board on a busy machine is slow.
const CONNECT_LIMIT: Duration = Duration::from_secs(60);
/// The time that a client has to complete a packet.
const PACKET_LIMIT: Duration = Duration::from_secs(30);

/// A connection. Times are since 1970.
#[derive(Debug)]
pub(crate) struct Session {
    role: Role,
    certificates: Vec<Vec<u8>>,
    /// The bytes of an incomplete packet; `begun` is when its first bytes came.
    input: BytesMut,
    begun: Option<Duration>,
    /// The time when the connection was opened or the last packet came.
    heard: Duration,
    /// How long the client may be silent; `None` means without limit.
    patience: Option<Duration>,
    actions: Vec<Action>,
}

#[derive(Debug)]
enum Role {
    /// The client has not sent a CONNECT packet yet.
    Nobody,
    Provisioning(ProvisioningSession),
    Hub(HubSession),
    Over,
}

impl Session {
    /// Creates a connection with the certificate chain of the client, which may be empty.
    pub(crate) fn new(certificates: Vec<Vec<u8>>, now: Duration) -> Self {
        let (input, actions) = (BytesMut::new(), Vec::new());
        Self {
            role: Role::Nobody,
            certificates,
            input,
            begun: None,
            heard: now,
            patience: Some(CONNECT_LIMIT),
            actions,
        }
    }

    /// Handles bytes that a client sent.
    pub(crate) fn receive(&mut self, state: &mut State, bytes: &[u8], now: Duration) -> Vec<Action> {
        self.input.extend(bytes);
        let result = loop {
            // A client of another protocol is refused at its first byte.
            if matches!(self.role, Role::Nobody) && self.input.first().is_some_and(|first| *first != CONNECT) {
                break Err(End);
            }
            let packet = match codec::take(&mut self.input) {
                Ok(None) => break Ok(()),
                Ok(Some(packet)) => packet,
                Err(Refused::OtherVersion) => {
                    self.refuse(OTHER_VERSION);
                    break Err(End);
                }
                Err(Refused::Malformed) => break Err(End),
            };
            self.heard = now;
            self.begun = None;
            if let Err(end) = self.handle(state, packet, now) {
                break Err(end);
            }
        };
        if !self.input.is_empty() {
            self.begun.get_or_insert(now);
        }
        if let Err(End) = result {
            self.end(state);
            return std::mem::take(&mut self.actions);
        }
        self.poll(state, now)
    }

    /// Does what is due without the client: sends messages from the cloud, and ends a connection
    /// whose time is over.
    pub(crate) fn poll(&mut self, state: &mut State, now: Duration) -> Vec<Action> {
        let overdue = self.deadline().is_some_and(|deadline| now >= deadline);
        let replaced = matches!(&self.role, Role::Hub(hub) if !hub.is_newest(state));
        if overdue || replaced {
            self.end(state);
        } else if let Role::Hub(hub) = &mut self.role {
            hub.send_messages(state, now, &mut self.actions);
        }
        std::mem::take(&mut self.actions)
    }

    /// Returns when [`poll`](Self::poll) must be called at the latest.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let silent = self.patience.map(|patience| self.heard.saturating_add(patience));
        let packet = self.begun.map(|begun| begun.saturating_add(PACKET_LIMIT));
        let token = if let Role::Hub(hub) = &self.role { hub.expires_at() } else { None };
        [silent, packet, token].into_iter().flatten().min()
    }

    /// Ends the connection.
    pub(crate) fn end(&mut self, state: &mut State) {
        if let Role::Hub(hub) = &self.role {
            hub.end(state);
        }
        self.role = Role::Over;
        self.input = BytesMut::new();
        self.actions.push(Action::Close);
    }

    fn handle(&mut self, state: &mut State, packet: Packet, now: Duration) -> Result<(), End> {
        match (&mut self.role, packet) {
            (Role::Nobody, Packet::Connect(connect)) => return self.connect(state, &connect, now),
            (Role::Nobody | Role::Over, _) | (_, Packet::Connect(_) | Packet::Disconnect) => return Err(End),
            (_, Packet::PingReq) => send(&mut self.actions, &Packet::PingResp),
            (Role::Provisioning(session), Packet::Publish(publish)) => {
                return session.publish(state, &publish, now, &mut self.actions);
            }
            (Role::Hub(session), Packet::Publish(publish)) => {
                return session.publish(state, &publish, now, &mut self.actions);
            }
            (role, Packet::Subscribe(subscribe)) => {
                let codes = subscribe.filters.iter().map(|filter| role.subscribe(&filter.path, filter.qos)).collect();
                send(&mut self.actions, &Packet::SubAck(SubAck::new(subscribe.pkid, codes)));
            }
            (role, Packet::Unsubscribe(unsubscribe)) => {
                unsubscribe.topics.iter().for_each(|topic| role.unsubscribe(topic));
                send(&mut self.actions, &Packet::UnsubAck(UnsubAck::new(unsubscribe.pkid)));
            }
            (Role::Hub(hub), Packet::PubAck(ack)) => hub.acknowledged(state, ack.pkid),
            (Role::Provisioning(_), Packet::PubAck(_)) => {}
            _ => return Err(End),
        }
        Ok(())
    }

    /// Sends the return code of a refused connection.
    fn refuse(&mut self, code: u8) {
        // The codec knows the codes of the standard only. A test may script any.
        send_bytes(&mut self.actions, vec![0x20, 2, 0, code]);
    }

    fn connect(&mut self, state: &mut State, connect: &Connect, now: Duration) -> Result<(), End> {
        match accept(state, connect, &mut self.certificates, now) {
            // Neither the service nor the hub keeps sessions.
            Ok(role) => {
                send(&mut self.actions, &Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, false)));
                self.role = role;
            }
            Err(code) => {
                self.refuse(code);
                return Err(End);
            }
        }
        // One and a half times the keep-alive. Source: MQTT 3.1.1, section 3.1.2.10.
        let patience = Duration::from_millis(u64::from(connect.keep_alive).saturating_mul(1500));
        self.patience = (!patience.is_zero()).then_some(patience);
        Ok(())
    }
}

/// Accepts a client, or returns the return code that refuses it.
fn accept(state: &mut State, connect: &Connect, certificates: &mut Vec<Vec<u8>>, now: Duration) -> Result<Role, u8> {
    const WRONG_CLIENT_ID: u8 = 2;
    const NOT_AUTHORIZED: u8 = 5;
    let sent = connect.login.as_ref().ok_or(NOT_AUTHORIZED)?;
    let login = Login::parse(&sent.username).ok_or(NOT_AUTHORIZED)?;
    if let Some(code) = state.next_connection(&login.asked()) {
        return Err(code);
    }
    if connect.client_id != login.client_id() {
        return Err(WRONG_CLIENT_ID);
    }
    // An empty password counts as none.
    let token = Some(sent.password.clone()).filter(|password| !password.is_empty());
    let proof = Proof { token, certificates: std::mem::take(certificates) };
    match login {
        // The service checks the token at each request.
        Login::Provisioning(login) => Ok(Role::Provisioning(ProvisioningSession::new(login, proof))),
        Login::Hub(login) => {
            let asked = Asked::Connect { device_id: login.device_id.clone() };
            let module_id = login.module_id.as_deref();
            let caller = state.service().authorize_to_hub(
                &login.device_id,
                module_id,
                Some(&login.hub),
                proof.credentials(),
                now,
            );
            let status = caller.as_ref().map_or_else(|answer| answer.status, |_| 200);
            state.note(asked, &[], Some(status), now);
            let HubCaller { expires_at, .. } = caller.map_err(|_| NOT_AUTHORIZED)?;
            Ok(Role::Hub(HubSession::new(login, proof, expires_at, state)))
        }
    }
}

impl Role {
    /// Grants or refuses a subscription. The highest QoS is 1.
    fn subscribe(&mut self, filter: &str, qos: QoS) -> SubscribeReasonCode {
        let qos = if qos == QoS::AtMostOnce { qos } else { QoS::AtLeastOnce };
        let granted = match self {
            Self::Provisioning(session) => session.subscribe(filter),
            Self::Hub(session) => session.subscribe(filter, qos),
            Self::Nobody | Self::Over => false,
        };
        if granted { SubscribeReasonCode::Success(qos) } else { SubscribeReasonCode::Failure }
    }

    fn unsubscribe(&mut self, filter: &str) {
        match self {
            Self::Provisioning(session) => session.unsubscribe(filter),
            Self::Hub(session) => session.unsubscribe(filter),
            Self::Nobody | Self::Over => {}
        }
    }
}
