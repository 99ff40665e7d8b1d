//! MQTT over any byte stream, and a blocking transport over TLS.
//!
//! [`Exchange`] turns requests into bytes and bytes into answers. It needs neither a feature nor
//! the standard library. `MqttTransport` (feature `mqtt`) adds sockets and TLS. Programs with their
//! own MQTT client need neither of them: see [`protocol::mqtt`](crate::protocol::mqtt).
//!
//! ```
//! use azure_iot_dps::registration::Step;
//! use azure_iot_dps::transport::mqtt::Exchange;
//! # use azure_iot_dps::attestation::AttestationKind;
//! # use azure_iot_dps::registration::{Registration, RegistrationSettings};
//! # use azure_iot_dps::{time::Now, IdScope, RegistrationId};
//! # let uptime = core::time::Duration::ZERO;
//! # let (id_scope, name) = (IdScope::new("0ne00002193")?, RegistrationId::new("my-device")?);
//! # let settings = RegistrationSettings::new(id_scope, name);
//! # let mut registration = Registration::new(&settings, AttestationKind::X509);
//!
//! # let now = Now { unix: None, uptime };
//! # while matches!(registration.step(now)?, Step::Event(_)) {}
//! if let Step::Send(request) = registration.step(now)? {
//!     let mut exchange = Exchange::new(&request)?;
//!     assert_eq!(exchange.output()[0] >> 4, 1); // CONNECT is to be written.
//!     exchange.written(exchange.output().len(), uptime);
//!     exchange.read(b"\x20\x02\x00\x00")?; // CONNACK was read.
//!     assert_eq!(exchange.output()[0] >> 4, 8); // SUBSCRIBE is to be written.
//! }
//! # else { panic!() }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "mqtt")]
mod blocking;
mod exchange;
#[cfg(feature = "mqtt-websocket")]
pub(crate) mod frames;
pub(crate) mod packet;

#[cfg(feature = "mqtt-websocket")]
pub use blocking::MqttRoute;
#[cfg(feature = "mqtt")]
pub use blocking::{MqttTransport, MqttTransportBuilder};
pub use exchange::Exchange;
