//! A device's connection to its hub, over MQTT 3.1.1.
//!
//! It connects, sends one message and disconnects. Replace it with the MQTT client of your choice,
//! which needs the same login.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use core::time::Duration;

use azure_iot_dps::error::{TransportError, TransportErrorKind as Kind};
use azure_iot_dps::hub::{HubFailure, MqttLogin};
use mqttrs::{Connect, Packet, Pid, Protocol, Publish, QosPid, encode_slice};
use rustls::ClientConfig;
use zeroize::Zeroizing;

use crate::board::{say, uptime};
use crate::tls::Tls;

const TIME_LIMIT: Duration = Duration::from_secs(30);
const KEEP_ALIVE: u16 = 240;
/// The maximum length of a packet without its strings and payload, in bytes.
const OVERHEAD: usize = 32;

pub struct Hub(Box<Tls>);

impl Hub {
    /// Connects to the hub. `port` replaces the default port, for example behind a gateway.
    pub fn connect(config: &Arc<ClientConfig>, login: &MqttLogin<'_>, port: Option<u16>) -> Result<Self, HubFailure> {
        let until = uptime() + TIME_LIMIT;
        let tls = Tls::connect(config, login.host(), port.unwrap_or(login.port()), until);
        let mut hub = Self(tls.map_err(judge)?);
        let password = login.password().map(str::as_bytes);
        let length = login.client_id().len() + login.user_name().len() + password.map_or(0, <[u8]>::len);
        let connect = Connect {
            protocol: Protocol::MQTT311,
            keep_alive: KEEP_ALIVE,
            client_id: login.client_id(),
            clean_session: true,
            last_will: None,
            username: Some(login.user_name()),
            password,
        };
        hub.send(&connect.into(), length, until).map_err(judge)?;
        match hub.read(until).map_err(judge)? {
            // CONNACK.
            [0x20, 2, _, 0] => Ok(hub),
            [0x20, 2, _, code] => Err(HubFailure::connack(code)),
            _ => Err(HubFailure::UNREACHABLE),
        }
    }

    /// Sends a message, and waits until the hub acknowledges it.
    pub fn publish(&mut self, device_id: &str, payload: &[u8]) -> Result<(), TransportError> {
        let until = uptime() + TIME_LIMIT;
        let topic = String::from("devices/") + device_id + "/messages/events/";
        let message =
            Publish { dup: false, qospid: QosPid::AtLeastOnce(Pid::new()), retain: false, topic_name: &topic, payload };
        self.send(&message.into(), topic.len() + payload.len(), until)?;
        match self.read(until)? {
            // PUBACK of the first message.
            [0x40, 2, 0, 1] => Ok(()),
            _ => Err(Kind::AnswerBroken.into()),
        }
    }

    pub fn disconnect(mut self) -> Result<(), TransportError> {
        self.send(&Packet::Disconnect, 0, uptime() + TIME_LIMIT)
    }

    /// Sends a packet. `length` is the length of its strings and payload.
    fn send(&mut self, packet: &Packet<'_>, length: usize, until: Duration) -> Result<(), TransportError> {
        let mut buffer = Zeroizing::new(vec![0; length + OVERHEAD]);
        let encoded = encode_slice(packet, &mut buffer).map_err(|_| Kind::Other)?;
        self.0.write_all(buffer.get(..encoded).unwrap_or_default(), until)
    }

    /// Reads a CONNACK or a PUBACK. Both have four bytes.
    fn read(&mut self, until: Duration) -> Result<[u8; 4], TransportError> {
        loop {
            if let Some(answer) = self.0.received.first_chunk().copied() {
                self.0.received.clear();
                return Ok(answer);
            }
            if !self.0.read(until)? {
                return Err(TransportError::from(Kind::AnswerBroken).with_source("the hub closed the connection"));
            }
        }
    }
}

/// Prints why a connection failed, and classifies the failure.
fn judge(error: TransportError) -> HubFailure {
    say!("the hub: {error}");
    match error.kind() {
        Kind::CertificateRefused => HubFailure::CERTIFICATE_REFUSED,
        _ => HubFailure::UNREACHABLE,
    }
}
