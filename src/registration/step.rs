//! What whoever drives a registration is told to do.

use core::time::Duration;

use crate::assignment::Assignment;
use crate::protocol::Request;
use crate::registration::WaitReason;

/// What to do next.
#[derive(Debug)]
pub enum Step<'r> {
    /// Carry this request to the service and hand what comes of it to [`Registration::receive`](crate::Registration::receive).
    Send(Request<'r>),
    /// Let time pass, then ask again. Asking early is fine: it gives the rest of the same pause.
    Wait(Pause),
    /// The device has its hub.
    Done(Assignment),
}

/// A wait, or what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    left: Duration,
    reason: WaitReason,
}

impl Pause {
    pub(super) fn new(left: Duration, reason: WaitReason) -> Self {
        Self { left, reason }
    }

    /// No wait at all, but a request.
    pub(crate) const REQUEST: Self = Self { left: Duration::ZERO, reason: WaitReason::Request };

    /// How much of the wait is left.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.left
    }

    /// Why the registration waits.
    #[must_use]
    pub fn reason(&self) -> WaitReason {
        self.reason
    }
}
