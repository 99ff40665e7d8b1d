//! Pauses, measured in uptime.

use core::time::Duration;

/// A span of uptime to wait.
///
/// An uptime that jumps back (because of a counter that wraps, or a restart) never makes a pause
/// longer than its length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pause {
    since: Duration,
    length: Duration,
}

impl Pause {
    /// A pause that is over.
    pub(crate) const NONE: Self = Self { since: Duration::ZERO, length: Duration::ZERO };

    /// Creates a pause of this length that begins at this uptime.
    pub(crate) const fn new(length: Duration, uptime: Duration) -> Self {
        Self { since: uptime, length }
    }

    /// Returns how much of the pause is left.
    pub(crate) fn left(self, uptime: Duration) -> Duration {
        let passed = uptime.saturating_sub(self.since);
        self.length.saturating_sub(passed)
    }

    /// Returns whether the pause is over.
    pub(crate) fn is_over(self, uptime: Duration) -> bool {
        self.left(uptime).is_zero()
    }

    /// Returns the rest of the pause, as a pause that begins at this uptime.
    ///
    /// If the uptime jumps back later, only the time that passed since this call is waited again.
    #[must_use]
    pub(crate) fn seen_at(self, uptime: Duration) -> Self {
        Self::new(self.left(uptime), uptime)
    }

    /// Returns the rest of the pause, given the time that has passed by another clock since it
    /// began.
    ///
    /// The result is never longer than that of [`seen_at`](Self::seen_at).
    #[must_use]
    pub(crate) fn has_passed(self, passed: Duration, uptime: Duration) -> Self {
        self.seen_at(uptime).at_most(self.length.saturating_sub(passed))
    }

    /// Shortens the pause to this length if it is longer.
    #[must_use]
    pub(crate) fn at_most(self, length: Duration) -> Self {
        Self { length: self.length.min(length), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_pause_passes_with_the_uptime() {
        let pause = Pause::new(seconds(10), seconds(100));
        assert_eq!([100, 104, 110, 200].map(|uptime| pause.left(seconds(uptime)).as_secs()), [10, 6, 0, 0]);
        assert!(!pause.is_over(seconds(109)) && pause.is_over(seconds(110)));
        assert!(Pause::NONE.is_over(Duration::ZERO));
    }

    #[test]
    fn an_uptime_that_jumps_back_costs_no_more_than_the_pause_was_long() {
        let pause = Pause::new(seconds(10), seconds(4_294_967));
        assert_eq!(pause.left(seconds(0)), seconds(10));
        let looked_at = pause.seen_at(seconds(4_294_973)).seen_at(seconds(1));
        assert_eq!(looked_at.left(seconds(1)), seconds(4));
        assert_eq!(looked_at.left(seconds(5)), seconds(0));
    }

    #[test]
    fn what_another_clock_tells_can_make_a_pause_shorter_and_never_longer() {
        let pause = Pause::new(seconds(10), seconds(100));
        let left = |passed, uptime| pause.has_passed(seconds(passed), seconds(uptime)).left(seconds(uptime)).as_secs();
        assert_eq!([left(0, 100), left(4, 100), left(4, 108), left(60, 100), left(0, 0)], [10, 6, 2, 0, 10]);
    }

    #[test]
    fn no_pause_overflows() {
        let pause = Pause::new(Duration::MAX, Duration::MAX);
        assert_eq!(pause.left(Duration::MAX), Duration::MAX);
        assert_eq!(pause.at_most(seconds(5)).left(Duration::ZERO), seconds(5));
    }
}
