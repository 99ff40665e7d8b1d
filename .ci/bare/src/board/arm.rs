//! Cortex-M: the MPS2 board with an M4, and the micro:bit with an M0.

use core::fmt::{Arguments, Write};

use cortex_m_semihosting::{debug, hio};

unsafe extern "C" {
    #[cfg(feature = "token")]
    static mut __sheap: u32;
}

#[cortex_m_rt::entry]
fn start() -> ! {
    #[cfg(feature = "token")]
    timer::start();
    crate::main();
    exit(true)
}

/// CMSDK timer 0 of the MPS2 boards, which counts down at 25 MHz.
///
/// An instruction takes 64 ns (`-icount shift=6`), which is 1.6 ticks.
#[cfg(all(feature = "token", not(microbit)))]
mod timer {
    const CONTROL: *mut u32 = 0x4000_0000 as *mut u32;

    pub fn start() {
        // SAFETY: the board has these registers.
        unsafe {
            CONTROL.add(2).write_volatile(u32::MAX);
            CONTROL.add(1).write_volatile(u32::MAX);
            CONTROL.write_volatile(1);
        }
    }

    pub fn instructions() -> u64 {
        // SAFETY: the board has this register.
        let left = unsafe { CONTROL.add(1).read_volatile() };
        u64::from(u32::MAX - left) * 5 / 8
    }
}

/// TIMER0 of the nRF51, which counts up at 16 MHz. An instruction takes 1.024 ticks.
#[cfg(all(feature = "token", microbit))]
mod timer {
    const TIMER: usize = 0x4000_8000;

    fn set(register: usize, value: u32) {
        // SAFETY: the board has these registers.
        unsafe { ((TIMER + register) as *mut u32).write_volatile(value) };
    }

    pub fn start() {
        set(0x508, 3); // 32 bits.
        set(0x510, 0); // Not divided.
        set(0x000, 1); // Start.
    }

    pub fn instructions() -> u64 {
        set(0x040, 1); // Capture.
        // SAFETY: the board has this register.
        u64::from(unsafe { ((TIMER + 0x540) as *const u32).read_volatile() }) * 1000 / 1024
    }
}

#[cfg(feature = "token")]
pub use timer::instructions;

pub fn print(text: Arguments<'_>) {
    if let Ok(mut out) = hio::hstdout() {
        let _ = writeln!(out, "{text}");
    }
}

pub fn exit(good: bool) -> ! {
    debug::exit(if good { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    loop {
        cortex_m::asm::nop();
    }
}

#[cfg(feature = "token")]
pub fn stack_pointer() -> usize {
    cortex_m::register::msp::read() as usize
}

#[cfg(feature = "token")]
pub fn stack_bottom() -> *mut u32 {
    &raw mut __sheap
}
