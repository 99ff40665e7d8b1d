//! The default transport: ureq, with rustls on ring.

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
/// The largest accepted body. The service's answers have at most 96 KB.
const MAX_BODY: u64 = 128 * 1024;
const MAX_HEAD: usize = 16 * 1024;
/// The input buffer is larger than the limit: a full buffer would look like a peer that hung up.
const INPUT_BUFFER: usize = MAX_HEAD + 1024;
/// The output buffer fits a request's head: the longest token, target and product are shorter.
const OUTPUT_BUFFER: usize = 8 * 1024;

/// A blocking transport over HTTPS, with TLS 1.2 or 1.3 from rustls.
///
/// - Time limits: 10 s for a name lookup, 30 s for connecting (proxy and TLS included), and 30 s
///   each for the head and the body of the answer. A whole request takes at most 55 s or
///   [`Request::time_limit`], whichever is less.
/// - Redirects are not followed. A request is sent over TLS or not at all. No proxy is read from
///   the environment.
/// - An answer has at most 128 KiB, and its head at most 16 KiB.
/// - One connection and one name lookup serve a whole registration. An idle connection is kept for
///   3.5 minutes.
/// - If a kept connection turns out to be dead, the request is sent once more on a new one.
/// - Neither the connection nor the address is kept after an answer that is not from the service,
///   such as a captive portal's, or after a second 5xx in a row.
/// - A name lookup that hangs in the system occupies one thread, however often it is requested.
/// - The protocol is HTTP/1.1. TLS supports neither the RSA key exchange nor the curve P-521,
///   because rustls on ring does not.
///
/// At the level `trace`, ureq logs the content of requests and answers, including tokens, through
/// the `log` crate. Do not enable `trace` for the targets `ureq` and `ureq_proto`.
///
/// ```
/// use azure_iot_dps::{DeviceKey, HttpsTransport, IdScope, ProvisioningClient, RegistrationId};
///
/// # let key = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";
/// let (id_scope, name) = (IdScope::new("0ne00002193")?, RegistrationId::new("my-device")?);
/// let client = ProvisioningClient::builder(id_scope, name, DeviceKey::from_base64(key)?)
///     .transport(HttpsTransport::new())
///     .build();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct HttpsTransport {
    connector: Connector,
    /// The agent with its connections, and the generation in which they were made.
    agent: Option<(u64, ureq::Agent)>,
    // The last answer, which the response borrows.
    head: HeaderMap,
    body: Vec<u8>,
    /// Whether the last answer was a 5xx.
    troubled: bool,
}

impl HttpsTransport {
    /// Creates a transport with the default roots and no proxy.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Returns a builder with default settings.
    #[must_use]
    pub fn builder() -> HttpsTransportBuilder {
        HttpsTransportBuilder::default()
    }

    net_handles!();

    /// Sends the request, and once more if the kept connection or address no longer works. Sending
    /// a request twice is safe.
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

    /// Sends the request, stores the answer in `head` and `body`, and returns the status.
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
        // This code checks the limit itself, because the exact limit of ureq has changed between versions.
        let [one_more, beyond] = [1, 1024].map(|more| MAX_BODY.saturating_add(more));
        body.into_with_config().limit(beyond).reader().take(one_more).read_to_end(&mut self.body)?;
        if self.body.len() as u64 > MAX_BODY {
            return Err(ureq::Error::BodyExceedsLimit(MAX_BODY));
        }
        self.head = head.headers;
        Ok(head.status.as_u16())
    }

    /// Returns whether the last answer is visibly not from the service.
    fn is_foreign(&self, status: u16) -> bool {
        let content_type = self.head.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_json = content_type.is_some_and(|value| value.to_ascii_lowercase().contains("json"));
        (300..400).contains(&status) || !(is_json || self.body.is_empty())
    }

    /// Returns the agent, or a new one if its connections may no longer be used.
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
            // A gateway, a captive portal or an unhealthy machine answered. The next request looks the name up
            // again, because the service may then be reachable, possibly at another address.
            self.connector.forget_addresses();
            self.agent = None;
        }
        let headers = self.head.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        Ok(headers
            .fold(Response::new(status, &self.body[..]), |response, (name, value)| response.with_header(name, value)))
    }
}

/// A builder for an [`HttpsTransport`].
///
/// ```
/// use azure_iot_dps::{HttpsTransport, Proxy, Roots};
///
/// # let path = "tests/data/rsa/root.pem";
/// let roots = Roots::file(path)?;
/// let proxy = Proxy::new("http://proxy.example:3128")?;
/// let transport = HttpsTransport::builder().roots(roots).proxy(proxy).build();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct HttpsTransportBuilder {
    net: NetBuilder,
}

impl HttpsTransportBuilder {
    net_settings!();

    /// Creates the transport. It does not connect yet.
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
        // The connector handles the proxy.
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

    /// The service may ask for a minute between polls. The default limit of ureq is 15 s.
    #[test]
    fn an_idle_connection_is_kept_for_longer_than_any_wait_between_polls() {
        let config = configuration();
        assert!(config.max_idle_age() >= Duration::from_secs(60 + 60), "{:?}", config.max_idle_age());
        assert_eq!((config.max_idle_connections(), config.max_redirects(), config.https_only()), (1, 0, true));
    }
}
