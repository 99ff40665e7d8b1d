//! What each connection of the server knows.

use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::handle::Simulator;

#[derive(Clone)]
pub(super) struct Context {
    pub(super) simulator: Simulator,
    /// Changes when the hub may have a message for a device.
    pub(super) alarm: watch::Receiver<()>,
}

/// Changes when the server is dropped.
pub(super) type Stopped = watch::Receiver<()>;
pub(super) type TlsStream = tokio_rustls::server::TlsStream<TcpStream>;

/// Returns the certificate chain that a client presented, which may be empty.
pub(super) fn certificates(stream: &TlsStream) -> Vec<Vec<u8>> {
    let presented = stream.get_ref().1.peer_certificates().unwrap_or_default();
    presented.iter().map(|der| der.to_vec()).collect()
}
