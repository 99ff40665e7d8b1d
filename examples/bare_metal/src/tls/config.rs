//! The configuration of TLS: the root certificates and the board's certificate.

use alloc::sync::Arc;
use core::mem;
use core::time::Duration;

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
#[cfg(feature = "x509")]
use rustls::sign::CertifiedKey;
use rustls::sign::SingleCertAndKey;
use rustls::time_provider::TimeProvider;
use rustls::{ALL_VERSIONS, ClientConfig, RootCertStore};

use super::provider;
use crate::board::BoardClock;
use crate::device::Failure;
use crate::factory::Factory;

impl TimeProvider for BoardClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.unix().as_secs())))
    }
}

#[inline(never)] // Keeps its frame off the stack of the handshakes.
pub fn config(factory: &mut Factory, clock: BoardClock) -> Result<Arc<ClientConfig>, Failure> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(&mem::take(&mut factory.roots)) {
        roots
            .add(root.map_err(|_| "the certificate authorities are not PEM")?)
            .map_err(|_| "no certificate authority")?;
    }
    let provider = Arc::new(provider::provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
    let config = ClientConfig::builder_with_details(provider, Arc::new(clock));
    let config = config.with_protocol_versions(ALL_VERSIONS).map_err(|_| "no TLS version")?;
    let config = config.with_webpki_verifier(verifier.map_err(|_| "the board has no certificate authority")?);
    let mut config = match certificate(factory)? {
        Some(certificate) => config.with_client_cert_resolver(certificate),
        None => config.with_no_client_auth(),
    };
    // A board connects rarely, and a session ticket takes heap in between.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

#[cfg(feature = "x509")]
fn certificate(factory: &mut Factory) -> Result<Option<Arc<SingleCertAndKey>>, Failure> {
    let Some((chain, private_key)) = factory.certificate.take() else { return Ok(None) };
    let chain = CertificateDer::pem_slice_iter(&chain).collect::<Result<_, _>>();
    let chain = chain.map_err(|_| "the board's certificate is not PEM")?;
    let key = CertifiedKey::new(chain, Arc::new(provider::PrivateKey::from_pem(&private_key)?));
    Ok(Some(Arc::new(SingleCertAndKey::from(key))))
}

#[cfg(not(feature = "x509"))]
fn certificate(_: &mut Factory) -> Result<Option<Arc<SingleCertAndKey>>, Failure> {
    Ok(None)
}
