//! Accepts connections, and serves each by the protocol of its port.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::channel::Channel;
use super::context::{Context, Stopped, certificates};
use super::{http, mqtt};

/// The time that open requests have to end when the server stops.
const GRACE: Duration = Duration::from_millis(500);
/// The time that a client has for its TLS handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(60);

/// The protocol of a port.
#[derive(Clone, Copy, Debug)]
pub(super) enum Protocol {
    Http,
    Mqtt,
}

#[derive(Clone)]
pub(super) struct Listener {
    pub(super) context: Context,
    pub(super) acceptor: TlsAcceptor,
    pub(super) connections: Arc<AtomicU64>,
}

impl Listener {
    /// Accepts connections until the server stops, then waits for them to end.
    pub(super) async fn run(self, listener: std::net::TcpListener, protocol: Protocol, mut stopped: Stopped) {
        let Ok(listener) = TcpListener::from_std(listener) else { return };
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        self.connections.fetch_add(1, Ordering::Relaxed);
                        open.spawn(self.clone().connection(stream, protocol, stopped.clone()));
                    }
                    // For example, no file handle is left. This passes, but not at once.
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                },
                // Removes a connection that is over.
                Some(_) = open.join_next() => {}
                // The sender sends no value. It is dropped.
                _ = stopped.changed() => break,
            }
        }
        drop(listener);
        let rest = async { while open.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GRACE, rest).await;
    }

    /// Serves one connection.
    ///
    /// A client that goes away, does not trust the certificate or does not speak TLS is ignored.
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
            Protocol::Http => http::serve(self.context, stream, stopped).await,
            Protocol::Mqtt => {
                let certificates = certificates(&stream);
                mqtt::serve(self.context, Channel::tls(stream), certificates, stopped).await;
            }
        }
    }
}
