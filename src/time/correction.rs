//! A clock that is wrong.

use core::time::Duration;

use crate::time::{CLOCK_TOLERANCE, Now, UnixTime};

/// The time as the service told it, to a device whose own clock was wrong or missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockCorrection {
    pub(crate) service_time: UnixTime,
    pub(crate) device_time: Option<UnixTime>,
    pub(crate) uptime: Duration,
}

impl ClockCorrection {
    /// Creates a correction from the service's time and the device's clocks at the same moment.
    pub(crate) const fn new(service_time: UnixTime, now: Now) -> Self {
        Self { service_time, device_time: now.unix, uptime: now.uptime }
    }

    /// Returns whether the service's time differs by a minute or more from the clock that was read before and after. Without a
    /// clock it always does.
    pub(crate) fn is_needed(told: UnixTime, sent: Option<UnixTime>, received: Option<UnixTime>) -> bool {
        let (Some(sent), Some(received)) = (sent, received) else { return true };
        told.saturating_add(CLOCK_TOLERANCE) <= sent || told >= received.saturating_add(CLOCK_TOLERANCE)
    }

    /// What time it is when the device's uptime is this, by the service's clock. For a device that sets its clock by it.
    #[must_use]
    pub fn time_at(&self, uptime: Duration) -> UnixTime {
        self.service_time.saturating_add(uptime.saturating_sub(self.uptime))
    }

    /// Whether the device's clock is still the one that was found wrong: it has neither been set nor begun to run since.
    pub(crate) fn still_holds(&self, now: Now) -> bool {
        now.goes_on_from(Now { unix: self.device_time, uptime: self.uptime })
    }

    /// How many seconds the device's clock must be put forward to be right, or back if negative. `None` for a device that
    /// has no clock.
    #[must_use]
    pub fn offset_seconds(&self) -> Option<i64> {
        let device_time = self.device_time?.as_secs();
        let ahead = i64::try_from(self.service_time.as_secs().abs_diff(device_time)).unwrap_or(i64::MAX);
        Some(if self.service_time.as_secs() >= device_time { ahead } else { ahead.saturating_neg() })
    }
}
