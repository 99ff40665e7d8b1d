//! What differs between the boards: how they start, print and end, a counter of instructions, and the stack.

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

/// Paints the free stack below the caller, and returns where the caller's ends.
#[cfg(feature = "token")]
#[inline(never)]
pub fn paint_stack() -> usize {
    // This function's own frame stays as it is.
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

/// How much of the stack below `from` was used since it was painted.
#[cfg(feature = "token")]
#[inline(never)]
pub fn stack_used(from: usize) -> usize {
    let mut at = stack_bottom();
    // SAFETY: it is memory of this program.
    while (at as usize) < from && unsafe { at.read_volatile() } == PAINT {
        at = at.wrapping_add(1);
    }
    from - at as usize
}
