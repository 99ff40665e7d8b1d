//! The transport that works out of the box: blocking, over TLS.

use core::fmt;
use core::time::Duration;
use std::io::{Read, Write};
use std::time::Instant;

use super::Exchange;
use crate::error::TransportError;
use crate::protocol::{Request, Response};
use crate::transport::Transport;
use crate::transport::net::{
    Connector, NetBuilder, REQUEST_LIMIT, RootsHandle, ShutdownHandle, TlsStream, after, explain_io, is_hang_up,
    net_settings,
};

/// How long a farewell may take.
const FAREWELL_LIMIT: Duration = Duration::from_secs(1);

/// Carries requests over MQTT 3.1.1, with TLS 1.2 or 1.3 by rustls, to port 8883.
///
/// - Looking up the name takes at most 10 s (a proxy's counts as connecting), connecting (TLS included) 30 s, and all of a request
///   together 55 s or [`Request::time_limit`], whichever is less. No proxy is read from the environment.
/// - An answer has at most 128 KiB.
/// - One connection serves a whole registration; one that was idle for longer than 230 s is opened anew, and so is one where the token
///   or the roots have changed. A request that was lost with its connection is sent once more. After a second 5xx in a row neither
///   the connection nor the address is kept.
/// - A name that takes the system ages to resolve costs one thread, however often it is asked for.
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

    /// A handle that ends the request under way from another thread.
    #[must_use]
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.connector.control.shutdown_handle()
    }

    /// A handle that replaces the client certificate, from anywhere and as often as need be.
    #[cfg(feature = "x509")]
    #[must_use]
    pub fn certificate_handle(&self) -> crate::transport::CertificateHandle {
        self.connector.control.certificate_handle()
    }

    /// A handle that replaces the roots, from anywhere and as often as need be.
    #[must_use]
    pub fn roots_handle(&self) -> RootsHandle {
        self.connector.control.roots_handle()
    }

    /// Carries the request over the connection that is kept or over a new one, and over another one if it was lost.
    fn carry(&mut self, request: &Request<'_>) -> Result<Response<'static>, TransportError> {
        let until = after(request.time_limit().min(REQUEST_LIMIT));
        self.connector.control.begin();
        let (mut connection, kept) = match self.kept(request) {
            Some(connection) => (connection, true),
            None => (self.connect(request, until)?, false),
        };
        let mut result = connection.run(self.beginning, until);
        if let Err(broken) = &result
            && broken.is_hang_up
            && (kept || connection.exchange.has_asked())
            && !self.connector.control.is_ended()
        {
            self.connector.forget_addresses();
            connection = self.connect(request, until)?;
            result = connection.run(self.beginning, until);
        }
        let answer = result.map_err(|broken| broken.error)?;
        self.connection = Some(connection);
        Ok(answer)
    }

    /// The connection of an earlier request, if it can carry this one.
    fn kept(&mut self, request: &Request<'_>) -> Option<Connection> {
        let mut kept = self.connection.take()?;
        let good = kept.generation == self.connector.control.generation();
        let carries = good && kept.exchange.carries(request, self.beginning.elapsed());
        (carries && kept.exchange.send(request).is_ok()).then_some(kept)
    }

    fn connect(&self, request: &Request<'_>, until: Instant) -> Result<Connection, TransportError> {
        let exchange = Exchange::new(request)?;
        let generation = self.connector.control.generation();
        let stream = self.connector.connect(request.endpoint().host().as_str(), request.mqtt().port(), until)?;
        Ok(Connection { stream, exchange, generation })
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

/// One connection to the service.
struct Connection {
    stream: TlsStream,
    exchange: Exchange,
    generation: u64,
}

/// Why a connection did not bring the answer.
struct Broken {
    error: TransportError,
    /// The peer went away.
    is_hang_up: bool,
}

impl From<TransportError> for Broken {
    fn from(error: TransportError) -> Self {
        Self { error, is_hang_up: false }
    }
}

impl From<std::io::Error> for Broken {
    fn from(error: std::io::Error) -> Self {
        let is_hang_up = is_hang_up(&error);
        Self { error: explain_io(error), is_hang_up }
    }
}

impl Connection {
    /// Writes and reads until the answer is there.
    fn run(&mut self, beginning: Instant, until: Instant) -> Result<Response<'static>, Broken> {
        self.stream.set_deadline(until);
        let mut buffer = [0; 2048];
        loop {
            self.write(beginning)?;
            if let Some(answer) = self.exchange.take_answer() {
                return Ok(answer);
            }
            let length = self.stream.read(&mut buffer)?;
            let read = buffer.get(..length).unwrap_or_default();
            self.exchange.read(read).map_err(|error| Broken { error, is_hang_up: read.is_empty() })?;
        }
    }

    fn write(&mut self, beginning: Instant) -> Result<(), std::io::Error> {
        let length = self.exchange.output().len();
        if length > 0 {
            self.stream.write_all(self.exchange.output())?;
            self.stream.flush()?;
            self.exchange.written(length, beginning.elapsed());
        }
        Ok(())
    }
}

/// Takes leave, so that the service need not wait for a device that is gone.
impl Drop for Connection {
    fn drop(&mut self) {
        self.stream.set_deadline(after(FAREWELL_LIMIT));
        self.exchange.disconnect();
        // The peer may be gone already.
        if self.write(Instant::now()).is_ok() {
            self.stream.close();
        }
    }
}

/// Chooses how an [`MqttTransport`] reaches the service.
#[derive(Debug, Default)]
pub struct MqttTransportBuilder(NetBuilder);

impl MqttTransportBuilder {
    net_settings!();

    /// Creates the transport. Nothing is connected yet.
    #[must_use]
    pub fn build(self) -> MqttTransport {
        let (connector, beginning) = (self.0.build(), Instant::now());
        MqttTransport { connector, connection: None, beginning, troubled: false }
    }
}
