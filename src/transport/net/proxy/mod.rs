//! HTTP proxies.

mod no_proxy;
mod tunnel;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::fmt;
use std::time::Instant;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::StreamOwned;
use url::Url;

use self::no_proxy::NoProxy;
#[cfg(feature = "mqtt-websocket")]
pub(in crate::transport) use self::tunnel::is_about_credentials;
use super::dialer::Dialer;
use super::failure::explain_io;
use super::stream::Lower;
use crate::encoding::{base64_encode, percent_decode};
use crate::error::{TransportError, TransportErrorKind as Kind};

/// An HTTP proxy that opens a tunnel (`CONNECT`) for the TLS connection to the service.
///
/// An `http://` proxy gets its own user name and password in clear text. The token for the service
/// stays inside TLS. `Debug` hides the user name and the password.
///
/// ```
/// use azure_iot_dps::Proxy;
///
/// let proxy = Proxy::new("http://name:password@proxy.example:3128")?.no_proxy("local.example");
/// assert!(proxy.is_for("global.azure-devices-provisioning.net", 443));
/// assert!(!proxy.is_for("dps.local.example", 443));
/// assert_eq!(format!("{proxy:?}"), "Proxy(proxy.example:3128)");
/// # Ok::<(), azure_iot_dps::transport::ProxyError>(())
/// ```
#[derive(Clone)]
pub struct Proxy {
    is_https: bool,
    host: Box<str>,
    port: u16,
    credentials: Option<Credentials>,
    exempt: NoProxy,
}

impl Proxy {
    /// Parses the URL of a proxy, such as `http://proxy.example:3128`.
    ///
    /// With a user name and a password, it is `http://name:password@proxy.example:3128`. An
    /// `https://` URL means TLS to the proxy itself.
    ///
    /// The last `@` ends the password, and the first `:` ends the name. So all characters may be
    /// written as they are, except for a `%` before two hexadecimal digits, which is decoded. A
    /// name cannot have a colon. Source: RFC 7617, section 2.
    ///
    /// # Errors
    ///
    /// Returns [`ProxyError`] if the text is not such a URL.
    pub fn new(url: &str) -> Result<Self, ProxyError> {
        Self::parse(url, NoProxy::default())
    }

    fn parse(url: &str, exempt: NoProxy) -> Result<Self, ProxyError> {
        // A proxy's URL has no path, so the last `@` ends the credentials, whatever they contain.
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

    /// Reads the proxy from the environment variables `https_proxy`, `all_proxy` and `no_proxy`.
    ///
    /// Returns `None` if neither `https_proxy` nor `all_proxy` is set; the former has precedence.
    /// As with curl, a variable in capitals is used if the one in lower case is not set, and a
    /// proxy without a scheme is an `http://` proxy.
    ///
    /// `no_proxy` lists domains (with their subdomains), addresses and networks (`192.168.0.0/16`)
    /// that are reached without the proxy, between commas or spaces. A single `*` means every host.
    /// A domain with a port, `example.net:8883`, applies to that port only, which curl does not
    /// support.
    ///
    /// Use it in command-line tools, not on devices, where a stray variable could redirect a fleet.
    ///
    /// # Errors
    ///
    /// Returns [`ProxyError`] if the variable in use is not the URL of such a proxy.
    pub fn from_environment() -> Result<Option<Self>, ProxyError> {
        let variable = |names: &[&'static str]| {
            let set = names.iter().filter_map(|name| std::env::var_os(name).map(|value| (*name, value)));
            set.into_iter().find(|(_, value)| !value.is_empty())
        };
        let Some((name, text)) = variable(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]) else {
            return Ok(None);
        };
        let of_variable = |source| ProxyError::Variable { name, source: Box::new(source) };
        let text = text.into_string().map_err(|_| of_variable(ProxyError::Url("it is not UTF-8".into())))?;
        let url = if text.contains("://") { text } else { format!("http://{text}") };
        let exempt = variable(&["no_proxy", "NO_PROXY"]).map(|(_, list)| NoProxy::parse(&list.to_string_lossy()));
        Self::parse(&url, exempt.unwrap_or_default()).map(Some).map_err(of_variable)
    }

    /// Sets the hosts that are reached without the proxy. Default: none.
    ///
    /// The list has the form of the variable `no_proxy`: see
    /// [`from_environment`](Self::from_environment).
    #[must_use]
    pub fn no_proxy(self, list: &str) -> Self {
        Self { exempt: NoProxy::parse(list), ..self }
    }

    /// Returns whether connections to this host and port use the proxy.
    #[must_use]
    pub fn is_for(&self, host: &str, port: u16) -> bool {
        !self.exempt.contains(host, port)
    }

    /// Returns the URL, for another client such as the hub's.
    ///
    /// It is a secret if the proxy has a password.
    #[must_use]
    pub fn to_url(&self) -> String {
        let scheme = if self.is_https { "https" } else { "http" };
        let credentials = self.credentials.as_ref().map_or_else(String::new, |credentials| {
            let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
            format!("{}:{}@", encode(&credentials.name), encode(&credentials.password))
        });
        format!("{scheme}://{credentials}{}:{}", self.host, self.port)
    }

    /// Returns the user name and the password in the form of the scheme `Basic` (RFC 7617).
    fn basic_credentials(&self) -> Option<String> {
        let credentials = self.credentials.as_ref()?;
        Some(base64_encode([&*credentials.name, ":", &*credentials.password].concat().as_bytes()))
    }
}

/// The user name and the password for a proxy.
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

/// Opens a tunnel. Failures to reach the proxy get the kind `Proxy`.
pub(super) fn connect(
    dialer: &Dialer,
    proxy: &Proxy,
    host: &str,
    port: u16,
    until: Instant,
) -> Result<Lower, TransportError> {
    // A timeout may happen behind the proxy, and a wrong clock is a problem of the device.
    let blame = |error: TransportError| match error.kind() {
        Kind::TimedOut | Kind::ClockNotSet | Kind::NoCryptoProvider => error,
        _ if dialer.is_ended() => error,
        _ => error.with_kind(Kind::Proxy),
    };
    let mut socket = dialer.open(&proxy.host, proxy.port, until).map_err(blame)?;
    let mut lower = if proxy.is_https {
        let mut tls = dialer.tls(&proxy.host).map_err(blame)?;
        tls.complete_io(&mut socket).map_err(|error| blame(explain_io(error)))?;
        Lower::Proxy(Box::new(StreamOwned::new(tls, socket)))
    } else {
        Lower::Direct(socket)
    };
    tunnel::open(&mut lower, proxy.basic_credentials().as_deref(), host, port)?;
    Ok(lower)
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

/// The reason why a text is not the URL of a proxy.
///
/// It holds nothing of the text, which may contain a password.
///
/// ```
/// use azure_iot_dps::transport::{Proxy, ProxyError};
///
/// match Proxy::new("socks5://proxy.example:1080") {
///     Ok(proxy) => println!("{proxy:?}"),
///     Err(ProxyError::Scheme) => println!("only http:// and https:// are supported"),
///     Err(error) => println!("{error}"),
/// }
/// # assert!(matches!(Proxy::new("socks5://proxy.example:1080"), Err(ProxyError::Scheme)));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The text is not a URL.
    #[error("the proxy is not a URL such as http://proxy.example:3128")]
    Url(#[source] Box<dyn core::error::Error + Send + Sync>),
    /// The scheme is neither `http` nor `https`.
    #[error("the proxy's URL must begin with http:// or https://")]
    Scheme,
    /// The host is missing.
    #[error("the proxy's URL has no valid host")]
    Host,
    /// The URL has a path, a query or a fragment, which have no meaning for a proxy.
    #[error("the proxy's URL must not have a path, a query or a fragment")]
    Path,
    /// The user name or the password is not UTF-8 when decoded, or the name has a colon.
    #[error("the proxy's user name and password are not valid")]
    Credentials,
    /// A variable of the environment is not the URL of a proxy.
    #[error("{name}")]
    Variable {
        /// The name of the variable.
        name: &'static str,
        /// The error of its value.
        source: Box<Self>,
    },
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
        // The credentials that curl 7.88 sends. It refuses unencoded `@`, `/`, `#`, `?` and spaces.
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
            assert_eq!((&*proxy.host, proxy.port), ("proxy.example", 3128));
        }
        // Every printable character, unencoded and encoded.
        for character in ' '..='~' {
            for written in [format!("{character}"), format!("%{:02x}", u32::from(character))] {
                let proxy = Proxy::new(&format!("http://u:x{written}.x@proxy.example")).expect(&written);
                assert_eq!(proxy.basic_credentials(), Some(base64_encode(format!("u:x{character}.x").as_bytes())));
                let again = Proxy::new(&proxy.to_url()).expect(&written);
                assert_eq!((again.basic_credentials(), again.port), (proxy.basic_credentials(), 80));
            }
        }
        assert_eq!(Proxy::new("http://@proxy.example").expect("valid").basic_credentials(), None);
    }

    #[test]
    fn a_proxys_port_defaults_to_that_of_its_scheme() {
        assert_eq!(Proxy::new("http://proxy.example").expect("valid").port, 80);
        assert_eq!(Proxy::new("https://proxy.example/").expect("valid").port, 443);
        assert_eq!(Proxy::new("http://[::1]:8080").expect("valid").host.as_ref(), "[::1]");
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
