//! The default transport: ureq, with rustls on ring and the bundled roots.

mod failure;
mod proxy;
mod roots;

use alloc::format;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use std::io::Read;

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
/// The service's answers have at most 96 KB.
const LARGEST_BODY: u64 = 128 * 1024;
const LARGEST_HEAD: usize = 16 * 1024;
/// Room for a request's head: the longest token, target and product together stay below.
const OUTPUT_BUFFER: usize = 8 * 1024;
/// The service may ask to wait a minute between polls; that should not cost another handshake.
const LONGEST_IDLE: Duration = Duration::from_secs(5 * 60);

/// Carries requests over HTTPS, with TLS 1.2 or 1.3 by rustls.
///
/// - Looking up the name takes at most 10 s, connecting (TLS included) 30 s, the answer 30 s, and all of it together no
///   longer than [`Request::time_limit`].
/// - Redirects are not followed, nothing is sent without TLS, and no proxy is read from the environment.
/// - An answer has at most 128 KiB, its head at most 16 KiB.
/// - One connection serves a whole registration; an idle one is kept for 5 minutes.
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
    agent: ureq::Agent,
    // The last answer, which the caller borrows.
    head: HeaderMap,
    body: Vec<u8>,
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

    /// Sends, and leaves the answer in `head` and `body`; gives back the status.
    fn exchange(&mut self, request: &Request<'_>) -> Result<u16, ureq::Error> {
        let uri = format!("https://{}{}", request.endpoint(), request.target());
        let mut builder = ureq::http::Request::builder().method(request.method()).uri(uri);
        for (name, value) in request.headers() {
            let mut value = HeaderValue::try_from(value).map_err(ureq::http::Error::from)?;
            value.set_sensitive(name == header::AUTHORIZATION);
            builder = builder.header(name, value);
        }
        let answer = match request.body() {
            Some(body) => self.run(builder.body(body)?, request.time_limit()),
            None => self.run(builder.body(())?, request.time_limit()),
        };
        let (head, body) = answer?.into_parts();
        self.head = head.headers;
        body.into_with_config().limit(LARGEST_BODY).reader().read_to_end(&mut self.body)?;
        Ok(head.status.as_u16())
    }

    fn run<B: ureq::AsSendBody>(
        &self,
        request: ureq::http::Request<B>,
        time_limit: Duration,
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        self.agent.run(self.agent.configure_request(request).timeout_global(Some(time_limit)).build())
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
        self.head.clear();
        self.body = Vec::new();
        let status = self.exchange(request).map_err(failure::explain)?;
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
            .timeout_resolve(Some(RESOLVE_LIMIT))
            .timeout_connect(Some(CONNECT_LIMIT))
            .timeout_send_request(Some(ANSWER_LIMIT))
            .timeout_send_body(Some(ANSWER_LIMIT))
            .timeout_recv_response(Some(ANSWER_LIMIT))
            .timeout_recv_body(Some(ANSWER_LIMIT))
            .max_response_header_size(LARGEST_HEAD)
            .input_buffer_size(LARGEST_HEAD)
            .output_buffer_size(OUTPUT_BUFFER)
            .max_idle_age(LONGEST_IDLE)
            .max_idle_connections(1)
            .max_idle_connections_per_host(1)
            // Seen by a proxy only; a request brings its own.
            .user_agent(concat!("azure-iot-dps/", env!("CARGO_PKG_VERSION")))
            .build();
        HttpsTransport { agent: config.new_agent(), head: HeaderMap::new(), body: Vec::new() }
    }
}
