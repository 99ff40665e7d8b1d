//! The clock of an operating system.

use core::time::Duration;

use crate::time::{Clock, Now, UnixTime};

/// The clock of the operating system. It sleeps by blocking the thread.
///
/// ```
/// use azure_iot_dps::{Clock, SystemClock};
/// use std::time::Duration;
///
/// let mut clock = SystemClock::new();
/// clock.sleep(Duration::from_millis(2));
/// let now = clock.now();
/// assert!(now.unix.is_some() && now.uptime >= Duration::from_millis(2));
/// ```
#[derive(Clone, Debug)]
pub struct SystemClock {
    started: std::time::Instant,
}

impl SystemClock {
    /// Creates a clock whose uptime starts at zero.
    #[must_use]
    pub fn new() -> Self {
        Self { started: std::time::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&mut self) -> Now {
        // A time before 1970 counts as unknown.
        let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok();
        Now { unix: unix.map(|since| UnixTime::from_secs(since.as_secs())), uptime: self.started.elapsed() }
    }

    fn sleep(&mut self, pause: Duration) {
        std::thread::sleep(pause);
    }
}
