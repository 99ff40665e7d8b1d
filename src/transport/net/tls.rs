//! TLS as every connection has it: versions 1.2 and 1.3 by rustls on ring, and the roots that are trusted.

use alloc::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, Error, RootCertStore};

use super::roots::Roots;

pub(super) fn configuration(roots: &Roots) -> Result<Arc<ClientConfig>, Error> {
    // This provider, whatever the process has made its default, and without a panic where it has made none.
    let provider = Arc::new(default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    #[cfg(feature = "platform-verifier")]
    if roots.is_platform() {
        let verifier = Arc::new(rustls_platform_verifier::Verifier::new(provider)?);
        // What is dangerous is a verifier of one's own; this one is the system's.
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        return Ok(Arc::new(builder.with_no_client_auth()));
    }
    let mut store = RootCertStore::empty();
    #[cfg(feature = "bundled-roots")]
    if roots.is_bundled() {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    // Each of them was read once already.
    store.add_parsable_certificates(roots.own().iter().cloned());
    Ok(Arc::new(builder.with_root_certificates(store).with_no_client_auth()))
}
