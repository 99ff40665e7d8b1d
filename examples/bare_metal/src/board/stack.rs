//! Measures the stack: fills it with a pattern, and finds out later how much was overwritten.

const PAINT: u32 = 0xC5C5_C5C5;
/// The bytes left out for the frame of the function that paints.
const OWN: usize = 64;

unsafe extern "C" {
    static mut __sheap: u32;
    static _stack_start: u32;
}

/// Fills the free stack with the pattern.
#[inline(never)]
pub(super) fn paint() {
    let here = cortex_m::register::msp::read() as usize;
    let mut at = &raw mut __sheap;
    while (at as usize) < here - OWN {
        // SAFETY: nothing lives between the end of the static memory and the stack.
        unsafe { at.write_volatile(PAINT) };
        at = at.wrapping_add(1);
    }
}

/// Returns the peak of the stack, in bytes.
pub(super) fn used() -> usize {
    let mut at = &raw const __sheap;
    let top = &raw const _stack_start as usize;
    // SAFETY: the memory belongs to this program.
    while (at as usize) < top && unsafe { at.read_volatile() } == PAINT {
        at = at.wrapping_add(1);
    }
    top - at as usize
}
