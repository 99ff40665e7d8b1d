//! TLS as every connection has it: versions 1.2 and 1.3 by rustls on ring, and the roots that are trusted.

use alloc::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, ConfigBuilder, Error, RootCertStore};

use super::control::Trust;

pub(super) fn configuration(trust: &Trust) -> Result<Arc<ClientConfig>, Error> {
    // This provider, whatever the process has made its default, and without a panic where it has made none.
    let provider = Arc::new(default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    #[cfg(feature = "platform-verifier")]
    if trust.roots.is_platform() {
        let verifier = Arc::new(rustls_platform_verifier::Verifier::new(provider)?);
        // What is dangerous is a verifier of one's own; this one is the system's.
        return Ok(identify(builder.dangerous().with_custom_certificate_verifier(verifier), trust));
    }
    let mut store = RootCertStore::empty();
    #[cfg(feature = "bundled-roots")]
    if trust.roots.is_bundled() {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    // Each of them was read once already.
    store.add_parsable_certificates(trust.roots.own().iter().cloned());
    Ok(identify(builder.with_root_certificates(store), trust))
}

/// Presents the client certificate to whoever asks for it, if there is one.
fn identify(builder: ConfigBuilder<ClientConfig, WantsClientCert>, trust: &Trust) -> Arc<ClientConfig> {
    #[cfg(feature = "x509")]
    if let Some(certificate) = &trust.certificate {
        let resolver = rustls::sign::SingleCertAndKey::from(certificate.certified_key());
        return Arc::new(builder.with_client_cert_resolver(Arc::new(resolver)));
    }
    let _ = trust;
    Arc::new(builder.with_no_client_auth())
}
