//! A crypto provider for rustls, based on RustCrypto.
//!
//! It contains only what the service needs, so that the linker leaves out the rest: ECDHE on P-256
//! with AES-128-GCM, in TLS 1.2 and 1.3, and certificates with RSA, like the service's, or with
//! ECDSA on P-256. Replace it with your chip's hardware if that is faster.

mod aes_gcm;
mod hash;
mod key_exchange;
#[cfg(feature = "x509")]
mod private_key;
mod random;
mod suites;
mod verify;

use alloc::sync::Arc;
use alloc::vec;

#[cfg(feature = "x509")]
pub use private_key::PrivateKey;
use rustls::Error;
use rustls::crypto::{CryptoProvider, KeyProvider};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;

pub fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: suites::ALL.to_vec(),
        kx_groups: vec![&key_exchange::P256],
        signature_verification_algorithms: verify::ALGORITHMS,
        secure_random: &random::BoardRng,
        key_provider: &NoKeys,
    }
}

/// A key provider without keys. The board loads its key with `PrivateKey`.
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        Err(Error::General("the board loads its key itself".into()))
    }
}
