//! The MQTT side of the simulator: one connection, bytes in, actions out.
//!
//! It is not a broker: a client reaches the provisioning service or its hub, and no other client.

mod hub;
mod login;
mod provisioning;

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use hub::HubSession;
use login::Login;
use provisioning::ProvisioningSession;

use crate::simulator::journal::Asked;
use crate::simulator::service::{Credentials, HubCaller};
use crate::simulator::state::State;
use crate::transport::mqtt::packet::{Connect, Frame, FromClient, FromServer, LEVEL, Publish};

/// More than the service and the hub accept, so that they can refuse it themselves.
const MAX_PACKET: usize = 512 * 1024;
/// The first byte of a connection.
const CONNECT: u8 = 0x10;
/// The time that a client has to connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The time that a client has to complete a packet.
const PACKET_LIMIT: Duration = Duration::from_secs(30);

/// An action for a client. Actions are done in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::simulator) enum Action {
    Send(Vec<u8>),
    Wait(Duration),
    Close,
}

/// A connection. Times are since 1970.
#[derive(Debug)]
pub(in crate::simulator) struct Session {
    role: Role,
    certificates: Vec<Vec<u8>>,
    /// The bytes of an incomplete packet; `begun` is when its first bytes came.
    input: Vec<u8>,
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

/// The credentials of a client, kept for the duration of its connection.
#[derive(Debug)]
struct Proof {
    token: Option<String>,
    certificates: Vec<Vec<u8>>,
}

impl Proof {
    fn credentials(&self) -> Credentials<'_> {
        Credentials { token: self.token.as_deref(), certificates: &self.certificates }
    }
}

/// The reason to close the connection.
struct End;

impl Session {
    /// Creates a connection with the certificate chain of the client, which may be empty.
    pub(in crate::simulator) fn new(certificates: Vec<Vec<u8>>, now: Duration) -> Self {
        let (input, actions) = (Vec::new(), Vec::new());
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
    pub(in crate::simulator) fn receive(&mut self, state: &mut State, bytes: &[u8], now: Duration) -> Vec<Action> {
        let mut input = core::mem::take(&mut self.input);
        input.extend(bytes);
        let mut rest = &input[..];
        let result = loop {
            // A client of another protocol is refused at its first byte.
            if matches!(self.role, Role::Nobody) && rest.first().is_some_and(|first| *first != CONNECT) {
                break Err(End);
            }
            match Frame::first(rest, MAX_PACKET) {
                Ok(None) => break Ok(()),
                Err(_) => break Err(End),
                Ok(Some((frame, length))) => {
                    self.heard = now;
                    self.begun = None;
                    rest = rest.get(length..).unwrap_or_default();
                    let handled = FromClient::decode(frame).map_err(|_| End);
                    if let Err(end) = handled.and_then(|packet| self.handle(state, &packet, now)) {
                        break Err(end);
                    }
                }
            }
        };
        let left = rest.len();
        if left > 0 {
            self.begun.get_or_insert(now);
        }
        let done = input.len().saturating_sub(left);
        input.drain(..done);
        self.input = input;
        if let Err(End) = result {
            self.end(state);
            return core::mem::take(&mut self.actions);
        }
        self.poll(state, now)
    }

    /// Does what is due without the client: sends messages from the cloud, and ends a connection
    /// whose time is over.
    pub(in crate::simulator) fn poll(&mut self, state: &mut State, now: Duration) -> Vec<Action> {
        let overdue = self.deadline().is_some_and(|deadline| now >= deadline);
        let replaced = matches!(&self.role, Role::Hub(hub) if !hub.is_newest(state));
        if overdue || replaced {
            self.end(state);
        } else if let Role::Hub(hub) = &mut self.role {
            hub.send_messages(state, now, &mut self.actions);
        }
        core::mem::take(&mut self.actions)
    }

    /// Returns when [`poll`](Self::poll) must be called at the latest.
    pub(in crate::simulator) fn deadline(&self) -> Option<Duration> {
        let silent = self.patience.map(|patience| self.heard.saturating_add(patience));
        let packet = self.begun.map(|begun| begun.saturating_add(PACKET_LIMIT));
        let token = if let Role::Hub(hub) = &self.role { hub.expires_at() } else { None };
        [silent, packet, token].into_iter().flatten().min()
    }

    /// Ends the connection.
    pub(in crate::simulator) fn end(&mut self, state: &mut State) {
        if let Role::Hub(hub) = &self.role {
            hub.end(state);
        }
        self.role = Role::Over;
        self.input = Vec::new();
        self.actions.push(Action::Close);
    }

    fn handle(&mut self, state: &mut State, packet: &FromClient<'_>, now: Duration) -> Result<(), End> {
        match (&mut self.role, packet) {
            (Role::Nobody, FromClient::Connect(connect)) => self.connect(state, connect, now),
            (Role::Nobody | Role::Over, _) | (_, FromClient::Connect(_) | FromClient::Disconnect) => Err(End),
            (_, FromClient::PingReq) => {
                send(&mut self.actions, &FromServer::PingResp);
                Ok(())
            }
            (Role::Provisioning(session), FromClient::Publish(publish)) => {
                session.publish(state, publish, now, &mut self.actions)
            }
            (Role::Hub(session), FromClient::Publish(publish)) => {
                session.publish(state, publish, now, &mut self.actions)
            }
            (role, FromClient::Subscribe { packet_id, filters }) => {
                let codes = filters.iter().map(|(filter, qos)| role.subscribe(filter, *qos)).collect::<Vec<_>>();
                send(&mut self.actions, &FromServer::SubAck { packet_id: *packet_id, codes: &codes });
                Ok(())
            }
            (role, FromClient::Unsubscribe { packet_id, filters }) => {
                for filter in filters {
                    role.unsubscribe(filter);
                }
                send(&mut self.actions, &FromServer::UnsubAck(*packet_id));
                Ok(())
            }
            (role, FromClient::PubAck(packet_id)) => {
                if let Role::Hub(hub) = role {
                    hub.acknowledged(state, *packet_id);
                }
                Ok(())
            }
        }
    }

    fn connect(&mut self, state: &mut State, connect: &Connect<'_>, now: Duration) -> Result<(), End> {
        let accepted = accept(state, connect, &mut self.certificates, now);
        let code = match &accepted {
            Ok(_) => 0,
            Err(code) => *code,
        };
        // Neither the service nor the hub keeps sessions.
        send(&mut self.actions, &FromServer::ConnAck { session_present: false, code });
        self.role = accepted.map_err(|_| End)?;
        // One and a half times the keep-alive. Source: MQTT 3.1.1, section 3.1.2.10.
        let patience = Duration::from_millis(u64::from(connect.keep_alive).saturating_mul(1500));
        self.patience = (!patience.is_zero()).then_some(patience);
        Ok(())
    }
}

/// Accepts a client, or returns the return code that refuses it.
fn accept(
    state: &mut State,
    connect: &Connect<'_>,
    certificates: &mut Vec<Vec<u8>>,
    now: Duration,
) -> Result<Role, u8> {
    const WRONG_LEVEL: u8 = 1;
    const WRONG_CLIENT_ID: u8 = 2;
    const NOT_AUTHORIZED: u8 = 5;
    if connect.level != LEVEL {
        return Err(WRONG_LEVEL);
    }
    let login = connect.user_name.and_then(Login::parse).ok_or(NOT_AUTHORIZED)?;
    if let Some(code) = state.next_connection(&login.asked()) {
        return Err(code);
    }
    if connect.client_id != login.client_id() {
        return Err(WRONG_CLIENT_ID);
    }
    // An empty password counts as none.
    let password = connect.password.filter(|password| !password.is_empty());
    let token = password.and_then(|password| core::str::from_utf8(password).ok()).map(String::from);
    let proof = Proof { token, certificates: core::mem::take(certificates) };
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
    fn subscribe(&mut self, filter: &str, qos: u8) -> u8 {
        let granted = match self {
            Self::Provisioning(session) => session.subscribe(filter),
            Self::Hub(session) => session.subscribe(filter, qos.min(1)),
            Self::Nobody | Self::Over => false,
        };
        if granted { qos.min(1) } else { crate::transport::mqtt::packet::REFUSED }
    }

    fn unsubscribe(&mut self, filter: &str) {
        match self {
            Self::Provisioning(session) => session.unsubscribe(filter),
            Self::Hub(session) => session.unsubscribe(filter),
            Self::Nobody | Self::Over => {}
        }
    }
}

/// Appends a packet to the bytes to send.
fn send(actions: &mut Vec<Action>, packet: &FromServer<'_>) {
    if let Some(Action::Send(bytes)) = actions.last_mut() {
        append(bytes, packet);
    } else {
        let mut bytes = Vec::new();
        append(&mut bytes, packet);
        actions.push(Action::Send(bytes));
    }
}

/// Appends a packet to bytes.
///
/// Only a scripted answer can be too long for MQTT. Such a packet is left out.
fn append(bytes: &mut Vec<u8>, packet: &FromServer<'_>) {
    let length = bytes.len();
    if packet.encode(bytes).is_err() {
        bytes.truncate(length);
    }
}

/// Returns the acknowledgement of a message, if its QoS requires one.
fn acknowledgement(publish: &Publish<'_>) -> Option<FromServer<'static>> {
    publish.packet_id.map(FromServer::PubAck)
}

/// Returns the next packet ID, which is never 0.
fn next_id(last: &mut u16) -> u16 {
    *last = last.checked_add(1).unwrap_or(1);
    *last
}
