//! The pause of a device after a refusal.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ServiceError, TooEarly};
use crate::registration::retry::{Jitter, doubled};
use crate::time::Pause;

const MINUTE: Duration = Duration::from_secs(60);
/// The longest pause after a refusal.
pub(super) const MAX_REFUSAL_PAUSE: Duration = Duration::from_secs(4 * 60 * 60);

/// The speed at which the cause of a refusal may disappear, which decides the pause after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Minutes, without intervention: the same identity registers elsewhere, or the allocation
    /// failed.
    Minutes,
    /// Until the clock is set, or minutes.
    Clock,
    /// Half an hour: the key is repaired, or the service has noticed that it was rolled.
    Key,
    /// An hour: an operator repairs another cause.
    Repair,
}

impl Pace {
    /// Returns the pause after a refusal, at least `floor`. It doubles with each of the `refusals`
    /// that came before in a row.
    #[expect(clippy::arithmetic_side_effects, reason = "the divisor is not zero")]
    pub(super) fn pause(self, refusals: u32, floor: Duration, jitter: Jitter<'_>) -> Duration {
        let (lower, span) = match self {
            Self::Minutes | Self::Clock => {
                let lower = doubled(MINUTE, refusals, MINUTE * 30);
                (lower, lower)
            }
            Self::Key | Self::Repair => {
                let first = if self == Self::Key { MINUTE * 30 } else { MINUTE * 60 };
                let lower = doubled(first, refusals, MAX_REFUSAL_PAUSE / 5 * 4);
                (lower, lower / 4)
            }
        };
        // The jitter is added to the floor, too: a fleet must not come back together.
        lower.max(floor).saturating_add(jitter.part_of(span, refusals))
    }
}

/// A refusal that keeps the device from sending until its pause is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) pause: Pause,
    pub(super) reason: Reason,
}

/// A [`Refusal`] as stored in flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedRefusal {
    pub(super) wait: Duration,
    reason: Reason,
}

/// The device that the service refused, and the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reason {
    status: Option<u16>,
    error_code: Option<u32>,
    /// The fingerprint of endpoint, ID scope and registration ID:
    /// [`RegistrationSettings::device`](super::RegistrationSettings).
    device: [u8; 8],
    /// The fingerprint of the keys: [`Attestation::fingerprint`](crate::attestation::Attestation).
    /// `None` if it is not known.
    keys: Option<[u8; 8]>,
}

impl Refusal {
    pub(super) fn new(pause: Pause, error: &Error, device: [u8; 8]) -> Self {
        let status = error.service().and_then(ServiceError::says).or(error.status());
        let reason = Reason { status, error_code: error.error_code(), device, keys: None };
        Self { pause, reason }
    }

    pub(super) fn save(self, uptime: Duration) -> SavedRefusal {
        SavedRefusal { wait: self.pause.left(uptime), reason: self.reason }
    }

    pub(super) fn restore(saved: SavedRefusal, uptime: Duration) -> Self {
        Self { pause: Pause::new(saved.wait, uptime).at_most(MAX_REFUSAL_PAUSE), reason: saved.reason }
    }

    /// Returns whether this device was refused.
    pub(super) fn is_of_device(self, device: [u8; 8]) -> bool {
        self.reason.device == device
    }

    /// Returns whether keys other than these were refused.
    pub(super) fn is_of_other_keys(self, keys: Option<[u8; 8]>) -> bool {
        matches!((self.reason.keys, keys), (Some(refused), Some(keys)) if refused != keys)
    }

    /// Stores which keys were refused, unless that is known.
    pub(super) fn note_keys(&mut self, keys: impl FnOnce() -> Option<[u8; 8]>) {
        if self.reason.keys.is_none() {
            self.reason.keys = keys();
        }
    }

    /// Creates the error of a call that comes when `left` of the pause remains.
    pub(super) fn too_early(self, left: Duration) -> TooEarly {
        TooEarly::new(left, self.reason.status, self.reason.error_code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::RegistrationId;
    use crate::time::Now;

    #[test]
    fn pauses_after_refusals_double_up_to_four_hours_and_differ_by_device() {
        let pauses = |pace: Pace, name: &str| {
            let registration_id = RegistrationId::new(name).expect("valid");
            let now = Now { unix: None, uptime: Duration::from_secs(7) };
            let jitter = Jitter { registration_id: &registration_id, now };
            [0, 1, 2, 3, 9].map(|refusals| pace.pause(refusals, Duration::ZERO, jitter))
        };
        for (pace, ranges) in [
            (Pace::Key, [(30.0, 37.5), (60.0, 75.0), (120.0, 150.0), (192.0, 240.0), (192.0, 240.0)]),
            (Pace::Repair, [(60.0, 75.0), (120.0, 150.0), (192.0, 240.0), (192.0, 240.0), (192.0, 240.0)]),
            (Pace::Minutes, [(1.0, 2.0), (2.0, 4.0), (4.0, 8.0), (8.0, 16.0), (30.0, 60.0)]),
            (Pace::Clock, [(1.0, 2.0), (2.0, 4.0), (4.0, 8.0), (8.0, 16.0), (30.0, 60.0)]),
        ] {
            for (pause, (low, high)) in pauses(pace, "dev-01").into_iter().zip(ranges) {
                let minutes = pause.as_secs_f64() / 60.0;
                assert!(minutes >= low && minutes <= high, "{pace:?}: {minutes} is not within {low} to {high}");
            }
            assert_ne!(pauses(pace, "dev-01"), pauses(pace, "dev-02"));
        }
    }

    #[test]
    fn a_floor_that_all_devices_share_has_jitter_on_top() {
        let hour = Duration::from_secs(60 * 60);
        let pause = |pace: Pace, name: &str| {
            let registration_id = RegistrationId::new(name).expect("valid");
            let jitter =
                Jitter { registration_id: &registration_id, now: Now { unix: None, uptime: Duration::from_secs(7) } };
            pace.pause(0, hour, jitter)
        };
        for pace in [Pace::Minutes, Pace::Clock, Pace::Key, Pace::Repair] {
            let [one, other] = ["dev-01", "dev-02"].map(|name| pause(pace, name));
            assert!(one > hour && other > hour && one != other, "{pace:?}: {one:?}, {other:?}");
        }
    }
}
