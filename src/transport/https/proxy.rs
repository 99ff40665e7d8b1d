//! Through which proxy to go.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use ureq::ProxyProtocol;
use url::Url;

use crate::encoding::percent_decode;

/// An HTTP proxy that opens a tunnel (`CONNECT`). TLS runs through it, from the device to the service.
///
/// An `http://` proxy gets its own name and password in clear text; the service's token stays inside TLS.
/// Its user name and password are hidden from `Debug`.
#[derive(Clone)]
pub struct Proxy(ureq::Proxy);

impl Proxy {
    /// From a URL: `http://proxy.example:3128`, with a name and password `http://name:password@proxy.example:3128`,
    /// which are percent-encoded if they hold `:`, `@` or the like. `https://` reaches the proxy itself through TLS.
    ///
    /// # Errors
    ///
    /// The text is no such URL.
    pub fn new(url: &str) -> Result<Self, ProxyError> {
        Self::parse(url, None)
    }

    fn parse(url: &str, no_proxy: Option<&str>) -> Result<Self, ProxyError> {
        let url = Url::parse(url).map_err(|error| ProxyError::Url(Box::new(error)))?;
        let protocol = match url.scheme() {
            "http" => ProxyProtocol::Http,
            "https" => ProxyProtocol::Https,
            _ => return Err(ProxyError::Scheme),
        };
        let host = url.host_str().ok_or(ProxyError::Host)?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(ProxyError::Path);
        }
        let mut builder = ureq::Proxy::builder(protocol).host(host);
        for host in no_proxy.into_iter().flat_map(|hosts| hosts.split(',')) {
            builder = builder.no_proxy(host.trim());
        }
        if let Some(port) = url.port_or_known_default() {
            builder = builder.port(port);
        }
        if !url.username().is_empty() {
            builder = builder.username(&decode(url.username())?);
        }
        if let Some(password) = url.password() {
            if url.username().is_empty() {
                return Err(ProxyError::Credentials);
            }
            builder = builder.password(&decode(password)?);
        }
        // ureq's own error would add nothing.
        builder.build().map(Self).map_err(|_| ProxyError::Host)
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
        Self::parse(&url, variable(&["NO_PROXY", "no_proxy"]).as_deref()).map(Some)
    }

    pub(super) fn into_inner(self) -> ureq::Proxy {
        self.0
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({}:{})", self.0.host(), self.0.port())
    }
}

fn decode(text: &str) -> Result<String, ProxyError> {
    String::from_utf8(percent_decode(text).collect()).map_err(|_| ProxyError::Credentials)
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
        assert_eq!((proxy.0.username(), proxy.0.password()), (Some("ada"), Some("s@cret")));
        assert_eq!(format!("{proxy:?}"), "Proxy(proxy.example:3128)");
    }

    #[test]
    fn a_proxys_port_defaults_to_that_of_its_scheme() {
        assert_eq!(Proxy::new("http://proxy.example").expect("valid").0.port(), 80);
        assert_eq!(Proxy::new("https://proxy.example/").expect("valid").0.port(), 443);
        assert_eq!(Proxy::new("http://[::1]:8080").expect("valid").0.host(), "[::1]");
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
