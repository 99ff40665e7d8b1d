//! The blocking transport over MQTT and TLS.

mod channel;
mod connection;
#[cfg(feature = "mqtt-websocket")]
mod route;
#[cfg(feature = "mqtt-websocket")]
mod websocket;

use core::fmt;
use std::time::Instant;

#[cfg(not(feature = "mqtt-websocket"))]
use channel::Channel;
use connection::Connection;
#[cfg(feature = "mqtt-websocket")]
pub use route::MqttRoute;
#[cfg(feature = "mqtt-websocket")]
use route::Router;

use super::Exchange;
use crate::error::TransportError;
use crate::protocol::{Request, Response};
use crate::transport::Transport;
use crate::transport::net::{Connector, NetBuilder, REQUEST_LIMIT, after, net_handles, net_settings};

/// A blocking transport over MQTT 3.1.1 on port 8883, with TLS 1.2 or 1.3 from rustls.
///
/// With the feature `mqtt-websocket`, it also supports WebSocket on port 443: see
/// `MqttTransportBuilder::route`.
///
/// - Time limits: 10 s for a name lookup and 30 s for connecting, proxy and TLS included. A whole
///   request takes at most 55 s or [`Request::time_limit`], whichever is less.
/// - No proxy is read from the environment. An answer has at most 128 KiB.
/// - One connection serves a whole registration. A new one is opened if the last one was idle for
///   230 s or more, or if the token, the client certificate or the roots have changed.
/// - A request that was lost with its connection is sent once more on a new one.
/// - Neither the connection nor the address is kept after a second 5xx in a row.
/// - A name lookup that hangs in the system occupies one thread, however often it is requested.
/// - TLS supports neither the RSA key exchange nor the curve P-521, because rustls on ring does
///   not. The WebSocket handshake uses HTTP/1.1.
/// - `MqttRoute::Auto` may connect twice within these limits. The pings of a WebSocket server are
///   answered only during a request.
///
/// MQTT has no status lookup. Therefore
/// [`status_lookup`](crate::ProvisioningClient::status_lookup) fails with
/// [`Unsupported`](crate::error::TransportErrorKind::Unsupported), and
/// [`look_up_or_register`](crate::ProvisioningClient::look_up_or_register) registers.
///
/// ```
/// use azure_iot_dps::{DeviceKey, IdScope, MqttTransport, ProvisioningClient, RegistrationId};
///
/// # let key = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";
/// let (id_scope, name) = (IdScope::new("0ne00002193")?, RegistrationId::new("my-device")?);
/// let client = ProvisioningClient::builder(id_scope, name, DeviceKey::from_base64(key)?)
///     .transport(MqttTransport::new())
///     .build();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MqttTransport {
    connector: Connector,
    #[cfg(feature = "mqtt-websocket")]
    router: Router,
    connection: Option<Connection>,
    /// The zero point of the times that exchanges get.
    beginning: Instant,
    /// Whether the last answer was a 5xx.
    troubled: bool,
}

impl MqttTransport {
    /// Creates a transport with the default roots and no proxy.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Returns a builder with default settings.
    #[must_use]
    pub fn builder() -> MqttTransportBuilder {
        MqttTransportBuilder::default()
    }

    net_handles!();

    /// Sends the request on the kept connection or a new one, and once more if that is lost.
    fn carry(&mut self, request: &Request<'_>) -> Result<Response<'static>, TransportError> {
        let until = after(request.time_limit().min(REQUEST_LIMIT));
        self.connector.control.begin();
        let (mut connection, kept) = match self.kept(request) {
            Some(connection) => (connection, true),
            None => (self.connect(request, until)?, false),
        };
        let mut result = connection.run(request, self.beginning, until);
        if let Err(broken) = &result
            && broken.is_hang_up
            && (kept || connection.has_asked())
            && !self.connector.control.is_ended()
        {
            self.connector.forget_addresses();
            connection = self.connect(request, until)?;
            result = connection.run(request, self.beginning, until);
        }
        let answer = result.map_err(|broken| broken.error)?;
        self.connection = Some(connection);
        Ok(answer)
    }

    /// Returns the connection of an earlier request, if it can carry this one.
    fn kept(&mut self, request: &Request<'_>) -> Option<Connection> {
        let mut kept = self.connection.take()?;
        let generation = self.connector.control.generation();
        kept.take(request, generation, self.beginning.elapsed()).then_some(kept)
    }

    fn connect(&mut self, request: &Request<'_>, until: Instant) -> Result<Connection, TransportError> {
        let exchange = Exchange::new(request)?;
        let generation = self.connector.control.generation();
        #[cfg(feature = "mqtt-websocket")]
        let channel = self.router.open(&self.connector, request, until)?;
        #[cfg(not(feature = "mqtt-websocket"))]
        let channel = Channel::open_tls(&self.connector, request, until)?;
        Ok(Connection::new(channel, exchange, generation))
    }
}

impl Default for MqttTransport {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MqttTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MqttTransport").finish_non_exhaustive()
    }
}

impl Transport for MqttTransport {
    fn send<'b>(&'b mut self, request: &Request<'_>) -> Result<Response<'b>, TransportError> {
        #[cfg(feature = "x509")]
        self.connector.check(request)?;
        let answer = self.carry(request).map_err(|error| self.connector.failed(error))?;
        let troubled = core::mem::replace(&mut self.troubled, answer.status() >= 500);
        if troubled && self.troubled {
            self.connector.forget_addresses();
            self.connection = None;
        }
        Ok(answer)
    }
}

/// A builder for an [`MqttTransport`].
///
/// ```
/// use azure_iot_dps::{MqttTransport, Proxy, Roots};
///
/// # let path = "tests/data/rsa/root.pem";
/// let roots = Roots::file(path)?;
/// let proxy = Proxy::new("http://proxy.example:3128")?;
/// let transport = MqttTransport::builder().roots(roots).proxy(proxy).build();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct MqttTransportBuilder {
    net: NetBuilder,
    #[cfg(feature = "mqtt-websocket")]
    router: Router,
}

impl MqttTransportBuilder {
    net_settings!();

    /// Sets the route to the service. Default: [`MqttRoute::Tls`].
    #[cfg(feature = "mqtt-websocket")]
    #[must_use]
    pub fn route(mut self, route: MqttRoute) -> Self {
        self.router.route = route;
        self
    }

    /// Sets the port for [`MqttRoute::WebSocket`]. Default: 443.
    ///
    /// The port of the [`Endpoint`](crate::Endpoint) applies to [`MqttRoute::Tls`] only.
    #[cfg(feature = "mqtt-websocket")]
    #[must_use]
    pub fn websocket_port(mut self, port: u16) -> Self {
        self.router.websocket_port = port;
        self
    }

    /// Creates the transport. It does not connect yet.
    #[must_use]
    pub fn build(self) -> MqttTransport {
        let (connector, beginning) = (self.net.build(), Instant::now());
        MqttTransport {
            connector,
            #[cfg(feature = "mqtt-websocket")]
            router: self.router,
            connection: None,
            beginning,
            troubled: false,
        }
    }
}
