//! Sends messages to an IoT hub over HTTPS, with only what an example needs.
//!
//! Source: Microsoft, "Send Device Event" of the IoT Hub device REST API.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use azure_iot_dps::hub::HubFailure;
use azure_iot_dps::key::Signer;
use azure_iot_dps::{Endpoint, HubCredentials, Proxy, Roots, SasToken};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::http::{HeaderMap, HeaderValue};
use ureq::tls::{Certificate, TlsConfig};

use super::Result;

/// The characters of a path segment that are percent-encoded. Source: RFC 3986, section 2.3.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A connection to a hub.
pub struct Hub {
    agent: ureq::Agent,
    url: String,
}

/// The reason why a hub did not accept a message.
#[derive(Debug)]
pub struct Refused {
    pub failure: HubFailure,
    why: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Hub {
    /// Creates a connection to the device's hub.
    ///
    /// If there is a gateway, it connects to that. The token and the path still name the hub.
    pub fn new<S: Signer>(
        credentials: &HubCredentials<S>,
        gateway: Option<&Endpoint>,
        roots: &Roots,
        proxy: Option<&Proxy>,
    ) -> Result<Self> {
        let hub: Endpoint = credentials.hub().as_str().parse()?;
        let endpoint = gateway.unwrap_or(&hub);
        let proxy = proxy.filter(|proxy| proxy.is_for(endpoint.host().as_str(), endpoint.port().unwrap_or(443)));
        let proxy = proxy.map(|proxy| ureq::Proxy::new(&proxy.to_url())).transpose()?;
        let device_id = utf8_percent_encode(credentials.device_id().as_str(), SEGMENT);
        let url = format!("https://{endpoint}/devices/{device_id}/messages/events?api-version=2020-03-13");
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let roots: Vec<_> = roots.certificates().map(|der| Certificate::from_der(der).to_owned()).collect();
        let tls = TlsConfig::builder().root_certs(roots.into()).unversioned_rustls_crypto_provider(ring);
        let config = ureq::Agent::config_builder()
            .tls_config(tls.build())
            .proxy(proxy)
            .https_only(true)
            .max_redirects(0)
            .http_status_as_error(false)
            // Azure's load balancers drop connections that are idle for 4 minutes.
            .max_idle_age(Duration::from_secs(210))
            .timeout_resolve(Some(Duration::from_secs(10)))
            .timeout_global(Some(Duration::from_secs(60)));
        Ok(Self { agent: config.build().into(), url })
    }

    /// Sends one JSON message, and waits until the hub has acknowledged it.
    pub fn send(&self, token: &SasToken, message: &str) -> Result<(), Refused> {
        let unreachable = |error: ureq::Error| Refused {
            failure: HubFailure::UNREACHABLE,
            why: format!("the hub cannot be reached: {error}"),
        };
        let mut authorization = HeaderValue::from_str(token.as_str())
            .map_err(|error| unreachable(ureq::http::Error::from(error).into()))?;
        authorization.set_sensitive(true);
        let request = self.agent.post(&self.url).header("Authorization", authorization);
        let answer = request.content_type("application/json; charset=utf-8").send(message).map_err(unreachable)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        // Read the whole body, so that the connection can be reused.
        answer.into_body().read_to_vec().map_err(unreachable)?;
        if status.is_success() { Ok(()) } else { Err(refused(status.as_u16(), &headers)) }
    }
}

fn refused(status: u16, headers: &HeaderMap) -> Refused {
    let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let mut refused =
        Refused { failure: HubFailure::http(status), why: format!("the hub refused the message with status {status}") };
    if let Some(code) = header("iothub-errorcode") {
        refused.failure = refused.failure.with_code_name(code);
        refused.why.extend([" (", code, ")"]);
    }
    if let Some(seconds) = header("retry-after").and_then(|seconds| seconds.parse().ok()) {
        refused.failure = refused.failure.with_retry_after(Duration::from_secs(seconds));
    }
    refused
}
