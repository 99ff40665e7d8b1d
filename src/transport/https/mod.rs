//! The default transport: ureq, with rustls on ring and the bundled roots.

mod failure;
mod stream;

use alloc::format;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use std::io::Read;
use std::time::Instant;

use stream::{HttpConnector, NoResolver};
use ureq::http::{HeaderMap, HeaderValue, header};

use crate::error::TransportError;
use crate::protocol::{Request, Response};
use crate::transport::Transport;
use crate::transport::net::{Connector, MAX_IDLE, NetBuilder, REQUEST_LIMIT, net_handles, net_settings};

const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// The service's answers have at most 96 KB.
const MAX_BODY: u64 = 128 * 1024;
const MAX_HEAD: usize = 16 * 1024;
/// One that is full before the limit is passed would look like a peer that hung up.
const INPUT_BUFFER: usize = MAX_HEAD + 1024;
/// Room for a request's head: the longest token, target and product together stay below.
const OUTPUT_BUFFER: usize = 8 * 1024;

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
/// - It speaks HTTP/1.1 alone. TLS knows neither the RSA key exchange nor the curve P-521, as rustls on ring has neither.
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
    connector: Connector,
    /// With its connections, which were made in this generation.
    agent: Option<(u64, ureq::Agent)>,
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

    net_handles!();

    /// Sends, and sends once more if what was kept from the last request, the connection or the address, is good no longer. A
    /// request is safe to send again.
    fn send_with_retry(&mut self, request: &Request<'_>) -> Result<u16, ureq::Error> {
        let started = Instant::now();
        let time_limit = request.time_limit().min(REQUEST_LIMIT);
        let control = &self.connector.control;
        control.begin();
        let kept = !self.head.is_empty() && matches!(self.agent, Some((made, _)) if made == control.generation());
        match self.exchange(request, time_limit) {
            Err(error) if kept && failure::is_lost(&error) && !self.connector.control.is_ended() => {
                self.connector.forget_addresses();
                let left = time_limit.saturating_sub(started.elapsed());
                if left.is_zero() { Err(error) } else { self.exchange(request, left) }
            }
            result => result,
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

    /// The agent whose connections are good still.
    fn agent(&mut self) -> ureq::Agent {
        let generation = self.connector.control.generation();
        match &self.agent {
            Some((made, agent)) if *made == generation => agent.clone(),
            _ => {
                let connector = HttpConnector(self.connector.clone());
                let agent = ureq::Agent::with_parts(configuration(), connector, NoResolver);
                self.agent = Some((generation, agent.clone()));
                agent
            }
        }
    }

    fn run<B: ureq::AsSendBody>(
        &mut self,
        request: ureq::http::Request<B>,
        time_limit: Duration,
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let agent = self.agent();
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
        #[cfg(feature = "x509")]
        self.connector.check(request)?;
        let status = self.send_with_retry(request).map_err(|error| self.connector.failed(failure::explain(error)))?;
        let troubled = core::mem::replace(&mut self.troubled, status >= 500);
        if self.is_foreign(status) || (troubled && self.troubled) {
            // A gateway or a captive portal, or a machine that is not well: the next request is to find the service, should it
            // be there, or elsewhere, by then.
            self.connector.forget_addresses();
            self.agent = None;
        }
        let headers = self.head.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        Ok(headers
            .fold(Response::new(status, &self.body[..]), |response, (name, value)| response.with_header(name, value)))
    }
}

/// Chooses how an [`HttpsTransport`] reaches the service.
#[derive(Debug, Default)]
pub struct HttpsTransportBuilder {
    net: NetBuilder,
}

impl HttpsTransportBuilder {
    net_settings!();

    /// The transport. Nothing is connected yet.
    #[must_use]
    pub fn build(self) -> HttpsTransport {
        HttpsTransport {
            connector: self.net.build(),
            agent: None,
            head: HeaderMap::new(),
            body: Vec::new(),
            troubled: false,
        }
    }
}

fn configuration() -> ureq::config::Config {
    ureq::Agent::config_builder()
        // A proxy is the connector's business.
        .proxy(None)
        .https_only(true)
        .max_redirects(0)
        .http_status_as_error(false)
        .timeout_global(Some(REQUEST_LIMIT))
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
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The service asks to wait up to a minute between polls; ureq's own limit is 15 s.
    #[test]
    fn an_idle_connection_is_kept_for_longer_than_any_wait_between_polls() {
        let config = configuration();
        assert!(config.max_idle_age() >= Duration::from_secs(60 + 60), "{:?}", config.max_idle_age());
        assert_eq!((config.max_idle_connections(), config.max_redirects(), config.https_only()), (1, 0, true));
    }
}
