//! The outcomes of an answer.

use alloc::boxed::Box;

use crate::assignment::Assignment;
use crate::error::{Error, Failure, ServiceError};
use crate::registration::event::WaitReason;
use crate::registration::refusal::Pace;
use crate::time::UnixTime;

/// The outcome of an answer.
pub(super) enum Outcome {
    /// The device is assigned to a hub.
    Assigned(Assignment),
    /// The service is still assigning. Holds the operation ID and the request ID, if the answer has
    /// them.
    Assigning { operation_id: Option<Box<str>>, request_id: Option<Box<str>> },
    /// The service refused the token because the clock was wrong.
    ClockWrong { service_time: UnixTime, error: ServiceError },
    /// The service refused the key, but not the other one.
    KeyRefused(ServiceError),
    /// The service does not know the operation that was polled.
    OperationLost(ServiceError),
    /// A status lookup found no assignment.
    NotAssigned,
    /// The failure is transient.
    TryAgain(Failure, WaitReason),
    /// The registration ends, and the next one is paced: a call that comes too early sends nothing.
    Refused { error: Error, pace: Pace },
    /// The registration ends.
    Final(Error),
}

impl Outcome {
    /// Returns whether the answer appears to be from the service itself.
    pub(super) fn is_by_the_service(&self) -> bool {
        !matches!(self, Self::TryAgain(Failure::Transport(_) | Failure::UnexpectedAnswer(_), _))
    }
}
