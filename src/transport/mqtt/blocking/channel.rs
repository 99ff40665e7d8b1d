//! The byte streams that carry MQTT.

use std::io::{self, Read, Write};
use std::time::Instant;

#[cfg(feature = "mqtt-websocket")]
use super::websocket::WebSocket;
use crate::error::TransportError;
use crate::protocol::Request;
#[cfg(feature = "mqtt-websocket")]
use crate::transport::net::Told;
use crate::transport::net::{Connector, TlsStream};

/// A byte stream that carries MQTT: TLS, or WebSocket in TLS.
pub(super) enum Channel {
    Tls(TlsStream),
    #[cfg(feature = "mqtt-websocket")]
    WebSocket(WebSocket),
}

impl Channel {
    /// Connects over TLS, to the port of MQTT.
    pub(super) fn open_tls(
        connector: &Connector,
        request: &Request<'_>,
        until: Instant,
    ) -> Result<Self, TransportError> {
        connector.connect(request.endpoint().host().as_str(), request.mqtt().port(), until).map(Self::Tls)
    }

    /// Connects over TLS to this port, and opens a WebSocket there.
    #[cfg(feature = "mqtt-websocket")]
    pub(super) fn open_websocket(
        connector: &Connector,
        request: &Request<'_>,
        port: u16,
        until: Instant,
    ) -> Result<Self, TransportError> {
        let host = request.endpoint().host();
        let stream = connector.connect(host.as_str(), port, until)?;
        WebSocket::open(stream, host, port).map(Self::WebSocket)
    }

    /// Sets the time after which reads and writes fail with [`io::ErrorKind::TimedOut`].
    pub(super) fn set_deadline(&mut self, until: Instant) {
        match self {
            Self::Tls(stream) => stream.set_deadline(until),
            #[cfg(feature = "mqtt-websocket")]
            Self::WebSocket(websocket) => websocket.stream().set_deadline(until),
        }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tls(stream) => stream.read(buffer),
            #[cfg(feature = "mqtt-websocket")]
            Self::WebSocket(websocket) => websocket.read(buffer),
        }
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
            #[cfg(feature = "mqtt-websocket")]
            Self::WebSocket(websocket) => websocket.send(bytes),
        }
    }

    /// Announces the end of the connection to the peer, without waiting for an answer.
    pub(super) fn close(&mut self) {
        match self {
            Self::Tls(stream) => stream.close(),
            #[cfg(feature = "mqtt-websocket")]
            Self::WebSocket(websocket) => websocket.close(),
        }
    }

    /// Returns why the connection ended, if the peer gave a reason or violated the protocol.
    ///
    /// The token's signature is replaced in the peer's text.
    #[cfg(feature = "mqtt-websocket")]
    pub(super) fn why_it_ended(&self, signature: &str) -> Option<Told> {
        match self {
            Self::Tls(_) => None,
            Self::WebSocket(websocket) => websocket.why_it_ended(signature),
        }
    }
}
