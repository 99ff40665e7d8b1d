//! The board: an MPS2 with a Cortex-M4 in QEMU. Only this folder contains `unsafe` code.
//!
//! Replace it with your chip's HAL: a timer, a watchdog, a page of flash, an Ethernet or Wi-Fi
//! driver, and a cryptographically secure random generator.
#![allow(unsafe_code, reason = "registers and the allocator")]

macro_rules! say { ($($it:tt)*) => { $crate::board::print(format_args!($($it)*)) } }

mod heap;
mod host;
mod lan9118;
mod stack;
mod timer;
mod watchdog;

use core::time::Duration;

use azure_iot_dps::time::{Clock, Now, UnixTime};
pub use host::{exit, hang, load, print, random, save};
pub use lan9118::Lan9118;
pub use timer::uptime;
pub use watchdog::feed_watchdog;

pub(crate) use say;

/// Starts the heap, the timer and the watchdog. Call it first, and only once.
pub fn start() {
    heap::start();
    timer::start();
    watchdog::start();
    stack::paint();
}

/// Prints the peaks of heap and stack, and the time since power-on.
pub fn say_figures() {
    let (heap, count) = heap::peak();
    say!("heap: {heap} bytes in {count} allocations, stack: {} bytes", stack::used());
    say!("time: {} ms", uptime().as_millis());
}

/// The board's clocks.
#[derive(Clone, Copy, Debug)]
pub struct BoardClock {
    /// The wall-clock time at power-on.
    powered_on: UnixTime,
}

impl BoardClock {
    /// Creates a wall clock that starts at `powered_on`, or with the host's time.
    pub fn new(powered_on: Option<UnixTime>) -> Self {
        let powered_on = powered_on.unwrap_or_else(|| host::unix_time().saturating_sub(uptime()));
        Self { powered_on }
    }

    pub fn unix(self) -> UnixTime {
        self.powered_on.saturating_add(uptime())
    }
}

impl Clock for BoardClock {
    fn now(&mut self) -> Now {
        Now { unix: Some(self.unix()), uptime: uptime() }
    }

    /// Waits. Polls the network meanwhile, which also feeds the watchdog.
    fn sleep(&mut self, pause: Duration) {
        let until = uptime() + pause;
        while uptime() < until {
            crate::net::poll();
        }
    }
}
