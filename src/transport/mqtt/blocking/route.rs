//! The ways on which MQTT reaches the service.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::error::Error;
use core::time::Duration;
use std::time::Instant;

use super::channel::Channel;
use crate::error::{TransportError, TransportErrorKind as Kind};
use crate::protocol::Request;
use crate::transport::net::{Connector, after};

/// The longest that [`MqttRoute::Auto`] waits for port 8883.
const TLS_LIMIT: Duration = Duration::from_secs(10);

/// How an [`MqttTransport`](crate::MqttTransport) reaches the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MqttRoute {
    /// Through TLS, to port 8883 or that of the endpoint.
    #[default]
    Tls,
    /// Through WebSocket in TLS, to port 443 or [`websocket_port`](super::MqttTransportBuilder::websocket_port): most firewalls let
    /// that through, and most proxies.
    WebSocket,
    /// Through TLS and, if no TLS comes about within 10 s or half of the time that is left, through WebSocket.
    ///
    /// A name that is not found, a server that is not trusted, a clock that is not set and a client certificate that is refused are no
    /// reason to change. What worked is kept for the transport's life, until it cannot be reached.
    Auto,
}

/// Which way to take, and which one worked.
#[derive(Debug)]
pub(super) struct Router {
    pub(super) route: MqttRoute,
    pub(super) websocket_port: u16,
    websocket_worked: bool,
}

impl Default for Router {
    fn default() -> Self {
        Self { route: MqttRoute::default(), websocket_port: 443, websocket_worked: false }
    }
}

impl Router {
    pub(super) fn open(
        &mut self,
        connector: &Connector,
        request: &Request<'_>,
        until: Instant,
    ) -> Result<Channel, TransportError> {
        match self.route {
            MqttRoute::Tls => Channel::open_tls(connector, request, until),
            MqttRoute::WebSocket => Channel::open_websocket(connector, request, self.websocket_port, until),
            MqttRoute::Auto => self.open_either(connector, request, until),
        }
    }

    /// Begins with what worked.
    fn open_either(
        &mut self,
        connector: &Connector,
        request: &Request<'_>,
        until: Instant,
    ) -> Result<Channel, TransportError> {
        let tls =
            || Channel::open_tls(connector, request, until.min(after(TLS_LIMIT.min(half_of_what_is_left(until)))));
        let websocket = || Channel::open_websocket(connector, request, self.websocket_port, until);
        let first = if self.websocket_worked { websocket() } else { tls() };
        let error = match first {
            Err(error) if is_of_the_way(error.kind()) && !connector.control.is_ended() => error,
            channel_or_final => return channel_or_final,
        };
        let second = if self.websocket_worked { tls() } else { websocket() };
        match second {
            Ok(channel) => {
                self.websocket_worked = !self.websocket_worked;
                Ok(channel)
            }
            // The last resort tells what kind of failure it is.
            Err(other) if self.websocket_worked => Err(neither(&other, error)),
            Err(other) => Err(neither(&error, other)),
        }
    }
}

fn half_of_what_is_left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()).mul_f32(0.5)
}

/// Whether another port may help.
fn is_of_the_way(kind: Kind) -> bool {
    !matches!(kind, Kind::NameNotResolved | Kind::CertificateNotTrusted | Kind::ClockNotSet | Kind::CertificateRefused)
}

fn neither(tls: &TransportError, websocket: TransportError) -> TransportError {
    let tls = chain(tls);
    let kind = websocket.kind();
    TransportError::new(kind).with_source(Neither { tls, websocket: websocket.into_source() })
}

/// An error with its causes.
fn chain(error: &TransportError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// Both ways failed.
#[derive(Debug, thiserror::Error)]
#[error("neither through TLS ({tls}) nor through WebSocket")]
struct Neither {
    tls: String,
    #[source]
    websocket: Option<Box<dyn Error + Send + Sync>>,
}
