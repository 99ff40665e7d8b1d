//! Errors. Each tells what happened, whether trying again can help, when, and what to quote to support.

mod presentable;
mod service;
mod store;
mod transport;

use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;

pub use service::{Refusal, ServiceError, UnexpectedAnswer};
pub use store::StoreError;
pub use transport::{TransportError, TransportErrorKind};

use crate::key::SignerError;
use crate::time::seconds_begun;

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
    /// The service knows no assignment of this device: the answer to a registration status lookup.
    #[error("the service knows no assignment of this device")]
    NotAssigned,
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
            Self::NotAssigned | Self::Cancelled | Self::Signer(_) | Self::Ended => false,
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
        match seconds_begun(*retry_after) {
            0 => Ok(()),
            seconds => write!(f, ", try again in {seconds} s"),
        }
    }
}

impl core::error::Error for DeadlineExceeded {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.last().map(|error| error as _)
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
