//! The default transport: ureq, with rustls on ring and the bundled roots.

mod failure;
mod proxy;
mod roots;

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use std::io::Read;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Instant;

pub use proxy::{Proxy, ProxyError};
pub use roots::{Roots, RootsError};
use ureq::http::{HeaderMap, HeaderValue, header};
use ureq::tls::TlsConfig;

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
const LARGEST_BODY: u64 = 128 * 1024;
const LARGEST_HEAD: usize = 16 * 1024;
/// One that is full before the limit is passed would look like a peer that hung up.
const INPUT_BUFFER: usize = LARGEST_HEAD + 1024;
/// Room for a request's head: the longest token, target and product together stay below.
const OUTPUT_BUFFER: usize = 8 * 1024;
/// The service may ask to wait a minute between polls; that should not cost another handshake. Azure's load balancers drop
/// what is idle for 4 minutes.
const LONGEST_IDLE: Duration = Duration::from_secs(210);

/// Carries requests over HTTPS, with TLS 1.2 or 1.3 by rustls.
///
/// - Looking up the name takes at most 10 s, connecting (TLS included) 30 s, the head and the body of the answer 30 s each,
///   and all of it together 55 s or [`Request::time_limit`], whichever is less.
/// - Redirects are not followed, the request goes out in TLS or not at all, and no proxy is read from the environment.
/// - An answer has at most 128 KiB, its head at most 16 KiB.
/// - One connection serves a whole registration; an idle one is kept for 3.5 minutes. Where a kept connection turns out to
///   be dead, the request is sent once more on a new one.
///
/// At the level `trace` the libraries below write what goes over the wire to the `log` crate, tokens included: keep the
/// targets `ureq` and `ureq_proto` at `debug` or above.
///
/// ```no_run
/// use azure_iot_dps::{HttpsTransport, Proxy, Roots};
///
/// let roots = Roots::pem(&std::fs::read("/etc/acme/roots.pem")?)?;
/// let proxy = Proxy::new("http://proxy.example:3128")?;
/// let transport = HttpsTransport::builder().roots(roots).proxy(proxy).build();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct HttpsTransport {
    config: ureq::config::Config,
    connections: Connections,
    // The last answer, which the caller borrows.
    head: HeaderMap,
    body: Vec<u8>,
}

/// The agent with its connections, while there is one: whoever takes it and shuts it down ends the request under way.
type Connections = Arc<Mutex<Option<ureq::Agent>>>;

fn lock(connections: &Connections) -> MutexGuard<'_, Option<ureq::Agent>> {
    connections.lock().unwrap_or_else(PoisonError::into_inner)
}

fn close(connections: &Connections) {
    let agent = lock(connections).take();
    if let Some(agent) = agent {
        agent.shutdown();
    }
}

impl HttpsTransport {
    /// With the bundled roots and no proxy.
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
    pub fn closer(&self) -> Closer {
        Closer(Arc::clone(&self.connections))
    }

    /// Sends, and sends once more if a connection that was kept has died meanwhile. A request is safe to send again.
    fn send_on_a_live_connection(&mut self, request: &Request<'_>) -> Result<u16, ureq::Error> {
        let started = Instant::now();
        let time_limit = request.time_limit().min(REQUEST_LIMIT);
        let kept = !self.head.is_empty();
        match self.send_in_time(request, time_limit) {
            // Where somebody closed it on purpose, the agent is gone.
            Err(ureq::Error::Io(error)) if kept && failure::is_hang_up(&error) && lock(&self.connections).is_some() => {
                let left = time_limit.saturating_sub(started.elapsed());
                if left.is_zero() { Err(error.into()) } else { self.send_in_time(request, left) }
            }
            result => result,
        }
    }

    /// Sends within the time there is. ureq keeps to that by itself, unless a proxy lets its own answer drip: then a watch
    /// ends it.
    fn send_in_time(&mut self, request: &Request<'_>, time_limit: Duration) -> Result<u16, ureq::Error> {
        if self.config.proxy().is_none() {
            return self.exchange(request, time_limit);
        }
        let (done, watch) = mpsc::channel::<()>();
        let connections = Arc::clone(&self.connections);
        let watch = std::thread::Builder::new().name("dps-time-limit".into()).spawn(move || {
            if watch.recv_timeout(time_limit) == Err(mpsc::RecvTimeoutError::Timeout) {
                close(&connections);
                return true;
            }
            false
        })?;
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
        let uri = format!("https://{}{}", request.endpoint(), request.target());
        let mut builder = ureq::http::Request::builder().method(request.method()).uri(uri);
        for (name, value) in request.headers() {
            let mut value = HeaderValue::try_from(value).map_err(ureq::http::Error::from)?;
            value.set_sensitive(name == header::AUTHORIZATION);
            builder = builder.header(name, value);
        }
        let answer = match request.body() {
            Some(body) => self.run(builder.body(body)?, time_limit),
            None => self.run(builder.body(())?, time_limit),
        };
        let (head, body) = answer?.into_parts();
        // ureq's limit is the first length that is too large.
        let limit = LARGEST_BODY.saturating_add(1);
        body.into_with_config().limit(limit).reader().read_to_end(&mut self.body)?;
        self.head = head.headers;
        Ok(head.status.as_u16())
    }

    fn run<B: ureq::AsSendBody>(
        &self,
        request: ureq::http::Request<B>,
        time_limit: Duration,
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let agent = lock(&self.connections).get_or_insert_with(|| self.config.new_agent()).clone();
        if time_limit >= REQUEST_LIMIT {
            return agent.run(request);
        }
        agent.run(agent.configure_request(request).timeout_global(Some(time_limit)).build())
    }
}

/// Ends what an [`HttpsTransport`] has under way, from another thread. Made by [`HttpsTransport::closer`].
///
/// The request fails at once (a name that is being looked up or a TCP connection that is being opened, within their limits
/// of 10 and 30 s). A registration takes that for a failure like any other and waits: have the wait hook say stop, too. A
/// later registration connects anew.
#[derive(Clone)]
pub struct Closer(Connections);

impl Closer {
    /// Closes the connection.
    pub fn close(&self) {
        close(&self.0);
    }
}

impl fmt::Debug for Closer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closer")
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
        let proxied = self.config.proxy().is_some();
        let status = self.send_on_a_live_connection(request).map_err(|error| failure::explain(error, proxied))?;
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
}

impl HttpsTransportBuilder {
    /// Whose certificates are trusted. Default [`Roots::bundled`].
    #[must_use]
    pub fn roots(self, roots: Roots) -> Self {
        Self { roots, ..self }
    }

    /// Through which proxy to go. Default none, whatever the environment says.
    #[must_use]
    pub fn proxy(self, proxy: impl Into<Option<Proxy>>) -> Self {
        Self { proxy: proxy.into(), ..self }
    }

    /// The transport. Nothing is connected yet.
    #[must_use]
    pub fn build(self) -> HttpsTransport {
        let config = ureq::Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(self.roots.into_inner()).build())
            .proxy(self.proxy.map(Proxy::into_inner))
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
            .max_response_header_size(LARGEST_HEAD)
            .input_buffer_size(INPUT_BUFFER)
            .output_buffer_size(OUTPUT_BUFFER)
            .max_idle_age(LONGEST_IDLE)
            .max_idle_connections(1)
            .max_idle_connections_per_host(1)
            // Seen by a proxy only; a request brings its own.
            .user_agent(concat!("azure-iot-dps/", env!("CARGO_PKG_VERSION")))
            .build();
        HttpsTransport { config, connections: Connections::default(), head: HeaderMap::new(), body: Vec::new() }
    }
}
