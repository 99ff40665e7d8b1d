//! The board's random generator, for rustls and for RustCrypto.

use core::fmt;

use p256::elliptic_curve::rand_core::{TryCryptoRng, TryRng};
use rustls::crypto::{GetRandomFailed, SecureRandom};

use crate::board;

#[derive(Debug)]
pub(super) struct BoardRng;

#[derive(Debug)]
pub(super) struct NoRandom;

impl fmt::Display for NoRandom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the random generator fails")
    }
}

impl core::error::Error for NoRandom {}

impl SecureRandom for BoardRng {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        if board::random(bytes) { Ok(()) } else { Err(GetRandomFailed) }
    }
}

impl TryRng for BoardRng {
    type Error = NoRandom;

    fn try_next_u32(&mut self) -> Result<u32, NoRandom> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, NoRandom> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), NoRandom> {
        if board::random(bytes) { Ok(()) } else { Err(NoRandom) }
    }
}

impl TryCryptoRng for BoardRng {}
