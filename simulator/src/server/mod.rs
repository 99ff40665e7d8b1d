//! The simulator behind TLS on loopback.

mod builder;
mod certificates;
mod channel;
mod context;
mod faulty_stream;
mod frames;
mod http;
mod listener;
mod mqtt;
mod optional_certificate;
mod websocket;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use azure_iot_dps::identity::Endpoint;
pub use builder::SimulatorServerBuilder;
use tokio::sync::watch;

/// The error of a server that could not be started.
///
/// ```
/// use azure_iot_dps_simulator::{ServeError, Simulator};
///
/// let sim = Simulator::builder().build();
/// match sim.server().address("0.0.0.0:8443".parse()?).start() {
///     Err(ServeError::NotLoopback { address }) => assert_eq!(address.port(), 8443),
///     Err(ServeError::Listen { address, source }) => eprintln!("{address}: {source}"),
///     Err(error) => return Err(error.into()),
///     Ok(server) => println!("listening on {}", server.endpoint()),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// An address cannot be bound, for example because another program uses it.
    #[error("the simulator could not listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// An address is not a loopback address, and
    /// [`let_others_connect`](SimulatorServerBuilder::let_others_connect) is not set.
    #[error("{address} is not a loopback address: other machines could reach the simulator")]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// The runtime or the thread of the server could not be started, or its port is unknown.
    #[error("the server of the simulator could not be started")]
    Start(#[source] io::Error),
    /// No certificate could be created.
    #[error("the certificates of the simulator could not be created")]
    Certificate(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A simulator on the network, behind TLS.
///
/// [`Simulator::serve`](crate::Simulator::serve) starts it. It stops when it is dropped, and frees
/// its thread and its ports.
///
/// ```
/// use azure_iot_dps_simulator::Simulator;
///
/// let sim = Simulator::builder().build();
/// let server = sim.serve()?;
/// // What a client needs: the address, the authority to trust, and the ID scope of `sim`.
/// assert_eq!(server.endpoint().host().as_str(), "localhost");
/// assert!(server.ca_pem().starts_with("-----BEGIN CERTIFICATE-----"));
/// # assert!(server.mqtt_endpoint().is_some());
/// # Ok::<(), azure_iot_dps_simulator::ServeError>(())
/// ```
///
/// The page [`testing`](crate::testing) registers a device over HTTPS.
pub struct SimulatorServer {
    endpoint: Endpoint,
    mqtt_endpoint: Option<Endpoint>,
    ca_pem: String,
    connections: Arc<AtomicU64>,
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl SimulatorServer {
    /// Returns the endpoint for HTTPS: `localhost`, or the first name it was given, and the port.
    ///
    /// This port also takes MQTT through WebSocket.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    /// Returns the endpoint for MQTT over TLS, of the service and of the hub.
    ///
    /// `None` if MQTT works only through WebSocket, at the port of [`endpoint`](Self::endpoint).
    #[must_use]
    pub fn mqtt_endpoint(&self) -> Option<Endpoint> {
        self.mqtt_endpoint.clone()
    }

    /// Returns the certificate authority that a client must trust, as PEM.
    ///
    /// It is created for this server and not stored. The certificate of the server is for
    /// `localhost`, `127.0.0.1`, `::1` and the names that the builder was given.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Returns how many connections have been opened so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for SimulatorServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatorServer")
            .field("endpoint", &self.endpoint)
            .field("mqtt_endpoint", &self.mqtt_endpoint)
            .finish_non_exhaustive()
    }
}

impl Drop for SimulatorServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed already.
            let _ = thread.join();
        }
    }
}
