//! Proof that the core of `azure-iot-dps` runs where there is no operating system: on a Cortex-M4, on a Cortex-M0 with 16 KB of memory
//! and no atomics, and on a RISC-V without atomics, each in QEMU. It says what each step takes of heap, stack and instructions.
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
