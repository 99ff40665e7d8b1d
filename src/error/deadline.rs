//! What ends a registration that tries until its time is over.

use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;

use crate::error::answer::{StillAssigning, UnexpectedAnswer};
use crate::error::service::ServiceError;
use crate::error::support::SupportInfo;
use crate::error::transport::TransportError;
use crate::time::ceil_secs;

/// The last thing that went wrong before a deadline. All of it is transient.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The service refused for now: throttled, in trouble, or busy with the same identity.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// No complete answer arrived.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// Somebody else answered: a gateway, a captive portal, a broken proxy.
    #[error(transparent)]
    UnexpectedAnswer(#[from] UnexpectedAnswer),
    /// The service was still choosing a hub.
    #[error(transparent)]
    Assigning(#[from] StillAssigning),
}

impl Failure {
    /// Tells a person in one sentence what to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Service(error) => error.remedy(),
            Self::Transport(error) => error.kind().remedy(),
            Self::UnexpectedAnswer(error) => error.remedy(),
            Self::Assigning(_) => {
                "Call again, which asks about the same registration; if it stays like this, look at the allocation policy."
            }
        }
    }

    /// Returns what to quote to Azure's support.
    #[must_use]
    pub fn support_info(&self) -> SupportInfo<'_> {
        match self {
            Self::Service(error) => error.support_info(),
            Self::Transport(_) => SupportInfo::default(),
            Self::UnexpectedAnswer(error) => error.support_info(),
            Self::Assigning(error) => error.support_info(),
        }
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
    last: Option<Failure>,
}

impl DeadlineExceeded {
    pub(crate) fn new(deadline: Duration, retry_after: Duration, last: Option<Failure>) -> Self {
        Self { inner: Box::new(OutOfTime { deadline, retry_after, last }) }
    }

    /// The time that the registration had in all.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.inner.deadline
    }

    /// The least time to wait before another call, counted from now.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        self.inner.retry_after
    }

    /// The last failure before the deadline, if there was one; also the `source()` of this error.
    #[must_use]
    pub fn last(&self) -> Option<&Failure> {
        self.inner.last.as_ref()
    }
}

impl fmt::Display for DeadlineExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OutOfTime { deadline, retry_after, .. } = &*self.inner;
        // Without floating point, whose formatting takes 10 KB of a board's flash.
        write!(f, "not assigned within the deadline of {}", deadline.as_secs())?;
        match deadline.subsec_millis() {
            0 => f.write_str(" s")?,
            millis => write!(f, ".{millis:03} s")?,
        }
        match ceil_secs(*retry_after) {
            0 => Ok(()),
            seconds => write!(f, ", try again in {seconds} s"),
        }
    }
}

impl core::error::Error for DeadlineExceeded {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.last().map(|failure| failure as _)
    }
}
