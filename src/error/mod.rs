//! Errors: what happened, whether and when to retry, what to tell Azure's support, and what to
//! repair.
//!
//! ```
//! use azure_iot_dps::Error;
//!
//! fn report(error: &Error) {
//!     eprintln!("{error}");
//!     eprintln!("what to do: {}", error.remedy());
//!     eprintln!("for the support: {}", error.support_info());
//!     match error.retry_after() {
//!         Some(wait) if error.is_transient() => eprintln!("trying again in {wait:?}"),
//!         Some(wait) => eprintln!("repair needed; checking again in {wait:?}"),
//!         None => eprintln!("giving up"),
//!     }
//! }
//! # report(&Error::Cancelled);
//! ```
//!
//! A transient failure does not end a registration. The registration retries until its deadline,
//! and then ends with [`DeadlineExceeded`], which holds the last [`Failure`].
//!
//! A refusal that ends a registration also says when to try again, because enrollments are repaired
//! in the cloud while the device runs. An earlier call fails with [`TooEarly`], without a request.

mod answer;
mod deadline;
mod early;
mod remedy;
mod sanitize;
mod service;
mod store;
mod support;
mod transport;

use core::time::Duration;

pub use answer::{StillAssigning, UnexpectedAnswer};
pub use deadline::{DeadlineExceeded, Failure};
pub use early::TooEarly;
#[cfg(feature = "mqtt-websocket")]
pub(crate) use sanitize::sanitize;
pub use service::{ClockFault, ServiceError, ServiceErrorKind};
pub use store::StoreError;
pub use support::SupportInfo;
pub use transport::{TransportError, TransportErrorKind};

use crate::key::SignerError;

/// The reason why a registration did not end with an assignment.
///
/// ```
/// # use azure_iot_dps::{attestation::AttestationKind, protocol::Response, time::Now};
/// # use azure_iot_dps::registration::{Registration, RegistrationSettings, Step};
/// use azure_iot_dps::Error;
///
/// # let settings = RegistrationSettings::new("0ne00002193".parse()?, "my-device".parse()?);
/// # let mut registration = Registration::new(&settings, AttestationKind::X509);
/// # let now = Now { unix: None, uptime: std::time::Duration::ZERO };
/// # while matches!(registration.step(now)?, Step::Event(_)) {}
/// # let body = &br#"{"errorCode":404204,"message":"The enrollment was not found."}"#[..];
/// # registration.receive(Ok(Response::new(404, body)), now);
/// # let error = loop { if let Err(error) = registration.step(now) { break error } };
/// match &error {
///     Error::Service(refusal) => assert_eq!(refusal.status(), 404),
///     Error::DeadlineExceeded(_) => println!("trying again in {:?}", error.retry_after()),
///     _ => println!("{error}: {}", error.remedy()),
/// }
/// # assert!(matches!(error, Error::Service(_)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The service refused the device. Holds the service's message.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The transport failed in a way that a registration does not retry.
    #[error(transparent)]
    Transport(TransportError),
    /// The service assigned the device, but the assignment cannot be used.
    #[error(transparent)]
    UnexpectedAnswer(UnexpectedAnswer),
    /// The deadline has passed, or the next wait would pass it.
    #[error(transparent)]
    DeadlineExceeded(#[from] DeadlineExceeded),
    /// The pause after a refusal is not over. No request was sent.
    #[error(transparent)]
    TooEarly(#[from] TooEarly),
    /// A status lookup found no assignment of this device.
    #[error("the service has no assignment for this device")]
    NotAssigned,
    /// The wait hook cancelled the registration.
    #[error("the registration was cancelled")]
    Cancelled,
    /// The signer failed.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The registration has already ended, with an assignment or an error.
    #[error("the registration has already ended; create a new one")]
    Ended,
}

impl Error {
    /// Returns whether the same call can succeed later without a repair.
    ///
    /// This is true for everything that the network or the service's load causes. It is false if
    /// the enrollment, the key or the code must change first, and for a cancelled registration. If
    /// an operator may repair the enrollment meanwhile, [`retry_after`](Self::retry_after) still
    /// says when to try again.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Service(error) => error.is_transient(),
            Self::DeadlineExceeded(_) => true,
            Self::Transport(_)
            | Self::UnexpectedAnswer(_)
            | Self::TooEarly(_)
            | Self::NotAssigned
            | Self::Cancelled
            | Self::Signer(_)
            | Self::Ended => false,
        }
    }

    /// Returns the least time to wait before another call, or `None` if waiting does not help.
    ///
    /// The time counts from now.
    ///
    /// | the registration ended because | retry after |
    /// | --- | --- |
    /// | its deadline passed | what is left of the last wait |
    /// | 409 or 412 five times; error code 4002xx; a clock that is not set; a proxy that refuses | 1 to 2 min, doubling, at most 1 h |
    /// | 401, or a client certificate that was refused in the handshake | 30 to 37.5 min, doubling, at most 4 h |
    /// | any other refusal, `disabled`, an assignment that cannot be used | 60 to 75 min, doubling, at most 4 h |
    ///
    /// `failed` counts by its error code: 401002 as a 401. An earlier call waits, or fails at once
    /// if its deadline is too short. In the last two rows it always fails at once, with
    /// [`TooEarly`]. A 401 can disappear without a repair: after a key was rolled, the service may
    /// expect the old one for half an hour.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::DeadlineExceeded(error) => Some(error.retry_after()),
            Self::Service(error) => error.retry_after(),
            Self::UnexpectedAnswer(error) => error.retry_after(),
            Self::TooEarly(error) => Some(error.retry_after()),
            Self::Transport(error) => error.retry_after(),
            _ => None,
        }
    }

    /// Sets the wait before the next call, for the kinds of error that have one.
    pub(crate) fn with_retry_after(self, retry_after: Duration) -> Self {
        match self {
            Self::Service(error) => Self::Service(error.with_retry_after(retry_after)),
            Self::UnexpectedAnswer(error) => Self::UnexpectedAnswer(error.with_retry_after(retry_after)),
            Self::Transport(error) => Self::Transport(error.with_retry_after(retry_after)),
            other => other,
        }
    }

    /// Returns one sentence that tells a person what to do.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Service(error) => error.remedy(),
            Self::Transport(error) => error.kind().remedy(),
            Self::UnexpectedAnswer(error) => error.remedy(),
            Self::DeadlineExceeded(error) => error.last().map_or(remedy::WAIT, Failure::remedy),
            Self::TooEarly(_) => remedy::REPAIR,
            Self::NotAssigned => "Register the device: it has no assignment yet.",
            Self::Cancelled => "Call again when the device is ready to register.",
            Self::Signer(_) => "Check that the secure element answers and holds the device's key.",
            Self::Ended => "Create a new registration for every attempt.",
        }
    }

    /// Returns the details for Azure's support: status, error code, IDs and time, if the service
    /// sent them.
    ///
    /// For [`DeadlineExceeded`], these are the details of the last failure.
    #[must_use]
    pub fn support_info(&self) -> SupportInfo<'_> {
        match self {
            Self::Service(error) => error.support_info(),
            Self::UnexpectedAnswer(error) => error.support_info(),
            Self::DeadlineExceeded(error) => error.last().map(Failure::support_info).unwrap_or_default(),
            Self::TooEarly(error) => error.support_info(),
            _ => SupportInfo::default(),
        }
    }

    /// Returns the service's refusal: this error, or the last failure before the deadline.
    #[must_use]
    pub fn service(&self) -> Option<&ServiceError> {
        match self {
            Self::Service(error) => Some(error),
            Self::DeadlineExceeded(error) => match error.last() {
                Some(Failure::Service(error)) => Some(error),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns the transport's error: this error, or the last failure before the deadline.
    #[must_use]
    pub fn transport(&self) -> Option<&TransportError> {
        match self {
            Self::Transport(error) => Some(error),
            Self::DeadlineExceeded(error) => match error.last() {
                Some(Failure::Transport(error)) => Some(error),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns the HTTP status of the answer that caused this error, or `None` without an answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.support_info().status
    }

    /// Returns the service's error code, such as 401002. Its first three digits are the status.
    #[must_use]
    pub fn error_code(&self) -> Option<u32> {
        self.support_info().error_code
    }

    /// Returns the service's message.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.service().and_then(ServiceError::message)
    }

    /// Returns the service's tracking ID, which Azure's support asks for.
    #[must_use]
    pub fn tracking_id(&self) -> Option<&str> {
        self.support_info().tracking_id
    }

    /// Returns the service's ID of the request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.support_info().request_id
    }

    /// Returns the service's ID of the pending operation.
    #[must_use]
    pub fn operation_id(&self) -> Option<&str> {
        self.support_info().operation_id
    }

    /// Returns the service's time of the refusal, such as `2019-11-19T21:39:05.1573304Z`.
    #[must_use]
    pub fn timestamp(&self) -> Option<&str> {
        self.support_info().timestamp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_small_enough_to_be_returned_by_value() {
        assert!(size_of::<Error>() <= 4 * size_of::<usize>(), "{}", size_of::<Error>());
        assert!(size_of::<Result<(), TransportError>>() <= 4 * size_of::<usize>());
    }
}
