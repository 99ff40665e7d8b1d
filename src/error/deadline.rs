//! The error of a registration that reaches its deadline.

use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;

use crate::error::answer::{StillAssigning, UnexpectedAnswer};
use crate::error::service::ServiceError;
use crate::error::support::SupportInfo;
use crate::error::transport::TransportError;
use crate::time::ceil_secs;

/// The last failure before a deadline. Every failure is transient.
///
/// ```
/// use azure_iot_dps::error::Failure;
///
/// fn is_network_problem(failure: &Failure) -> bool {
///     matches!(failure, Failure::Transport(_) | Failure::UnexpectedAnswer(_))
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The service refused for now: throttled, overloaded, or the same identity is registering
    /// elsewhere.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// No complete answer arrived.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The answer is not from the service: a gateway, a captive portal or a broken proxy answered.
    #[error(transparent)]
    UnexpectedAnswer(#[from] UnexpectedAnswer),
    /// The service was still choosing a hub.
    #[error(transparent)]
    Assigning(#[from] StillAssigning),
}

impl Failure {
    /// Returns one sentence that tells a person what to do.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Service(error) => error.remedy(),
            Self::Transport(error) => error.kind().remedy(),
            Self::UnexpectedAnswer(error) => error.remedy(),
            Self::Assigning(_) => {
                "Call again to poll the same registration; if it still does not end, check the allocation policy."
            }
        }
    }

    /// Returns the details for Azure's support.
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

/// The error when a registration's deadline has passed, or the next wait would pass it.
///
/// ```
/// # use azure_iot_dps::{attestation::AttestationKind, time::Now};
/// # use azure_iot_dps::registration::{Registration, RegistrationSettings, Step};
/// use azure_iot_dps::error::{Error, Failure, TransportErrorKind};
/// use std::time::Duration;
///
/// # let settings = RegistrationSettings::new("0ne00002193".parse()?, "my-device".parse()?);
/// # let settings = settings.deadline(Duration::from_secs(1));
/// # let mut registration = Registration::new(&settings, AttestationKind::X509);
/// # let now = Now { unix: None, uptime: Duration::ZERO };
/// # while matches!(registration.step(now)?, Step::Event(_)) {}
/// # let answer = Err(TransportErrorKind::TimedOut.into());
/// # registration.receive(answer, now);
/// # let error = loop { if let Err(error) = registration.step(now) { break error } };
/// let Error::DeadlineExceeded(exceeded) = error else { unreachable!() };
/// assert_eq!(exceeded.deadline(), Duration::from_secs(1));
/// assert!(exceeded.retry_after() >= Duration::from_secs(1));
/// assert!(matches!(exceeded.last(), Some(Failure::Transport(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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

    /// Returns the deadline that was set, as a duration from the first step.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.inner.deadline
    }

    /// Returns the least time to wait before another call, counted from now.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        self.inner.retry_after
    }

    /// Returns the last failure before the deadline, if there was one.
    ///
    /// It is also the `source()` of this error.
    #[must_use]
    pub fn last(&self) -> Option<&Failure> {
        self.inner.last.as_ref()
    }
}

impl fmt::Display for DeadlineExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OutOfTime { deadline, retry_after, .. } = &*self.inner;
        // Floating point is avoided, because its formatting takes 10 KB of a board's flash.
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
