//! The answer of the service, independent of the protocol.

use alloc::borrow::{Cow, ToOwned};
use core::fmt;
use core::time::Duration;

use crate::time::{UnixTime, parse_http_date};

/// The time to wait, in seconds or as a date.
const RETRY_AFTER: &str = "Retry-After";
/// The service's time.
const DATE: &str = "Date";
const CONTENT_TYPE: &str = "Content-Type";
const CONTENT_ENCODING: &str = "Content-Encoding";
/// The ID of the request, for Azure's support.
const REQUEST_ID: &str = "x-ms-request-id";
/// The error code of the body.
const ERROR_CODE: &str = "x-ms-error-code";

/// The complete answer to one request, with any status.
///
/// The body may be owned or borrow the transport's buffer.
///
/// ```
/// use azure_iot_dps::protocol::Response;
///
/// // Pass every header. Only those in `Response::HEADERS` are kept.
/// let response = Response::new(202, &br#"{"operationId":"5.3","status":"assigning"}"#[..]);
/// let response = response.with_header("Retry-After", "3").with_header("Server", "Kestrel");
/// assert_eq!(response.retry_after().map(|delay| delay.as_secs()), Some(3));
/// ```
///
/// Some clients return the headers first, and lend headers and body from one buffer:
///
/// ```
/// use azure_iot_dps::protocol::Response;
/// # struct Http<'b>(&'b mut [u8]);
/// # impl Http<'_> {
/// #     fn status(&self) -> u16 { 202 }
/// #     fn header(&self, name: &str) -> Option<&[u8]> {
/// #         name.eq_ignore_ascii_case("retry-after").then_some(&self.0[..1])
/// #     }
/// #     fn read_body(&mut self) -> &[u8] { self.0.fill(b'x'); self.0 }
/// # }
///
/// fn answer<'a>(http: &'a mut Http<'_>) -> Response<'a> {
///     // The headers are copied, so the buffer is free for the body.
///     let names = Response::HEADERS.iter().copied();
///     let headers = names.filter_map(|name| Some((name, http.header(name)?)));
///     let response = Response::head(http.status(), headers);
///     response.with_body(http.read_body())
/// }
/// # let mut buffer = *b"3 header";
/// # let mut http = Http(&mut buffer);
/// # let response = answer(&mut http);
/// # assert_eq!(response.retry_after().map(|it| it.as_secs()), Some(3));
/// # assert_eq!(response.body(), b"xxxxxxxx");
/// ```
#[derive(Clone)]
pub struct Response<'b> {
    status: u16,
    body: Cow<'b, [u8]>,
    retry_after: Option<RetryAfter>,
    date: Option<UnixTime>,
    request_id: Option<Cow<'b, str>>,
    content_type: Option<Cow<'b, str>>,
    content_encoding: Option<Cow<'b, str>>,
    error_code: Option<u32>,
    unauthorized: bool,
}

/// The value of a `Retry-After` header: seconds or a date, as in RFC 9110.
///
/// ```
/// use azure_iot_dps::protocol::{Response, RetryAfter};
/// use core::time::Duration;
///
/// let delay = Duration::from_secs(3);
/// let response = Response::new(202, &b"{}"[..]).with_retry_after(RetryAfter::Delay(delay));
/// assert_eq!(response.retry_after(), Some(delay));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryAfter {
    /// The time to wait after the answer.
    Delay(Duration),
    /// The earliest time of the next request, by the clock of the server that answered.
    Date(UnixTime),
}

impl Response<'static> {
    /// The names of the headers that [`with_header`](Self::with_header) keeps.
    ///
    /// They are for HTTP clients that look up headers by name.
    pub const HEADERS: &'static [&'static str] =
        &[RETRY_AFTER, DATE, CONTENT_TYPE, CONTENT_ENCODING, REQUEST_ID, ERROR_CODE];

    /// Creates a response without a body. Set the body with [`with_body`](Self::with_body).
    ///
    /// The values of the headers in [`HEADERS`](Self::HEADERS) are copied, all others are ignored.
    /// A value that is not UTF-8 is ignored.
    #[must_use]
    pub fn head<N: AsRef<str>, V: AsRef<[u8]>>(status: u16, headers: impl IntoIterator<Item = (N, V)>) -> Self {
        headers.into_iter().fold(Self::new(status, &[][..]), |response, (name, value)| {
            match core::str::from_utf8(value.as_ref()) {
                Ok(value) if is_taken(name.as_ref()) => response.with_header(name.as_ref(), value.to_owned()),
                _ => response,
            }
        })
    }
}

fn is_taken(name: &str) -> bool {
    Response::HEADERS.iter().any(|header| header.eq_ignore_ascii_case(name))
}

impl<'b> Response<'b> {
    /// Creates a response from a status and a body.
    ///
    /// The status is an HTTP status in every protocol. MQTT has it in the topic.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Cow<'b, [u8]>>) -> Self {
        Self {
            status,
            body: body.into(),
            retry_after: None,
            date: None,
            request_id: None,
            content_type: None,
            content_encoding: None,
            error_code: None,
            unauthorized: false,
        }
    }

    /// Creates the response to refused credentials without an error body, such as a CONNACK.
    ///
    /// It counts as a 401 of the service: the clock is checked and the other key is tried before
    /// the error is final. Do not use it for an HTTP 401 without the service's error format, which
    /// may come from a captive portal.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self { unauthorized: true, ..Self::new(401, &[][..]) }
    }

    /// Sets the body, for a client that returns the headers first.
    #[must_use]
    pub fn with_body(self, body: impl Into<Cow<'b, [u8]>>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// Sets a header if it is one of [`HEADERS`](Response::HEADERS), and ignores it otherwise.
    ///
    /// The case of the name does not matter. An empty or invalid value is ignored. If a header is
    /// repeated, the last value counts, or the longer one of two delays.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<Cow<'b, str>>) -> Self {
        let value = value.into();
        if value.trim_ascii().is_empty() {
            return self;
        }
        if name.eq_ignore_ascii_case(RETRY_AFTER) {
            return self.with_retry_after_text(&value);
        } else if name.eq_ignore_ascii_case(DATE) {
            self.date = parse_http_date(&value).or(self.date);
        } else if name.eq_ignore_ascii_case(REQUEST_ID) {
            self.request_id = Some(value);
        } else if name.eq_ignore_ascii_case(CONTENT_TYPE) {
            self.content_type = Some(value);
        } else if name.eq_ignore_ascii_case(CONTENT_ENCODING) {
            self.content_encoding = Some(value);
        } else if name.eq_ignore_ascii_case(ERROR_CODE) {
            self.error_code = value.trim_ascii().parse().ok().or(self.error_code);
        }
        self
    }

    /// Sets the time to wait, such as the `retry-after` in the topic of an MQTT answer.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: RetryAfter) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// Sets a `Retry-After` from text, by the rules of [`with_header`](Self::with_header).
    pub(crate) fn with_retry_after_text(mut self, text: &str) -> Self {
        self.retry_after = match (self.retry_after, RetryAfter::parse(text)) {
            (Some(RetryAfter::Delay(one)), Some(RetryAfter::Delay(other))) => Some(RetryAfter::Delay(one.max(other))),
            (before, value) => value.or(before),
        };
        self
    }

    /// Sets the service's time, for a transport without a `Date` header.
    #[must_use]
    pub fn with_date(mut self, date: UnixTime) -> Self {
        self.date = Some(date);
        self
    }

    /// Returns the HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns the body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns the time at which the service answered, by its own clock.
    #[must_use]
    pub fn date(&self) -> Option<UnixTime> {
        self.date
    }

    /// Returns the time to wait. A date counts from the answer's `Date`, and is ignored without
    /// one.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.retry_after? {
            RetryAfter::Delay(delay) => Some(delay),
            RetryAfter::Date(then) => Some(then.saturating_duration_since(self.date?)),
        }
    }

    /// Returns the service's ID of the request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// Returns the content type of the body.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// Returns the encoding of the body, if a gateway compressed it against the request.
    pub(crate) fn content_encoding(&self) -> Option<&str> {
        self.content_encoding.as_deref().filter(|encoding| !encoding.trim_ascii().eq_ignore_ascii_case("identity"))
    }

    /// Returns the response with owned data.
    pub(crate) fn into_owned(self) -> Response<'static> {
        fn text(text: Option<Cow<'_, str>>) -> Option<Cow<'static, str>> {
            text.map(|text| Cow::Owned(text.into_owned()))
        }
        Response {
            body: Cow::Owned(self.body.into_owned()),
            request_id: text(self.request_id),
            content_type: text(self.content_type),
            content_encoding: text(self.content_encoding),
            status: self.status,
            retry_after: self.retry_after,
            date: self.date,
            error_code: self.error_code,
            unauthorized: self.unauthorized,
        }
    }

    /// Returns whether [`unauthorized`](Self::unauthorized) created the response.
    pub(crate) fn is_unauthorized(&self) -> bool {
        self.unauthorized
    }

    /// Returns the service's error code, if a header has it.
    pub(crate) fn error_code(&self) -> Option<u32> {
        self.error_code
    }
}

/// Omits the body, because a service may repeat the request in it.
impl fmt::Debug for Response<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("body_len", &self.body.len())
            .field("retry_after", &self.retry_after)
            .field("date", &self.date)
            .finish_non_exhaustive()
    }
}

impl RetryAfter {
    /// Parses the header's value. Returns `None` if it is neither seconds nor a date.
    ///
    /// A number of seconds that overflows counts as the largest one.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_ascii();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Self::Delay(Duration::from_secs(text.parse().unwrap_or(u64::MAX))));
        }
        parse_http_date(text).map(Self::Date)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_and_junk_is_nothing() {
        let delay = |value: &'static str| {
            let response = Response::new(429, &b""[..]).with_header("Date", "Sun, 06 Nov 1994 08:49:37 GMT");
            response.with_header("RETRY-AFTER", value).retry_after().map(|delay| delay.as_secs())
        };
        assert_eq!(delay("3"), Some(3));
        assert_eq!(delay(" 0 "), Some(0));
        assert_eq!(delay("99999999999999999999999"), Some(u64::MAX));
        assert_eq!(delay("Sun, 06 Nov 1994 08:50:07 GMT"), Some(30));
        assert_eq!(delay("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        for junk in ["", "-1", "+3", "3.5", "soon", "3 s", "0x10", "٣"] {
            assert_eq!(delay(junk), None, "{junk:?}");
        }
    }

    #[test]
    fn a_header_that_comes_twice_is_not_erased_by_junk() {
        let headers = [
            ("Retry-After", "30"),
            ("Retry-After", "soon"),
            ("Retry-After", "5"),
            ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("Date", "yesterday"),
            ("x-ms-error-code", "429001"),
            ("x-ms-error-code", "many"),
            ("x-ms-request-id", "6a7b"),
            ("x-ms-request-id", " "),
            ("Content-Type", "application/json"),
            ("Content-Type", ""),
        ];
        let response =
            headers.into_iter().fold(Response::new(429, &b""[..]), |it, (name, value)| it.with_header(name, value));
        assert_eq!(response.retry_after(), Some(Duration::from_secs(30)));
        assert_eq!((response.date().map(UnixTime::as_secs), response.error_code()), (Some(784_111_777), Some(429_001)));
        assert_eq!((response.request_id(), response.content_type()), (Some("6a7b"), Some("application/json")));
        let date = response.with_header("Retry-After", "Sun, 06 Nov 1994 08:51:17 GMT");
        assert_eq!(date.retry_after(), Some(Duration::from_secs(100)), "the last one counts");
    }

    #[test]
    fn a_head_copies_what_matters_and_leaves_what_is_not_text() {
        let headers = [
            ("Server", &b"Kestrel"[..]),
            ("RETRY-AFTER", b"7"),
            ("x-ms-request-id", b"\xff\xfe"),
            ("content-type", b"application/json"),
        ];
        let response = Response::head(429, headers).with_body(&b"{}"[..]);
        assert_eq!((response.status(), response.body()), (429, &b"{}"[..]));
        assert_eq!(response.retry_after(), Some(Duration::from_secs(7)));
        assert_eq!((response.request_id(), response.content_type()), (None, Some("application/json")));
        // Each of the constants is kept.
        for name in Response::HEADERS.iter().copied() {
            let value = if name == DATE { "Sun, 06 Nov 1994 08:49:37 GMT" } else { "1" };
            let with = |value| alloc::format!("{:?}", Fields(&Response::head(200, [(name, value)])));
            assert_ne!(with(value), with(""), "{name}");
        }
    }

    struct Fields<'r, 'b>(&'r Response<'b>);

    impl fmt::Debug for Fields<'_, '_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let it = self.0;
            write!(f, "{:?} {:?} {:?} ", it.retry_after, it.request_id, it.content_type)?;
            write!(f, "{:?} {:?} {:?}", it.content_encoding, it.error_code, it.date)
        }
    }

    #[test]
    fn an_encoding_is_one_if_it_changes_the_body() {
        let encoding = |value: &'static str| {
            let response = Response::new(200, &b""[..]).with_header("content-encoding", value);
            response.content_encoding().map(alloc::string::String::from)
        };
        assert_eq!(encoding("gzip").as_deref(), Some("gzip"));
        assert_eq!([encoding("identity"), encoding(" Identity "), encoding("")], [None, None, None]);
    }

    #[test]
    fn a_retry_after_date_without_a_date_to_count_from_is_nothing() {
        let response = Response::new(429, &b""[..]).with_header("Retry-After", "Sun, 06 Nov 1994 08:50:07 GMT");
        assert_eq!(response.retry_after(), None);
    }
}
