//! The service's refusals.

use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;

use crate::error::sanitize::sanitize;
use crate::error::support::SupportInfo;
use crate::protocol::Response;
use crate::protocol::json::{Body, RegistrationState, Text};
use crate::time::UnixTime;

/// The kind of a [`ServiceError`].
///
/// ```
/// use azure_iot_dps::error::{ServiceError, ServiceErrorKind};
///
/// fn is_disabled(error: &ServiceError) -> bool {
///     error.kind() == ServiceErrorKind::Disabled
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceErrorKind {
    /// The service answered the request with an error.
    Request,
    /// The service accepted the registration, and it failed.
    Failed,
    /// The enrollment is disabled.
    Disabled,
}

/// A refusal by the service, in its own error format.
///
/// ```
/// # use azure_iot_dps::{attestation::AttestationKind, protocol::Response, time::Now};
/// # use azure_iot_dps::registration::{Registration, RegistrationSettings, Step};
/// # let settings = RegistrationSettings::new("0ne00002193".parse()?, "my-device".parse()?);
/// # let mut registration = Registration::new(&settings, AttestationKind::X509);
/// # let now = Now { unix: None, uptime: std::time::Duration::ZERO };
/// # while matches!(registration.step(now)?, Step::Event(_)) {}
/// # let body = &br#"{"errorCode":401002,"trackingId":"2cb8f317","message":"Unauthorized"}"#[..];
/// # registration.receive(Ok(Response::new(401, body)), now);
/// # let error = loop { if let Err(error) = registration.step(now) { break error } };
/// let refusal = error.service().ok_or("not refused")?;
/// assert_eq!((refusal.status(), refusal.error_code()), (401, Some(401_002)));
/// assert_eq!(refusal.message(), Some("Unauthorized"));
/// assert_eq!(refusal.tracking_id(), Some("2cb8f317"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ServiceError {
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    kind: ServiceErrorKind,
    status: u16,
    error_code: Option<u32>,
    message: Option<Box<str>>,
    tracking_id: Option<Box<str>>,
    request_id: Option<Box<str>>,
    timestamp: Option<Box<str>>,
    retry_after: Option<Duration>,
    clock_fault: Option<ClockFault>,
    /// Whether the device proved its identity with a certificate.
    by_certificate: bool,
}

/// The fault of the device's clock that made the service refuse a token.
///
/// ```
/// use azure_iot_dps::error::{ClockFault, Error};
/// use azure_iot_dps::time::UnixTime;
///
/// fn time_to_set(error: &Error) -> Option<UnixTime> {
///     match error.service()?.clock_fault()? {
///         ClockFault::Wrong { service_time } => Some(service_time),
///         _ => None,
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClockFault {
    /// The device had no clock or one that reads a time before 2026, and the answer had no time.
    NotSet,
    /// The token was expired by the service's time.
    Wrong {
        /// The service's time.
        service_time: UnixTime,
    },
}

impl ServiceError {
    /// Creates the error from an error body. `secret` is the signature that was sent, in case the
    /// service repeats it.
    pub(crate) fn refused(response: &Response<'_>, body: &Body<'_>, error_code: Option<u32>, secret: &str) -> Self {
        Self::new(ServiceErrorKind::Request, response, error_code, body, body.message.as_ref(), secret)
    }

    /// Creates the error of a registration that the service accepted and that then failed or was
    /// found disabled.
    pub(crate) fn ended(
        kind: ServiceErrorKind,
        response: &Response<'_>,
        body: &Body<'_>,
        state: Option<&RegistrationState<'_>>,
        secret: &str,
    ) -> Self {
        let message = state.and_then(|state| state.error_message.as_ref()).or(body.message.as_ref());
        let error_code = state.and_then(|state| state.error_code).or(body.error_code);
        let mut error = Self::new(kind, response, error_code, body, message, secret);
        let updated = state.and_then(|state| state.last_updated_date_time_utc.as_ref());
        error.inner.timestamp = error.inner.timestamp.or(updated.map(|text| sanitize(&text.0, secret)));
        error
    }

    fn new(
        kind: ServiceErrorKind,
        response: &Response<'_>,
        error_code: Option<u32>,
        body: &Body<'_>,
        message: Option<&Text<'_>>,
        secret: &str,
    ) -> Self {
        let text = |text: Option<&Text<'_>>| text.map(|text| sanitize(&text.0, secret));
        let inner = Inner {
            kind,
            status: response.status(),
            error_code,
            message: text(message),
            tracking_id: text(body.tracking_id.as_ref()),
            request_id: response.request_id().map(|id| sanitize(id, secret)),
            timestamp: text(body.timestamp_utc.as_ref()),
            retry_after: response.retry_after(),
            clock_fault: None,
            by_certificate: false,
        };
        Self { inner: Box::new(inner) }
    }

    /// Returns the kind of the refusal.
    #[must_use]
    pub fn kind(&self) -> ServiceErrorKind {
        self.inner.kind
    }

    /// Returns the HTTP status of the answer.
    ///
    /// It is 200 if the service accepted the registration and it failed later.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.inner.status
    }

    /// Returns the service's error code, such as 401002. Its first three digits are the HTTP
    /// status.
    #[must_use]
    pub fn error_code(&self) -> Option<u32> {
        self.inner.error_code
    }

    /// Returns the service's message.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.inner.message.as_deref()
    }

    /// Returns the service's tracking ID, which Azure's support asks for.
    #[must_use]
    pub fn tracking_id(&self) -> Option<&str> {
        self.inner.tracking_id.as_deref()
    }

    /// Returns the service's ID of the request, the answer's `x-ms-request-id`.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.inner.request_id.as_deref()
    }

    /// Returns the service's time of the refusal, as the service writes it.
    #[must_use]
    pub fn timestamp(&self) -> Option<&str> {
        self.inner.timestamp.as_deref()
    }

    /// Returns the details for Azure's support.
    #[must_use]
    pub fn support_info(&self) -> SupportInfo<'_> {
        let Inner { status, error_code, .. } = *self.inner;
        SupportInfo {
            status: Some(status),
            error_code,
            tracking_id: self.tracking_id(),
            request_id: self.request_id(),
            operation_id: None,
            timestamp: self.timestamp(),
        }
    }

    /// Returns the least time to wait before another registration, counted from now.
    ///
    /// See [`Error::retry_after`](super::Error::retry_after).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.inner.retry_after
    }

    /// Sets the wait before the next registration.
    pub(super) fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.inner.retry_after = Some(retry_after);
        self
    }

    /// Returns the clock's fault, if that made the service refuse the token (401).
    ///
    /// The remedy is to set the clock.
    #[must_use]
    pub fn clock_fault(&self) -> Option<ClockFault> {
        self.inner.clock_fault
    }

    pub(crate) fn is_by_certificate(&self) -> bool {
        self.inner.by_certificate
    }

    pub(crate) fn by_certificate(mut self, by_certificate: bool) -> Self {
        self.inner.by_certificate = by_certificate;
        self
    }

    pub(crate) fn with_clock_fault(mut self, clock_fault: Option<ClockFault>) -> Self {
        self.inner.clock_fault = clock_fault;
        self
    }

    /// Returns the status that decides: the answer's, or for a failed registration the first three
    /// digits of its error code.
    pub(crate) fn says(&self) -> Option<u16> {
        match self.inner.kind {
            ServiceErrorKind::Request => Some(self.inner.status),
            ServiceErrorKind::Failed => u16::try_from(self.inner.error_code? / 1000).ok(),
            ServiceErrorKind::Disabled => None,
        }
    }

    /// Returns whether the allocation failed (codes 4002xx): its webhook answered with an error, or
    /// no hub fits.
    pub(crate) fn is_of_the_allocation(&self) -> bool {
        matches!(self.inner.error_code, Some(400_200..=400_299)) && self.inner.kind != ServiceErrorKind::Disabled
    }

    /// Returns whether the same registration can succeed later without a repair.
    ///
    /// These are 3xx, 408, 409, 412, 429 and 5xx as a status, 408, 409, 412, 429 and 5xx as the
    /// first digits of a failed registration's error code, 4002xx (a failed allocation), and a
    /// token that was refused because of the [clock](Self::clock_fault).
    #[must_use]
    pub fn is_transient(&self) -> bool {
        let transient = match self.inner.kind {
            ServiceErrorKind::Request => is_transient_status(self.inner.status),
            ServiceErrorKind::Failed => self.says().is_some_and(|status| status >= 400 && is_transient_status(status)),
            ServiceErrorKind::Disabled => false,
        };
        transient || self.is_of_the_allocation() || self.inner.clock_fault.is_some()
    }
}

/// 409 and 412: the same identity is registering elsewhere at this moment. 408, 429 and 5xx: the
/// service's load. 3xx: an unexpected redirect, which is not followed, because the token is for the
/// service only.
fn is_transient_status(status: u16) -> bool {
    matches!(status, ..400 | 408 | 409 | 412 | 429 | 500..)
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.inner;
        match inner.kind {
            ServiceErrorKind::Request => write!(f, "the service refused the request with status {}", inner.status)?,
            ServiceErrorKind::Failed => f.write_str("the registration failed")?,
            ServiceErrorKind::Disabled => f.write_str("the device's enrollment is disabled")?,
        }
        if let Some(message) = &inner.message {
            write!(f, ": {message}")?;
        }
        match inner.clock_fault {
            None => {}
            Some(ClockFault::NotSet) => f.write_str("; the device's clock was not set when it signed the token")?,
            Some(ClockFault::Wrong { service_time }) => {
                write!(
                    f,
                    "; the device's clock was wrong when it signed the token, the service's time is {service_time}"
                )?;
            }
        }
        // The sentence already contains the status.
        let details = SupportInfo { status: None, ..self.support_info() };
        if details.write(f, " (")? { f.write_str(")") } else { Ok(()) }
    }
}

impl core::error::Error for ServiceError {}
