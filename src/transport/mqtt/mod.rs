//! MQTT: the exchange of bytes for whoever has a byte stream, and a transport over TLS.
//!
//! [`Exchange`] needs neither a feature nor the standard library. `MqttTransport` is the one that works out of the box (feature
//! `mqtt`). Whoever has an MQTT client needs neither: see [`protocol::mqtt`](crate::protocol::mqtt).

#[cfg(feature = "mqtt")]
mod blocking;
mod exchange;
#[cfg(any(feature = "mqtt-websocket", feature = "simulator-server"))]
pub(crate) mod frames;
pub(crate) mod packet;

#[cfg(feature = "mqtt-websocket")]
pub use blocking::MqttRoute;
#[cfg(feature = "mqtt")]
pub use blocking::{MqttTransport, MqttTransportBuilder};
pub use exchange::Exchange;
