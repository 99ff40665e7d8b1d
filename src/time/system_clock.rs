//! The clock of a system that has one.

use core::time::Duration;

use crate::time::{Clock, Now, UnixTime};

/// The system's clocks, and a thread's sleep.
#[derive(Clone, Debug)]
pub struct SystemClock {
    started: std::time::Instant,
}

impl SystemClock {
    /// Its uptime counts from here on.
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
        // Before 1970 is as good as not knowing the time.
        let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok();
        Now { unix: unix.map(|since| UnixTime::from_secs(since.as_secs())), uptime: self.started.elapsed() }
    }

    fn sleep(&mut self, pause: Duration) {
        std::thread::sleep(pause);
    }
}
