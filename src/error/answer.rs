//! Answers that are neither a refusal nor a usable assignment.

use alloc::boxed::Box;
use core::fmt::{self, Write};
use core::time::Duration;

use crate::assignment::Unusable;
use crate::error::sanitize::sanitize;
use crate::error::support::SupportInfo;
use crate::protocol::Response;

/// An answer that was not expected.
///
/// - HTML, an empty body, or unknown JSON: a gateway, a captive portal or a proxy answered, or the
///   service has a fault. This is transient: a registration retries until its deadline, and this is
///   its [`Failure`](super::Failure).
/// - An assignment that cannot be used: the hub or the device ID is missing or invalid, or a
///   certificate is not base64. The service itself sent it, so it is final:
///   [`Error::UnexpectedAnswer`](super::Error::UnexpectedAnswer). [`field`](Self::field) names the
///   field.
///
/// ```
/// # use azure_iot_dps::{attestation::AttestationKind, protocol::Response, time::Now, Error};
/// # use azure_iot_dps::registration::{Registration, RegistrationSettings, Step};
/// # let settings = RegistrationSettings::new("0ne00002193".parse()?, "my-device".parse()?);
/// # let mut registration = Registration::new(&settings, AttestationKind::X509);
/// # let now = Now { unix: None, uptime: std::time::Duration::ZERO };
/// # while matches!(registration.step(now)?, Step::Event(_)) {}
/// # let body = &br#"{"status":"assigned","registrationState":{"deviceId":"my-device"}}"#[..];
/// # registration.receive(Ok(Response::new(200, body)), now);
/// # let error = loop { if let Err(error) = registration.step(now) { break error } };
/// if let Error::UnexpectedAnswer(answer) = &error {
///     println!("status {}, field {:?}", answer.status(), answer.field());
/// }
/// # assert!(matches!(&error, Error::UnexpectedAnswer(it) if it.field() == Some("assignedHub")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    /// Creates the error of an answer that is not from the service.
    pub(crate) fn foreign(response: &Response<'_>, problem: &'static str, secret: &str) -> Self {
        Self::new(response, None, problem, secret)
    }

    /// Creates the error of an assignment that cannot be used.
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

    /// Returns the HTTP status of the answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.inner.status
    }

    /// Returns the answer's `Content-Type`.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.inner.content_type.as_deref()
    }

    /// Returns the answer's `Content-Encoding`, if a gateway compressed the body although the
    /// request forbids that.
    #[must_use]
    pub fn content_encoding(&self) -> Option<&str> {
        self.inner.encoding.as_deref()
    }

    /// Returns the answer's `x-ms-request-id`. If there is one, the service itself answered.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.inner.request_id.as_deref()
    }

    /// Returns the field that makes an assignment unusable, such as `assignedHub`.
    ///
    /// It is the name in the service's JSON, or `None` if the answer is not from the service.
    #[must_use]
    pub fn field(&self) -> Option<&'static str> {
        self.inner.field
    }

    /// Returns the least time to wait before another registration, counted from now.
    ///
    /// `None` if the answer is not from the service.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.inner.retry_after
    }

    /// Sets the wait before the next registration.
    pub(super) fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.inner.retry_after = Some(retry_after);
        self
    }

    /// Returns the details for Azure's support.
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
            None => write!(f, "the answer is not from the service: {problem}")?,
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

/// The state of a registration that the service was still assigning at the deadline.
///
/// The service has accepted the registration and is choosing a hub. The next registration with the
/// same [session](crate::registration::Session) polls the operation.
///
/// ```
/// use azure_iot_dps::error::{Error, Failure};
///
/// fn operation(error: &Error) -> Option<&str> {
///     match error {
///         Error::DeadlineExceeded(error) => match error.last()? {
///             Failure::Assigning(still) => still.operation_id(),
///             _ => None,
///         },
///         _ => None,
///     }
/// }
/// ```
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

    /// Returns the service's ID of the operation.
    #[must_use]
    pub fn operation_id(&self) -> Option<&str> {
        self.operation_id.as_deref()
    }

    /// Returns the service's ID of the last answered request, its `x-ms-request-id`.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// Returns the details for Azure's support.
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
