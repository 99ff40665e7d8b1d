//! RISC-V: QEMU's machine `virt`, without atomics.

use core::fmt::{Arguments, Result, Write};

unsafe extern "C" {
    #[cfg(feature = "token")]
    static mut __sheap: u32;
}

#[riscv_rt::entry]
fn start() -> ! {
    crate::main();
    exit(true)
}

/// Returns the number of instructions.
///
/// The counter shows virtual time in ns. An instruction takes 64 ns (`-icount shift=6`).
#[cfg(feature = "token")]
pub fn instructions() -> u64 {
    riscv::register::minstret::read64() / 64
}

struct Uart;

impl Write for Uart {
    fn write_str(&mut self, text: &str) -> Result {
        for byte in text.bytes() {
            // SAFETY: the board has this register.
            unsafe { (0x1000_0000 as *mut u8).write_volatile(byte) };
        }
        Ok(())
    }
}

pub fn print(text: Arguments<'_>) {
    let _ = writeln!(Uart, "{text}");
}

pub fn exit(good: bool) -> ! {
    // SAFETY: the board has this register.
    unsafe { (0x10_0000 as *mut u32).write_volatile(if good { 0x5555 } else { 0x1_3333 }) };
    loop {
        core::hint::spin_loop();
    }
}

#[cfg(feature = "token")]
pub fn stack_pointer() -> usize {
    let pointer: usize;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mv {}, sp", out(reg) pointer) };
    pointer
}

#[cfg(feature = "token")]
pub fn stack_bottom() -> *mut u32 {
    &raw mut __sheap
}
