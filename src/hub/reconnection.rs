//! The decision to try the hub again, or to ask the service where the hub is.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::hub::failure::{HubFailure, Rule};
use crate::identity::RegistrationId;
use crate::registration::{Jitter, RetryPolicy, doubled};
use crate::time::{Now, Pause};

const MINUTE: Duration = Duration::from_secs(60);
const HALF_AN_HOUR: Duration = Duration::from_secs(30 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);
/// The time without a success after which the device asks the service.
///
/// Each device adds up to a quarter, or up to the fleet's spread if that is longer.
const PATIENCE: Duration = HALF_AN_HOUR;
/// The time that a connection must last for the backoff to start over.
const FORGIVEN: Duration = Duration::from_secs(2 * 60);

/// The advice of a [`Reconnection`]: what to do after the hub failed.
///
/// ```
/// use azure_iot_dps::RegistrationId;
/// use azure_iot_dps::hub::{Advice, Reconnection};
/// use azure_iot_dps::time::Now;
/// use std::time::Duration;
///
/// let mut reconnection = Reconnection::new(RegistrationId::new("my-device")?);
/// match reconnection.lost(Now { unix: None, uptime: Duration::from_secs(60) }) {
///     Advice::Retry { after } => assert!(after >= Duration::from_secs(1)),
///     Advice::LookUp => println!("call `client.look_up_or_register(&mut store)`"),
///     Advice::Register => println!("call `client.register_and_store(&mut store)`"),
///     _ => println!("an advice of a later version: look the assignment up"),
/// }
/// # Ok::<(), azure_iot_dps::identity::NameError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum Advice {
    /// Try the same hub again after this pause.
    Retry {
        /// The length of the pause.
        after: Duration,
    },
    /// Look the assignment up at once, then connect to its hub, even if the hub is the same.
    ///
    /// Call [`ProvisioningClient::look_up_or_register`][look-up]. A lookup does not register and is
    /// not billed.
    ///
    /// [look-up]: crate::ProvisioningClient::look_up_or_register
    LookUp,
    /// Register again at once.
    ///
    /// Call [`ProvisioningClient::register_and_store`][register].
    ///
    /// [register]: crate::ProvisioningClient::register_and_store
    Register,
}

/// The decision of a device to try its hub again, or to ask the service where its hub is.
///
/// It does no I/O and reads no clock. The caller tells it what the hub did, and when.
///
/// | what the hub did | advice | source |
/// | --- | --- | --- |
/// | HTTP 403 with code 403002 (the quota of messages for the day), 403004, 403006 (queues) or 403010 (tier) | wait: 1 to 2 min, doubling, at most 1 h | [hub errors]: a registration lifts no limit |
/// | HTTP 401, 404, 403 otherwise: the device, its key or its hub may have changed | ask the service, within the [fleet's spread](Self::fleet_spread) | [at scale] |
/// | CONNACK 4 (bad user name or password) or 5 (not authorized); the client certificate was refused | ask the service, within the fleet's spread | [MQTT] |
/// | the same again after that | wait as after 429, and ask again after a minute, which doubles to an hour, until an hour passes without a refusal | this crate: asking did not help, and registrations are billed |
/// | HTTP 429 (throttled), 5xx, any other HTTP status | wait: 1 to 5 s, doubling, at most 4 min ([`RetryPolicy`]) | [at scale] |
/// | CONNACK 3 (server unavailable) and any other code | wait as after 429 | [MQTT] |
/// | no answer | wait as after 429 | [at scale] |
/// | any of the last three for 30 min (37.5 min or more, by device) without one success | ask the service, then at most hourly (75 min, by device) | [at scale]: a hub that was moved or deleted never answers, and another server in its place may answer anything |
/// | the connection was [lost](Self::lost) | wait: 1 to 5 s and a tenth of the fleet's spread at most; as after 429 if it had not lasted for 2 min | [at scale]: a hub that restarts drops a whole fleet |
/// | any of these with `Retry-After` | wait at least that long; more than an hour counts as an hour | RFC 9110, section 10.2.3 |
///
/// To ask the service is [`Advice::LookUp`] first, and [`Advice::Register`] if the hub fails again
/// after that. If the service cannot be reached, try the hub of the current assignment again, and
/// report the result.
///
/// A device that does not stay up for that long, because it sleeps or because a watchdog resets it,
/// keeps the [`state`](Self::state).
///
/// ```
/// use azure_iot_dps::RegistrationId;
/// use azure_iot_dps::hub::{Advice, HubFailure, Reconnection};
/// use azure_iot_dps::time::Now;
/// use std::time::Duration;
///
/// let mut reconnection = Reconnection::new(RegistrationId::new("my-device")?);
/// let at = |minutes: u64| Now { unix: None, uptime: Duration::from_secs(60 * minutes) };
/// match reconnection.failed(HubFailure::http(503), at(0)) {
///     Advice::Retry { after } => assert!(after < Duration::from_secs(5)),
///     _ => unreachable!("the hub exists, but is busy"),
/// }
/// // After 40 minutes without a success, the device may have moved to another hub.
/// assert_eq!(reconnection.failed(HubFailure::UNREACHABLE, at(40)), Advice::LookUp);
/// assert_eq!(reconnection.failed(HubFailure::UNREACHABLE, at(40)), Advice::Register);
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
    fleet_spread: Duration,
    counts: Counts,
    pauses: Pauses<Pause>,
    /// The uptime when the hub accepted the device.
    up_since: Option<Duration>,
}

/// The numbers of consecutive events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counts {
    /// Failures since the last connection that lasted, or since the last advice to register.
    failures: u32,
    /// Limits that were reached since the last connection that lasted.
    limits: u32,
    /// Advices to register because of refusals.
    refusals: u32,
    /// The last advice was to look up, and the hub has not accepted the device since.
    looked_up: bool,
}

/// The pauses, or `None` for each that has not begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Pauses<P> {
    /// While it lasts, a refusal is no reason to ask the service.
    refused: Option<P>,
    /// After it, a refusal counts as the first one.
    forgiven: Option<P>,
    /// While it lasts, other failures are no reason to ask the service.
    patience: Option<P>,
    /// While it lasts, other failures are no reason to ask the service again: at most hourly.
    asked: Option<P>,
}

/// The state of a [`Reconnection`], which can be kept across a reboot.
///
/// Its times count from the moment at which it was taken.
///
/// ```
/// use azure_iot_dps::RegistrationId;
/// use azure_iot_dps::hub::{HubFailure, Reconnection, ReconnectionState};
/// use azure_iot_dps::time::Now;
/// use std::time::Duration;
///
/// let id = RegistrationId::new("my-device")?;
/// let mut reconnection = Reconnection::new(id.clone());
/// let now = Now { unix: None, uptime: Duration::from_secs(60) };
/// let _advice = reconnection.failed(HubFailure::UNREACHABLE, now);
/// let json = serde_json::to_string(&reconnection.state(now.uptime))?; // Keep it in flash.
///
/// // After the reboot:
/// let state: ReconnectionState = serde_json::from_str(&json)?;
/// let reconnection = Reconnection::restore(id, state, Duration::ZERO);
/// assert_eq!(reconnection.state(Duration::ZERO), state);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconnectionState {
    counts: Counts,
    left: Pauses<Duration>,
}

impl<P> Pauses<P> {
    fn map<Q>(self, change: impl Fn(P) -> Q) -> Pauses<Q> {
        let Self { refused, forgiven, patience, asked } = self;
        let [refused, forgiven, patience, asked] = [refused, forgiven, patience, asked].map(|it| it.map(&change));
        Pauses { refused, forgiven, patience, asked }
    }
}

impl Reconnection {
    /// Creates a reconnection for this device, whose ID spreads the waits of a fleet.
    #[must_use]
    pub fn new(registration_id: RegistrationId) -> Self {
        Self {
            registration_id,
            retry: RetryPolicy::DEFAULT,
            fleet_spread: MINUTE.saturating_mul(2),
            counts: Counts::default(),
            pauses: Pauses::default(),
            up_since: None,
        }
    }

    /// Creates a reconnection that continues from this state at this uptime.
    #[must_use]
    pub fn restore(registration_id: RegistrationId, state: ReconnectionState, uptime: Duration) -> Self {
        // A damaged state must not delay anything for longer than the rules do.
        let pause = |left: Duration| Pause::new(left, uptime).at_most(HOUR.saturating_mul(3));
        Self { counts: state.counts, pauses: state.left.map(pause), ..Self::new(registration_id) }
    }

    /// Returns the state at this uptime, which can be kept across a reboot.
    ///
    /// The time until it is restored does not count.
    #[must_use]
    pub fn state(&self, uptime: Duration) -> ReconnectionState {
        ReconnectionState { counts: self.counts, left: self.pauses.map(|pause| pause.left(uptime)) }
    }

    /// Sets the waits before the same hub is tried again. Default: [`RetryPolicy::DEFAULT`].
    ///
    /// The waits after a limit are always those of the table.
    #[must_use]
    pub fn retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// Sets the time over which a fleet spreads out. Default: 2 min.
    ///
    /// A fleet spreads out when its hub refuses or drops all devices at once. The default is short,
    /// so that a single device that was moved does not wait long.
    ///
    /// The service accepts 1,000 registrations per minute. To use half of that, allow a minute for
    /// every 500 devices, for example 25 min for 12,500 devices. More than an hour counts as an
    /// hour.
    #[must_use]
    pub fn fleet_spread(self, fleet_spread: Duration) -> Self {
        Self { fleet_spread: fleet_spread.min(HOUR), ..self }
    }

    /// Records that the hub accepted the connection, or acknowledged a message.
    ///
    /// The backoff starts over once the device has stayed connected for 2 min, not before.
    pub fn connected(&mut self, now: Now) {
        self.up_since.get_or_insert(now.uptime);
        self.counts.looked_up = false;
        self.pauses.patience = None;
        if self.counts.refusals == 0 {
            self.pauses.refused = None;
        }
    }

    /// Returns what to do after a connection was lost.
    ///
    /// Do not call it when the device itself closed the connection.
    pub fn lost(&mut self, now: Now) -> Advice {
        self.look_at(now);
        let first = self.counts.failures == 0;
        let after = self.back_off(Duration::ZERO, now);
        let spread = if first { self.part_of(self.fleet_spread, 10, now) } else { Duration::ZERO };
        Advice::Retry { after: after.saturating_add(spread) }
    }

    /// Returns what to do after the hub failed at this time.
    ///
    /// Only the uptime of `now` decides. The wall clock adds to the jitter.
    pub fn failed(&mut self, failure: HubFailure, now: Now) -> Advice {
        self.look_at(now);
        let floor = failure.retry_after.unwrap_or_default();
        match failure.rule() {
            Rule::Limit => {
                // A hub that counts the device's messages knows the device.
                self.pauses.patience = None;
                Advice::Retry { after: self.back_off_limit(floor, now) }
            }
            Rule::Refused => self.refused(floor, now),
            Rule::NoSuccess => self.no_success(floor, now),
        }
    }

    /// Starts the backoff over after a connection that lasted.
    ///
    /// Counts the pauses from now on, in case the uptime jumps back.
    fn look_at(&mut self, now: Now) {
        self.pauses = self.pauses.map(|pause| pause.seen_at(now.uptime));
        let up = self.up_since.take().map(|since| now.uptime.saturating_sub(since));
        if up.is_some_and(|up| up >= FORGIVEN) {
            (self.counts.failures, self.counts.limits) = (0, 0);
        }
    }

    fn refused(&mut self, floor: Duration, now: Now) -> Advice {
        if is_over(self.pauses.forgiven, now) {
            (self.counts.refusals, self.pauses.refused) = (0, None);
        }
        let pause = match self.pauses.refused {
            Some(pause) => pause,
            // A hub that refuses one device may refuse them all.
            None => Pause::new(self.part_of(self.fleet_spread, 1, now), now.uptime),
        };
        (self.pauses.refused, self.pauses.forgiven) = (Some(pause), Some(Pause::new(HOUR, now.uptime)));
        if !pause.is_over(now.uptime) {
            return self.retry_until(pause.left(now.uptime), floor, now);
        }
        let advice = self.ask(now);
        if advice == Advice::Register {
            let spacing = self.spread(doubled(MINUTE, self.counts.refusals, HOUR), now);
            self.pauses.refused = Some(Pause::new(spacing, now.uptime));
            // The hour begins after the spacing. Otherwise a refusal at the end of a spacing of an
            // hour would count as the first one.
            self.pauses.forgiven = Some(Pause::new(spacing.saturating_add(HOUR), now.uptime));
            self.counts.refusals = self.counts.refusals.saturating_add(1);
        }
        advice
    }

    fn no_success(&mut self, floor: Duration, now: Now) -> Advice {
        let patience = match self.pauses.patience {
            Some(patience) => patience,
            None => Pause::new(self.spread(PATIENCE, now), now.uptime),
        };
        self.pauses.patience = Some(patience);
        let left = patience.left(now.uptime).max(self.pauses.asked.unwrap_or_default().left(now.uptime));
        if left.is_zero() { self.ask(now) } else { self.retry_until(left, floor, now) }
    }

    /// Advises a lookup, then a registration if the hub fails again after that.
    fn ask(&mut self, now: Now) -> Advice {
        self.counts.looked_up = !self.counts.looked_up;
        if self.counts.looked_up {
            return Advice::LookUp;
        }
        self.counts.failures = 0;
        self.pauses.asked = Some(Pause::new(self.spread(HOUR, now), now.uptime));
        Advice::Register
    }

    /// Advises a retry after the usual backoff, but no later than `due`, when the next failure is a
    /// reason to ask the service.
    fn retry_until(&mut self, due: Duration, floor: Duration, now: Now) -> Advice {
        let due = due.max(floor.min(HOUR));
        Advice::Retry { after: self.back_off(floor, now).min(due) }
    }

    /// Counts a failure, and returns the wait after it.
    fn back_off(&mut self, floor: Duration, now: Now) -> Duration {
        let after = self.retry.backoff(self.counts.failures, Some(floor.min(HOUR)), self.jitter(now));
        self.counts.failures = self.counts.failures.saturating_add(1);
        after
    }

    /// Counts a limit that was reached, and returns the wait after it.
    fn back_off_limit(&mut self, floor: Duration, now: Now) -> Duration {
        let lower = doubled(MINUTE, self.counts.limits, HALF_AN_HOUR);
        // The jitter is added to the floor too, because all devices of a hub share its limits.
        let jitter = self.jitter(now).part_of(lower, self.counts.limits);
        self.counts.limits = self.counts.limits.saturating_add(1);
        lower.max(floor.min(HOUR)).saturating_add(jitter)
    }

    /// Adds jitter: up to a quarter of the duration, or the fleet's spread if that is longer.
    #[expect(clippy::arithmetic_side_effects, reason = "the divisor is not zero")]
    fn spread(&self, duration: Duration, now: Now) -> Duration {
        duration.saturating_add(self.part_of(self.fleet_spread.max(duration / 4), 1, now))
    }

    /// Returns jitter of at most the span divided by `fraction`.
    fn part_of(&self, span: Duration, fraction: u32, now: Now) -> Duration {
        self.jitter(now).part_of(span.checked_div(fraction).unwrap_or_default(), self.counts.refusals)
    }

    fn jitter(&self, now: Now) -> Jitter<'_> {
        Jitter { registration_id: &self.registration_id, now }
    }
}

fn is_over(pause: Option<Pause>, now: Now) -> bool {
    pause.is_none_or(|pause| pause.is_over(now.uptime))
}
