//! What the service says when it refuses, and answers that are not the service's.

use alloc::boxed::Box;
use core::fmt::{self, Write};
use core::time::Duration;

use crate::error::presentable::presentable;
use crate::protocol::Response;
use crate::protocol::wire::{Body, RegistrationState, Text};

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
    pub(crate) fn ended(
        refusal: Refusal,
        response: &Response<'_>,
        body: &Body<'_>,
        state: Option<&RegistrationState<'_>>,
        secret: &str,
    ) -> Self {
        let message = state.and_then(|state| state.error_message.as_ref()).or(body.message.as_ref());
        let error_code = state.and_then(|state| state.error_code).or(body.error_code);
        let mut error = Self::new(refusal, response, error_code, body, message, secret);
        let updated = state.and_then(|state| state.last_updated_date_time_utc.as_ref());
        error.inner.timestamp = error.inner.timestamp.or(updated.map(|text| presentable(&text.0, secret)));
        error
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
        let inner = Inner {
            refusal,
            http_status: response.status(),
            error_code,
            message: text(message),
            tracking_id: text(body.tracking_id.as_ref()),
            request_id: response.request_id().map(|id| presentable(id, secret)),
            timestamp: text(body.timestamp_utc.as_ref()),
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
