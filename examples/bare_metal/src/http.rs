//! As much of HTTP/1.1 as the service needs, over TLS: the transport.

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

/// More than any answer of the service has.
const MAX_ANSWER: usize = 8 * 1024;
const MAX_HEADERS: usize = 24;

/// HTTPS over one connection that is kept.
pub struct Https {
    config: Arc<ClientConfig>,
    connection: Option<Box<Tls>>,
}

impl Https {
    pub fn new(config: Arc<ClientConfig>) -> Self {
        Self { config, connection: None }
    }

    fn connect(&self, request: &Request<'_>, until: Duration) -> Result<Box<Tls>, TransportError> {
        let endpoint = request.endpoint();
        Tls::connect(&self.config, endpoint.host().as_str(), request.http().port(), until)
    }
}

impl Transport for Https {
    fn send<'b>(&'b mut self, request: &Request<'_>) -> Result<Response<'b>, TransportError> {
        let until = uptime() + request.time_limit();
        let kept = self.connection.take().and_then(|kept| exchange(kept, request, until).ok());
        let connection = match kept {
            Some(connection) => connection,
            // None, or one that has died meanwhile: the requests of a registration can be sent once more.
            None => exchange(self.connect(request, until)?, request, until)?,
        };
        let connection = self.connection.insert(connection);
        // It is whole.
        Ok(Answer::read(&connection.received)?.ok_or(Kind::AnswerBroken)?.into_response())
    }
}

/// The head of a request, which holds the token.
fn write(request: &Request<'_>) -> Zeroizing<String> {
    let length = request.body().map_or(0, <[u8]>::len);
    let (http, endpoint) = (request.http(), request.endpoint());
    let (method, target) = (http.method(), http.target());
    // With room for all of it, so that no copy of the token is left behind.
    let mut text = Zeroizing::new(String::with_capacity(1024));
    // A string takes everything.
    let _ = write!(text, "{method} {target} HTTP/1.1\r\nHost: {endpoint}\r\nContent-Length: {length}\r\n");
    http.headers().for_each(|(name, value)| text.extend([name, ": ", value, "\r\n"]));
    text.push_str("\r\n");
    text
}

/// Sends a request and reads the answer, which is whole then.
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
}

impl<'a> Answer<'a> {
    fn into_response(self) -> Response<'a> {
        self.head.with_body(self.body)
    }

    /// `None` where more must come first.
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
        let body = if value("Transfer-Encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            unchunk(rest)?.map(Cow::Owned)
        } else {
            let length = value("Content-Length").map_or(Ok(0), str::parse::<usize>).map_err(|_| Kind::AnswerBroken)?;
            rest.get(..length).map(Cow::Borrowed)
        };
        let headers = answer.headers.iter().map(|header| (header.name, header.value));
        let head = Response::head(answer.code.unwrap_or_default(), headers);
        Ok(body.map(|body| Self { head, body }))
    }
}

/// Puts chunks together; `None` where more must come first.
fn unchunk(mut bytes: &[u8]) -> Result<Option<Vec<u8>>, TransportError> {
    const END: &[u8] = b"\r\n";
    let mut body = Vec::new();
    loop {
        let Status::Complete((start, size)) = httparse::parse_chunk_size(bytes).map_err(|_| Kind::AnswerBroken)? else {
            return Ok(None);
        };
        let size = usize::try_from(size).map_err(|_| Kind::AnswerTooLarge)?;
        let rest = bytes.get(start..).unwrap_or_default();
        let Some((chunk, rest)) = rest.split_at_checked(size) else { return Ok(None) };
        body.extend_from_slice(chunk);
        match rest.split_at_checked(END.len()) {
            // The service sends no trailers.
            Some((END, _)) if size == 0 => return Ok(Some(body)),
            Some((END, rest)) => bytes = rest,
            Some(_) => return Err(Kind::AnswerBroken.into()),
            None => return Ok(None),
        }
    }
}
