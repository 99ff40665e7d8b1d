//! Clocks and points in time.
//!
//! The core never reads a clock: every call takes the time as an argument. [`Now`] is one reading
//! of a device's two clocks. The wall clock ([`UnixTime`]) determines when a token expires, the
//! uptime determines waits and deadlines. Blocking code needs a [`Clock`], which reads both and
//! sleeps. `SystemClock` (feature `std`) is the clock of an operating system.

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
pub(crate) use text::{parse_http_date, parse_rfc3339};

/// A point in time, in whole seconds since 1970-01-01T00:00:00Z, without leap seconds.
///
/// `Display` writes it as in RFC 3339.
///
/// ```
/// use azure_iot_dps::time::UnixTime;
/// use core::time::Duration;
///
/// let time = UnixTime::from_secs(1_770_091_506);
/// assert_eq!(time.to_string(), "2026-02-03T04:05:06Z");
/// let later = time.saturating_add(Duration::from_secs(60));
/// assert_eq!(later.saturating_duration_since(time), Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(u64);

impl UnixTime {
    /// The Unix epoch, 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// The earliest time that a clock can read if it is set: 2026-01-01T00:00:00Z.
    ///
    /// The crate did not exist before.
    pub(crate) const THIS_CRATE: Self = Self(1_767_225_600);

    /// Returns whether a clock that reads this time may be set.
    pub(crate) fn is_plausible(self) -> bool {
        self >= Self::THIS_CRATE
    }

    /// Creates a time from the seconds since the epoch.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Returns the seconds since the epoch.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// Adds the whole seconds of a duration, or returns the latest time on overflow.
    #[must_use]
    pub const fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }

    /// Subtracts the whole seconds of a duration, or returns the epoch on underflow.
    #[must_use]
    pub const fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_secs()))
    }

    /// Returns the duration since `earlier`, or zero if `earlier` is later than `self`.
    #[must_use]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }

    /// Returns the absolute difference of two times.
    #[must_use]
    pub const fn abs_diff(self, other: Self) -> Duration {
        Duration::from_secs(self.0.abs_diff(other.0))
    }

    /// Converts a date and a time of day of the proleptic Gregorian calendar in UTC.
    ///
    /// Returns `None` if a field is out of range, or the year is not from 1970 to 9999.
    ///
    /// Algorithm: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
    #[expect(clippy::arithmetic_side_effects, reason = "every field is checked first, and the year is after 0")]
    pub(crate) fn from_civil(civil: Civil) -> Option<Self> {
        let Civil { year, month, day, hour, minute, second } = civil;
        // As in POSIX, a leap second (":60") counts as the second after it.
        let ranges =
            (1970..=9999).contains(&year) && (1..=12).contains(&month) && hour < 24 && minute < 60 && second < 61;
        if !ranges || !(1..=days_in_month(year, month)).contains(&day) {
            return None;
        }
        // The year begins in March, so that a leap day is its last day.
        let (year, from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let day_of_year = (153 * from_march + 2) / 5 + day - 1;
        let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year - EPOCH_DAY;
        Some(Self(days * 86_400 + hour * 3_600 + minute * 60 + second))
    }

    /// Converts to a date and a time of day in UTC.
    ///
    /// Algorithm: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
    #[expect(clippy::arithmetic_side_effects, reason = "every term is bounded by the divisions before it")]
    pub(crate) fn to_civil(self) -> Civil {
        let (days, rest) = (self.0 / 86_400, self.0 % 86_400);
        let shifted = days + EPOCH_DAY;
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

/// Returns the duration in seconds, rounded up.
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

/// The days from 0000-03-01 to 1970-01-01.
const EPOCH_DAY: u64 = 719_468;

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

/// One reading of a device's clocks.
///
/// ```
/// use azure_iot_dps::time::{Now, UnixTime};
/// use core::time::Duration;
///
/// /// Reads a millisecond counter, and a real-time clock if the board has one.
/// fn now(ticks: u64, rtc: Option<u64>) -> Now {
///     Now { unix: rtc.map(UnixTime::from_secs), uptime: Duration::from_millis(ticks) }
/// }
///
/// assert_eq!(now(5_000, None), Now { unix: None, uptime: Duration::from_secs(5) });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The wall clock, which determines the expiry of tokens, or `None` if the time is unknown.
    pub unix: Option<UnixTime>,
    /// A monotonic clock, such as the time since power-on, which determines waits and deadlines.
    ///
    /// If it jumps back, for example because a 32-bit counter wraps, no wait takes longer than its
    /// full length.
    pub uptime: Duration,
}

impl Now {
    /// Returns whether the wall clock was neither set nor started since an earlier reading.
    pub(crate) fn goes_on_from(self, then: Self) -> bool {
        let passed = self.uptime.saturating_sub(then.uptime);
        match (then.unix, self.unix) {
            (None, None) => true,
            (Some(then), Some(unix)) => then.saturating_add(passed).abs_diff(unix) <= CLOCK_TOLERANCE,
            _ => false,
        }
    }
}

/// The largest difference between two clocks that is ignored.
pub(crate) const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// A device's clock, as the blocking client needs it.
///
/// `SystemClock` (feature `std`) implements it. On an RTOS, implement it with the tick counter and
/// the delay function:
///
/// ```
/// use azure_iot_dps::time::{Clock, Now};
/// use core::time::Duration;
/// # mod rtos {
/// #     pub fn ticks() -> u64 { 7 }
/// #     pub fn delay(_milliseconds: u128) {}
/// # }
///
/// struct Ticks;
///
/// impl Clock for Ticks {
///     fn now(&mut self) -> Now {
///         Now { unix: None, uptime: Duration::from_millis(rtos::ticks()) }
///     }
///
///     fn sleep(&mut self, pause: Duration) {
///         rtos::delay(pause.as_millis());
///     }
/// }
/// # assert_eq!(Ticks.now().uptime, Duration::from_millis(7));
/// ```
pub trait Clock {
    /// Reads the clocks.
    fn now(&mut self) -> Now;

    /// Sleeps for about `pause`. May return early.
    ///
    /// The client never asks for more than one second at once.
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
    fn a_unix_time_prints_as_rfc_3339_and_is_read_back() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (68_255_999, "1972-02-29T23:59:59Z"),
            (68_256_000, "1972-03-01T00:00:00Z"),
            (784_111_777, "1994-11-06T08:49:37Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (978_307_199, "2000-12-31T23:59:59Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            let time = UnixTime::from_secs(seconds);
            assert_eq!((time.to_string().as_str(), parse_rfc3339(text)), (text, Some(time)));
        }
        // 292 thousand million years on: still no panic, and a year.
        assert!(UnixTime::from_secs(u64::MAX).to_string().ends_with('Z'));
    }

    /// Returns the next day, by the rule of the Gregorian calendar and no other arithmetic.
    fn day_after(Civil { year, month, day, .. }: Civil) -> Civil {
        let february = if year % 400 == 0 || (year % 4 == 0 && year % 100 != 0) { 29 } else { 28 };
        let (year, month, day) = match (month, day) {
            (12, 31) => (year + 1, 1, 1),
            (1 | 3 | 5 | 7 | 8 | 10, 31) | (4 | 6 | 9 | 11, 30) => (year, month + 1, 1),
            (2, last) if last == february => (year, 3, 1),
            _ => (year, month, day + 1),
        };
        Civil { year, month, day, hour: 0, minute: 0, second: 0 }
    }

    #[test]
    fn every_day_from_1970_to_9999_has_the_date_to_which_one_counts() {
        let (mut date, mut days) = (UnixTime::EPOCH.to_civil(), 0);
        while date.year < 10_000 {
            let midnight = UnixTime::from_secs(days * 86_400);
            assert_eq!((UnixTime::from_civil(date), midnight.to_civil()), (Some(midnight), date), "{date:?}");
            (date, days) = (day_after(date), days + 1);
        }
        assert_eq!(days, 2_932_897);
    }

    #[test]
    fn every_second_of_a_day_comes_back_from_its_fields() {
        for second in 0..86_400 {
            let time = UnixTime::from_secs(1_709_164_800 + second);
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
            Civil { month: 4, day: 31, ..good },
            Civil { month: 12, day: 32, ..good },
            Civil { year: u64::MAX, ..good },
            Civil { month: u64::MAX, ..good },
            Civil { day: u64::MAX, ..good },
            Civil { hour: 24, ..good },
            Civil { minute: 60, ..good },
            Civil { second: 61, ..good },
        ] {
            assert_eq!(UnixTime::from_civil(bad), None, "{bad:?}");
        }
    }
}
