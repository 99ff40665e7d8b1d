//! CMSDK watchdog, which counts down at 25 MHz.
//!
//! After 10 s without being fed it raises an interrupt, which prints a message. After 10 s more it
//! resets the board.

const WATCHDOG: *mut u32 = 0x4000_8000 as *mut u32;
/// The period. A handshake with an RSA-4096 issuer computes for about a second, and nothing feeds
/// the watchdog meanwhile.
const TICKS: u32 = 10 * 25_000_000;
const ASK_AND_RESET: u32 = 0b11;

pub(super) fn start() {
    // SAFETY: the board has these registers: reload value and control.
    unsafe {
        WATCHDOG.write_volatile(TICKS);
        WATCHDOG.add(2).write_volatile(ASK_AND_RESET);
    }
}

/// Restarts the countdown.
pub fn feed_watchdog() {
    // SAFETY: the board has this register, which also clears the interrupt.
    unsafe { WATCHDOG.add(3).write_volatile(1) };
}

/// Prints a message. The reset follows when the second countdown ends.
#[cortex_m_rt::exception]
unsafe fn NonMaskableInt() {
    super::say!("watchdog timed out");
    loop {
        cortex_m::asm::nop();
    }
}
