//! Memory that is zeroized when dropped.
//!
//! `Zeroizing` of the `zeroize` crate writes byte by byte, which took about a seventh of the time
//! of a derivation. These types fill the memory at once, and `zeroize`'s barrier prevents the
//! compiler from removing the write.

use alloc::string::String;
use core::mem;
use core::ops::{Deref, DerefMut};

use zeroize::optimization_barrier;

/// The size of the stack area to overwrite, in bytes.
///
/// It is more than the deepest call that handles a key uses.
const STACK: usize = 2 * 1024;

/// Calls a function that handles a key, then overwrites the stack that it used.
///
/// The stack holds copies of moved values and HMAC blocks.
pub(crate) fn with_clean_stack<T>(call: impl FnOnce() -> T) -> T {
    let result = deeper(call);
    // A variable, because a borrowed constant would not be on the stack.
    deeper(|| {
        let mut area = [0_u8; STACK];
        area.fill(core::hint::black_box(0));
        optimization_barrier(&area);
    });
    result
}

/// Calls a function in a stack frame of its own.
#[inline(never)]
fn deeper<T>(call: impl FnOnce() -> T) -> T {
    call()
}

/// An array of bytes, zeroized when dropped.
///
/// It is stored inline in its owner, never in a heap block of its own.
#[derive(Clone)]
pub(crate) struct Bytes<const N: usize>(pub(crate) [u8; N]);

impl<const N: usize> Drop for Bytes<N> {
    fn drop(&mut self) {
        self.0 = [0; N];
        optimization_barrier(&self.0);
    }
}

impl<const N: usize> Deref for Bytes<N> {
    type Target = [u8; N];

    fn deref(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> DerefMut for Bytes<N> {
    fn deref_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }
}

/// A text, zeroized when dropped.
///
/// Create it with its final capacity, because a text that grows leaves copies behind.
#[derive(Clone)]
pub(crate) struct Text(pub(crate) String);

impl Drop for Text {
    fn drop(&mut self) {
        let mut bytes = mem::take(&mut self.0).into_bytes();
        bytes.clear();
        bytes.resize(bytes.capacity(), 0);
        optimization_barrier(&bytes[..]);
    }
}

impl Deref for Text {
    type Target = String;

    fn deref(&self) -> &String {
        &self.0
    }
}

impl DerefMut for Text {
    fn deref_mut(&mut self) -> &mut String {
        &mut self.0
    }
}
