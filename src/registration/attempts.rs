//! The attempts of one registration. Only [`Attempts::sent`] and [`Attempts::answered`] change
//! them.

use core::time::Duration;

use crate::attestation::KeySlot;
use crate::registration::event::WaitReason;
use crate::registration::outcome::Outcome;

/// The number of retries after 409 and 412: the same identity is registering elsewhere.
const CONFLICT_RETRIES: u8 = 4;
/// The number of times that a registration starts over because the service lost the operation. Each
/// start is billed.
const OPERATION_RETRIES: u8 = 4;

/// The attempts of one registration so far. A second occurrence of the same event never ends a
/// registration by itself: each counter has a limit, or the deadline applies.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attempts {
    /// Requests that were handed out.
    requests: u32,
    /// Conflicts since the last `assigning`.
    conflicts: u8,
    /// Consecutive answers with `Retry-After: 0`.
    zero_waits: u8,
    operations_lost: u8,
    clock_corrections: u8,
    key_switches: u8,
    /// The key that the service has refused since the last `assigning`.
    refused: Option<KeySlot>,
}

impl Attempts {
    /// Counts a request that is handed out.
    pub(super) fn sent(&mut self) {
        self.requests = self.requests.saturating_add(1);
    }

    /// Counts the outcome of a request that was signed with this key.
    pub(super) fn answered(&mut self, outcome: &Outcome, key: KeySlot, retry_after: Option<Duration>) {
        let count = |counter: &mut u8| *counter = counter.saturating_add(1);
        match outcome {
            Outcome::Assigning { .. } => {
                (self.conflicts, self.refused) = (0, None);
                if retry_after == Some(Duration::ZERO) {
                    count(&mut self.zero_waits);
                } else {
                    self.zero_waits = 0;
                }
            }
            Outcome::ClockWrong { .. } => count(&mut self.clock_corrections),
            Outcome::KeyRefused(_) => {
                self.refused = Some(key);
                count(&mut self.key_switches);
            }
            Outcome::OperationLost(_) => count(&mut self.operations_lost),
            Outcome::TryAgain(_, WaitReason::Refused { status: 409 | 412 }) => count(&mut self.conflicts),
            Outcome::Assigned(_)
            | Outcome::NotAssigned
            | Outcome::TryAgain(..)
            | Outcome::Refused { .. }
            | Outcome::Final(_) => {}
        }
    }

    pub(super) fn requests(&self) -> u32 {
        self.requests
    }

    pub(super) fn zero_waits(&self) -> u8 {
        self.zero_waits
    }

    /// Returns whether the limit of conflicts is reached.
    pub(super) fn enough_conflicts(&self) -> bool {
        self.conflicts >= CONFLICT_RETRIES
    }

    /// Returns whether the limit of lost operations is reached.
    pub(super) fn enough_operations_lost(&self) -> bool {
        self.operations_lost >= OPERATION_RETRIES
    }

    /// Returns whether the service has refused this key since the last `assigning`.
    pub(super) fn is_refused(&self, key: KeySlot) -> bool {
        self.refused == Some(key)
    }

    /// Returns whether the registration has made the correction for this outcome before. The retry
    /// then comes after a backoff, to prevent a request loop.
    pub(super) fn is_repeated(&self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::ClockWrong { .. } => self.clock_corrections > 1,
            Outcome::KeyRefused(_) => self.key_switches > 1,
            Outcome::OperationLost(_) => self.operations_lost > 1,
            _ => false,
        }
    }
}
