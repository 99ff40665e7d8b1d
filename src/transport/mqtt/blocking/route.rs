//! The ways on which MQTT reaches the service.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::error::Error;
use core::time::Duration;
use std::time::Instant;

use super::channel::Channel;
use crate::error::{TransportError, TransportErrorKind as Kind};
use crate::protocol::Request;
use crate::transport::net::{Connector, after, is_about_credentials};

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
    /// A name that is not found, a server that is not trusted, a clock that is not set, a client certificate or a proxy's user name that
    /// is refused are no reason to change. What worked comes first for the transport's life, with half of the time that is left,
    /// and the other where that cannot be reached. Where both fail, the error's kind is that of WebSocket, and its cause tells of both.
    Auto,
}

/// Which way to take, and which one worked.
#[derive(Debug)]
pub(super) struct Router {
    pub(super) route: MqttRoute,
    pub(super) websocket_port: u16,
    /// It was the last to work.
    prefers_websocket: bool,
}

impl Default for Router {
    fn default() -> Self {
        Self { route: MqttRoute::default(), websocket_port: 443, prefers_websocket: false }
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
        let left = until.saturating_duration_since(Instant::now());
        let tls = |limit| Channel::open_tls(connector, request, until.min(after(limit)));
        let websocket =
            |limit| Channel::open_websocket(connector, request, self.websocket_port, until.min(after(limit)));
        let first = if self.prefers_websocket { websocket(first_limit(left)) } else { tls(tls_limit(left)) };
        let error = match first {
            Err(error) if another_port_may_help(&error) && !connector.control.is_ended() => error,
            channel_or_final => return channel_or_final,
        };
        let second = if self.prefers_websocket { tls(TLS_LIMIT) } else { websocket(left) };
        match second {
            Ok(channel) => {
                self.prefers_websocket = !self.prefers_websocket;
                Ok(channel)
            }
            // The last resort tells what kind of failure it is.
            Err(other) if self.prefers_websocket => Err(neither(&other, error)),
            Err(other) => Err(neither(&error, other)),
        }
    }
}

/// How much of the time that is left the first way may take: the second one shall have some, too.
fn first_limit(left: Duration) -> Duration {
    left.mul_f32(0.5)
}

fn tls_limit(left: Duration) -> Duration {
    first_limit(left).min(TLS_LIMIT)
}

/// Whether what failed is of the port, and not of the name, the service, the device or its user name at a proxy.
fn another_port_may_help(error: &TransportError) -> bool {
    match error.kind() {
        Kind::NameNotResolved | Kind::CertificateNotTrusted | Kind::ClockNotSet | Kind::CertificateRefused => false,
        Kind::ProxyRefused => !is_about_credentials(error),
        _ => true,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_8883_gets_10_s_at_most_and_half_of_the_time_that_is_left() {
        for (left, limit) in [(55, 10_000), (20, 10_000), (19, 9_500), (4, 2_000), (0, 0)] {
            assert_eq!(tls_limit(Duration::from_secs(left)), Duration::from_millis(limit), "{left} s");
        }
    }
}
