//! Flash, a real-time clock and random numbers, all from the host by QEMU's semihosting.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{Arguments, Write};

use azure_iot_dps::time::UnixTime;

use cortex_m_semihosting::{debug, hio, nr, syscall};
use zeroize::Zeroizing;

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

/// Loops forever, until the watchdog resets the board.
pub fn hang() -> ! {
    say!("the board hangs");
    loop {
        cortex_m::asm::nop();
    }
}

pub(super) fn unix_time() -> UnixTime {
    // SAFETY: the call has no arguments.
    UnixTime::from_secs(u64::from(unsafe { syscall!(TIME) } as u32))
}

/// Fills a buffer with random bytes. Returns `false` if that fails.
pub fn random(bytes: &mut [u8]) -> bool {
    with_file("/dev/urandom", nr::open::R_BINARY, |file| fill(file, bytes)) == Some(Some(bytes.len()))
}

/// Returns the content of a page of flash, or `None` if there is none.
///
/// Some pages hold keys, so the content is wiped when dropped.
pub fn load(name: &str) -> Option<Zeroizing<Vec<u8>>> {
    with_file(name, nr::open::R_BINARY, |file| {
        // SAFETY: the file is open.
        let length = unsafe { syscall!(FLEN, file) };
        let mut bytes = Zeroizing::new(Vec::new());
        bytes.try_reserve_exact(length).ok()?;
        bytes.resize(length, 0);
        (fill(file, &mut bytes) == Some(length)).then_some(bytes)
    })?
}

/// Erases a page of flash and writes it. Returns `false` if that fails.
pub fn save(name: &str, bytes: &[u8]) -> bool {
    let write = |file| {
        // SAFETY: the call reads the bytes, and returns how many it did not write.
        unsafe { syscall!(WRITE, file, bytes.as_ptr(), bytes.len()) == 0 }
    };
    with_file(name, nr::open::W_TRUNC_BINARY, write) == Some(true)
}

/// Reads from a file, and returns the number of bytes.
fn fill(file: usize, bytes: &mut [u8]) -> Option<usize> {
    // SAFETY: the call fills the bytes, and returns how many it did not fill.
    let left = unsafe { syscall!(READ, file, bytes.as_mut_ptr(), bytes.len()) };
    bytes.len().checked_sub(left)
}

fn with_file<T>(name: &str, mode: usize, work: impl FnOnce(usize) -> T) -> Option<T> {
    let name = String::from(name) + "\0";
    // SAFETY: the name ends with a zero, which the length excludes.
    let file = unsafe { syscall!(OPEN, name.as_ptr(), mode, name.len() - 1) };
    if file == usize::MAX {
        return None;
    }
    let result = work(file);
    // SAFETY: the file is open.
    unsafe { syscall!(CLOSE, file) };
    Some(result)
}
