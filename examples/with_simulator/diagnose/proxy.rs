//! The checks of the proxy: which variable names it, and whether it opens a tunnel to each port.

use std::io::{self, Read, Write};

use azure_iot_dps::Proxy;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use crate::limits::{Channel, Limited, resolve, watched};
use crate::report::{Check, Report, describe};
use crate::setup::{Port, Protocol, Setup};
use crate::support::{Result, sentence, variable};
use crate::tls;

/// The largest head of an answer.
const MAX_HEAD: usize = 16 * 1024;

/// The way to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Direct,
    Tunnel,
    /// There should be a tunnel, but the proxy does not open it.
    Broken,
}

/// Checks the proxy, and returns it with the route to each port.
pub(crate) fn check(setup: &Setup, report: &mut Report) -> (Option<Proxy>, Vec<Route>) {
    let direct = || vec![Route::Direct; setup.ports.len()];
    if !setup.takes_proxy {
        report.add(Check::skip("proxy", "the simulated service is reached without one"));
        return (None, direct());
    }
    let variables =
        (set_variable(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]), Proxy::from_environment());
    let (name, proxy) = match variables {
        (Ok(Some(name)), Ok(Some(proxy))) => (name, proxy),
        (Ok(Some(name)), Err(error)) => {
            let what_to_do = format!("Set {name} to a URL such as http://proxy.example:3128, or unset it.");
            let check = Check::fail("proxy", format!("{name}: {}", sentence(&error)), what_to_do);
            report.add(check.fact("variable", name));
            return (None, direct());
        }
        _ => {
            report.add(Check::skip("proxy", "no variable names one (https_proxy, all_proxy)"));
            return (None, direct());
        }
    };
    let check = |port: &Port| check_port(setup, *port, name, &proxy, report);
    let routes = setup.ports.iter().map(check).collect();
    (Some(proxy), routes)
}

/// Returns the name of the first variable that is set.
fn set_variable(names: &[&'static str]) -> Result<Option<&'static str>> {
    for name in names {
        if variable(name)?.is_some() {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn check_port(setup: &Setup, port: Port, variable: &'static str, proxy: &Proxy, report: &mut Report) -> Route {
    let (host, number) = (setup.host.as_str(), port.number);
    let shown = Address::of(proxy).map_or_else(String::new, |address| address.to_string());
    let is_used = proxy.is_for(host, number);
    let complete = |check: Check| {
        let check = check.fact("variable", variable).fact("proxy", shown.as_str());
        check.fact("port", number).fact("used", is_used)
    };
    if !is_used {
        let reason = format!("{variable} names {shown}, but no_proxy exempts {host}, port {number}");
        report.add(complete(Check::skip("proxy", reason)));
        return Route::Direct;
    }
    let opened = watched(&format!("asking the proxy {shown} for {host}:{number}"), || tunnel(proxy, setup, number));
    let check = match opened {
        Ok(_) => Check::pass("proxy", format!("{shown} ({variable}) opens a tunnel to {host}:{number}")),
        Err(failure) => {
            let otherwise = match port.protocol {
                Protocol::Mqtt if failure.refuses_target => {
                    " Or use HTTPS or MQTT over WebSocket, which need port 443 only."
                }
                _ => "",
            };
            let detail = format!("{shown} ({variable}): {}", failure.detail);
            Check::fail("proxy", detail, failure.what_to_do + otherwise)
        }
    };
    if report.add(complete(check)) { Route::Tunnel } else { Route::Broken }
}

/// The reason why there is no tunnel.
pub(crate) struct Failure {
    pub(crate) detail: String,
    what_to_do: String,
    /// The proxy refuses this host and port. It may allow another port.
    refuses_target: bool,
}

impl Failure {
    fn new(detail: impl Into<String>, what_to_do: impl Into<String>) -> Self {
        Self { detail: detail.into(), what_to_do: what_to_do.into(), refuses_target: false }
    }

    fn no_http_proxy(why: &str) -> Self {
        let detail = format!("the proxy does not answer as one: {why}");
        Self::new(detail, "Check that the proxy's URL names an HTTP proxy.")
    }
}

/// Opens a tunnel to the service.
pub(crate) fn tunnel(proxy: &Proxy, setup: &Setup, port: u16) -> Result<Box<dyn Channel>, Failure> {
    const NO_ADDRESS: &str = "Check the proxy's URL and the network's DNS.";
    const NO_CONNECTION: &str = "Check the proxy's URL, that the proxy runs, and that this network reaches it.";
    let (host, limits) = (setup.host.as_str(), setup.limits);
    let address = Address::of(proxy).ok_or_else(|| Failure::new("not a URL", NO_ADDRESS))?;
    let addresses = resolve(&address.host, address.port, limits).map_err(|error| {
        Failure::new(format!("the proxy's name cannot be resolved: {}", describe(&error)), NO_ADDRESS)
    })?;
    let mut connected = Err(io::ErrorKind::NotFound.into());
    for address in addresses.iter().take(2) {
        connected = Limited::connect(address, limits);
        if connected.is_ok() {
            break;
        }
    }
    let failed =
        |error: io::Error| Failure::new(format!("the proxy cannot be reached: {}", describe(&error)), NO_CONNECTION);
    let mut stream: Box<dyn Channel> = Box::new(connected.map_err(failed)?);
    if address.is_https {
        let tls = tls::handshake(stream, &address.host, &setup.roots, None).stream.map_err(|error| {
            Failure::new(format!("no TLS to the proxy: {error}"), "Check the proxy's URL and its certificate.")
        })?;
        stream = Box::new(tls);
    }
    stream.begin_step();
    let head = ask(&mut stream, &address, host, port).map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            let what_to_do = format!(
                "Check that the proxy's URL names an HTTP proxy. Ask the proxy's operator whether it \
                 reaches {host}:{port}."
            );
            Failure::new("the proxy does not answer in time", what_to_do)
        }
        _ => Failure::no_http_proxy(&describe(&error)),
    })?;
    judge(&head, &address, host, port).map(|()| stream)
}

/// Asks for a tunnel, and returns the head of the final answer, after any interim ones (RFC 9110,
/// section 15.2).
fn ask(stream: &mut (impl Read + Write), address: &Address, host: &str, port: u16) -> io::Result<Vec<u8>> {
    let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
    if let Some(credentials) = &address.credentials {
        request.extend(["Proxy-Authorization: Basic ", &STANDARD.encode(credentials), "\r\n"]);
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    loop {
        let head = read_head(stream)?;
        if !matches!(status(&head), Some(100..=199)) {
            return Ok(head);
        }
    }
}

/// Reads the head of an answer, and nothing of what follows it.
fn read_head(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && !head.ends_with(b"\n\n") {
        if head.len() == MAX_HEAD {
            return Err(io::Error::other("its answer is too long"));
        }
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(head)
}

/// Judges an answer by the library's rules.
fn judge(head: &[u8], address: &Address, host: &str, port: u16) -> Result<(), Failure> {
    match status(head) {
        Some(200..=299) => Ok(()),
        // Tinyproxy answers with 401, although 407 is the status for proxies.
        Some(status @ (401 | 407)) => {
            let (why, what_to_do) = match (takes_basic(head), &address.credentials) {
                (false, _) => (
                    "requires an authentication scheme other than Basic, the only supported one",
                    "Ask the proxy's operator to offer Basic, or to let the device through without a user name.",
                ),
                (true, Some(_)) => {
                    ("refuses the user name and password", "Correct the user name and the password in the proxy's URL.")
                }
                (true, None) => (
                    "requires a user name and password",
                    "Write them into the proxy's URL: http://name:password@proxy.example:3128.",
                ),
            };
            Err(Failure::new(format!("the proxy {why} (status {status})"), what_to_do))
        }
        Some(status @ (300..=407 | 409..=428 | 430..=499)) => {
            let detail = format!("the proxy refuses a tunnel to {host}:{port} (status {status})");
            let what_to_do = format!("Ask the proxy's operator to allow CONNECT to {host}:{port}.");
            Err(Failure { refuses_target: true, ..Failure::new(detail, what_to_do) })
        }
        Some(status) => {
            let what_to_do = format!(
                "Wait, then try again. If the error persists, ask the proxy's operator whether it \
                 reaches {host}:{port}."
            );
            Err(Failure::new(format!("the proxy answered {status}"), what_to_do))
        }
        None => Err(Failure::no_http_proxy("its answer is not HTTP")),
    }
}

/// Returns whether the proxy offers the scheme `Basic`, or names no scheme.
fn takes_basic(head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let mut asked = head.lines().filter_map(|line| line.strip_prefix("proxy-authenticate:")).peekable();
    let is_basic = |scheme: &str| scheme.split_ascii_whitespace().next() == Some("basic");
    asked.peek().is_none() || asked.any(|schemes| schemes.split(',').any(is_basic))
}

/// Returns the status of a head that begins like `HTTP/1.1 200 Connection established`.
fn status(head: &[u8]) -> Option<u16> {
    let line = str::from_utf8(head.split(|byte| *byte == b'\n').next()?).ok()?;
    let mut words = line.strip_prefix("HTTP/1.")?.split(' ');
    words.next()?;
    let status = words.next()?.trim_ascii_end();
    if status.len() == 3 { status.parse().ok() } else { None }
}

/// The parts of a proxy's URL.
struct Address {
    is_https: bool,
    host: String,
    port: u16,
    /// The user name and the password, between them a colon.
    credentials: Option<Vec<u8>>,
}

impl Address {
    fn of(proxy: &Proxy) -> Option<Self> {
        let url = proxy.to_url();
        let (scheme, rest) = url.split_once("://")?;
        let (credentials, address) = match rest.rsplit_once('@') {
            Some((credentials, address)) => (Some(percent_decode_str(credentials).collect()), address),
            None => (None, rest),
        };
        let (host, port) = address.rsplit_once(':')?;
        Some(Self { is_https: scheme == "https", host: host.to_owned(), port: port.parse().ok()?, credentials })
    }
}

/// Writes the host and the port alone.
impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}
