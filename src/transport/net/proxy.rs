//! Through which proxy to go.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::fmt;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
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
    credentials: Option<Credentials>,
    exempt: NoProxy,
}

impl Proxy {
    /// Parses a URL: `http://proxy.example:3128`, with a user name and password `http://name:password@proxy.example:3128`.
    ///
    /// `https://` reaches the proxy itself through TLS. The last `@` ends the password and the first `:` the name, so all characters
    /// may stand there as they are, but for a `%` before two hexadecimal digits: that is decoded. A name cannot hold a colon
    /// (RFC 7617, section 2).
    ///
    /// # Errors
    ///
    /// The text is no such URL.
    pub fn new(url: &str) -> Result<Self, ProxyError> {
        Self::parse(url, NoProxy::default())
    }

    fn parse(url: &str, exempt: NoProxy) -> Result<Self, ProxyError> {
        // A proxy has no path, so the last `@` ends the credentials, whatever they hold.
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let (credentials, authority) = match rest.rsplit_once('@') {
            Some((credentials, authority)) => (Credentials::parse(credentials)?, authority),
            None => (None, rest),
        };
        let separator = if scheme.is_empty() { "" } else { "://" };
        let bare = [scheme, separator, authority].concat();
        let url = Url::parse(&bare).map_err(|error| ProxyError::Url(Box::new(error)))?;
        let is_https = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err(ProxyError::Scheme),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(ProxyError::Host)?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(ProxyError::Path);
        }
        let port = url.port_or_known_default().ok_or(ProxyError::Host)?;
        Ok(Self { is_https, host: host.into(), port, credentials, exempt })
    }

    /// Reads the variables `https_proxy` or else `all_proxy`, minding `no_proxy`; `None` where neither is set.
    ///
    /// As with curl, each may be written in capitals, which counts where the other is not set, and a proxy without a scheme is an
    /// `http://` one. `no_proxy` lists, between commas or spaces, domains (with all below them), addresses and networks
    /// (`192.168.0.0/16`) that are reached without the proxy; `*` is every host. A domain with a port, `example.net:8883`, counts
    /// for that port alone, which curl does not know.
    ///
    /// Right for a tool that somebody starts, wrong for a device: there, a stray variable must not redirect a fleet.
    ///
    /// # Errors
    ///
    /// The variable that counts is set to something that is not a proxy of this kind.
    pub fn from_environment() -> Result<Option<Self>, ProxyError> {
        let variable =
            |names: &[&str]| names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        let Some(text) = variable(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]) else { return Ok(None) };
        let url = if text.contains("://") { text } else { format!("http://{text}") };
        let exempt = variable(&["no_proxy", "NO_PROXY"]).as_deref().map(NoProxy::parse).unwrap_or_default();
        Self::parse(&url, exempt).map(Some)
    }

    /// Exempts hosts, in the form of the variable `no_proxy`: see [`from_environment`](Self::from_environment). Default none.
    #[must_use]
    pub fn no_proxy(self, list: &str) -> Self {
        Self { exempt: NoProxy::parse(list), ..self }
    }

    /// Whether connections to this host and port go through the proxy: they do unless they are exempt.
    #[must_use]
    pub fn is_for(&self, host: &str, port: u16) -> bool {
        !self.exempt.contains(host, port)
    }

    /// Returns the URL, to hand to another client, such as that of the hub. It is a secret if the proxy has a password.
    #[must_use]
    pub fn to_url(&self) -> String {
        let scheme = if self.is_https { "https" } else { "http" };
        let credentials = self.credentials.as_ref().map_or_else(String::new, |credentials| {
            let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
            format!("{}:{}@", encode(&credentials.name), encode(&credentials.password))
        });
        format!("{scheme}://{credentials}{}:{}", self.host, self.port)
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
        let credentials = self.credentials.as_ref()?;
        Some(base64_encode([&*credentials.name, ":", &*credentials.password].concat().as_bytes()))
    }
}

/// What a proxy lets a device through for.
#[derive(Clone)]
struct Credentials {
    name: Box<str>,
    password: Box<str>,
}

impl Credentials {
    fn parse(text: &str) -> Result<Option<Self>, ProxyError> {
        if text.is_empty() {
            return Ok(None);
        }
        let (name, password) = text.split_once(':').unwrap_or((text, ""));
        let (name, password) = (decode(name)?, decode(password)?);
        if name.contains(':') { Err(ProxyError::Credentials) } else { Ok(Some(Self { name, password })) }
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
    /// The user name or the password is not percent-encoded UTF-8, or the name holds a colon.
    #[error("the proxy's user name and password are not valid")]
    Credentials,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_keeps_its_credentials_to_itself() {
        let proxy = Proxy::new("http://ada:s%40cret@proxy.example:3128").expect("valid");
        assert_eq!(proxy.basic_credentials().as_deref(), Some("YWRhOnNAY3JldA=="));
        assert_eq!(format!("{proxy:?}"), "Proxy(proxy.example:3128)");
    }

    #[test]
    fn a_proxys_name_and_password_hold_any_character_encoded_or_not() {
        // What curl 7.88 sends; it refuses the ones that hold `@`, `/`, `#`, `?` or a space as they are.
        for (credentials, expected) in [
            ("u:p@s@s", "u:p@s@s"),
            ("u:p/s#s?s", "u:p/s#s?s"),
            ("u:p:ss", "u:p:ss"),
            ("u:100%", "u:100%"),
            ("u:p%41%2f%25", "u:pA/%"),
            ("u:p s\\s", "u:p s\\s"),
            ("u:p\u{e4}%c3%a4", "u:p\u{e4}\u{e4}"),
            ("u", "u:"),
            ("u:", "u:"),
            (":p", ":p"),
        ] {
            let proxy = Proxy::new(&format!("http://{credentials}@proxy.example:3128")).expect(credentials);
            assert_eq!(proxy.basic_credentials(), Some(base64_encode(expected.as_bytes())), "{credentials}");
            assert_eq!((proxy.host(), proxy.port()), ("proxy.example", 3128));
        }
        // Every printable character, as it is and encoded.
        for character in ' '..='~' {
            for written in [format!("{character}"), format!("%{:02x}", u32::from(character))] {
                let proxy = Proxy::new(&format!("http://u:x{written}.x@proxy.example")).expect(&written);
                assert_eq!(proxy.basic_credentials(), Some(base64_encode(format!("u:x{character}.x").as_bytes())));
                let again = Proxy::new(&proxy.to_url()).expect(&written);
                assert_eq!((again.basic_credentials(), again.port()), (proxy.basic_credentials(), 80));
            }
        }
        assert_eq!(Proxy::new("http://@proxy.example").expect("valid").basic_credentials(), None);
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
            ("http://s3cret%3As3cret:s3cret@proxy.example", "Credentials"),
            ("http://proxy.example/s3cret", "Path"),
            ("http://proxy.example?s3cret", "Path"),
            ("http://ada:s3cret%ff@proxy.example", "Credentials"),
        ] {
            let error = format!("{:?}", Proxy::new(url).expect_err(url));
            assert!(error.starts_with(problem), "{url}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
