//! Waits: backoff, jitter, `Retry-After`.

use core::time::Duration;

use sha2::{Digest, Sha256};

use crate::identity::RegistrationId;
use crate::time::{Now, UnixTime};

/// The longest `Retry-After` that is honored. A longer one counts as this: a wrong value must not
/// require a visit to the device.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// Returns `first`, doubled with each attempt up to `max`. Attempts count from 0.
pub(crate) fn doubled(first: Duration, attempt: u32, max: Duration) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(attempt)).min(max)
}

/// The lengths of the waits between the requests of a registration.
///
/// After a failure, a registration waits 1 to 5 s, then 5 to 10 s, 10 to 20 s and so on, up to 2 to
/// 4 min: exponential backoff with equal jitter. The service's `Retry-After` is a lower bound to
/// which jitter is added, so that a fleet that was refused together does not come back together.
/// More than an hour counts as an hour. The bound also holds for the next registration, if the
/// deadline ends this one.
///
/// ```
/// use azure_iot_dps::RetryPolicy;
/// use std::time::Duration;
///
/// const PATIENT: RetryPolicy = RetryPolicy::DEFAULT
///     .first_wait(Duration::from_secs(30))
///     .max_wait(Duration::from_secs(600));
///
/// assert_ne!(PATIENT, RetryPolicy::default());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    first: Duration,
    max: Duration,
    poll: Duration,
    spread: Duration,
}

impl RetryPolicy {
    /// The default policy: first wait up to 5 s, longest wait up to 4 min, polls 2 s apart, no
    /// first spread.
    pub const DEFAULT: Self = Self {
        first: Duration::from_secs(5),
        max: Duration::from_secs(240),
        poll: Duration::from_secs(2),
        spread: Duration::ZERO,
    };

    /// The shortest wait after a failure. A policy of zeros must not become a busy loop.
    const MIN_WAIT: Duration = Duration::from_secs(1);

    /// Sets the upper bound of the first wait after a failure. Default: 5 s.
    ///
    /// The bound doubles with each further failure. Less than 1 s counts as 1 s.
    #[must_use]
    pub const fn first_wait(self, first: Duration) -> Self {
        Self { first, ..self }
    }

    /// Sets the upper bound of every wait that the service did not ask for. Default: 4 min.
    ///
    /// Less than 1 s counts as 1 s.
    #[must_use]
    pub const fn max_wait(self, max: Duration) -> Self {
        Self { max, ..self }
    }

    /// Sets the wait before a poll, if the service does not name one. Default: 2 s.
    ///
    /// The default is the service's limit (5 polls per 10 s). Less than 2 s counts as 2 s.
    #[must_use]
    pub const fn poll_interval(self, poll: Duration) -> Self {
        Self { poll, ..self }
    }

    /// Sets the upper bound of a random delay before the first request. Default: none.
    ///
    /// Use it for a fleet that is powered on together.
    #[must_use]
    pub const fn first_spread(self, spread: Duration) -> Self {
        Self { spread, ..self }
    }

    /// Returns the delay before the first request.
    pub(crate) fn spread(&self, jitter: Jitter<'_>) -> Duration {
        jitter.part_of(self.spread, u32::MAX)
    }

    /// Returns the wait after the failure number `attempt`, counted from 0.
    #[expect(clippy::arithmetic_side_effects, reason = "the divisor is not zero")]
    pub(crate) fn backoff(&self, attempt: u32, retry_after: Option<Duration>, jitter: Jitter<'_>) -> Duration {
        let upper = doubled(self.first.max(Self::MIN_WAIT), attempt, self.max());
        let lower = if attempt == 0 { Self::MIN_WAIT } else { (upper / 2).max(Self::MIN_WAIT) };
        let floor = lower.max(retry_after.unwrap_or_default());
        // A policy with equal bounds still spreads its devices.
        let span = upper.saturating_sub(lower).max(Self::MIN_WAIT);
        floor.saturating_add(jitter.part_of(span, attempt))
    }

    /// Returns the longest wait that the service did not ask for.
    pub(crate) fn max(&self) -> Duration {
        self.max.max(Self::MIN_WAIT)
    }

    /// Returns the longest pause that one registration can leave to the next.
    pub(crate) fn max_hold(&self) -> Duration {
        MAX_RETRY_AFTER.saturating_add(self.max()).max(self.spread)
    }

    /// Returns the wait before the next poll. `zeros` counts the consecutive answers with
    /// `Retry-After: 0`.
    pub(crate) fn poll(&self, retry_after: Option<Duration>, zeros: u8) -> Duration {
        match retry_after {
            Some(Duration::ZERO) if zeros <= 2 => Duration::ZERO,
            Some(delay) => delay.max(Self::MIN_WAIT),
            None => self.poll.max(Self::DEFAULT.poll),
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The source of jitter: a hash of the device, the time and the number of the attempt instead of a
/// random number. Devices of a fleet wait differently, and a test can predict the wait.
#[derive(Clone, Copy)]
pub(crate) struct Jitter<'a> {
    pub(crate) registration_id: &'a RegistrationId,
    pub(crate) now: Now,
}

impl Jitter<'_> {
    /// Returns a part of the span, from zero to nearly all of it.
    #[expect(clippy::arithmetic_side_effects, reason = "the divisor is not zero")]
    pub(crate) fn part_of(self, span: Duration, attempt: u32) -> Duration {
        let hash = Sha256::new()
            .chain_update(self.registration_id.as_str())
            .chain_update(self.now.uptime.as_nanos().to_be_bytes())
            .chain_update(self.now.unix.map_or(0, UnixTime::as_secs).to_be_bytes())
            .chain_update(attempt.to_be_bytes())
            .finalize();
        let [a, b, ..] = <[u8; 32]>::from(hash);
        // 65,536 steps: less than 4 ms each for the longest usual wait.
        (span / (1 << 16)).saturating_mul(u32::from(u16::from_be_bytes([a, b])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn waits(policy: RetryPolicy, name: &str, retry_after: Option<u64>) -> Vec<Duration> {
        let registration_id = RegistrationId::new(name).expect("valid");
        let now = Now { unix: None, uptime: Duration::from_secs(7) };
        let jitter = Jitter { registration_id: &registration_id, now };
        (0..40).map(|attempt| policy.backoff(attempt, retry_after.map(Duration::from_secs), jitter)).collect()
    }

    #[test]
    fn waits_double_with_equal_jitter_from_1_to_5_s_up_to_4_min() {
        let seconds = Duration::from_secs;
        let ranges = [(1, 5), (5, 10), (10, 20), (20, 40), (40, 80), (80, 160), (120, 240), (120, 240)];
        for (wait, (low, high)) in waits(RetryPolicy::DEFAULT, "dev-01", None).into_iter().zip(ranges) {
            assert!(wait >= seconds(low) && wait < seconds(high), "{wait:?} is not within {low} to {high} s");
        }
        assert!(waits(RetryPolicy::DEFAULT, "dev-01", None)[39] < seconds(240));
    }

    #[test]
    fn a_retry_after_is_a_floor_with_jitter_on_top() {
        for (attempt, wait) in waits(RetryPolicy::DEFAULT, "dev-01", Some(60)).into_iter().enumerate() {
            assert!(wait > Duration::from_secs(60), "{attempt}: {wait:?}");
            assert!(wait < Duration::from_secs(240 + 120), "{attempt}: {wait:?}");
        }
    }

    #[test]
    fn two_devices_do_not_wait_equally_long_even_if_the_policy_leaves_no_room() {
        let tight = RetryPolicy::DEFAULT.first_wait(Duration::ZERO).max_wait(Duration::ZERO);
        let pairs = waits(tight, "dev-01", Some(10)).into_iter().zip(waits(tight, "dev-02", Some(10)));
        assert_eq!(pairs.filter(|(one, other)| one == other).count(), 0);
    }

    #[test]
    fn two_devices_do_not_wait_equally_long() {
        let pairs = waits(RetryPolicy::DEFAULT, "dev-01", Some(3)).into_iter().zip(waits(
            RetryPolicy::DEFAULT,
            "dev-02",
            Some(3),
        ));
        assert_eq!(pairs.filter(|(one, other)| one == other).count(), 0);
    }

    #[test]
    fn a_policy_of_zeros_still_waits_a_second_and_one_of_ages_does_not_overflow() {
        let zero =
            RetryPolicy::DEFAULT.first_wait(Duration::ZERO).max_wait(Duration::ZERO).poll_interval(Duration::ZERO);
        assert!(waits(zero, "dev-01", None).iter().all(|wait| (1..2).contains(&wait.as_secs())));
        assert_eq!(zero.poll(None, 0), Duration::from_secs(2));
        let ages = RetryPolicy::DEFAULT.first_wait(Duration::MAX).max_wait(Duration::MAX);
        assert!(waits(ages, "dev-01", Some(u64::MAX))[9] > Duration::from_secs(u64::MAX / 2));
    }

    #[test]
    fn a_retry_after_of_zero_is_honoured_twice_in_a_row() {
        let policy = RetryPolicy::DEFAULT;
        let zero = Some(Duration::ZERO);
        assert_eq!(
            [policy.poll(zero, 1), policy.poll(zero, 2), policy.poll(zero, 3)].map(|wait| wait.as_secs()),
            [0, 0, 1]
        );
        assert_eq!(policy.poll(Some(Duration::from_secs(9)), 0), Duration::from_secs(9));
        assert_eq!(policy.poll(None, 0), Duration::from_secs(2));
    }
}
