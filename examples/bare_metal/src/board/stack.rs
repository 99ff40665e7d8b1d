//! The stack, measured by painting.

const PAINT: u32 = 0xC5C5_C5C5;
/// The frame of the function that paints stays as it is.
const OWN: usize = 64;

unsafe extern "C" {
    static mut __sheap: u32;
    static _stack_start: u32;
}

/// Paints what is free.
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

/// How much was used at most.
pub(super) fn used() -> usize {
    let mut at = &raw const __sheap;
    let top = &raw const _stack_start as usize;
    // SAFETY: it is memory of this program.
    while (at as usize) < top && unsafe { at.read_volatile() } == PAINT {
        at = at.wrapping_add(1);
    }
    top - at as usize
}
