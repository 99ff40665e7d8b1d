//! The HTTPS transport: the part of HTTP/1.1 that the service needs, over TLS.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Write;
use core::time::Duration;

use azure_iot_dps::Transport;
use azure_iot_dps::error::{TransportError, TransportErrorKind as Kind};
use azure_iot_dps::protocol::{Request, Response};
use httparse::{EMPTY_HEADER, Status};
use rustls::ClientConfig;
use zeroize::Zeroizing;

use crate::board::uptime;
use crate::tls::Tls;

/// The maximum length of an answer, in bytes. All answers of the service are shorter.
const MAX_ANSWER: usize = 8 * 1024;
const MAX_HEADERS: usize = 24;
/// The maximum length of a request's head without its headers, in bytes.
const OVERHEAD: usize = 768;

/// HTTPS over one persistent connection.
pub struct Https {
    config: Arc<ClientConfig>,
    connection: Option<Box<Tls>>,
    /// Whether the connection can carry another request.
    is_reusable: bool,
}

impl Https {
    pub fn new(config: Arc<ClientConfig>) -> Self {
        Self { config, connection: None, is_reusable: false }
    }

    fn connect(&self, request: &Request<'_>, until: Duration) -> Result<Box<Tls>, TransportError> {
        let endpoint = request.endpoint();
        Tls::connect(&self.config, endpoint.host().as_str(), request.http().port(), until)
    }
}

impl Transport for Https {
    fn send<'b>(&'b mut self, request: &Request<'_>) -> Result<Response<'b>, TransportError> {
        let until = uptime() + request.time_limit();
        // If the connection is silently dead, this leaves half of the time for a new one.
        let half = uptime() + request.time_limit() / 2;
        let kept = self.connection.take().filter(|_| self.is_reusable);
        let kept = kept.and_then(|kept| exchange(kept, request, half).ok());
        let connection = match kept {
            Some(connection) => connection,
            // There is no connection, or it is dead. A registration's requests can be sent twice.
            None => exchange(self.connect(request, until)?, request, until)?,
        };
        let connection = self.connection.insert(connection);
        // `exchange` returns after a complete answer.
        let answer = Answer::read(&connection.received)?.ok_or(Kind::AnswerBroken)?;
        self.is_reusable = answer.keeps_alive && answer.length == connection.received.len();
        Ok(answer.head.with_body(answer.body))
    }
}

/// Returns the head of a request, which contains the token.
fn write(request: &Request<'_>) -> Zeroizing<String> {
    let length = request.body().map_or(0, <[u8]>::len);
    let (http, endpoint) = (request.http(), request.endpoint());
    let (method, target) = (http.method(), http.target());
    let headers = http.headers().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>();
    // The capacity suffices, so the string is not moved and no copy of the token is left behind.
    let mut text = Zeroizing::new(String::with_capacity(OVERHEAD + headers));
    // Writing to a string cannot fail.
    let _ = write!(text, "{method} {target} HTTP/1.1\r\nHost: {endpoint}\r\nContent-Length: {length}\r\n");
    http.headers().for_each(|(name, value)| text.extend([name, ": ", value, "\r\n"]));
    text.push_str("\r\n");
    text
}

/// Sends a request, and reads until the answer is complete.
fn exchange(mut tls: Box<Tls>, request: &Request<'_>, until: Duration) -> Result<Box<Tls>, TransportError> {
    tls.received.clear();
    tls.write_all(write(request).as_bytes(), until)?;
    if let Some(body) = request.body() {
        tls.write_all(body, until)?;
    }
    while Answer::read(&tls.received)?.is_none() {
        if tls.received.len() > MAX_ANSWER {
            return Err(Kind::AnswerTooLarge.into());
        }
        if !tls.read(until)? {
            return Err(TransportError::from(Kind::AnswerBroken).with_source("the service closed the connection"));
        }
    }
    Ok(tls)
}

struct Answer<'a> {
    head: Response<'static>,
    body: Cow<'a, [u8]>,
    /// The length of the head and the encoded body, in bytes.
    length: usize,
    /// Whether the connection can carry another request.
    keeps_alive: bool,
}

impl<'a> Answer<'a> {
    /// Parses an answer. Returns `None` if it is not complete yet.
    fn read(bytes: &'a [u8]) -> Result<Option<Self>, TransportError> {
        let broken = |error| TransportError::from(Kind::AnswerBroken).with_source_text(error);
        let mut headers = [EMPTY_HEADER; MAX_HEADERS];
        let mut answer = httparse::Response::new(&mut headers);
        let Status::Complete(length) = answer.parse(bytes).map_err(broken)? else { return Ok(None) };
        let rest = bytes.get(length..).unwrap_or_default();
        let value = |name: &str| {
            let header = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
            core::str::from_utf8(header.value).ok()
        };
        let status = answer.code.unwrap_or_default();
        let (body, used) = if value("Transfer-Encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            let Some((body, used)) = unchunk(rest)? else { return Ok(None) };
            (Cow::Owned(body), used)
        } else {
            let length = match value("Content-Length") {
                Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => digits.parse().ok(),
                // Answers with these statuses have no body.
                None if matches!(status, 204 | 304) => Some(0),
                _ => None,
            };
            let Some(body) = rest.get(..length.ok_or(Kind::AnswerBroken)?) else { return Ok(None) };
            (Cow::Borrowed(body), body.len())
        };
        let keeps_alive = !value("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let headers = answer.headers.iter().map(|header| (header.name, header.value));
        let head = Response::head(status, headers);
        Ok(Some(Self { head, body, length: length + used, keeps_alive }))
    }
}

/// Joins the chunks of a body. Returns the body and its encoded length, or `None` if it is not
/// complete yet.
fn unchunk(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, TransportError> {
    const END: &[u8] = b"\r\n";
    let mut body = Vec::new();
    let mut left = bytes;
    loop {
        let Status::Complete((start, size)) = httparse::parse_chunk_size(left).map_err(|_| Kind::AnswerBroken)? else {
            return Ok(None);
        };
        let size = usize::try_from(size).map_err(|_| Kind::AnswerTooLarge)?;
        let Some((chunk, rest)) = left.get(start..).unwrap_or_default().split_at_checked(size) else { return Ok(None) };
        body.extend_from_slice(chunk);
        match rest.split_at_checked(END.len()) {
            // The service sends no trailers.
            Some((END, rest)) if size == 0 => return Ok(Some((body, bytes.len() - rest.len()))),
            Some((END, rest)) => left = rest,
            Some(_) => return Err(Kind::AnswerBroken.into()),
            None => return Ok(None),
        }
    }
}
