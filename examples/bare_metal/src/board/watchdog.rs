//! CMSDK watchdog, which counts down at 25 MHz. A board that does not feed it for 10 s is interrupted and says so, and 10 s later it is
//! reset.

const WATCHDOG: *mut u32 = 0x4000_8000 as *mut u32;
/// A handshake with an RSA-4096 issuer computes for a second or so, and nothing is fed meanwhile.
const TICKS: u32 = 10 * 25_000_000;
const ASK_AND_RESET: u32 = 0b11;

pub(super) fn start() {
    // SAFETY: the board has these registers: what to begin with, and the switches.
    unsafe {
        WATCHDOG.write_volatile(TICKS);
        WATCHDOG.add(2).write_volatile(ASK_AND_RESET);
    }
}

/// Begins anew.
pub fn feed_watchdog() {
    // SAFETY: the board has this register, which takes back the question, too.
    unsafe { WATCHDOG.add(3).write_volatile(1) };
}

/// The reset comes when the time has run out once more.
#[cortex_m_rt::exception]
unsafe fn NonMaskableInt() {
    super::say!("the watchdog barks");
    loop {
        cortex_m::asm::nop();
    }
}
