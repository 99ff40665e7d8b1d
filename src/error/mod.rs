//! Errors: what happened, whether trying again can help, when, what to quote to support, and what a person should do.
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
//!         Some(wait) => eprintln!("somebody has to repair this; trying again in {wait:?}, in case that it was done"),
//!         None => eprintln!("giving up"),
//!     }
//! }
//! # report(&Error::Cancelled);
//! ```
//!
//! What is transient does not end a registration: it tries again until its deadline, and then ends with
//! [`DeadlineExceeded`], which holds the last [`Failure`].
//!
//! Enrollments are repaired in the cloud while the device runs: so a refusal that ends a registration says when to try again, too. A
//! call that comes earlier fails with [`TooEarly`], without a request.

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

/// Why a registration did not end in an assignment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The service refused the device, in its own words.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The request cannot be carried, and trying again does not change that: the protocol has no such operation.
    #[error(transparent)]
    Transport(TransportError),
    /// The service assigned the device, but in a way that cannot be used.
    #[error(transparent)]
    UnexpectedAnswer(UnexpectedAnswer),
    /// The deadline has passed, or the next wait would pass it.
    #[error(transparent)]
    DeadlineExceeded(#[from] DeadlineExceeded),
    /// The call came too early after a refusal: the pause is not over, and no request was sent.
    #[error(transparent)]
    TooEarly(#[from] TooEarly),
    /// The service knows no assignment of this device: the answer to a status lookup.
    #[error("the service knows no assignment of this device")]
    NotAssigned,
    /// The wait hook ended the registration.
    #[error("the registration was cancelled")]
    Cancelled,
    /// The signer could not sign.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The registration was driven on after it had ended, with an assignment or an error.
    #[error("the registration has ended already; a new one is needed")]
    Ended,
}

impl Error {
    /// Whether the same call can succeed later with nothing repaired.
    ///
    /// True for all that the network or the service's load brings about; false where the enrollment, the key or the
    /// code must be changed first, and for a registration that was cancelled. Where somebody may repair the enrollment
    /// meanwhile, [`retry_after`](Self::retry_after) says when to try again all the same.
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

    /// The least time to wait before another call, counted from now; `None` where waiting does not help.
    ///
    /// | the registration ended because | retry after |
    /// | --- | --- |
    /// | its deadline passed | what is left of the last wait |
    /// | 409 or 412 five times; error code 4002xx; a clock that is not set; a proxy that refuses | 1 to 2 min, doubling, at most 1 h |
    /// | 401, or a client certificate that was refused in the handshake | 30 to 37.5 min, doubling, at most 4 h |
    /// | any other refusal, `disabled`, an assignment that cannot be used | 60 to 75 min, doubling, at most 4 h |
    ///
    /// `failed` counts by its error code: 401002 as a 401. An earlier call waits, or fails at once if its deadline is too short.
    /// After the last two rows it always fails at once, with [`TooEarly`]. A 401 can heal: after a key was rolled, the service may
    /// go on expecting the old one for half an hour.
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

    /// Tells a person in one sentence what to do about it.
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
            Self::Signer(_) => "Check the secure element: whether it answers and holds the device's key.",
            Self::Ended => "Create a new registration for every attempt.",
        }
    }

    /// Returns what to quote to Azure's support: status, error code, IDs and time, as far as the service told them. Of
    /// [`DeadlineExceeded`], those of the last failure.
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

    /// What the service said: in this error, or in the last failure before the deadline passed.
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

    /// What kept an answer from arriving: in this error, or in the last failure before the deadline passed.
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

    /// The status of the answer that this error is about, as HTTP counts; `None` where there was no answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.support_info().status
    }

    /// The service's error code, such as 401002; its thousands are the status.
    #[must_use]
    pub fn error_code(&self) -> Option<u32> {
        self.support_info().error_code
    }

    /// The service's message.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.service().and_then(ServiceError::message)
    }

    /// The service's tracking ID, which its support asks for.
    #[must_use]
    pub fn tracking_id(&self) -> Option<&str> {
        self.support_info().tracking_id
    }

    /// The service's ID of the request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.support_info().request_id
    }

    /// The service's ID of the registration that was under way.
    #[must_use]
    pub fn operation_id(&self) -> Option<&str> {
        self.support_info().operation_id
    }

    /// When the service refused, as it writes it, `2019-11-19T21:39:05.1573304Z`.
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
