//! The authorization of devices by certificate.
//!
//! The TLS handshake has shown that the device has the private key. The rest is checked here.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Write;
use core::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use sha2::{Digest, Sha256};
use x509_cert::Certificate;
use x509_cert::der::Decode;

use crate::crypto::provider;
use crate::identity::RegistrationId;
use crate::simulator::ids::timestamp;
use crate::simulator::service::Service;
use crate::simulator::service::answer::{Refused, UNAUTHORIZED};
use crate::simulator::service::authorize::Caller;
use crate::simulator::service::description::CertificateDescription;

impl Service {
    /// Checks the common name of a certificate, and that an enrollment for this ID accepts it.
    pub(super) fn authorize_certificate(
        &self,
        leaf: &[u8],
        issuers: &[Vec<u8>],
        registration_id: &RegistrationId,
        now: Duration,
    ) -> Result<Caller, Refused> {
        let invalid = || Refused::new(UNAUTHORIZED, "Invalid certificate.");
        let certificate = Certificate::from_der(leaf).map_err(|_| invalid())?;
        let common_name = certificate.tbs_certificate().subject().common_name().ok().flatten();
        if !common_name.is_some_and(|name| name.value().eq_ignore_ascii_case(registration_id.as_str())) {
            return Err(invalid());
        }
        let (registration_id, key) = (registration_id.clone(), registration_id.as_str().to_ascii_lowercase());
        let certificate = Some(describe(leaf, &certificate));
        if let Some(individual) = self.settings().individuals.iter().find(|it| it.is_for(&registration_id)) {
            if !individual.has_certificate(leaf) {
                return Err(invalid());
            }
            let (device_id, terms) = (individual.own_device_id().cloned(), individual.terms.clone());
            return Ok(Caller { registration_id, key, device_id, group: None, terms, certificate });
        }
        let mut groups = self.settings().groups.iter();
        let group = groups.find(|group| group.authorities().iter().any(|it| is_issued_by(leaf, issuers, it, now)));
        let group = group.ok_or(Refused::new(UNAUTHORIZED, "CA certificate not found."))?;
        let (name, terms) = (Some(String::from(group.name())), group.terms.clone());
        Ok(Caller { registration_id, key, device_id: None, group: name, terms, certificate })
    }
}

/// Returns whether the chain, as presented, leads to this authority at this time.
fn is_issued_by(leaf: &[u8], issuers: &[Vec<u8>], authority: &[u8], now: Duration) -> bool {
    let Ok(provider) = provider() else { return false };
    let mut roots = RootCertStore::empty();
    if roots.add(CertificateDer::from(authority)).is_err() {
        return false;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let issuers: Vec<_> = issuers.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let now = UnixTime::since_unix_epoch(now);
    verifier.is_ok_and(|verifier| verifier.verify_client_cert(&CertificateDer::from(leaf), &issuers, now).is_ok())
}

fn describe(der: &[u8], certificate: &Certificate) -> CertificateDescription {
    let certificate = certificate.tbs_certificate();
    let hex = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{byte:02X}");
            text
        })
    };
    CertificateDescription {
        subject_name: certificate.subject().to_string(),
        sha256_thumbprint: hex(&Sha256::digest(der)),
        issuer_name: certificate.issuer().to_string(),
        not_before_utc: timestamp(certificate.validity().not_before.to_unix_duration()),
        not_after_utc: timestamp(certificate.validity().not_after.to_unix_duration()),
        serial_number: hex(certificate.serial_number().as_bytes()),
        version: 3,
    }
}
