//! The default transport: ureq, with rustls on ring and the bundled roots.

mod dns_cache;
mod failure;
mod pem;
mod proxy;
mod roots;
mod shared;

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, Read};
use std::sync::{Mutex, mpsc};
use std::time::Instant;

use dns_cache::DnsCache;
pub use pem::PemProblem;
pub use proxy::{Proxy, ProxyError};
pub use roots::{Roots, RootsError};
pub use shared::{RootsHandle, ShutdownHandle};
use shared::{Shared, close, lock};
use ureq::http::{HeaderMap, HeaderValue, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;

use crate::error::TransportError;
use crate::protocol::{Request, Response};
use crate::transport::Transport;

const RESOLVE_LIMIT: Duration = Duration::from_secs(10);
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// For all of a request together. Below what a registration gives its requests, so that most need no setting of their own:
/// ureq keeps its TLS configuration, and with it the sessions that can be resumed, for those alone.
const REQUEST_LIMIT: Duration = Duration::from_secs(55);
/// The service's answers have at most 96 KB.
const MAX_BODY: u64 = 128 * 1024;
const MAX_HEAD: usize = 16 * 1024;
/// One that is full before the limit is passed would look like a peer that hung up.
const INPUT_BUFFER: usize = MAX_HEAD + 1024;
/// Room for a request's head: the longest token, target and product together stay below.
const OUTPUT_BUFFER: usize = 8 * 1024;
/// The service may ask to wait a minute between polls; that should not cost another handshake. Azure's load balancers drop
/// what is idle for 4 minutes.
const MAX_IDLE: Duration = Duration::from_secs(210);

/// Carries requests over HTTPS, with TLS 1.2 or 1.3 by rustls.
///
/// - Looking up the name takes at most 10 s (a proxy's counts as connecting), connecting (TLS included) 30 s, the head and the
///   body of the answer 30 s each, and all of it together 55 s or [`Request::time_limit`], whichever is less.
/// - Redirects are not followed, the request goes out in TLS or not at all, and no proxy is read from the environment.
/// - An answer has at most 128 KiB, its head at most 16 KiB.
/// - One connection serves a whole registration, and the name is looked up once for it; an idle one is kept for 3.5 minutes.
///   Where a kept connection turns out to be dead, the request is sent once more on a new one; and one on which came what is
///   not the service's, as from a captive portal, or a second 5xx in a row, is not kept, nor is the address.
/// - A name that takes the system ages to resolve costs one thread, however often it is asked for.
///
/// At the level `trace` the libraries below write what goes over the wire to the `log` crate, tokens included: keep the
/// targets `ureq` and `ureq_proto` at `debug` or above.
///
/// ```no_run
/// use azure_iot_dps::{HttpsTransport, Proxy, Roots};
///
/// let roots = Roots::file("/etc/acme/roots.pem")?;
/// let proxy = Proxy::new("http://proxy.example:3128")?;
/// let transport = HttpsTransport::builder().roots(roots).proxy(proxy).build();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct HttpsTransport {
    proxy: Option<ureq::Proxy>,
    dns: DnsCache,
    shared: Arc<Mutex<Shared>>,
    // The last answer, which the caller borrows.
    head: HeaderMap,
    body: Vec<u8>,
    /// The last answer was a 5xx.
    troubled: bool,
}

impl HttpsTransport {
    /// With the default roots and no proxy.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// To choose roots and a proxy.
    #[must_use]
    pub fn builder() -> HttpsTransportBuilder {
        HttpsTransportBuilder::default()
    }

    /// A handle that ends the request under way from another thread.
    #[must_use]
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        ShutdownHandle(Arc::clone(&self.shared))
    }

    /// A handle that replaces the roots, from anywhere and as often as need be.
    #[must_use]
    pub fn roots_handle(&self) -> RootsHandle {
        RootsHandle(Arc::clone(&self.shared))
    }

    /// Sends, and sends once more if what was kept from the last request, the connection or the address, is good no longer. A
    /// request is safe to send again.
    fn send_with_retry(&mut self, request: &Request<'_>) -> Result<u16, ureq::Error> {
        let started = Instant::now();
        let time_limit = request.time_limit().min(REQUEST_LIMIT);
        let kept = {
            let mut shared = lock(&self.shared);
            shared.closed = false;
            !self.head.is_empty() && shared.agent.is_some()
        };
        match self.send_in_time(request, time_limit) {
            Err(error) if kept && failure::is_lost(&error) && !lock(&self.shared).closed => {
                self.dns.forget();
                let left = time_limit.saturating_sub(started.elapsed());
                if left.is_zero() { Err(error) } else { self.send_in_time(request, left) }
            }
            result => result,
        }
    }

    /// Sends within the time there is. ureq keeps to that by itself, unless a proxy lets its own answer drip: then a watch
    /// ends it.
    fn send_in_time(&mut self, request: &Request<'_>, time_limit: Duration) -> Result<u16, ureq::Error> {
        if self.proxy.is_none() {
            return self.exchange(request, time_limit);
        }
        let (done, watch) = mpsc::channel::<()>();
        let shared = Arc::clone(&self.shared);
        let watch = std::thread::Builder::new().name("dps-time-limit".into()).spawn(move || {
            if watch.recv_timeout(time_limit) == Err(mpsc::RecvTimeoutError::Timeout) {
                close(&shared);
                return true;
            }
            false
        });
        let watch = watch.map_err(|error| ureq::Error::Other(Box::new(error)))?;
        let result = self.exchange(request, time_limit);
        drop(done);
        match watch.join() {
            Ok(true) => result.map_err(|_| ureq::Error::Timeout(ureq::Timeout::Global)),
            _ => result,
        }
    }

    /// Sends, and leaves the answer in `head` and `body`; gives back the status.
    fn exchange(&mut self, request: &Request<'_>, time_limit: Duration) -> Result<u16, ureq::Error> {
        self.head.clear();
        self.body = Vec::new();
        let head = request.http();
        let uri = format!("https://{}{}", request.endpoint(), head.target());
        let mut builder = ureq::http::Request::builder().method(head.method()).uri(uri);
        for (name, value) in head.headers() {
            let mut value = HeaderValue::try_from(value).map_err(ureq::http::Error::from)?;
            value.set_sensitive(name == header::AUTHORIZATION);
            builder = builder.header(name, value);
        }
        let answer = match request.body() {
            Some(body) => self.run(builder.body(body)?, time_limit),
            None => self.run(builder.body(())?, time_limit),
        };
        let (head, body) = answer?.into_parts();
        // The limit is ours: what ureq takes for one has changed from version to version.
        let [one_more, beyond] = [1, 1024].map(|more| MAX_BODY.saturating_add(more));
        body.into_with_config().limit(beyond).reader().take(one_more).read_to_end(&mut self.body)?;
        if self.body.len() as u64 > MAX_BODY {
            return Err(ureq::Error::BodyExceedsLimit(MAX_BODY));
        }
        self.head = head.headers;
        Ok(head.status.as_u16())
    }

    /// Whether the last answer is not the service's, as far as can be seen from here.
    fn is_foreign(&self, status: u16) -> bool {
        let content_type = self.head.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_json = content_type.is_some_and(|value| value.to_ascii_lowercase().contains("json"));
        (300..400).contains(&status) || !(is_json || self.body.is_empty())
    }

    /// Notes it as the one that is under way.
    fn agent(&self) -> Result<ureq::Agent, ureq::Error> {
        let mut shared = lock(&self.shared);
        if shared.closed {
            return Err(io::Error::from(io::ErrorKind::ConnectionAborted).into());
        }
        let agent = shared.agent.take().unwrap_or_else(|| {
            let config = configuration(shared.roots.clone(), self.proxy.clone());
            ureq::Agent::with_parts(config, DefaultConnector::default(), self.dns.clone())
        });
        shared.agent = Some(agent.clone());
        shared.under_way = Some(agent.clone());
        Ok(agent)
    }

    fn run<B: ureq::AsSendBody>(
        &self,
        request: ureq::http::Request<B>,
        time_limit: Duration,
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let agent = self.agent()?;
        if time_limit >= REQUEST_LIMIT {
            return agent.run(request);
        }
        agent.run(agent.configure_request(request).timeout_global(Some(time_limit)).build())
    }
}

impl Default for HttpsTransport {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HttpsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpsTransport").finish_non_exhaustive()
    }
}

impl Transport for HttpsTransport {
    fn send<'b>(&'b mut self, request: &Request<'_>) -> Result<Response<'b>, TransportError> {
        let result = self.send_with_retry(request);
        lock(&self.shared).under_way = None;
        let status = result.map_err(|error| {
            // Wherever it went wrong, the address may be to blame.
            self.dns.forget();
            failure::explain(error, self.proxy.is_some())
        })?;
        let troubled = core::mem::replace(&mut self.troubled, status >= 500);
        if self.is_foreign(status) || (troubled && self.troubled) {
            // A gateway or a captive portal, or a machine that is not well: the next request is to find the service, should it
            // be there, or elsewhere, by then.
            self.dns.forget();
            lock(&self.shared).agent = None;
        }
        let headers = self.head.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        Ok(headers
            .fold(Response::new(status, &self.body[..]), |response, (name, value)| response.with_header(name, value)))
    }
}

/// Chooses how an [`HttpsTransport`] reaches the service.
#[derive(Debug, Default)]
pub struct HttpsTransportBuilder {
    roots: Roots,
    proxy: Option<Proxy>,
    dns: DnsCache,
}

impl HttpsTransportBuilder {
    /// Whose certificates are trusted. Default `Roots::bundled`, without the feature `bundled-roots` `Roots::platform`.
    #[must_use]
    pub fn roots(self, roots: Roots) -> Self {
        Self { roots, ..self }
    }

    /// Through which proxy to go. Default none, whatever the environment says.
    #[must_use]
    pub fn proxy(self, proxy: impl Into<Option<Proxy>>) -> Self {
        Self { proxy: proxy.into(), ..self }
    }

    /// How a host name and a port become addresses, which are tried in their order. Called on a thread of its own. An error, or no
    /// address, is [`NameNotResolved`](crate::error::TransportErrorKind::NameNotResolved). Default the system's resolver.
    ///
    /// A proxy looks names up by itself: then this is asked for the proxy alone.
    #[must_use]
    pub fn resolver(self, lookup: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Self {
        Self { dns: DnsCache::new(lookup), ..self }
    }

    /// The transport. Nothing is connected yet.
    #[must_use]
    pub fn build(self) -> HttpsTransport {
        let shared = Shared { roots: self.roots.into_inner(), agent: None, under_way: None, closed: false };
        HttpsTransport {
            proxy: self.proxy.map(Proxy::into_inner),
            dns: self.dns,
            shared: Arc::new(Mutex::new(shared)),
            head: HeaderMap::new(),
            body: Vec::new(),
            troubled: false,
        }
    }
}

fn configuration(roots: RootCerts, proxy: Option<ureq::Proxy>) -> ureq::config::Config {
    // This one, whatever the process has made its default, and without a panic where it has made none.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder().root_certs(roots).unversioned_rustls_crypto_provider(provider).build();
    ureq::Agent::config_builder()
        .tls_config(tls)
        .proxy(proxy)
        .https_only(true)
        .max_redirects(0)
        .http_status_as_error(false)
        .timeout_global(Some(REQUEST_LIMIT))
        .timeout_resolve(Some(RESOLVE_LIMIT))
        .timeout_connect(Some(CONNECT_LIMIT))
        .timeout_send_request(Some(ANSWER_LIMIT))
        .timeout_send_body(Some(ANSWER_LIMIT))
        .timeout_recv_response(Some(ANSWER_LIMIT))
        .timeout_recv_body(Some(ANSWER_LIMIT))
        .max_response_header_size(MAX_HEAD)
        .input_buffer_size(INPUT_BUFFER)
        .output_buffer_size(OUTPUT_BUFFER)
        .max_idle_age(MAX_IDLE)
        .max_idle_connections(1)
        .max_idle_connections_per_host(1)
        // Seen by a proxy only; a request brings its own.
        .user_agent(concat!("azure-iot-dps/", env!("CARGO_PKG_VERSION")))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The service asks to wait up to a minute between polls; ureq's own limit is 15 s.
    #[test]
    fn an_idle_connection_is_kept_for_longer_than_any_wait_between_polls() {
        let config = configuration(Roots::default().into_inner(), None);
        assert!(config.max_idle_age() >= Duration::from_secs(60 + 60), "{:?}", config.max_idle_age());
        assert_eq!((config.max_idle_connections(), config.max_redirects(), config.https_only()), (1, 0, true));
    }
}
