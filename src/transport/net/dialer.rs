//! Opens sockets and prepares TLS, to the service or to a proxy.

use alloc::string::ToString;
use alloc::sync::Arc;
use core::net::SocketAddr;
use std::io;
use std::net::TcpStream;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::control::Control;
use super::dns_cache::DnsCache;
use super::failure::{explain_io, explain_tls};
use super::limits::{CONNECT_LIMIT, RESOLVE_LIMIT, after};
use super::stream::Socket;
use super::tls;
use crate::error::{TransportError, TransportErrorKind as Kind};

/// The dialer of a connector. Clones share their state.
#[derive(Clone)]
pub(super) struct Dialer {
    control: Control,
    dns: DnsCache,
    config: Arc<Mutex<Option<Kept>>>,
}

/// A TLS configuration, which includes the sessions that can be resumed.
struct Kept {
    /// The generation for which it was made.
    generation: u64,
    config: Arc<ClientConfig>,
}

impl Dialer {
    pub(super) fn new(control: Control, dns: DnsCache) -> Self {
        Self { control, dns, config: Arc::default() }
    }

    /// Returns whether the current request was ended.
    #[cfg(feature = "proxy")]
    pub(super) fn is_ended(&self) -> bool {
        self.control.is_ended()
    }

    /// Forgets the addresses, so that the next connection looks its name up again.
    pub(super) fn forget_addresses(&self) {
        self.dns.forget();
    }

    /// Opens a socket to this host within the time limits, and before `until` in any case.
    pub(super) fn open(&self, host: &str, port: u16, until: Instant) -> Result<Socket, TransportError> {
        let addresses = self.dns.addresses(host, port, until.min(after(RESOLVE_LIMIT)))?;
        let until = until.min(after(CONNECT_LIMIT));
        let tcp = Arc::new(connect_to_any(&addresses, until).map_err(explain_connect)?);
        self.control.opened(&tcp).map_err(explain_io)?;
        // Requests are small and are written in one piece.
        let _ = tcp.set_nodelay(true);
        Ok(Socket::new(tcp, until))
    }

    /// Returns the client's side of a TLS connection to this host, before the handshake.
    pub(super) fn tls(&self, host: &str) -> Result<ClientConnection, TransportError> {
        let config = self.config()?;
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_string());
        let name = name.map_err(|error| TransportError::new(Kind::NameNotResolved).with_source(error))?;
        ClientConnection::new(config, name).map_err(explain_tls)
    }

    /// Returns the TLS configuration for the current roots and certificate.
    pub(super) fn config(&self) -> Result<Arc<ClientConfig>, TransportError> {
        let (generation, trust) = self.control.trust();
        let mut kept = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.generation == generation) {
            return Ok(Arc::clone(&kept.config));
        }
        let config = tls::configuration(&trust)?;
        *kept = Some(Kept { generation, config: Arc::clone(&config) });
        Ok(config)
    }
}

/// Connects to the first address that answers.
///
/// Each address gets half of the remaining time, and the last one all of it, so that a dead route
/// leaves time for another.
fn connect_to_any(addresses: &[SocketAddr], until: Instant) -> io::Result<TcpStream> {
    let mut problem = io::Error::from(io::ErrorKind::NotFound);
    for (left_over, address) in (0..addresses.len()).rev().zip(addresses) {
        let left = until.saturating_duration_since(Instant::now());
        let limit = if left_over == 0 { left } else { left.mul_f32(0.5) };
        if limit.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match TcpStream::connect_timeout(address, limit) {
            Ok(tcp) => return Ok(tcp),
            Err(error) => problem = error,
        }
    }
    Err(problem)
}

/// Explains any failure to connect.
fn explain_connect(error: io::Error) -> TransportError {
    TransportError::new(Kind::CannotConnect).with_source(error)
}
