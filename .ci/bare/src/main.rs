//! Runs the core of `azure-iot-dps` in QEMU on boards without an operating system: a Cortex-M4, a
//! Cortex-M0 with 16 KB of RAM and no atomics, and a RISC-V without atomics.
//!
//! It prints the heap, stack and instructions of each step.
#![no_std]
#![no_main]

extern crate alloc;

mod board;
mod heap;
#[cfg(feature = "token")]
mod work;

use board::say;

fn main() {
    heap::init();
    #[cfg(feature = "token")]
    work::run();
    say!("done");
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    say!("{info}");
    board::exit(false)
}
