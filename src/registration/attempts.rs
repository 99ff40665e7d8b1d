//! What has been tried in one registration. [`Attempts::sent`] and [`Attempts::answered`] are the only places that change it.

use core::time::Duration;

use crate::attestation::KeySlot;
use crate::registration::event::WaitReason;
use crate::registration::outcome::Outcome;

/// How often "the same identity is registering elsewhere" (409, 412) is tried again.
const CONFLICT_RETRIES: u8 = 4;
/// How often a registration starts over because the service no longer knows it. Each start is billed.
const OPERATION_RETRIES: u8 = 4;

/// What has been tried so far. Nothing in it makes a second honest event final: each count ends at a limit, or the deadline ends
/// it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attempts {
    /// Requests that were handed out.
    requests: u32,
    /// Conflicts since the service last let the device in.
    conflicts: u8,
    /// Answers in a row that asked for a wait of nothing.
    zero_waits: u8,
    operations_lost: u8,
    clock_corrections: u8,
    key_switches: u8,
    /// The key that the service refused since it last let the device in.
    refused: Option<KeySlot>,
}

impl Attempts {
    /// A request is handed out.
    pub(super) fn sent(&mut self) {
        self.requests = self.requests.saturating_add(1);
    }

    /// An answer, or none, has come to a request that was signed with this key.
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

    /// Whether another conflict is one too many.
    pub(super) fn enough_conflicts(&self) -> bool {
        self.conflicts >= CONFLICT_RETRIES
    }

    /// Whether another lost operation is one too many.
    pub(super) fn enough_operations_lost(&self) -> bool {
        self.operations_lost >= OPERATION_RETRIES
    }

    /// Whether the service has refused that key since it last let the device in.
    pub(super) fn is_refused(&self, key: KeySlot) -> bool {
        self.refused == Some(key)
    }

    /// Whether what this outcome corrects was corrected before in this registration: then a backoff comes first, lest it
    /// become a request loop.
    pub(super) fn is_repeated(&self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::ClockWrong { .. } => self.clock_corrections > 1,
            Outcome::KeyRefused(_) => self.key_switches > 1,
            Outcome::OperationLost(_) => self.operations_lost > 1,
            _ => false,
        }
    }
}
