//! The routes by which MQTT reaches the service.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::error::Error;
use core::time::Duration;
use std::time::Instant;

use super::channel::Channel;
use crate::error::{TransportError, TransportErrorKind as Kind};
use crate::protocol::Request;
#[cfg(feature = "proxy")]
use crate::transport::net::is_about_credentials;
use crate::transport::net::{Connector, after};

/// The time that [`MqttRoute::Auto`] gives port 8883 at most.
const TLS_LIMIT: Duration = Duration::from_secs(10);

/// The route by which an [`MqttTransport`](crate::MqttTransport) reaches the service.
///
/// ```
/// use azure_iot_dps::MqttTransport;
/// use azure_iot_dps::transport::MqttRoute;
///
/// assert_eq!(MqttRoute::default(), MqttRoute::Tls);
/// let transport = MqttTransport::builder().route(MqttRoute::Auto).build();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MqttRoute {
    /// MQTT over TLS, to port 8883 or the endpoint's port.
    #[default]
    Tls,
    /// MQTT over WebSocket in TLS, to port 443 or
    /// [`websocket_port`](super::MqttTransportBuilder::websocket_port).
    ///
    /// Most firewalls and proxies allow this port.
    WebSocket,
    /// MQTT over TLS, and MQTT over WebSocket if that fails.
    ///
    /// TLS has 10 s or half of the remaining time, whichever is less, until its handshake is
    /// complete. The other route is not tried if the name is not resolved, the server's certificate
    /// is not trusted, the device's clock is wrong, the client certificate is refused, or the proxy
    /// refuses the user name and password.
    ///
    /// The route that worked is tried first from then on. WebSocket then has half of the remaining
    /// time. If both routes fail, the error has the kind of the WebSocket failure, and its source
    /// describes both.
    Auto,
}

/// The settings of the route, and the route that worked.
#[derive(Debug)]
pub(super) struct Router {
    pub(super) route: MqttRoute,
    pub(super) websocket_port: u16,
    /// Whether WebSocket was the last route to work.
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

    /// Tries both routes, the one that worked last first.
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
            // The kind of the WebSocket failure counts, whichever route was tried first.
            Err(other) if self.prefers_websocket => Err(neither(&other, error)),
            Err(other) => Err(neither(&error, other)),
        }
    }
}

/// Returns the part of the remaining time for the first route. The rest is for the second route.
fn first_limit(left: Duration) -> Duration {
    left.mul_f32(0.5)
}

fn tls_limit(left: Duration) -> Duration {
    first_limit(left).min(TLS_LIMIT)
}

/// Returns whether the failure may be specific to the port, and not caused by the name, the server,
/// the device or its credentials at a proxy.
fn another_port_may_help(error: &TransportError) -> bool {
    match error.kind() {
        Kind::NameNotResolved
        | Kind::CertificateNotTrusted
        | Kind::ClockNotSet
        | Kind::CertificateRefused
        | Kind::NoCryptoProvider => false,
        #[cfg(feature = "proxy")]
        Kind::ProxyRefused => !is_about_credentials(error),
        _ => true,
    }
}

fn neither(tls: &TransportError, websocket: TransportError) -> TransportError {
    let tls = chain(tls);
    let kind = websocket.kind();
    TransportError::new(kind).with_source(Neither { tls, websocket: websocket.into_source() })
}

/// Formats an error with its sources.
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

/// Both routes failed.
#[derive(Debug, thiserror::Error)]
#[error("MQTT over TLS failed ({tls}), and so did MQTT over WebSocket")]
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
