//! The TLS configuration: versions 1.2 and 1.3 from rustls on ring, and the trusted roots.

use alloc::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, ConfigBuilder, Error, RootCertStore};

use super::control::Trust;

pub(super) fn configuration(trust: &Trust) -> Result<Arc<ClientConfig>, Error> {
    // The provider is explicit: the default of the process may be another one, or missing, which panics.
    let provider = Arc::new(default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    #[cfg(feature = "platform-verifier")]
    if trust.roots.is_platform() {
        let verifier = Arc::new(rustls_platform_verifier::Verifier::new(provider)?);
        // A custom verifier can be dangerous. This one is the system's.
        return Ok(identify(builder.dangerous().with_custom_certificate_verifier(verifier), trust));
    }
    let mut store = RootCertStore::empty();
    #[cfg(feature = "bundled-roots")]
    if trust.roots.is_bundled() {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    // All of these certificates were parsed before.
    store.add_parsable_certificates(trust.roots.own().iter().cloned());
    Ok(identify(builder.with_root_certificates(store), trust))
}

/// Adds the client certificate, if there is one. It is presented if the server requests it.
fn identify(builder: ConfigBuilder<ClientConfig, WantsClientCert>, trust: &Trust) -> Arc<ClientConfig> {
    #[cfg(feature = "x509")]
    if let Some(certificate) = &trust.certificate {
        let resolver = rustls::sign::SingleCertAndKey::from(certificate.certified_key());
        return Arc::new(builder.with_client_cert_resolver(Arc::new(resolver)));
    }
    let _ = trust;
    Arc::new(builder.with_no_client_auth())
}
