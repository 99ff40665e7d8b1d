//! The simulator behind real TLS on loopback.

mod certificates;
mod faulty_stream;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::net::{Ipv4Addr, SocketAddr};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::io;
use std::net::TcpListener;
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::identity::{Endpoint, HostName};
use crate::simulator::front::http::{HttpAnswer, HttpRequest};
use crate::simulator::handle::Simulator;
use crate::simulator::lock::lock;
use crate::simulator::server::certificates::Credentials;
use crate::simulator::server::faulty_stream::{FaultyStream, FaultySwitch};
use crate::simulator::state::Delivery;

/// More than the service and the hub take, so that they can say so.
const MAX_BODY: usize = 512 * 1024;
/// How long open requests may go on when the server stops.
const GRACE: Duration = Duration::from_millis(500);
/// How long a client may take for its handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// The simulator could not be put on the network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address could not be listened on, or no thread could be started.
    #[error("the simulator cannot listen")]
    Listen(#[from] io::Error),
    /// The address is not one of this machine's own.
    #[error("{address} is not a loopback address: others could reach the simulator there")]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// No certificate could be made.
    #[error("the simulator could not make its certificates")]
    Certificate(#[source] Box<dyn core::error::Error + Send + Sync>),
}

impl Simulator {
    /// Answers over TLS on `127.0.0.1`, at a free port.
    ///
    /// The time is the system's then, not that of [`Simulator::clock`].
    ///
    /// # Errors
    ///
    /// There is no free port, or no certificate could be made.
    pub fn serve(&self) -> Result<SimulatorServer, ServeError> {
        self.serve_at((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// The same at this address; port 0 picks a free one.
    ///
    /// # Errors
    ///
    /// The address is not a loopback address, or cannot be listened on, or no certificate could be made.
    pub fn serve_at(&self, address: SocketAddr) -> Result<SimulatorServer, ServeError> {
        if !address.ip().is_loopback() {
            return Err(ServeError::NotLoopback { address });
        }
        self.serve_to_anybody_at(address, &[])
    }

    /// The same at an address that others can reach, too, under these names beside `localhost`. The simulator is made for
    /// tests: it has not been hardened.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on, or no certificate could be made.
    pub fn serve_to_anybody_at(&self, address: SocketAddr, names: &[HostName]) -> Result<SimulatorServer, ServeError> {
        let credentials = Credentials::make(names).map_err(ServeError::Certificate)?;
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let name = names.first().map_or("localhost", HostName::as_str);
        let endpoint = format!("{name}:{}", listener.local_addr()?.port()).parse().map_err(io::Error::other)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;

        lock(&self.state).service_mut().set_issuer(credentials.issuer);
        let (stop, stopped) = watch::channel(());
        let connections = Arc::new(AtomicU64::new(0));
        let server = Server {
            simulator: self.clone(),
            acceptor: TlsAcceptor::from(Arc::new(credentials.config)),
            connections: Arc::clone(&connections),
        };
        let thread = std::thread::Builder::new()
            .name("dps-simulator".into())
            .spawn(move || runtime.block_on(server.run(listener, stopped)))?;
        Ok(SimulatorServer {
            endpoint,
            ca_pem: credentials.ca_pem,
            connections,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

/// The simulator on the network. It stops when it is dropped, and leaves no thread and no port behind.
pub struct SimulatorServer {
    endpoint: Endpoint,
    ca_pem: String,
    connections: Arc<AtomicU64>,
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl SimulatorServer {
    /// Where it answers, as a client is told: `localhost`, or the first name it was given, and the port.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
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
        f.debug_struct("SimulatorServer").field("endpoint", &self.endpoint).finish_non_exhaustive()
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

#[derive(Clone)]
struct Server {
    simulator: Simulator,
    acceptor: TlsAcceptor,
    connections: Arc<AtomicU64>,
}

impl Server {
    async fn run(self, listener: TcpListener, mut stopped: Stopped) {
        let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        self.connections.fetch_add(1, Ordering::Relaxed);
                        open.spawn(self.clone().connection(stream, stopped.clone()));
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

    /// Serves one connection until the client or the server has had enough. A client that goes away, does not trust the
    /// certificate or speaks no TLS is its own problem.
    async fn connection(self, stream: TcpStream, mut stopped: Stopped) {
        let _ = stream.set_nodelay(true);
        let stream = tokio::select! {
            handshake = tokio::time::timeout(HANDSHAKE_LIMIT, self.acceptor.accept(stream)) => match handshake {
                Ok(Ok(stream)) => stream,
                _ => return,
            },
            _ = stopped.changed() => return,
        };
        let (stream, faults) = FaultyStream::around(stream);
        let service = service_fn(move |request| answer(self.simulator.clone(), faults.clone(), request));
        // Without a limit for the next head: a client may be told to come back in a minute, on the same connection.
        let connection =
            http1::Builder::new().header_read_timeout(None).serve_connection(TokioIo::new(stream), service);
        let mut connection = core::pin::pin!(connection);
        tokio::select! {
            _ = &mut connection => {}
            _ = stopped.changed() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }
}

/// The fault that a test asked for: the connection ends here.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed on purpose")]
struct ClosedOnPurpose;

async fn answer(
    simulator: Simulator,
    faults: FaultySwitch,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Full<Bytes>>, ClosedOnPurpose> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return Ok(response(HttpAnswer::empty(413)));
    };
    let body = body.to_bytes();
    let headers = head.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let request = HttpRequest {
        method: head.method.as_str(),
        target: head.uri.path_and_query().map_or("", |target| target.as_str()),
        headers: headers.collect(),
        body: &body,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    match simulator.deliver(&request, now) {
        Delivery::Whole { answer, after, close } => {
            if !after.is_zero() {
                tokio::time::sleep(after).await;
            }
            let answer = if close { answer.with_header("Connection", "close".into()) } else { answer };
            Ok(response(answer))
        }
        Delivery::Cut { answer, bytes } => {
            // Where the cut lies behind the answer, the connection ends with it all the same.
            faults.close_after(bytes);
            Ok(response(answer.with_header("Connection", "close".into())))
        }
        Delivery::Garbage(bytes) => {
            faults.send_instead(bytes);
            Ok(response(HttpAnswer::empty(200)))
        }
        Delivery::Nothing => Err(ClosedOnPurpose),
    }
}

fn response(answer: HttpAnswer) -> hyper::Response<Full<Bytes>> {
    let response = hyper::Response::builder().status(answer.status);
    let response = answer.headers.into_iter().fold(response, |response, (name, value)| response.header(name, value));
    response.body(Full::new(Bytes::from(answer.body))).unwrap_or_else(|_| {
        // A status or a header of a script that HTTP does not have.
        let mut response = hyper::Response::new(Full::default());
        *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}
