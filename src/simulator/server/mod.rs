//! The simulator behind real TLS on loopback.

mod builder;
mod certificates;
mod channel;
mod faulty_stream;
mod http;
mod mqtt;
#[cfg(feature = "x509")]
mod optional_certificate;
mod websocket;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::io;
use std::thread::JoinHandle;

pub use builder::SimulatorServerBuilder;
use channel::Channel;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::identity::Endpoint;
use crate::simulator::handle::Simulator;

/// How long open requests may go on when the server stops.
const GRACE: Duration = Duration::from_millis(500);
/// How long a client may take for its handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// The simulator could not be put on the network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// An address cannot be listened on: another program has it, for one.
    #[error("the simulator cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// An address is not one of this machine's own.
    #[error("{address} is not a loopback address: others could reach the simulator there")]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// No thread could be started.
    #[error("the simulator cannot start")]
    Start(#[source] io::Error),
    /// No certificate could be made.
    #[error("the simulator could not make its certificates")]
    Certificate(#[source] Box<dyn core::error::Error + Send + Sync>),
}

/// The simulator on the network. It stops when it is dropped, and leaves no thread and no port behind.
pub struct SimulatorServer {
    endpoint: Endpoint,
    mqtt_endpoint: Option<Endpoint>,
    ca_pem: String,
    connections: Arc<AtomicU64>,
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl SimulatorServer {
    /// Where it answers over HTTPS, as a client is told: `localhost`, or the first name it was given, and the port.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    /// Returns the endpoint that takes MQTT over TLS, for the service and the hub; `None` if MQTT comes through WebSocket alone, at the
    /// port of [`endpoint`](Self::endpoint).
    #[must_use]
    pub fn mqtt_endpoint(&self) -> Option<Endpoint> {
        self.mqtt_endpoint.clone()
    }

    /// The certificate authority that a client must trust, as PEM. It was made for this server and goes with it.
    ///
    /// The server's certificate is for `localhost`, `127.0.0.1` and `::1`.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// How many connections have been opened so far.
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
            // A panic of the server's thread has been printed already.
            let _ = thread.join();
        }
    }
}

/// Changes when the server is dropped.
type Stopped = watch::Receiver<()>;
type TlsStream = tokio_rustls::server::TlsStream<TcpStream>;

/// The certificate that a client presented, with its chain; none where it presented none.
fn certificates(stream: &TlsStream) -> Vec<Vec<u8>> {
    let presented = stream.get_ref().1.peer_certificates().unwrap_or_default();
    presented.iter().map(|der| der.to_vec()).collect()
}

/// What is spoken on a port.
#[derive(Clone, Copy, Debug)]
enum Protocol {
    Http,
    Mqtt,
}

#[derive(Clone)]
struct Server {
    simulator: Simulator,
    acceptor: TlsAcceptor,
    connections: Arc<AtomicU64>,
    /// Changes when the hub may have something for a device.
    alarm: watch::Receiver<()>,
}

impl Server {
    /// Takes connections until the server stops, and sees them to their end.
    async fn run(self, listener: std::net::TcpListener, protocol: Protocol, mut stopped: Stopped) {
        let Ok(listener) = TcpListener::from_std(listener) else { return };
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        self.connections.fetch_add(1, Ordering::Relaxed);
                        open.spawn(self.clone().connection(stream, protocol, stopped.clone()));
                    }
                    // No more file handles, for one: that passes, and asking again at once would not help.
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                },
                // Takes note of a connection that is over.
                Some(_) = open.join_next() => {}
                // The sender says nothing: it is dropped.
                _ = stopped.changed() => break,
            }
        }
        drop(listener);
        let rest = async { while open.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GRACE, rest).await;
    }

    /// Serves one connection. A client that goes away, does not trust the certificate or speaks no TLS is its own problem.
    async fn connection(self, stream: TcpStream, protocol: Protocol, mut stopped: Stopped) {
        let _ = stream.set_nodelay(true);
        let stream = tokio::select! {
            handshake = tokio::time::timeout(HANDSHAKE_LIMIT, self.acceptor.accept(stream)) => match handshake {
                Ok(Ok(stream)) => stream,
                _ => return,
            },
            _ = stopped.changed() => return,
        };
        match protocol {
            Protocol::Http => http::serve(self, stream, stopped).await,
            Protocol::Mqtt => {
                let certificates = certificates(&stream);
                mqtt::serve(self, Channel::tls(stream), certificates, stopped).await;
            }
        }
    }
}
