//! Looks names up: once for a connection, within a limit, and without a panic where the system has no thread left.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::io;
use std::net::ToSocketAddrs;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Instant;

use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::MAX_IDLE;

type Lookup = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// Clones share what they know.
#[derive(Clone)]
pub(super) struct DnsCache {
    lookup: Arc<Lookup>,
    known: Arc<Mutex<Option<Known>>>,
}

/// What came of the last lookup.
struct Known {
    host: String,
    port: u16,
    addresses: Vec<SocketAddr>,
    used: Instant,
}

impl DnsCache {
    pub(super) fn new(lookup: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Self {
        Self { lookup: Arc::new(lookup), known: Arc::default() }
    }

    /// The next connection looks its name up again.
    pub(super) fn forget(&self) {
        self.known().take();
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn addresses(&self, host: &str, port: u16, timeout: NextTimeout) -> Result<Vec<SocketAddr>, ureq::Error> {
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok([SocketAddr::new(address, port)].into());
        }
        // ureq asks for every request, whether it has a connection or not. On a mobile network each lookup is paid for.
        if let Some(addresses) = self.known_addresses(host, port, MAX_IDLE) {
            return Ok(addresses);
        }
        match self.look_up(host, port, timeout) {
            Ok(addresses) => {
                let known = Known { host: host.into(), port, addresses: addresses.clone(), used: Instant::now() };
                *self.known() = Some(known);
                Ok(addresses)
            }
            // Better than none; if they are not good any more, they will be forgotten.
            Err(error) => self.known_addresses(host, port, Duration::MAX).ok_or(error),
        }
    }

    /// Those that were used no longer ago than `age`.
    fn known_addresses(&self, host: &str, port: u16, age: Duration) -> Option<Vec<SocketAddr>> {
        let mut known = self.known();
        let known = known.as_mut().filter(|known| (known.host.as_str(), known.port) == (host, port))?;
        if known.used.elapsed() >= age {
            return None;
        }
        known.used = Instant::now();
        Some(known.addresses.clone())
    }

    /// The system's lookup cannot be ended: a thread of its own waits for it, and is left behind if need be.
    fn look_up(&self, host: &str, port: u16, timeout: NextTimeout) -> Result<Vec<SocketAddr>, ureq::Error> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let (lookup, host) = (Arc::clone(&self.lookup), host.to_string());
        let work = move || {
            let _ = sender.send(lookup(&host, port));
        };
        let thread = std::thread::Builder::new().name("dps-lookup".into()).spawn(work);
        thread.map_err(|error| no_lookup(&error))?;
        match receiver.recv_timeout(*timeout.after) {
            Ok(Ok(addresses)) if addresses.is_empty() => Err(ureq::Error::HostNotFound),
            Ok(result) => result.map_err(|error| no_lookup(&error)),
            Err(mpsc::RecvTimeoutError::Timeout) => Err(ureq::Error::Timeout(timeout.reason)),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(ureq::Error::HostNotFound),
        }
    }
}

/// Told by these words, the standard library's own: there is no error kind for it.
pub(super) const LOOKUP_FAILED: &str = "failed to lookup address information";

fn no_lookup(error: &io::Error) -> ureq::Error {
    let text = error.to_string();
    let text = if text.starts_with(LOOKUP_FAILED) { text } else { alloc::format!("{LOOKUP_FAILED}: {text}") };
    io::Error::other(text).into()
}

impl Default for DnsCache {
    fn default() -> Self {
        Self::new(|host, port| (host, port).to_socket_addrs().map(Iterator::collect))
    }
}

impl fmt::Debug for DnsCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DnsCache")
    }
}

impl Resolver for DnsCache {
    fn resolve(
        &self,
        uri: &Uri,
        _: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        const ROOM: usize = 16;
        // A proxy's own URI comes here too.
        let default_port = if uri.scheme_str() == Some("http") { 80 } else { 443 };
        let host = uri.host().ok_or(ureq::Error::HostNotFound)?;
        let addresses = self.addresses(host, uri.port_u16().unwrap_or(default_port), timeout)?;
        let mut room = self.empty();
        addresses.into_iter().take(ROOM).for_each(|address| room.push(address));
        Ok(room)
    }
}
