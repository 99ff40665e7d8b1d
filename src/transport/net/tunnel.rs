//! A tunnel through an HTTP proxy. Source: RFC 9110, section 9.3.6 (`CONNECT`).

use alloc::format;
use alloc::vec::Vec;
use std::io::{self, Read, Write};

use super::failure::explain_io;
use super::proxy::Proxy;
use crate::error::{TransportError, TransportErrorKind as Kind};

const MAX_HEAD: usize = 16 * 1024;

/// Asks the proxy to connect to the service. From then on the stream is one to the service.
pub(super) fn open(
    stream: &mut (impl Read + Write),
    proxy: &Proxy,
    host: &str,
    port: u16,
) -> Result<(), TransportError> {
    const USER_AGENT: &str = concat!("azure-iot-dps/", env!("CARGO_PKG_VERSION"));
    let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: {USER_AGENT}\r\n");
    if let Some(credentials) = proxy.basic_credentials() {
        request.extend(["Proxy-Authorization: Basic ", &credentials, "\r\n"]);
    }
    request.push_str("\r\n");
    let head = stream.write_all(request.as_bytes()).and_then(|()| stream.flush()).and_then(|()| read_head(stream));
    let head = head.map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => explain_io(error),
        _ => TransportError::new(Kind::Proxy).with_source(error),
    })?;
    match status(&head) {
        Some(200..=299) => Ok(()),
        Some(status) => Err(refused(format!("the proxy answered {status}"))),
        None => Err(refused("the proxy does not answer in HTTP".into())),
    }
}

fn refused(why: alloc::string::String) -> TransportError {
    TransportError::new(Kind::Proxy).with_source(why)
}

/// Reads as far as the empty line, and not one byte further: what follows is the service's.
fn read_head(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && !head.ends_with(b"\n\n") {
        if head.len() == MAX_HEAD {
            return Err(io::Error::other("the head of the proxy's answer is too large"));
        }
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(head)
}

/// `HTTP/1.1 200 Connection established`
fn status(head: &[u8]) -> Option<u16> {
    let line = core::str::from_utf8(head.split(|byte| *byte == b'\n').next()?).ok()?;
    let mut words = line.strip_prefix("HTTP/1.")?.split(' ');
    words.next()?;
    let status = words.next()?.trim_ascii_end();
    if status.len() == 3 { status.parse().ok() } else { None }
}
