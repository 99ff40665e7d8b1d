//! CMSDK timer 0, which counts down at 25 MHz and wraps around after 171 s.

use core::cell::Cell;
use core::time::Duration;

use critical_section::Mutex;

const TIMER: *mut u32 = 0x4000_0000 as *mut u32;

/// The last reading, and the total of ticks at that time.
static TICKS: Mutex<Cell<(u32, u64)>> = Mutex::new(Cell::new((u32::MAX, 0)));

pub(super) fn start() {
    // SAFETY: the board has these registers: reload value, counter and control.
    unsafe {
        TIMER.add(2).write_volatile(u32::MAX);
        TIMER.add(1).write_volatile(u32::MAX);
        TIMER.write_volatile(1);
    }
}

/// Returns the time since power-on. Call it at least every 171 s, or it loses time.
pub fn uptime() -> Duration {
    critical_section::with(|token| {
        let ticks = TICKS.borrow(token);
        let (last, total) = ticks.get();
        // SAFETY: the board has this register.
        let left = unsafe { TIMER.add(1).read_volatile() };
        let total = total + u64::from(last.wrapping_sub(left));
        ticks.set((left, total));
        Duration::from_micros(total / 25)
    })
}
