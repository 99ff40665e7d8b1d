//! The TLS configuration: versions 1.2 and 1.3, and the trusted roots.

use alloc::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, ConfigBuilder, Error, RootCertStore};

use super::control::Trust;
use super::failure::explain_tls;
use crate::crypto::provider;
use crate::error::{TransportError, TransportErrorKind};

pub(super) fn configuration(trust: &Trust) -> Result<Arc<ClientConfig>, TransportError> {
    let provider =
        provider().map_err(|error| TransportError::new(TransportErrorKind::NoCryptoProvider).with_source(error))?;
    with_provider(&provider, trust).map_err(explain_tls)
}

fn with_provider(provider: &Arc<CryptoProvider>, trust: &Trust) -> Result<Arc<ClientConfig>, Error> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider)).with_safe_default_protocol_versions()?;
    #[cfg(feature = "platform-verifier")]
    if trust.roots.is_platform() {
        let verifier = Arc::new(rustls_platform_verifier::Verifier::new(Arc::clone(provider))?);
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
