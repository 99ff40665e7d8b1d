//! What there is to make of an answer.

use alloc::boxed::Box;

use crate::assignment::Assignment;
use crate::error::{Error, Failure, ServiceError};
use crate::registration::event::WaitReason;
use crate::registration::refusal::Pace;
use crate::time::UnixTime;

/// What to make of an answer.
pub(super) enum Outcome {
    /// The device has its hub.
    Assigned(Assignment),
    /// The service is at it; the operation's ID and the request's, where the answer names them.
    Assigning { operation_id: Option<Box<str>>, request_id: Option<Box<str>> },
    /// The token was refused for a wrong clock.
    ClockWrong { service_time: UnixTime, error: ServiceError },
    /// The key was refused, and the other one was not.
    KeyRefused(ServiceError),
    /// The service knows nothing of the operation that was polled.
    OperationLost(ServiceError),
    /// There is no assignment to look up.
    NotAssigned,
    /// It may be otherwise in a while.
    TryAgain(Failure, WaitReason),
    /// It is over, and paced: a call that comes too early is not let out.
    Refused { error: Error, pace: Pace },
    /// It is over.
    Final(Error),
}

impl Outcome {
    /// Whether the service itself has answered, as far as can be seen.
    pub(super) fn is_by_the_service(&self) -> bool {
        !matches!(self, Self::TryAgain(Failure::Transport(_) | Failure::UnexpectedAnswer(_), _))
    }
}
