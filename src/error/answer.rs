//! Answers that are no refusal and no usable assignment either.

use alloc::boxed::Box;
use core::fmt::{self, Write};
use core::time::Duration;

use crate::assignment::Unusable;
use crate::error::sanitize::sanitize;
use crate::error::support::SupportInfo;
use crate::protocol::Response;

/// An answer that makes no sense where it came.
///
/// - HTML, nothing at all, or JSON of somebody else's: a gateway, a captive portal or a proxy answered, or the service is
///   broken. It may be otherwise in a minute, so a registration tries again until its deadline, and this is its
///   [`Failure`](super::Failure).
/// - An assignment that cannot be used: a hub or a device ID is missing or no such name. The service meant it, so it is
///   final: [`Error::UnexpectedAnswer`](super::Error::UnexpectedAnswer), and [`field`](Self::field) names the field.
#[derive(Debug)]
pub struct UnexpectedAnswer {
    inner: Box<Unexpected>,
}

#[derive(Debug)]
struct Unexpected {
    status: u16,
    content_type: Option<Box<str>>,
    encoding: Option<Box<str>>,
    request_id: Option<Box<str>>,
    length: usize,
    field: Option<&'static str>,
    problem: &'static str,
    retry_after: Option<Duration>,
}

impl UnexpectedAnswer {
    /// An answer that is not the service's.
    pub(crate) fn foreign(response: &Response<'_>, problem: &'static str, secret: &str) -> Self {
        Self::new(response, None, problem, secret)
    }

    /// An assignment that cannot be used.
    pub(crate) fn unusable(response: &Response<'_>, unusable: Unusable, secret: &str) -> Self {
        Self::new(response, Some(unusable.field), unusable.problem, secret)
    }

    fn new(response: &Response<'_>, field: Option<&'static str>, problem: &'static str, secret: &str) -> Self {
        let inner = Unexpected {
            status: response.status(),
            content_type: response.content_type().map(|text| sanitize(text, secret)),
            encoding: response.content_encoding().map(|text| sanitize(text, secret)),
            request_id: response.request_id().map(|text| sanitize(text, secret)),
            length: response.body().len(),
            field,
            problem,
            retry_after: None,
        };
        Self { inner: Box::new(inner) }
    }

    /// The status of the answer, as HTTP counts.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.inner.status
    }

    /// The type of the answer's body, its `Content-Type`.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.inner.content_type.as_deref()
    }

    /// Returns the answer's `Content-Encoding`, if a gateway compressed the body although the request forbids that.
    #[must_use]
    pub fn content_encoding(&self) -> Option<&str> {
        self.inner.encoding.as_deref()
    }

    /// The ID of the request, the answer's `x-ms-request-id`. Where there is one, the service itself answered.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.inner.request_id.as_deref()
    }

    /// The field that makes an assignment unusable, by its name in the service's JSON, such as `assignedHub`; `None` where the
    /// answer is not the service's.
    #[must_use]
    pub fn field(&self) -> Option<&'static str> {
        self.inner.field
    }

    /// Returns the least time to wait before another registration, counted from now; `None` if the answer is not the service's.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.inner.retry_after
    }

    /// Sets the wait before the next try.
    pub(super) fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.inner.retry_after = Some(retry_after);
        self
    }

    /// Returns what to quote to Azure's support.
    #[must_use]
    pub fn support_info(&self) -> SupportInfo<'_> {
        SupportInfo { status: Some(self.status()), request_id: self.request_id(), ..SupportInfo::default() }
    }
}

impl fmt::Display for UnexpectedAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unexpected { status, content_type, encoding, request_id, length, field, problem, retry_after: _ } =
            &*self.inner;
        match field {
            Some(field) => write!(f, "the service's assignment cannot be used: {field}: {problem}")?,
            None => write!(f, "not an answer of the service: {problem}")?,
        }
        write!(f, " (status {status}, {length} bytes")?;
        if let Some(content_type) = content_type {
            write!(f, " of {content_type}")?;
        }
        if let Some(encoding) = encoding {
            write!(f, ", encoded as {encoding}")?;
        }
        if let Some(request_id) = request_id {
            write!(f, ", request ID {request_id}")?;
        }
        f.write_char(')')
    }
}

impl core::error::Error for UnexpectedAnswer {}

/// The service had taken the registration up and was still choosing a hub when the time was over.
#[derive(Debug)]
pub struct StillAssigning {
    operation_id: Option<Box<str>>,
    request_id: Option<Box<str>>,
}

impl StillAssigning {
    pub(crate) fn new(operation_id: Option<&str>, request_id: Option<&str>, secret: &str) -> Self {
        let [operation_id, request_id] = [operation_id, request_id].map(|id| id.map(|id| sanitize(id, secret)));
        Self { operation_id, request_id }
    }

    /// The service's ID of the registration.
    #[must_use]
    pub fn operation_id(&self) -> Option<&str> {
        self.operation_id.as_deref()
    }

    /// The service's ID of the last request that was answered, its `x-ms-request-id`.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// Returns what to quote to Azure's support.
    #[must_use]
    pub fn support_info(&self) -> SupportInfo<'_> {
        SupportInfo { operation_id: self.operation_id(), request_id: self.request_id(), ..SupportInfo::default() }
    }
}

impl fmt::Display for StillAssigning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the service is still assigning the device")?;
        if self.support_info().write(f, " (")? { f.write_str(")") } else { Ok(()) }
    }
}

impl core::error::Error for StillAssigning {}
