//! Errors. Each tells what happened, whether trying again can help, when, and what to quote to support.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::time::Duration;

use crate::encoding::percent_decode;
use crate::key::SignerError;
use crate::protocol::Response;
use crate::protocol::wire::{Body, RegistrationState, Text};

/// Why a registration did not end in an assignment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The service refused the device, in its own words.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// No complete answer arrived.
    ///
    /// A registration tries again until its deadline, so what comes out of it is a [`DeadlineExceeded`] around this.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// An answer arrived that the service would not give: a gateway, a captive portal, a broken proxy.
    ///
    /// A registration tries again until its deadline, so what comes out of it is a [`DeadlineExceeded`] around this.
    #[error(transparent)]
    UnexpectedAnswer(#[from] UnexpectedAnswer),
    /// The deadline has passed, or the next wait would pass it.
    #[error(transparent)]
    DeadlineExceeded(#[from] DeadlineExceeded),
    /// The wait hook said stop.
    #[error("the registration was cancelled")]
    Cancelled,
    /// The signer could not sign.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The registration was driven on after it had ended.
    #[error("the registration has ended already; a new one is needed")]
    Ended,
}

impl Error {
    /// Whether the same call can succeed later with nothing changed on the device.
    ///
    /// True for all that the network or the service's load brings about; false where the enrollment, the key or the
    /// code must be changed first, and for a registration that was cancelled.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Service(error) => error.is_transient(),
            Self::Transport(_) | Self::UnexpectedAnswer(_) | Self::DeadlineExceeded(_) => true,
            Self::Cancelled | Self::Signer(_) | Self::Ended => false,
        }
    }

    /// How long to wait, from now on, before trying again makes sense, where anybody said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::DeadlineExceeded(error) => Some(error.retry_after()),
            Self::Service(error) => error.retry_after(),
            _ => None,
        }
    }

    /// What the service said: in this error, or in the last failure before the deadline passed.
    #[must_use]
    pub fn service(&self) -> Option<&ServiceError> {
        match self {
            Self::Service(error) => Some(error),
            Self::DeadlineExceeded(error) => error.last().and_then(Self::service),
            _ => None,
        }
    }

    /// What kept an answer from arriving: in this error, or in the last failure before the deadline passed.
    #[must_use]
    pub fn transport(&self) -> Option<&TransportError> {
        match self {
            Self::Transport(error) => Some(error),
            Self::DeadlineExceeded(error) => error.last().and_then(Self::transport),
            _ => None,
        }
    }

    /// The HTTP status of the answer that this error is about, where there was an answer.
    #[must_use]
    pub fn http_status(&self) -> Option<u16> {
        match self {
            Self::Service(error) => Some(error.http_status()),
            Self::UnexpectedAnswer(error) => Some(error.http_status()),
            Self::DeadlineExceeded(error) => error.last().and_then(Self::http_status),
            _ => None,
        }
    }

    /// The service's error code, such as 401002; its thousands are the HTTP status.
    #[must_use]
    pub fn error_code(&self) -> Option<u32> {
        self.service().and_then(ServiceError::error_code)
    }

    /// The service's message.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.service().and_then(ServiceError::message)
    }

    /// The service's tracking ID, which its support asks for.
    #[must_use]
    pub fn tracking_id(&self) -> Option<&str> {
        self.service().and_then(ServiceError::tracking_id)
    }

    /// The service's ID of the request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Service(error) => error.request_id(),
            Self::UnexpectedAnswer(error) => error.request_id(),
            Self::DeadlineExceeded(error) => error.last().and_then(Self::request_id),
            _ => None,
        }
    }

    /// When the service refused, as it writes it, `2019-11-19T21:39:05.1573304Z`.
    #[must_use]
    pub fn timestamp(&self) -> Option<&str> {
        self.service().and_then(ServiceError::timestamp)
    }
}

/// What kind of refusal a [`ServiceError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The request was answered with an error.
    Request,
    /// The registration was taken up and has failed.
    Failed,
    /// The enrollment is disabled.
    Disabled,
}

/// A refusal by the service, in its own error format.
#[derive(Debug)]
pub struct ServiceError {
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    refusal: Refusal,
    http_status: u16,
    error_code: Option<u32>,
    message: Option<Box<str>>,
    tracking_id: Option<Box<str>>,
    request_id: Option<Box<str>>,
    timestamp: Option<Box<str>>,
    retry_after: Option<Duration>,
}

impl ServiceError {
    /// From an error body. `secret` is the signature that was sent, in case the service repeats it.
    pub(crate) fn refused(response: &Response<'_>, body: &Body<'_>, error_code: u32, secret: &str) -> Self {
        Self::new(Refusal::Request, response, Some(error_code), body, body.message.as_ref(), secret)
    }

    /// From a registration that was taken up and then failed or was found disabled.
    pub(crate) fn ended(refusal: Refusal, response: &Response<'_>, body: &Body<'_>, secret: &str) -> Self {
        let state = body.registration_state.as_ref();
        let code = |state: &RegistrationState<'_>| state.error_code;
        let message = state.and_then(|state| state.error_message.as_ref()).or(body.message.as_ref());
        Self::new(refusal, response, state.and_then(code).or(body.error_code), body, message, secret)
    }

    fn new(
        refusal: Refusal,
        response: &Response<'_>,
        error_code: Option<u32>,
        body: &Body<'_>,
        message: Option<&Text<'_>>,
        secret: &str,
    ) -> Self {
        let text = |text: Option<&Text<'_>>| text.map(|text| presentable(&text.0, secret));
        let updated = body.registration_state.as_ref().and_then(|state| state.last_updated_date_time_utc.as_ref());
        let inner = Inner {
            refusal,
            http_status: response.status(),
            error_code,
            message: text(message),
            tracking_id: text(body.tracking_id.as_ref()),
            request_id: response.request_id().map(|id| presentable(id, secret)),
            timestamp: text(body.timestamp_utc.as_ref().or(updated)),
            retry_after: response.retry_after(),
        };
        Self { inner: Box::new(inner) }
    }

    /// What kind of refusal it is.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        self.inner.refusal
    }

    /// The HTTP status of the answer; 200 for a registration that failed after it was taken up.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        self.inner.http_status
    }

    /// The service's error code, such as 401002; its thousands are the HTTP status.
    #[must_use]
    pub fn error_code(&self) -> Option<u32> {
        self.inner.error_code
    }

    /// The service's message.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.inner.message.as_deref()
    }

    /// The service's tracking ID, which its support asks for.
    #[must_use]
    pub fn tracking_id(&self) -> Option<&str> {
        self.inner.tracking_id.as_deref()
    }

    /// The service's ID of the request, the answer's `x-ms-request-id`.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.inner.request_id.as_deref()
    }

    /// When the service refused, as it writes it.
    #[must_use]
    pub fn timestamp(&self) -> Option<&str> {
        self.inner.timestamp.as_deref()
    }

    /// How long the service asks to wait before the next try, or how long the device would have waited.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.inner.retry_after
    }

    /// The same with this wait before the next try.
    pub(crate) fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.inner.retry_after = Some(retry_after);
        self
    }

    /// Whether the same request can succeed later: 3xx, 408, 409, 412, 429 and 5xx.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.inner.refusal == Refusal::Request && is_transient_status(self.inner.http_status)
    }
}

/// 409 and 412 mean that the same identity is registering elsewhere at this moment; 408, 429 and 5xx are the service's
/// load; and with a 3xx something moved that does not move: the token goes nowhere else.
fn is_transient_status(status: u16) -> bool {
    matches!(status, ..400 | 408 | 409 | 412 | 429 | 500..)
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.inner;
        match inner.refusal {
            Refusal::Request => write!(f, "the service refused the request with status {}", inner.http_status)?,
            Refusal::Failed => f.write_str("the registration failed")?,
            Refusal::Disabled => f.write_str("the device's enrollment is disabled")?,
        }
        if let Some(message) = &inner.message {
            write!(f, ": {message}")?;
        }
        let mut separator = " (";
        let mut detail = |f: &mut fmt::Formatter<'_>, name: &str, value: &dyn fmt::Display| {
            write!(f, "{separator}{name} {value}")?;
            separator = ", ";
            Ok(())
        };
        if let Some(code) = inner.error_code {
            detail(f, "error code", &code)?;
        }
        if let Some(id) = &inner.tracking_id {
            detail(f, "tracking ID", id)?;
        }
        if let Some(id) = &inner.request_id {
            detail(f, "request ID", id)?;
        }
        if let Some(timestamp) = &inner.timestamp {
            detail(f, "at", timestamp)?;
        }
        if separator == ", " { f.write_str(")") } else { Ok(()) }
    }
}

impl core::error::Error for ServiceError {}

/// An answer that is not the service's: HTML, nothing at all, or JSON that makes no sense where it came.
///
/// A gateway, a captive portal or a proxy answered, or the service is broken. It may be otherwise in a minute, so a
/// registration tries again until its deadline.
#[derive(Debug)]
pub struct UnexpectedAnswer {
    inner: Box<Unexpected>,
}

#[derive(Debug)]
struct Unexpected {
    http_status: u16,
    content_type: Option<Box<str>>,
    request_id: Option<Box<str>>,
    length: usize,
    problem: &'static str,
}

impl UnexpectedAnswer {
    pub(crate) fn new(response: &Response<'_>, problem: &'static str, secret: &str) -> Self {
        let inner = Unexpected {
            http_status: response.status(),
            content_type: response.content_type().map(|text| presentable(text, secret)),
            request_id: response.request_id().map(|text| presentable(text, secret)),
            length: response.body().len(),
            problem,
        };
        Self { inner: Box::new(inner) }
    }

    /// The HTTP status of the answer.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        self.inner.http_status
    }

    /// The type of the answer's body, its `Content-Type`.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.inner.content_type.as_deref()
    }

    /// The ID of the request, the answer's `x-ms-request-id`: the service itself answered, then.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.inner.request_id.as_deref()
    }
}

impl fmt::Display for UnexpectedAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unexpected { http_status, content_type, request_id, length, problem } = &*self.inner;
        write!(f, "not an answer of the service: {problem} (status {http_status}, {length} bytes")?;
        if let Some(content_type) = content_type {
            write!(f, " of {content_type}")?;
        }
        if let Some(request_id) = request_id {
            write!(f, ", request ID {request_id}")?;
        }
        f.write_char(')')
    }
}

impl core::error::Error for UnexpectedAnswer {}

/// The time for a registration is over, or the next wait would outlast it.
#[derive(Debug)]
pub struct DeadlineExceeded {
    inner: Box<OutOfTime>,
}

#[derive(Debug)]
struct OutOfTime {
    deadline: Duration,
    retry_after: Duration,
    last: Option<Error>,
}

impl DeadlineExceeded {
    pub(crate) fn new(deadline: Duration, retry_after: Duration, last: Option<Error>) -> Self {
        Self { inner: Box::new(OutOfTime { deadline, retry_after, last }) }
    }

    /// How long the registration could take in all.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.inner.deadline
    }

    /// How long to wait, from now on, before trying again makes sense.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        self.inner.retry_after
    }

    /// The last failure before, where there was one. The `source()` of this error as well.
    #[must_use]
    pub fn last(&self) -> Option<&Error> {
        self.inner.last.as_ref()
    }
}

impl fmt::Display for DeadlineExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OutOfTime { deadline, retry_after, .. } = &*self.inner;
        write!(f, "not assigned within the deadline of {} s", deadline.as_secs_f32())?;
        match retry_after.as_secs_f32().ceil() {
            0.0 => Ok(()),
            seconds => write!(f, ", try again in {seconds} s"),
        }
    }
}

impl core::error::Error for DeadlineExceeded {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.last().map(|error| error as _)
    }
}

/// What kept a complete answer from arriving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// The host name could not be resolved.
    NameNotResolved,
    /// No connection came about: refused, no route, no network.
    CannotConnect,
    /// The time was up.
    TimedOut,
    /// TLS failed for a reason other than the certificate.
    Tls,
    /// The peer's certificate is not trusted: the wrong roots, the wrong name, expired.
    CertificateNotTrusted,
    /// The peer's certificate is not valid yet: the device's clock is wrong.
    ClockNotSet,
    /// The proxy refused or could not be reached.
    Proxy,
    /// The answer is larger than the transport takes.
    AnswerTooLarge,
    /// The answer broke off or is not HTTP.
    AnswerBroken,
    /// Something else.
    Other,
}

impl fmt::Display for TransportErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NameNotResolved => "the host name could not be resolved",
            Self::CannotConnect => "no connection could be made",
            Self::TimedOut => "no complete answer arrived in time",
            Self::Tls => "TLS failed",
            Self::CertificateNotTrusted => "the server's certificate is not trusted",
            Self::ClockNotSet => "the server's certificate is not valid yet: the device's clock is wrong",
            Self::Proxy => "the proxy failed",
            Self::AnswerTooLarge => "the answer is too large",
            Self::AnswerBroken => "the answer broke off or is not HTTP",
            Self::Other => "the request could not be carried",
        })
    }
}

/// No complete answer arrived.
///
/// ```
/// use azure_iot_dps::{TransportError, TransportErrorKind};
///
/// // As a transport over a modem reports that its AT+HTTPACTION timed out:
/// let error = TransportError::new(TransportErrorKind::TimedOut).with_source("+HTTPACTION: 1,601,0");
/// assert_eq!(error.to_string(), "no complete answer arrived in time");
/// ```
#[derive(Debug)]
pub struct TransportError {
    kind: TransportErrorKind,
    source: Option<Box<dyn core::error::Error + Send + Sync>>,
}

impl TransportError {
    /// An error of this kind.
    #[must_use]
    pub fn new(kind: TransportErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// With what lies behind it: a driver's own error, or a text. It must not hold the request's token.
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn core::error::Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// The same as another kind.
    #[cfg(feature = "https")]
    pub(crate) fn with_kind(self, kind: TransportErrorKind) -> Self {
        Self { kind, ..self }
    }

    /// What kept the answer from arriving.
    #[must_use]
    pub fn kind(&self) -> TransportErrorKind {
        self.kind
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl core::error::Error for TransportError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.source.as_deref().map(|error| error as _)
    }
}

impl From<TransportErrorKind> for TransportError {
    fn from(kind: TransportErrorKind) -> Self {
        Self::new(kind)
    }
}

/// The service's words, fit to be shown: bounded, on one line, and without the signature that the device sent.
fn presentable(text: &str, secret: &str) -> Box<str> {
    const LONGEST_READ: usize = 4096;
    const LONGEST_SHOWN: usize = 512;
    let line: String = text.chars().take(LONGEST_READ).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = redact(&line, secret);
    match line.char_indices().nth(LONGEST_SHOWN) {
        Some((end, _)) => alloc::format!("{}…", line.get(..end).unwrap_or_default()).into(),
        None => line.into(),
    }
}

/// Hides every word that holds a piece of the signature, however often that was percent-encoded.
fn redact(line: &str, secret: &str) -> String {
    const PIECE: usize = 8;
    let belongs_to_signatures = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '%');
    let secret = fully_decoded(secret);
    let is_secret = |word: &str| {
        let word = fully_decoded(word);
        secret.windows(PIECE).any(|piece| word.windows(PIECE).any(|window| window == piece))
    };

    let mut shown = String::with_capacity(line.len());
    for piece in line.split_inclusive(|c| !belongs_to_signatures(c)) {
        let word = piece.trim_end_matches(|c| !belongs_to_signatures(c));
        shown.push_str(if word.len() >= PIECE && is_secret(word) { "<hidden>" } else { word });
        shown.push_str(piece.strip_prefix(word).unwrap_or_default());
    }
    shown
}

/// Undoes percent-encoding until there is none left.
fn fully_decoded(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    loop {
        let decoded: Vec<u8> = percent_decode(&bytes).collect();
        // It gets shorter each time, or it is done.
        if decoded.len() == bytes.len() {
            return bytes;
        }
        bytes = decoded;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &str = "%2BVKrd1vr0wIvafT%2FTlFy7IgZzNc4cdWm6uLtqSxpJQc%3D";

    #[test]
    fn a_message_that_repeats_the_signature_is_shown_without_it() {
        for text in [
            "bad sig=%2BVKrd1vr0wIvafT%2FTlFy7IgZzNc4cdWm6uLtqSxpJQc%3D&se=1",
            "bad sig=%2bVKrd1vr0wIvafT%2fTlFy7IgZzNc4cdWm6uLtqSxpJQc%3d",
            "expected +VKrd1vr0wIvafT/TlFy7IgZzNc4cdWm6uLtqSxpJQc=.",
            "cut off at wIvafT/TlFy7",
            "glued/to/+VKrd1vr0wIvafT/TlFy7IgZzNc4",
            "twice %26sig%3D%252BVKrd1vr0wIvafT%252FTlFy7IgZzNc4cdWm6uLtqSxpJQc%253D%26se%3D1",
            "thrice %25252BVKrd1vr0wIvafT%25252FTlFy7IgZzNc4cdWm6uLtqSxpJQc%25253D",
        ] {
            let shown = presentable(text, SIGNATURE);
            assert!(!shown.contains("TlFy7") && shown.contains("<hidden>"), "{shown}");
        }
        assert_eq!(
            &*presentable("Unauthorized: token of a/b-c expired", SIGNATURE),
            "Unauthorized: token of a/b-c expired"
        );
    }

    #[test]
    fn a_message_is_shown_on_one_line_and_not_without_end() {
        assert_eq!(&*presentable("a\r\nb\u{1b}[2Jc", SIGNATURE), "a  b [2Jc");
        assert_eq!(presentable(&"ä".repeat(100_000), SIGNATURE).chars().count(), 513);
        let straddling = alloc::format!("{} x/sig/{SIGNATURE}", "y".repeat(490));
        assert!(!presentable(&straddling, SIGNATURE).contains("VKrd1vr0"));
    }

    #[test]
    fn an_error_is_small_enough_to_be_returned_by_value() {
        assert!(size_of::<Error>() <= 4 * size_of::<usize>(), "{}", size_of::<Error>());
        assert!(size_of::<Result<(), TransportError>>() <= 4 * size_of::<usize>());
    }
}
