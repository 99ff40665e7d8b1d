//! The parts that differ between boards: start, output, exit, instruction counter and stack.

#[cfg(target_arch = "arm")]
mod arm;
#[cfg(target_arch = "riscv32")]
mod riscv32;

#[cfg(target_arch = "arm")]
pub use arm::*;
#[cfg(target_arch = "riscv32")]
pub use riscv32::*;

macro_rules! say { ($($it:tt)*) => { $crate::board::print(format_args!($($it)*)) } }
pub(crate) use say;

#[cfg(feature = "token")]
const PAINT: u32 = 0xC5C5_C5C5;

/// Fills the free stack below the caller with a pattern, and returns the stack pointer.
#[cfg(feature = "token")]
#[inline(never)]
pub fn paint_stack() -> usize {
    // Leaves out the frame of this function.
    const OWN: usize = 64;
    let here = stack_pointer();
    let mut at = stack_bottom();
    while (at as usize) < here - OWN {
        // SAFETY: nothing lives between the end of the static memory and the stack.
        unsafe { at.write_volatile(PAINT) };
        at = at.wrapping_add(1);
    }
    here
}

/// Returns how much of the stack below `from` was used since it was painted, in bytes.
#[cfg(feature = "token")]
#[inline(never)]
pub fn stack_used(from: usize) -> usize {
    let mut at = stack_bottom();
    // SAFETY: the memory belongs to this program.
    while (at as usize) < from && unsafe { at.read_volatile() } == PAINT {
        at = at.wrapping_add(1);
    }
    from - at as usize
}
