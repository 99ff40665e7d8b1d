//! Looks names up: once for a connection, within a limit, and without a panic where the system has no thread left.

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

use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::MAX_IDLE;

/// Those that are under way, by host name and port.
type Lookups = Mutex<BTreeMap<(String, u16), Arc<UnderWay>>>;
type Lookup = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// Clones share what they know.
#[derive(Clone)]
pub(super) struct DnsCache {
    lookup: Arc<Lookup>,
    known: Arc<Mutex<Option<Known>>>,
    under_way: Arc<Lookups>,
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
        Self { lookup: Arc::new(lookup), known: Arc::default(), under_way: Arc::default() }
    }

    /// The next connection looks its name up again.
    pub(super) fn forget(&self) {
        self.known().take();
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        lock(&self.known)
    }

    fn addresses(&self, host: &str, port: u16, timeout: NextTimeout) -> Result<Vec<SocketAddr>, ureq::Error> {
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok([SocketAddr::new(address, port)].into());
        }
        // ureq asks for every request, whether it has a connection or not. On a mobile network each lookup is paid for.
        if let Some(addresses) = self.known_addresses(host, port, MAX_IDLE) {
            return Ok(addresses);
        }
        let found = self.look_up(host, port, *timeout.after);
        match found.and_then(|found| found.ok_or(ureq::Error::Timeout(timeout.reason))) {
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

    /// The system's lookup cannot be ended: a thread of its own waits for it, and is left behind if need be. There is one for each
    /// name at most; who asks again while it runs waits for the same one. `None` where the time is up.
    fn look_up(&self, host: &str, port: u16, limit: Duration) -> Result<Option<Vec<SocketAddr>>, ureq::Error> {
        let under_way = self.start(host, port).map_err(|error| no_lookup(&error.to_string()))?;
        let found = lock(&under_way.found);
        let waited = under_way.ready.wait_timeout_while(found, limit, |found| found.is_none());
        let (found, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match &*found {
            Some(Ok(addresses)) if addresses.is_empty() => Err(ureq::Error::HostNotFound),
            Some(Ok(addresses)) => Ok(Some(addresses.clone())),
            Some(Err(problem)) => Err(no_lookup(problem)),
            None => Ok(None),
        }
    }

    /// The lookup of this name that is under way, or a new one.
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
        // Where there is no thread to be had, the end of the lookup comes now, and takes it from the others.
        drop(all);
        std::thread::Builder::new().name("dps-lookup".into()).spawn(work)?;
        Ok(under_way)
    }
}

/// A lookup that a thread waits for.
#[derive(Default)]
struct UnderWay {
    /// The addresses, or why there are none.
    found: Mutex<Option<Result<Vec<SocketAddr>, String>>>,
    ready: Condvar,
}

/// Ends a lookup, even if the resolver panics.
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

/// Told by these words, the standard library's own: there is no error kind for it.
pub(super) const LOOKUP_FAILED: &str = "failed to lookup address information";

fn no_lookup(problem: &str) -> ureq::Error {
    let problem = problem.strip_prefix(LOOKUP_FAILED).map_or(problem, |problem| problem.trim_start_matches([':', ' ']));
    io::Error::other(alloc::format!("{LOOKUP_FAILED}: {problem}")).into()
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
        // Who asks in time gets the answer to the one lookup that is under way, or to a new one.
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
        let texts = [ask(), ask()].map(|result| result.expect_err("no address").to_string());
        assert!(texts[0].contains("panicked") && texts[1].ends_with(": no such name"), "{texts:?}");
        assert!(matches!(ask(), Err(ureq::Error::HostNotFound)));
        assert_eq!(ask().expect("resolves").map(|found| found.len()), Some(1));
    }
}
