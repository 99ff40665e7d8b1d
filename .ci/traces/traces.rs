//! Tests that a dropped key leaves no traces in memory, in an optimized build.
//!
//! The test reads the memory of its own process, which Linux permits.
#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::sync::mpsc;

use azure_iot_dps::key::Signer;
use azure_iot_dps::{DeviceKey, GroupKey, KeyDerivation, RegistrationId};
use base64::Engine;
use zeroize::Zeroizing;

/// A secret that is never stored: each byte is computed when it is needed.
#[derive(Clone, Copy)]
struct Secret {
    seed: u8,
    /// The byte that XOR combines with each byte of the key: 0, or one of HMAC's pads.
    pad: u8,
}

impl Secret {
    fn byte(self, index: usize) -> u8 {
        let mixed = (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(u32::from(self.seed));
        mixed.to_le_bytes()[3] ^ self.pad
    }

    fn key(self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new((0..32).map(|index| self.byte(index)).collect())
    }

    /// Returns how often 8 consecutive bytes of the secret are in the memory of this process.
    fn traces(self) -> usize {
        const PIECE: usize = 8;
        let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
        let memory = File::open("/proc/self/mem").expect("memory");
        let mut buffer = vec![0; 64 * 1024];
        let mut found = 0;
        for line in maps.lines().filter(|line| line.contains(" rw") && !line.contains("[v")) {
            let (start, end) = line.split(' ').next().and_then(|range| range.split_once('-')).expect("a range");
            let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).expect("hex"));
            let mut at = start;
            while at < end {
                let length = buffer.len().min(usize::try_from(end - at).expect("fits"));
                let Ok(read) = memory.read_at(&mut buffer[..length], at) else { break };
                let windows = buffer[..read].windows(PIECE);
                found += windows.filter(|window| (0..PIECE).all(|index| window[index] == self.byte(index))).count();
                // The pieces overlap, so that none at a border is missed.
                at += (read.max(PIECE) - PIECE + 1) as u64;
            }
        }
        buffer.fill(0);
        found
    }
}

/// Returns the traces of a key: of the key itself, and of HMAC's two padded forms.
fn traces(seed: u8) -> [usize; 3] {
    [0, 0x36, 0x5C].map(|pad| Secret { seed, pad }.traces())
}

/// Returns the traces after `use_it` used the secret as a key.
///
/// It runs deep on the stack of a thread that then waits, so that nothing overwrites the traces.
fn traces_of_use(seed: u8, use_it: impl FnOnce(&[u8]) + Send) -> [usize; 3] {
    let (used, wait) = mpsc::channel();
    let (looked, rest) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            far_down(seed, use_it);
            used.send(()).expect("somebody waits");
            let _ = rest.recv();
        });
        wait.recv().expect("it was used");
        let found = traces(seed);
        drop(looked);
        found
    })
}

#[inline(never)]
fn far_down(seed: u8, use_it: impl FnOnce(&[u8])) {
    // Deeper than sending and receiving use the stack.
    black_box([seed; 16 * 1024]);
    let key = Secret { seed, pad: 0 }.key();
    use_it(black_box(&key));
}

#[test]
#[cfg_attr(debug_assertions, ignore = "a build that is not optimised moves values about: run it with --release")]
fn a_key_that_is_dropped_leaves_nothing_in_memory() {
    let id = RegistrationId::new("dev-01").expect("valid");
    // Prove that the check finds traces.
    let copied = traces_of_use(1, |key| {
        black_box(<[u8; 32]>::try_from(key).expect("32 bytes"));
    });
    assert!(copied[0] > 0, "{copied:?}");
    // The keys are borrowed where they are created, because Rust does not zeroize memory after a move.
    let made = traces_of_use(2, |key| {
        let _ = black_box(&DeviceKey::from_bytes(key));
    });
    let read = traces_of_use(3, |key| {
        let text = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(key));
        let _ = black_box(&DeviceKey::from_base64(&text));
    });
    let used = traces_of_use(4, |key| {
        if let Ok(key) = &DeviceKey::from_bytes(key) {
            black_box(key.sign(b"message").is_ok());
        }
    });
    let of_group = traces_of_use(5, |key| {
        if let Ok(key) = &GroupKey::from_bytes(key) {
            black_box(&KeyDerivation::new(key));
        }
    });
    let derived = traces_of_use(6, |key| {
        if let Ok(key) = &GroupKey::from_bytes(key) {
            black_box(KeyDerivation::new(key).derive(&id).len());
        }
    });
    let found = [made, read, used, of_group, derived];
    assert_eq!(found, [[0; 3]; 5], "itself, and in the pads of HMAC");
}
