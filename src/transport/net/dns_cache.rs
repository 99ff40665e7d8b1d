//! Looks names up within a time limit, caches the result, and does not panic if no thread can be
//! created.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::io;
use std::net::ToSocketAddrs;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::limits::MAX_IDLE;
use crate::error::{TransportError, TransportErrorKind as Kind};

/// The running lookups, by host name and port.
type Lookups = Mutex<BTreeMap<(String, u16), Arc<UnderWay>>>;
type Lookup = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// A resolver with a cache of one name. Clones share their state.
#[derive(Clone)]
pub(super) struct DnsCache {
    lookup: Arc<Lookup>,
    known: Arc<Mutex<Option<Known>>>,
    under_way: Arc<Lookups>,
}

/// The result of the last successful lookup.
struct Known {
    host: String,
    port: u16,
    addresses: Vec<SocketAddr>,
    used: Instant,
}

impl DnsCache {
    pub(super) fn new(lookup: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Self {
        Self { lookup: Arc::new(lookup), known: Arc::default(), under_way: Arc::default() }
    }

    /// Forgets the addresses, so that the next connection looks its name up again.
    pub(super) fn forget(&self) {
        self.known().take();
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        lock(&self.known)
    }

    /// Returns the addresses of a host, and looks them up before `until` if they are not known.
    pub(super) fn addresses(&self, host: &str, port: u16, until: Instant) -> Result<Vec<SocketAddr>, TransportError> {
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok([SocketAddr::new(address, port)].into());
        }
        // On a mobile network, each lookup costs money.
        if let Some(addresses) = self.known_addresses(host, port, MAX_IDLE) {
            return Ok(addresses);
        }
        let found = self.look_up(host, port, until.saturating_duration_since(Instant::now()));
        match found.and_then(|found| found.ok_or_else(|| no_lookup("the name lookup timed out"))) {
            Ok(addresses) => {
                let known = Known { host: host.into(), port, addresses: addresses.clone(), used: Instant::now() };
                *self.known() = Some(known);
                Ok(addresses)
            }
            // Old addresses are better than none. If connecting to them fails, they are forgotten.
            Err(error) => self.known_addresses(host, port, Duration::MAX).ok_or(error),
        }
    }

    /// Returns the known addresses, if they were used less than `age` ago.
    fn known_addresses(&self, host: &str, port: u16, age: Duration) -> Option<Vec<SocketAddr>> {
        let mut known = self.known();
        let known = known.as_mut().filter(|known| (known.host.as_str(), known.port) == (host, port))?;
        if known.used.elapsed() >= age {
            return None;
        }
        known.used = Instant::now();
        Some(known.addresses.clone())
    }

    /// Looks a name up on a separate thread. Returns `None` if the time limit passes.
    ///
    /// The system's lookup cannot be ended, so its thread may outlive the call. There is at most
    /// one thread for each name: another call during a lookup waits for that lookup.
    fn look_up(&self, host: &str, port: u16, limit: Duration) -> Result<Option<Vec<SocketAddr>>, TransportError> {
        let under_way = self.start(host, port).map_err(|error| no_lookup(&error.to_string()))?;
        let found = lock(&under_way.found);
        let waited = under_way.ready.wait_timeout_while(found, limit, |found| found.is_none());
        let (found, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match &*found {
            Some(Ok(addresses)) if addresses.is_empty() => Err(no_lookup("the name has no address")),
            Some(Ok(addresses)) => Ok(Some(addresses.clone())),
            Some(Err(problem)) => Err(no_lookup(problem)),
            None => Ok(None),
        }
    }

    /// Returns the running lookup of this name, or starts one.
    fn start(&self, host: &str, port: u16) -> io::Result<Arc<UnderWay>> {
        let name = (host.to_string(), port);
        let mut all = lock(&self.under_way);
        if let Some(under_way) = all.get(&name) {
            return Ok(Arc::clone(under_way));
        }
        let under_way = Arc::<UnderWay>::default();
        let (lookup, lookups) = (Arc::clone(&self.lookup), Arc::clone(&self.under_way));
        let end = End { name: name.clone(), under_way: Arc::clone(&under_way), lookups };
        let work = move || end.with(lookup(&end.name.0, end.name.1));
        all.insert(name, Arc::clone(&under_way));
        // Unlock first: if no thread can be created, `end` is dropped at once and needs the lock.
        drop(all);
        std::thread::Builder::new().name("dps-lookup".into()).spawn(work)?;
        Ok(under_way)
    }
}

/// A running lookup, for which threads wait.
#[derive(Default)]
struct UnderWay {
    /// The addresses or an error, when the lookup has ended.
    found: Mutex<Option<Result<Vec<SocketAddr>, String>>>,
    ready: Condvar,
}

/// A guard that ends a lookup, even if the resolver panics.
struct End {
    name: (String, u16),
    under_way: Arc<UnderWay>,
    lookups: Arc<Lookups>,
}

impl End {
    fn with(&self, found: io::Result<Vec<SocketAddr>>) {
        *lock(&self.under_way.found) = Some(found.map_err(|error| error.to_string()));
    }
}

impl Drop for End {
    fn drop(&mut self) {
        lock(&self.lookups).remove(&self.name);
        lock(&self.under_way.found).get_or_insert(Err("the resolver panicked".into()));
        self.under_way.ready.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn no_lookup(problem: &str) -> TransportError {
    TransportError::new(Kind::NameNotResolved).with_source(problem)
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

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_resolver_that_hangs_costs_one_thread_for_each_name_however_often_it_is_asked() {
        let (answer, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let started = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&started);
        let cache = DnsCache::new(move |_, port| {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = lock(&wait).recv();
            Ok([SocketAddr::from(([127, 0, 0, 1], port))].into())
        });
        for _ in 0..20 {
            let result = cache.look_up("a.example", 443, Duration::from_millis(1)).expect("no failure");
            assert_eq!(result, None);
        }
        answer.send(()).expect("it waits");
        // A call with enough time gets the result of the running lookup, or of a new one.
        drop(answer);
        let found = cache.look_up("a.example", 443, MINUTE).expect("resolves");
        assert_eq!(found.as_deref(), Some(&[SocketAddr::from(([127, 0, 0, 1], 443))][..]));
        assert!((1..=2).contains(&started.load(Ordering::SeqCst)), "{started:?}");
        cache.look_up("b.example", 443, MINUTE).expect("another name is another lookup");
    }

    #[test]
    fn a_resolver_that_panics_or_finds_nothing_is_an_error_and_can_be_asked_again() {
        let asked = AtomicUsize::new(0);
        let cache = DnsCache::new(move |_, _| match asked.fetch_add(1, Ordering::SeqCst) {
            0 => panic!("broken"),
            1 => Err(io::Error::other("no such name")),
            2 => Ok(Vec::new()),
            _ => Ok([SocketAddr::from(([127, 0, 0, 1], 443))].into()),
        });
        let ask = || cache.look_up("a.example", 443, MINUTE);
        let why = |result: Result<_, TransportError>| {
            let error = result.map(|_| ()).expect_err("no address");
            assert_eq!(error.kind(), Kind::NameNotResolved);
            core::error::Error::source(&error).map(ToString::to_string).unwrap_or_default()
        };
        assert_eq!(
            [why(ask()), why(ask()), why(ask())],
            ["the resolver panicked", "no such name", "the name has no address"]
        );
        assert_eq!(ask().expect("resolves").map(|found| found.len()), Some(1));
    }
}
