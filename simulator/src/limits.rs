//! The limits of the service.

use std::collections::BTreeMap;
use std::time::Duration;

/// The limits of the service, beyond which it answers 429.
///
/// Each limit is a token bucket. It is full at the start and refills evenly.
///
/// ```
/// use azure_iot_dps_simulator::{Limits, Record, Simulator};
/// # use azure_iot_dps::{Assignment, DeviceKey, ProvisioningClient, RegistrationId};
/// # fn register(sim: &Simulator, name: &str) -> Result<Assignment, Box<dyn std::error::Error>> {
/// #     let id = RegistrationId::new(name)?;
/// #     let key = DeviceKey::from_base64(&sim.device_key(&id).ok_or("no key")?)?;
/// #     let builder = ProvisioningClient::builder(sim.id_scope(), id, key);
/// #     Ok(builder.build_with(sim.transport(), sim.clock()).register()?)
/// # }
///
/// let limits = Limits::NONE.registrations_per_minute(1);
/// let sim = Simulator::builder().limits(limits).build();
/// register(&sim, "device-1")?;
/// register(&sim, "device-2")?; // Is throttled at first, then tries again.
/// let throttled = |record: &Record| matches!(record, Record::Request { status: Some(429), .. });
/// assert!(sim.records().iter().any(throttled));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub(crate) registrations_per_minute: Option<u32>,
    pub(crate) polls_per_10_s: Option<u32>,
    pub(crate) retry_after: Option<Duration>,
}

impl Limits {
    /// No limits. The default.
    pub const NONE: Self = Self { registrations_per_minute: None, polls_per_10_s: None, retry_after: None };

    /// The published limits: 1,000 registrations per minute in all, and 5 polls per 10 s for each
    /// device.
    ///
    /// Source: Microsoft, "Azure IoT Hub DPS quotas and limits".
    pub const SERVICE: Self = Self::NONE.registrations_per_minute(1000).polls_per_10_s(5);

    /// Sets how many register requests per minute the service takes from all devices together.
    #[must_use]
    pub const fn registrations_per_minute(self, registrations: u32) -> Self {
        Self { registrations_per_minute: Some(registrations), ..self }
    }

    /// Sets how many polls per 10 s the service takes from each device.
    #[must_use]
    pub const fn polls_per_10_s(self, polls: u32) -> Self {
        Self { polls_per_10_s: Some(polls), ..self }
    }

    /// Sets the `Retry-After` of a 429, in whole seconds. Default: none.
    #[must_use]
    pub const fn retry_after(self, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..self }
    }
}

/// A token bucket: it holds as many tokens as it gains over its period.
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

/// The tokens that are left of each limit.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    registrations: Option<Bucket>,
    polls: BTreeMap<String, Bucket>,
}

impl Meters {
    pub(crate) fn register(&mut self, limits: &Limits, now: Duration) -> bool {
        let Some(size) = limits.registrations_per_minute else { return true };
        let full = Bucket { left: f64::from(size), at: now };
        self.registrations.get_or_insert(full).take(size, Duration::from_secs(60), now)
    }

    pub(crate) fn poll(&mut self, limits: &Limits, device: &str, now: Duration) -> bool {
        let Some(size) = limits.polls_per_10_s else { return true };
        let full = Bucket { left: f64::from(size), at: now };
        self.polls.entry(device.into()).or_insert(full).take(size, Duration::from_secs(10), now)
    }
}
