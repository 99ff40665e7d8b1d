//! Whether to try the hub again or to register again.

use core::time::Duration;

use crate::identity::RegistrationId;
use crate::registration::{Jitter, RetryPolicy};
use crate::time::Now;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
/// How long a hub may be out of reach before the service is asked where it is; up to a quarter more by device.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
const QUOTA_EXCEEDED: u32 = 403_002;
const QUOTA_EXCEEDED_NAME: &str = "IotHubQuotaExceeded";

/// What kept a device from its hub.
///
/// ```
/// use azure_iot_dps::HubFailure;
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

    /// The hub refused an MQTT connection with this return code of its CONNACK. Source: MQTT 3.1.1, section 3.2.2.3.
    #[must_use]
    pub const fn connack(code: u8) -> Self {
        Self::new(Kind::Connack { code })
    }

    /// With the hub's error code, such as 403002. Counts for [`http`](Self::http) only.
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
        match name.parse() {
            Ok(code) => self.with_code(code),
            Err(_) if name.eq_ignore_ascii_case(QUOTA_EXCEEDED_NAME) => self.with_code(QUOTA_EXCEEDED),
            Err(_) => self,
        }
    }

    /// With the answer's `Retry-After`: the least that is waited, but no more than an hour is.
    #[must_use]
    pub const fn with_retry_after(self, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..self }
    }

    /// The rules, in the order of the table that [`Reconnection`] shows.
    fn rule(self) -> Rule {
        match self.kind {
            Kind::Http { status: 403, code: Some(QUOTA_EXCEEDED) } => Rule::Quota,
            Kind::Http { status: 401 | 403 | 404, .. } | Kind::Connack { code: 4 | 5 } => Rule::Refused,
            Kind::Http { .. } | Kind::Connack { .. } => Rule::Busy,
            Kind::Unreachable => Rule::Unreachable,
        }
    }
}

#[derive(Clone, Copy)]
enum Rule {
    Quota,
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
    /// Register again, at once: [`ProvisioningClient::reassign`](crate::ProvisioningClient::reassign). If that fails, the
    /// assignment at hand is still the best there is: try its hub again, and tell what comes of it.
    Register,
}

/// Decides whether a device tries its hub again or registers again: pure, told what the hub did and when.
///
/// | what the hub did | advice | source |
/// | --- | --- | --- |
/// | HTTP 403 with code 403002, the day's quota of messages is used up | wait: 1 to 2 min, doubling, at most 1 h | [hub errors] |
/// | HTTP 401: the key or the device is not known there | register | [hub errors] |
/// | HTTP 403 otherwise | register | [reprovisioning] |
/// | HTTP 404: the device is not known there | register | [hub errors] |
/// | CONNACK 4, bad user name or password | register | [MQTT] |
/// | CONNACK 5, not authorized | register | [MQTT] |
/// | CONNACK 3, server unavailable, and any other | wait as after 429 | [MQTT] |
/// | HTTP 429, throttled | wait: [`RetryPolicy`], 1 to 5 s, doubling, at most 4 min; `Retry-After` is a floor | [hub errors] |
/// | HTTP 5xx | wait as after 429 | [hub errors] |
/// | any other HTTP status | wait as after 429: the message or something between is at fault | ours |
/// | no answer, for 30 min (up to 37.5 min, by device) | wait as after 429 | ours |
/// | no answer for longer | register, then once an hour (up to 75 min, by device) | ours: a hub that was moved or deleted never answers |
///
/// Where a registration does not help (the same hub refuses the device again before it was connected once), the next one is
/// advised a minute later, then two, doubling up to an hour, and the hub is tried in between: the service bills
/// registrations, and a device may be known there sooner than at its hub.
///
/// ```
/// use azure_iot_dps::{Advice, HubFailure, Now, Reconnection, RegistrationId};
/// use std::time::Duration;
///
/// let mut reconnection = Reconnection::new(RegistrationId::new("my-device")?);
/// let now = Now { unix: None, uptime: Duration::from_secs(7) };
/// match reconnection.failed(HubFailure::http(503), now) {
///     Advice::Retry { after } => assert!(after < Duration::from_secs(5)),
///     Advice::Register => unreachable!("the hub is there, but busy"),
/// }
/// assert_eq!(reconnection.failed(HubFailure::http(404), now), Advice::Register);
/// # Ok::<(), azure_iot_dps::RegistrationIdError>(())
/// ```
///
/// [hub errors]: https://learn.microsoft.com/azure/iot-hub/troubleshoot-error-codes
/// [reprovisioning]: https://learn.microsoft.com/azure/iot-dps/how-to-reprovision
/// [MQTT]: https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/os/mqtt-v3.1.1-os.html#_Toc398718035
#[derive(Clone, Debug)]
pub struct Reconnection {
    registration_id: RegistrationId,
    retry: RetryPolicy,
    /// Failures since the hub was connected or the device was to register.
    failures: u32,
    /// Registrations that were advised since the hub was connected.
    registrations: u32,
    /// The uptime from which on a refusal is a reason to register.
    refused_until: Option<Duration>,
    /// The uptime from which on silence is a reason to register; `None` while the hub answers.
    silent_until: Option<Duration>,
}

impl Reconnection {
    /// For this device; its ID spreads the waits of a fleet.
    #[must_use]
    pub fn new(registration_id: RegistrationId) -> Self {
        Self {
            registration_id,
            retry: RetryPolicy::DEFAULT,
            failures: 0,
            registrations: 0,
            refused_until: None,
            silent_until: None,
        }
    }

    /// How to wait before the same hub is tried again. Default [`RetryPolicy::DEFAULT`].
    #[must_use]
    pub fn retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// The hub was connected, or took a message: all is well.
    pub fn connected(&mut self) {
        (self.failures, self.registrations) = (0, 0);
        (self.refused_until, self.silent_until) = (None, None);
    }

    /// The hub failed, at this time. Asks for nothing but the uptime of `now` to go on.
    pub fn failed(&mut self, failure: HubFailure, now: Now) -> Advice {
        const QUOTA: RetryPolicy = RetryPolicy::DEFAULT.first_wait(Duration::from_secs(2 * 60)).longest_wait(HOUR);
        let rule = failure.rule();
        if !matches!(rule, Rule::Unreachable) {
            self.silent_until = None;
        }
        match rule {
            Rule::Quota => self.wait(QUOTA, MINUTE.max(failure.retry_after.unwrap_or_default()), now),
            Rule::Busy => self.wait(self.retry, failure.retry_after.unwrap_or_default(), now),
            Rule::Refused => {
                let spacing = MINUTE.saturating_mul(2_u32.saturating_pow(self.registrations)).min(HOUR);
                match self.refused_until {
                    Some(until) if now.uptime < until => self.wait_until(until, now),
                    _ => {
                        self.refused_until = Some(now.uptime.saturating_add(self.spread(spacing, now)));
                        self.register()
                    }
                }
            }
            Rule::Unreachable => match self.silent_until {
                Some(until) if now.uptime < until => self.wait_until(until, now),
                Some(_) => {
                    self.silent_until = Some(now.uptime.saturating_add(self.spread(HOUR, now)));
                    self.register()
                }
                None => {
                    let until = now.uptime.saturating_add(self.spread(PATIENCE, now));
                    self.silent_until = Some(until);
                    self.wait_until(until, now)
                }
            },
        }
    }

    fn register(&mut self) -> Advice {
        self.failures = 0;
        self.registrations = self.registrations.saturating_add(1);
        Advice::Register
    }

    fn wait(&mut self, policy: RetryPolicy, floor: Duration, now: Now) -> Advice {
        let after = policy.backoff(self.failures, Some(floor.min(HOUR)), self.jitter(now));
        self.failures = self.failures.saturating_add(1);
        Advice::Retry { after }
    }

    /// As after any failure, but not past the time at which the next one is a reason to register.
    fn wait_until(&mut self, until: Duration, now: Now) -> Advice {
        let due = until.saturating_sub(now.uptime);
        match self.wait(self.retry, Duration::ZERO, now) {
            Advice::Retry { after } => Advice::Retry { after: after.min(due) },
            Advice::Register => Advice::Register,
        }
    }

    /// So long, and by device up to a quarter longer.
    #[expect(clippy::arithmetic_side_effects, reason = "the divisor is not zero")]
    fn spread(&self, duration: Duration, now: Now) -> Duration {
        duration.saturating_add(self.jitter(now).part_of(duration / 4, self.registrations))
    }

    fn jitter(&self, now: Now) -> Jitter<'_> {
        Jitter { registration_id: &self.registration_id, now }
    }
}
