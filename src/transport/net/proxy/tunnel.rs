//! Tunnels through HTTP proxies. Source: RFC 9110, section 9.3.6 (`CONNECT`).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use std::io::{self, Read, Write};

use crate::error::{TransportError, TransportErrorKind as Kind};
use crate::transport::net::failure::explain_io;
use crate::transport::net::head::read_head;

/// Asks the proxy to connect to the service. The stream then leads to the service.
///
/// `credentials` has the form of the scheme `Basic`.
pub(super) fn open(
    stream: &mut (impl Read + Write),
    credentials: Option<&str>,
    host: &str,
    port: u16,
) -> Result<(), TransportError> {
    const USER_AGENT: &str = concat!("azure-iot-dps/", env!("CARGO_PKG_VERSION"));
    let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: {USER_AGENT}\r\n");
    if let Some(credentials) = credentials {
        request.extend(["Proxy-Authorization: Basic ", credentials, "\r\n"]);
    }
    request.push_str("\r\n");
    let head = stream.write_all(request.as_bytes()).and_then(|()| stream.flush()).and_then(|()| final_head(stream));
    let head = head.map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => explain_io(error),
        _ => TransportError::new(Kind::Proxy).with_source(error),
    })?;
    judge(&head, credentials.is_some(), host, port)
}

/// Returns the head of the final answer, after any interim ones (RFC 9110, section 15.2).
fn final_head(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    loop {
        let head = read_head(stream)?;
        if !matches!(status(&head), Some(100..=199)) {
            return Ok(head);
        }
    }
}

fn judge(head: &[u8], has_credentials: bool, host: &str, port: u16) -> Result<(), TransportError> {
    let error = |kind, why: String| Err(TransportError::new(kind).with_source(why));
    match status(head) {
        Some(200..=299) => Ok(()),
        // Tinyproxy answers with 401, although 407 is the status for proxies.
        Some(status @ (401 | 407)) => {
            let why = match (takes_basic(head), has_credentials) {
                (false, _) => "requires an authentication scheme other than Basic, the only supported one",
                (true, true) => "refuses the user name and password",
                (true, false) => "requires a user name and password",
            };
            let why = format!("the proxy {why} ({status})");
            Err(TransportError::new(Kind::ProxyRefused).with_source(Unauthorized(why)))
        }
        Some(status @ (300..=407 | 409..=428 | 430..=499)) => {
            error(Kind::ProxyRefused, format!("the proxy refuses to connect to {host}:{port} ({status})"))
        }
        Some(status) => error(Kind::Proxy, format!("the proxy answered {status}")),
        None => error(Kind::Proxy, "the proxy's answer is not HTTP".into()),
    }
}

/// The proxy refused the device, for every host.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unauthorized(String);

/// Returns whether the proxy refused the user name and password, or requires them.
#[cfg(feature = "mqtt-websocket")]
pub(in crate::transport) fn is_about_credentials(error: &TransportError) -> bool {
    core::error::Error::source(error).is_some_and(<dyn core::error::Error>::is::<Unauthorized>)
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
    let line = core::str::from_utf8(head.split(|byte| *byte == b'\n').next()?).ok()?;
    let mut words = line.strip_prefix("HTTP/1.")?.split(' ');
    words.next()?;
    let status = words.next()?.trim_ascii_end();
    if status.len() == 3 { status.parse().ok() } else { None }
}
