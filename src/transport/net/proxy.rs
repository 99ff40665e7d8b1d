//! Through which proxy to go.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use url::Url;

use super::no_proxy::NoProxy;
use crate::encoding::{base64_encode, percent_decode};

/// An HTTP proxy that opens a tunnel (`CONNECT`). TLS runs through it, from the device to the service.
///
/// An `http://` proxy gets its own name and password in clear text; the service's token stays inside TLS.
/// Its user name and password are hidden from `Debug`.
#[derive(Clone)]
pub struct Proxy {
    is_https: bool,
    host: Box<str>,
    port: u16,
    /// User name and password.
    credentials: Option<(Box<str>, Box<str>)>,
    exempt: NoProxy,
}

impl Proxy {
    /// From a URL: `http://proxy.example:3128`, with a name and password `http://name:password@proxy.example:3128`,
    /// which are percent-encoded if they hold `:`, `@` or the like. `https://` reaches the proxy itself through TLS.
    ///
    /// # Errors
    ///
    /// The text is no such URL.
    pub fn new(url: &str) -> Result<Self, ProxyError> {
        Self::parse(url, NoProxy::default())
    }

    fn parse(url: &str, exempt: NoProxy) -> Result<Self, ProxyError> {
        let url = Url::parse(url).map_err(|error| ProxyError::Url(Box::new(error)))?;
        let is_https = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err(ProxyError::Scheme),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(ProxyError::Host)?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(ProxyError::Path);
        }
        let credentials = match (url.username(), url.password()) {
            ("", Some(_)) => return Err(ProxyError::Credentials),
            ("", None) => None,
            (name, password) => Some((decode(name)?, decode(password.unwrap_or_default())?)),
        };
        let port = url.port_or_known_default().ok_or(ProxyError::Host)?;
        Ok(Self { is_https, host: host.into(), port, credentials, exempt })
    }

    /// From the variables `HTTPS_PROXY` or else `ALL_PROXY`, in upper or lower case, minding `NO_PROXY`; `None` where neither
    /// is set. A proxy without a scheme is an `http://` one.
    ///
    /// Right for a tool that somebody starts, wrong for a device: there, a stray variable must not redirect a fleet.
    ///
    /// # Errors
    ///
    /// The variable that counts is set to something that is not a proxy of this kind.
    pub fn from_environment() -> Result<Option<Self>, ProxyError> {
        let variable =
            |names: &[&str]| names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        let Some(text) = variable(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]) else { return Ok(None) };
        let url = if text.contains("://") { text } else { alloc::format!("http://{text}") };
        let exempt = variable(&["NO_PROXY", "no_proxy"]).as_deref().map(NoProxy::parse).unwrap_or_default();
        Self::parse(&url, exempt).map(Some)
    }

    /// Whether connections to this host go through the proxy.
    pub(super) fn is_for(&self, host: &str, port: u16) -> bool {
        !self.exempt.contains(host, port)
    }

    pub(super) fn is_https(&self) -> bool {
        self.is_https
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// User name and password as the scheme `Basic` has them (RFC 7617).
    pub(super) fn basic_credentials(&self) -> Option<String> {
        let (name, password) = self.credentials.as_ref()?;
        Some(base64_encode([name, ":", password].concat().as_bytes()))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({}:{})", self.host, self.port)
    }
}

fn decode(text: &str) -> Result<Box<str>, ProxyError> {
    let text = String::from_utf8(percent_decode(text).collect()).map_err(|_| ProxyError::Credentials)?;
    Ok(text.into())
}

/// Why a text is not the URL of a proxy. Holds nothing of the text, which may contain a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// It is no URL at all.
    #[error("the proxy is not a URL such as http://proxy.example:3128")]
    Url(#[source] Box<dyn core::error::Error + Send + Sync>),
    /// Neither `http` nor `https`.
    #[error("a proxy's URL begins with http:// or https://")]
    Scheme,
    /// The host is missing or is no host.
    #[error("the proxy's URL has no valid host")]
    Host,
    /// A path, query or fragment, which means nothing to a proxy.
    #[error("the proxy's URL has a path, a query or a fragment")]
    Path,
    /// The user name or the password is not percent-encoded UTF-8, or there is a password without a name.
    #[error("the proxy's user name and password are not valid")]
    Credentials,
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn a_proxy_keeps_its_credentials_to_itself() {
        let proxy = Proxy::new("http://ada:s%40cret@proxy.example:3128").expect("valid");
        assert_eq!(proxy.basic_credentials().as_deref(), Some("YWRhOnNAY3JldA=="));
        assert_eq!(format!("{proxy:?}"), "Proxy(proxy.example:3128)");
    }

    #[test]
    fn a_proxys_port_defaults_to_that_of_its_scheme() {
        assert_eq!(Proxy::new("http://proxy.example").expect("valid").port(), 80);
        assert_eq!(Proxy::new("https://proxy.example/").expect("valid").port(), 443);
        assert_eq!(Proxy::new("http://[::1]:8080").expect("valid").host(), "[::1]");
    }

    #[test]
    fn what_is_no_url_of_a_proxy_is_refused_without_a_word_of_it() {
        for (url, problem) in [
            ("proxy s3cret", "Url"),
            ("socks5://s3cret@proxy.example", "Scheme"),
            ("http://s3cret:s3cret@", "Url"),
            ("http://proxy.example/s3cret", "Path"),
            ("http://proxy.example?s3cret", "Path"),
            ("http://:s3cret@proxy.example", "Credentials"),
            ("http://ada:s3cret%ff@proxy.example", "Credentials"),
        ] {
            let error = format!("{:?}", Proxy::new(url).expect_err(url));
            assert!(error.starts_with(problem), "{url}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
