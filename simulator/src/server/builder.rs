//! The builder of a server.

use std::io;
use std::net::TcpListener;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use azure_iot_dps::identity::{Endpoint, HostName};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::certificates::Credentials;
use super::context::Context;
use super::listener::{Listener, Protocol};
use super::{ServeError, SimulatorServer};
use crate::handle::Simulator;
use crate::lock::lock;

/// A builder of a [`SimulatorServer`]: its addresses and its names.
///
/// [`Simulator::server`] creates it.
///
/// ```
/// use azure_iot_dps_simulator::Simulator;
///
/// let sim = Simulator::builder().build();
/// let builder = sim.server().address("127.0.0.1:0".parse()?).mqtt_address(None);
/// let server = builder.start()?;
/// assert_ne!(server.endpoint().port(), Some(0));
/// assert_eq!(server.mqtt_endpoint(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SimulatorServerBuilder {
    simulator: Simulator,
    address: SocketAddr,
    mqtt: Option<SocketAddr>,
    names: Vec<HostName>,
    let_others_connect: bool,
}

impl Simulator {
    /// Starts a server with TLS on `127.0.0.1`.
    ///
    /// It listens for HTTPS, and for MQTT through WebSocket, at one free port, and for MQTT at
    /// another. It uses the time of the system instead of [`Simulator::clock`].
    ///
    /// # Errors
    ///
    /// Returns [`ServeError`] if there is no free port, no certificate could be created, or no
    /// thread could be started.
    pub fn serve(&self) -> Result<SimulatorServer, ServeError> {
        self.server().start()
    }

    /// Creates a builder of a server, to choose its addresses and names.
    #[must_use]
    pub fn server(&self) -> SimulatorServerBuilder {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        SimulatorServerBuilder {
            simulator: self.clone(),
            address: loopback,
            mqtt: Some(loopback),
            names: Vec::new(),
            let_others_connect: false,
        }
    }
}

impl SimulatorServerBuilder {
    /// Sets the address for HTTPS, and for MQTT through WebSocket. Default: `127.0.0.1`, port 0.
    ///
    /// Port 0 picks a free port.
    #[must_use]
    pub fn address(self, address: SocketAddr) -> Self {
        Self { address, ..self }
    }

    /// Sets the address for MQTT, for the service and the hub. Default: `127.0.0.1`, port 0.
    ///
    /// Port 0 picks a free port. With `None` there is no such port, as behind a firewall, and MQTT
    /// works only through WebSocket.
    #[must_use]
    pub fn mqtt_address(self, address: impl Into<Option<SocketAddr>>) -> Self {
        Self { mqtt: address.into(), ..self }
    }

    /// Allows addresses that other machines can reach. Default: loopback addresses only.
    ///
    /// The simulator is made for tests. It is not hardened.
    #[must_use]
    pub fn let_others_connect(self) -> Self {
        Self { let_others_connect: true, ..self }
    }

    /// Adds a name to the certificate of the server, besides `localhost`. Default: none.
    ///
    /// The first name becomes the host name of the endpoints.
    #[must_use]
    pub fn name(mut self, name: HostName) -> Self {
        self.names.push(name);
        self
    }

    /// Starts the server on a new thread.
    ///
    /// # Errors
    ///
    /// Returns [`ServeError`] if an address is not a loopback address or cannot be bound, no
    /// certificate could be created, or no thread could be started.
    pub fn start(self) -> Result<SimulatorServer, ServeError> {
        let listener = self.bind(self.address)?;
        let mqtt_listener = self.mqtt.map(|address| self.bind(address)).transpose()?;
        let credentials = Credentials::make(&self.names).map_err(ServeError::Certificate)?;
        let endpoint = self.endpoint(&listener).map_err(ServeError::Start)?;
        let mqtt_endpoint = mqtt_listener.as_ref().map(|listener| self.endpoint(listener));
        let mqtt_endpoint = mqtt_endpoint.transpose().map_err(ServeError::Start)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(ServeError::Start)?;

        let (ring, alarm) = watch::channel(());
        let (stop, stopped) = watch::channel(());
        let connections = Arc::new(AtomicU64::new(0));
        let server = Listener {
            context: Context { simulator: self.simulator.clone(), alarm },
            acceptor: TlsAcceptor::from(Arc::new(credentials.config)),
            connections: Arc::clone(&connections),
        };
        {
            let mut state = lock(&self.simulator.state);
            state.service_mut().set_issuer(credentials.issuer);
            state.mailboxes.on_alarm(move || ring.send(()).is_ok());
        }
        let both = async move {
            let http = server.clone().run(listener, Protocol::Http, stopped.clone());
            match mqtt_listener {
                Some(listener) => {
                    tokio::join!(http, server.run(listener, Protocol::Mqtt, stopped));
                }
                None => http.await,
            }
        };
        let thread = std::thread::Builder::new().name("dps-simulator".into()).spawn(move || runtime.block_on(both));
        Ok(SimulatorServer {
            endpoint,
            mqtt_endpoint,
            ca_pem: credentials.ca_pem,
            connections,
            stop: Some(stop),
            thread: Some(thread.map_err(ServeError::Start)?),
        })
    }

    fn bind(&self, address: SocketAddr) -> Result<TcpListener, ServeError> {
        if !self.let_others_connect && !address.ip().is_loopback() {
            return Err(ServeError::NotLoopback { address });
        }
        let listener = TcpListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        listener.map_err(|source| ServeError::Listen { address, source })
    }

    fn endpoint(&self, listener: &TcpListener) -> io::Result<Endpoint> {
        let name = self.names.first().map_or("localhost", HostName::as_str);
        format!("{name}:{}", listener.local_addr()?.port()).parse().map_err(io::Error::other)
    }
}
