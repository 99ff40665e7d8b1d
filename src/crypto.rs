//! The cryptography that TLS and certificates use.

use alloc::sync::Arc;

use rustls::crypto::CryptoProvider;

/// Neither the feature `ring` nor the process provides cryptography.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "no rustls crypto provider is installed: call `CryptoProvider::install_default` at the start of `main`, or enable the feature \
     `ring` of azure-iot-dps"
)]
pub(crate) struct NoCryptoProvider;

/// Returns ring's provider, or without the feature `ring` the process's default.
pub(crate) fn provider() -> Result<Arc<CryptoProvider>, NoCryptoProvider> {
    #[cfg(feature = "ring")]
    let provider = Ok(Arc::new(rustls::crypto::ring::default_provider()));
    #[cfg(not(feature = "ring"))]
    let provider = CryptoProvider::get_default().cloned().ok_or(NoCryptoProvider);
    provider
}
