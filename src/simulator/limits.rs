//! The service's limits, and the refusals of those who pass them.

use alloc::collections::BTreeMap;
use alloc::string::String;
use core::time::Duration;

/// How much the service takes before it answers 429.
///
/// Each limit is a bucket that is full at the start and refilled evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub(super) registrations_per_minute: Option<u32>,
    pub(super) polls_per_10_s: Option<u32>,
    pub(super) retry_after: Option<Duration>,
}

impl Limits {
    /// No limits at all. The default.
    pub const NONE: Self = Self { registrations_per_minute: None, polls_per_10_s: None, retry_after: None };

    /// Those of the service: 1,000 registrations per minute in all, 5 polls per 10 s for each device.
    /// Source: Microsoft, "Azure IoT Hub DPS quotas and limits".
    pub const SERVICE: Self = Self::NONE.registrations_per_minute(1000).polls_per_10_s(5);

    /// So many register requests per minute, of all devices together.
    #[must_use]
    pub const fn registrations_per_minute(self, registrations: u32) -> Self {
        Self { registrations_per_minute: Some(registrations), ..self }
    }

    /// So many polls per 10 s, for each device.
    #[must_use]
    pub const fn polls_per_10_s(self, polls: u32) -> Self {
        Self { polls_per_10_s: Some(polls), ..self }
    }

    /// The `Retry-After` of a 429, in whole seconds. Default none.
    #[must_use]
    pub const fn retry_after(self, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..self }
    }
}

/// So many at once, and as many again over the period.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Duration,
}

impl Bucket {
    fn take(&mut self, size: u32, period: Duration, now: Duration) -> bool {
        let size = f64::from(size);
        let refill = now.saturating_sub(self.at).as_secs_f64() / period.as_secs_f64() * size;
        self.left = (self.left + refill).min(size);
        self.at = now;
        let taken = self.left >= 1.0;
        if taken {
            self.left -= 1.0;
        }
        taken
    }
}

/// What is left of the limits.
#[derive(Debug, Default)]
pub(super) struct Meters {
    registrations: Option<Bucket>,
    polls: BTreeMap<String, Bucket>,
}

impl Meters {
    pub(super) fn register(&mut self, limits: &Limits, now: Duration) -> bool {
        let Some(size) = limits.registrations_per_minute else { return true };
        let full = Bucket { left: f64::from(size), at: now };
        self.registrations.get_or_insert(full).take(size, Duration::from_secs(60), now)
    }

    pub(super) fn poll(&mut self, limits: &Limits, device: &str, now: Duration) -> bool {
        let Some(size) = limits.polls_per_10_s else { return true };
        let full = Bucket { left: f64::from(size), at: now };
        self.polls.entry(device.into()).or_insert(full).take(size, Duration::from_secs(10), now)
    }
}
