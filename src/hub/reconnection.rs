//! Whether to try the hub again or to register again.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::identity::RegistrationId;
use crate::registration::{Jitter, RetryPolicy};
use crate::time::Now;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
/// How long a hub may be out of reach before the service is asked where it is; up to a quarter more, by device.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
/// The hub's limits that a registration does not lift, as numbers and by name. Source: Microsoft, "IoT Hub API common error
/// codes".
const LIMITS: [(u32, Option<&str>); 4] = [
    (403_002, Some("IotHubQuotaExceeded")),
    (403_004, Some("DeviceMaximumQueueDepthExceeded")),
    (403_006, Some("DeviceMaximumActiveFileUploadLimitExceeded")),
    (403_010, None), // not in the tier that was bought; no name is documented
];

/// What kept a device from its hub.
///
/// ```
/// use azure_iot_dps::hub::HubFailure;
///
/// // Over HTTPS, with the answer's status and its header `iothub-errorcode`:
/// let failure = HubFailure::http(403).with_code_name("IotHubQuotaExceeded");
/// // Over MQTT, with the code of the CONNACK:
/// let failure = HubFailure::connack(5);
/// // No name, no route, TLS failed, timed out, cut off:
/// let failure = HubFailure::UNREACHABLE;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubFailure {
    kind: Kind,
    retry_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http { status: u16, code: Option<u32> },
    Connack { code: u8 },
    Unreachable,
}

impl HubFailure {
    /// The hub did not answer at all, or not to the end.
    pub const UNREACHABLE: Self = Self::new(Kind::Unreachable);

    const fn new(kind: Kind) -> Self {
        Self { kind, retry_after: None }
    }

    /// The hub answered with this HTTP status.
    #[must_use]
    pub const fn http(status: u16) -> Self {
        Self::new(Kind::Http { status, code: None })
    }

    /// The hub refused an MQTT 3.1.1 connection, which is what hubs speak, with this return code of its CONNACK. Source: MQTT
    /// 3.1.1, section 3.2.2.3.
    #[must_use]
    pub const fn connack(code: u8) -> Self {
        Self::new(Kind::Connack { code })
    }

    /// Adds the hub's error code, such as 403002. Counts for [`http`](Self::http) only.
    #[must_use]
    pub const fn with_code(self, code: u32) -> Self {
        match self.kind {
            Kind::Http { status, .. } => Self { kind: Kind::Http { status, code: Some(code) }, ..self },
            _ => self,
        }
    }

    /// With the hub's error code as a name or a number, as its header `iothub-errorcode` has it. Counts for
    /// [`http`](Self::http) only.
    #[must_use]
    pub fn with_code_name(self, name: &str) -> Self {
        let is_named = |limit: Option<&str>| limit.is_some_and(|limit| name.eq_ignore_ascii_case(limit));
        let known = LIMITS.iter().find(|(_, limit)| is_named(*limit)).map(|(code, _)| *code);
        match name.parse().ok().or(known) {
            Some(code) => self.with_code(code),
            None => self,
        }
    }

    /// With the answer's `Retry-After`: the least that is waited. More than an hour counts as an hour.
    #[must_use]
    pub const fn with_retry_after(self, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..self }
    }

    /// The rules, in the order of the table that [`Reconnection`] shows.
    fn rule(self) -> Rule {
        match self.kind {
            Kind::Http { status: 403, code: Some(code) } if LIMITS.iter().any(|(limit, _)| *limit == code) => {
                Rule::Limit
            }
            Kind::Http { status: 401 | 403 | 404, .. } | Kind::Connack { code: 4 | 5 } => Rule::Refused,
            Kind::Http { .. } | Kind::Connack { .. } => Rule::Busy,
            Kind::Unreachable => Rule::Unreachable,
        }
    }
}

#[derive(Clone, Copy)]
enum Rule {
    Limit,
    Refused,
    Busy,
    Unreachable,
}

/// What to do about a hub that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Advice {
    /// Try the same hub again after this pause.
    Retry {
        /// How long to wait.
        after: Duration,
    },
    /// Register again, at once: [`ProvisioningClient::register_and_store`](crate::ProvisioningClient::register_and_store). If that fails, the
    /// assignment at hand is still the best there is: try its hub again, and tell what comes of it.
    Register,
}

/// Decides whether a device tries its hub again or registers again: pure, told what the hub did and when.
///
/// | what the hub did | advice | source |
/// | --- | --- | --- |
/// | HTTP 403 with code 403002 (the day's quota of messages), 403004, 403006 (queues) or 403010 (tier) | wait: 1 to 2 min, doubling, at most 1 h | [hub errors]: a registration lifts no limit |
/// | HTTP 401, 403 otherwise, 404: the device, its key or its hub is not what it was | register | [at scale] |
/// | CONNACK 4, bad user name or password; 5, not authorized | register | [MQTT] |
/// | the same again within a minute of that registration | wait as after 429, then register; the minute doubles to an hour, until an hour passes without a refusal | ours: it did not help, and registrations are billed |
/// | HTTP 429, throttled; 5xx | wait: [`RetryPolicy`], 1 to 5 s, doubling, at most 4 min | [at scale] |
/// | CONNACK 3, server unavailable, and any other | wait as after 429 | [MQTT] |
/// | any other HTTP status | wait as after 429 | ours: the message or something between is at fault |
/// | any of these with `Retry-After` | wait that long at least; more than an hour counts as one | RFC 9110, section 10.2.3 |
/// | no answer, for up to 30 min (37.5 min, by device) since the last one | wait as after 429 | [at scale] |
/// | no answer for longer | register, then at most hourly (75 min, by device) | ours: a hub that was moved or deleted never answers |
///
/// A device that does not stay up for that long, because it sleeps or a watchdog resets it, keeps the [`state`](Self::state).
///
/// ```
/// use azure_iot_dps::hub::{Advice, HubFailure, Reconnection};
/// use azure_iot_dps::time::Now;
/// use azure_iot_dps::RegistrationId;
/// use std::time::Duration;
///
/// let mut reconnection = Reconnection::new(RegistrationId::new("my-device")?);
/// let now = Now { unix: None, uptime: Duration::from_secs(7) };
/// match reconnection.failed(HubFailure::http(503), now) {
///     Advice::Retry { after } => assert!(after < Duration::from_secs(5)),
///     Advice::Register => unreachable!("the hub is there, but busy"),
/// }
/// assert_eq!(reconnection.failed(HubFailure::http(404), now), Advice::Register);
/// # Ok::<(), azure_iot_dps::identity::NameError>(())
/// ```
///
/// [hub errors]: https://learn.microsoft.com/rest/api/iothub/common-error-codes
/// [at scale]: https://learn.microsoft.com/azure/iot-dps/concepts-deploy-at-scale
/// [MQTT]: https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/os/mqtt-v3.1.1-os.html#_Toc398718035
#[derive(Clone, Debug)]
pub struct Reconnection {
    registration_id: RegistrationId,
    retry: RetryPolicy,
    counts: Counts,
    times: Times,
}

/// How often something happened in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counts {
    /// Failures since the hub was connected or the device was to register.
    failures: u32,
    /// Limits that were met since the hub was connected.
    limits: u32,
    /// Registrations for refusals.
    refusals: u32,
}

/// The uptimes at which something will have lasted long enough; zero where it is not under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Times {
    /// From here on another refusal is a reason to register.
    refused: Duration,
    /// From here on a refusal is a first one.
    forgiven: Duration,
    /// From here on silence is a reason to register; zero while the hub answers.
    silent: Duration,
    /// The same, but for an answer in between: not more than hourly.
    asked: Duration,
}

/// How far a [`Reconnection`] has come, in a form that can be kept in flash: its times count from when it was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconnectionState {
    counts: Counts,
    left: Times,
}

impl Times {
    fn map(self, change: impl Fn(Duration) -> Duration) -> Self {
        let Self { refused, forgiven, silent, asked } = self;
        let [refused, forgiven, silent, asked] = [refused, forgiven, silent, asked].map(change);
        Self { refused, forgiven, silent, asked }
    }
}

impl Reconnection {
    /// For this device; its ID spreads the waits of a fleet.
    #[must_use]
    pub fn new(registration_id: RegistrationId) -> Self {
        let (counts, times) = (Counts::default(), Times::default());
        Self { registration_id, retry: RetryPolicy::DEFAULT, counts, times }
    }

    /// The same, going on from what was kept, at this uptime.
    #[must_use]
    pub fn restore(registration_id: RegistrationId, state: ReconnectionState, uptime: Duration) -> Self {
        // Whatever was kept, nothing is put off for longer than the rules do.
        let due = |left: Duration| {
            if left.is_zero() { left } else { uptime.saturating_add(left.min(HOUR.saturating_mul(3))) }
        };
        Self { counts: state.counts, times: state.left.map(due), ..Self::new(registration_id) }
    }

    /// What can be kept across a reboot, seen at this uptime. The time until it is restored does not count.
    #[must_use]
    pub fn state(&self, uptime: Duration) -> ReconnectionState {
        // What is over is not the same as what is not under way.
        const OVER: Duration = Duration::from_nanos(1);
        let left = |due: Duration| if due.is_zero() { due } else { due.saturating_sub(uptime).max(OVER) };
        ReconnectionState { counts: self.counts, left: self.times.map(left) }
    }

    /// How to wait before the same hub is tried again. Default [`RetryPolicy::DEFAULT`]. The waits for a limit are the table's.
    #[must_use]
    pub fn retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// The hub was connected, or took a message.
    pub fn connected(&mut self) {
        (self.counts.failures, self.counts.limits) = (0, 0);
        self.times.silent = Duration::ZERO;
    }

    /// The hub failed, at this time. Of `now` the uptime alone decides; the wall clock adds to the jitter.
    pub fn failed(&mut self, failure: HubFailure, now: Now) -> Advice {
        let rule = failure.rule();
        if !matches!(rule, Rule::Unreachable) {
            self.times.silent = Duration::ZERO;
        }
        let floor = failure.retry_after.unwrap_or_default();
        match rule {
            Rule::Limit => Advice::Retry { after: self.back_off_limit(floor, now) },
            Rule::Refused => self.refused(floor, now),
            Rule::Busy => Advice::Retry { after: self.back_off(floor, now) },
            Rule::Unreachable => self.unreachable(now),
        }
    }

    fn refused(&mut self, floor: Duration, now: Now) -> Advice {
        if now.uptime >= self.times.forgiven {
            self.counts.refusals = 0;
        }
        if self.counts.refusals > 0 && now.uptime < self.times.refused {
            self.times.forgiven = self.times.forgiven.max(now.uptime.saturating_add(HOUR));
            return self.retry_until(self.times.refused, floor, now);
        }
        let spacing = MINUTE.saturating_mul(2_u32.saturating_pow(self.counts.refusals)).min(HOUR);
        self.times.refused = now.uptime.saturating_add(self.spread(spacing, now));
        // Not from now on: after a spacing of an hour, the refusal at its end would be a first one.
        self.times.forgiven = self.times.refused.saturating_add(HOUR);
        self.counts.refusals = self.counts.refusals.saturating_add(1);
        self.register()
    }

    fn unreachable(&mut self, now: Now) -> Advice {
        if self.times.silent.is_zero() {
            self.times.silent = now.uptime.saturating_add(self.spread(PATIENCE, now));
        }
        let until = self.times.silent.max(self.times.asked);
        if now.uptime < until {
            return self.retry_until(until, Duration::ZERO, now);
        }
        self.times.asked = now.uptime.saturating_add(self.spread(HOUR, now));
        self.register()
    }

    fn register(&mut self) -> Advice {
        self.counts.failures = 0;
        Advice::Register
    }

    /// As after any failure, but not past the time at which the next one is a reason to register.
    fn retry_until(&mut self, until: Duration, floor: Duration, now: Now) -> Advice {
        let due = until.saturating_sub(now.uptime).max(floor.min(HOUR));
        Advice::Retry { after: self.back_off(floor, now).min(due) }
    }

    /// One failure more; how long to wait for that.
    fn back_off(&mut self, floor: Duration, now: Now) -> Duration {
        let after = self.retry.backoff(self.counts.failures, Some(floor.min(HOUR)), self.jitter(now));
        self.counts.failures = self.counts.failures.saturating_add(1);
        after
    }

    /// The same for a limit that was met.
    fn back_off_limit(&mut self, floor: Duration, now: Now) -> Duration {
        const POLICY: RetryPolicy = RetryPolicy::DEFAULT.first_wait(Duration::from_secs(2 * 60)).max_wait(HOUR);
        let after = POLICY.backoff(self.counts.limits, Some(floor.clamp(MINUTE, HOUR)), self.jitter(now));
        self.counts.limits = self.counts.limits.saturating_add(1);
        after
    }

    /// So long, and by device up to a quarter longer.
    #[expect(clippy::arithmetic_side_effects, reason = "the divisor is not zero")]
    fn spread(&self, duration: Duration, now: Now) -> Duration {
        duration.saturating_add(self.jitter(now).part_of(duration / 4, self.counts.refusals))
    }

    fn jitter(&self, now: Now) -> Jitter<'_> {
        Jitter { registration_id: &self.registration_id, now }
    }
}
