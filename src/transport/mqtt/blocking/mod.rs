//! The transport that works out of the box: blocking, over TLS.

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

/// Carries requests over MQTT 3.1.1, with TLS 1.2 or 1.3 by rustls, to port 8883.
///
/// With the feature `mqtt-websocket` it reaches the service through WebSocket on port 443, too: see `MqttTransportBuilder::route`.
///
/// - Looking up the name takes at most 10 s (a proxy's counts as connecting), connecting (TLS included) 30 s, and all of a request
///   together 55 s or [`Request::time_limit`], whichever is less. No proxy is read from the environment.
/// - An answer has at most 128 KiB.
/// - One connection serves a whole registration; one that was idle for longer than 230 s is opened anew, and so is one where the token
///   or the roots have changed. A request that was lost with its connection is sent once more. After a second 5xx in a row neither
///   the connection nor the address is kept.
/// - A name that takes the system ages to resolve costs one thread, however often it is asked for.
/// - TLS knows neither the RSA key exchange nor the curve P-521, as rustls on ring has neither; WebSocket begins with HTTP/1.1.
/// - `MqttRoute::Auto` may connect twice within these limits. A WebSocket's ping is answered while a request is under way.
///
/// MQTT has no status lookup: [`status_lookup`](crate::ProvisioningClient::status_lookup) fails with
/// [`Unsupported`](crate::error::TransportErrorKind::Unsupported), and a client that would look its assignment up first registers.
///
/// ```no_run
/// use azure_iot_dps::{DeviceKey, IdScope, MqttTransport, ProvisioningClient, RegistrationId};
/// # let device_key = "";
///
/// let id_scope = IdScope::new("0ne00002193")?;
/// let device_key = DeviceKey::from_base64(device_key)?;
/// let mut client = ProvisioningClient::builder(id_scope, RegistrationId::new("my-device")?, device_key)
///     .transport(MqttTransport::new())
///     .build();
/// let assignment = client.register()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MqttTransport {
    connector: Connector,
    #[cfg(feature = "mqtt-websocket")]
    router: Router,
    connection: Option<Connection>,
    /// The times of its exchanges count from here.
    beginning: Instant,
    /// The last answer was a 5xx.
    troubled: bool,
}

impl MqttTransport {
    /// Creates a transport with the default roots and no proxy.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Creates a builder, to choose roots and a proxy.
    #[must_use]
    pub fn builder() -> MqttTransportBuilder {
        MqttTransportBuilder::default()
    }

    net_handles!();

    /// Carries the request over the connection that is kept or over a new one, and over another one if it was lost.
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

    /// The connection of an earlier request, if it can carry this one.
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

/// Chooses how an [`MqttTransport`] reaches the service.
#[derive(Debug, Default)]
pub struct MqttTransportBuilder {
    net: NetBuilder,
    #[cfg(feature = "mqtt-websocket")]
    router: Router,
}

impl MqttTransportBuilder {
    net_settings!();

    /// How the service is reached. Default [`MqttRoute::Tls`].
    #[cfg(feature = "mqtt-websocket")]
    #[must_use]
    pub fn route(mut self, route: MqttRoute) -> Self {
        self.router.route = route;
        self
    }

    /// The port for [`MqttRoute::WebSocket`]; the port of an endpoint is that of [`MqttRoute::Tls`]. Default 443.
    #[cfg(feature = "mqtt-websocket")]
    #[must_use]
    pub fn websocket_port(mut self, port: u16) -> Self {
        self.router.websocket_port = port;
        self
    }

    /// Creates the transport. Nothing is connected yet.
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
