//! Time is an argument: the core is told what time it is and never asks.
//!
//! [`Now`] is one reading of a device's two clocks. The wall clock ([`UnixTime`]) decides when a token expires; the uptime
//! decides waits and deadlines. [`Clock`] is what blocking code needs: to read the clocks, and to sleep. `SystemClock` is the
//! clock of an operating system (feature `std`).

mod correction;
mod pause;
#[cfg(feature = "std")]
mod system_clock;
mod text;

use core::fmt;
use core::time::Duration;

pub use correction::ClockCorrection;
pub(crate) use pause::Pause;
#[cfg(feature = "std")]
pub use system_clock::SystemClock;
#[cfg(feature = "simulator")]
pub(crate) use text::http_date;
pub(crate) use text::{parse_http_date, parse_rfc3339};

/// Whole seconds since 1970-01-01T00:00:00Z, without leap seconds.
///
/// `Display` prints it as RFC 3339 does, `2026-02-03T04:05:06Z`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(u64);

impl UnixTime {
    /// The first second of 1970.
    pub const EPOCH: Self = Self(0);

    /// 2026-01-01T00:00:00Z: no clock that is set reads an earlier time, for this crate did not exist.
    pub(crate) const THIS_CRATE: Self = Self(1_767_225_600);

    /// Returns whether a clock that reads this can have been set.
    pub(crate) fn is_plausible(self) -> bool {
        self >= Self::THIS_CRATE
    }

    /// From seconds since the epoch.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Seconds since the epoch.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// The time that much later, its fraction of a second dropped; the last there is rather than past it.
    #[must_use]
    pub const fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }

    /// The time that much earlier, its fraction of a second dropped; the epoch rather than before it.
    #[must_use]
    pub const fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_secs()))
    }

    /// How much later than `earlier` this is; zero if it is not later.
    #[must_use]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }

    /// How far apart the two are, in whichever direction.
    #[must_use]
    pub const fn abs_diff(self, other: Self) -> Duration {
        Duration::from_secs(self.0.abs_diff(other.0))
    }

    /// The time of the proleptic Gregorian calendar in UTC, or `None` where a field is out of its range or before 1970.
    pub(crate) fn from_civil(civil: Civil) -> Option<Self> {
        let Civil { year, month, day, hour, minute, second } = civil;
        // A leap second (":60") counts as the second that follows it, as POSIX does.
        let ranges =
            (1970..=9999).contains(&year) && (1..=12).contains(&month) && hour < 24 && minute < 60 && second < 61;
        if !ranges || !(1..=days_in_month(year, month)).contains(&day) {
            return None;
        }
        let years = (1970..year).map(|y| if is_leap(y) { 366 } else { 365 }).sum::<u64>();
        let months = (1..month).map(|m| days_in_month(year, m)).sum::<u64>();
        let days = years.checked_add(months)?.checked_add(day)?.checked_sub(1)?;
        let seconds = days.checked_mul(24)?.checked_add(hour)?.checked_mul(60)?.checked_add(minute)?.checked_mul(60)?;
        Some(Self(seconds.checked_add(second)?))
    }

    /// The date and time in UTC. Algorithm: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
    #[expect(clippy::arithmetic_side_effects, reason = "every term is bounded by the divisions before it")]
    pub(crate) fn to_civil(self) -> Civil {
        let (days, rest) = (self.0 / 86_400, self.0 % 86_400);
        let shifted = days + 719_468; // days since 0000-03-01
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Civil {
            year: year_of_era + era * 400 + u64::from(month <= 2),
            month,
            day: day_of_year - (153 * from_march + 2) / 5 + 1,
            hour: rest / 3_600,
            minute: rest / 60 % 60,
            second: rest % 60,
        }
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil { year, month, day, hour, minute, second } = self.to_civil();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// Whole seconds, rounded up.
pub(crate) fn ceil_secs(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))
}

/// A date and a time of day in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: u64,
    pub(crate) month: u64,
    pub(crate) day: u64,
    pub(crate) hour: u64,
    pub(crate) minute: u64,
    pub(crate) second: u64,
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// One reading of the clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The wall clock, from which the expiry of tokens is reckoned. `None` on a board that does not know the time.
    pub unix: Option<UnixTime>,
    /// A clock that never goes back and is never set, such as the time since power-on: waits and deadlines go by it. One that
    /// goes back all the same, as a counter of 32 bits does, makes no wait longer than it was.
    pub uptime: Duration,
}

impl Now {
    /// Returns whether the wall clock was neither set nor started since the earlier reading.
    pub(crate) fn goes_on_from(self, then: Self) -> bool {
        let passed = self.uptime.saturating_sub(then.uptime);
        match (then.unix, self.unix) {
            (None, None) => true,
            (Some(then), Some(unix)) => then.saturating_add(passed).abs_diff(unix) <= CLOCK_TOLERANCE,
            _ => false,
        }
    }
}

/// A difference between two clocks that does not count.
pub(crate) const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// What the blocking client needs of a device's clock.
///
/// Any pair of a clock and a way to wait will do: with the feature `std` there is `SystemClock`, an RTOS has its ticks and its
/// delay.
pub trait Clock {
    /// Reads the clocks.
    fn now(&mut self) -> Now;

    /// Lets time pass: about `pause`, which is never more than a second. May return early.
    fn sleep(&mut self, pause: Duration);
}

impl<C: Clock + ?Sized> Clock for &mut C {
    fn now(&mut self) -> Now {
        (**self).now()
    }

    fn sleep(&mut self, pause: Duration) {
        (**self).sleep(pause);
    }
}

impl<C: Clock + ?Sized> Clock for alloc::boxed::Box<C> {
    fn now(&mut self) -> Now {
        (**self).now()
    }

    fn sleep(&mut self, pause: Duration) {
        (**self).sleep(pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_unix_time_prints_as_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (784_111_777, "1994-11-06T08:49:37Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(UnixTime::from_secs(seconds).to_string(), text);
        }
        // 292 thousand million years on: still no panic, and a year.
        assert!(UnixTime::from_secs(u64::MAX).to_string().ends_with('Z'));
    }

    #[test]
    fn every_day_of_the_calendar_comes_back_from_its_fields() {
        for day in (0..2_932_896).step_by(7) {
            let time = UnixTime::from_secs(day * 86_400 + day % 86_400);
            assert_eq!(UnixTime::from_civil(time.to_civil()), Some(time), "{time}");
        }
    }

    #[test]
    fn a_date_that_no_calendar_has_is_none() {
        let good = Civil { year: 2024, month: 2, day: 29, hour: 23, minute: 59, second: 60 };
        assert_eq!(UnixTime::from_civil(good), Some(UnixTime::from_secs(1_709_251_200)));
        for bad in [
            Civil { year: 2023, ..good },
            Civil { year: 2100, ..good },
            Civil { year: 1969, ..good },
            Civil { year: 10_000, ..good },
            Civil { month: 0, ..good },
            Civil { month: 13, ..good },
            Civil { day: 0, ..good },
            Civil { day: 30, ..good },
            Civil { hour: 24, ..good },
            Civil { minute: 60, ..good },
            Civil { second: 61, ..good },
        ] {
            assert_eq!(UnixTime::from_civil(bad), None, "{bad:?}");
        }
    }
}
