//! A short-lived certificate authority, for the server and for devices that request a certificate.

use std::sync::Arc;

use azure_iot_dps::identity::HostName;
use azure_iot_dps::identity::RegistrationId;
use rcgen::CertificateSigningRequestParams;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use time::{OffsetDateTime, SignedDuration};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use crate::server::optional_certificate::OptionalCertificate;
use crate::service::Issuer;
use crate::wire::{base64_decode, base64_encode};

pub(super) struct Credentials {
    pub(super) ca_pem: String,
    pub(super) config: ServerConfig,
    pub(super) issuer: Issuer,
}

impl Credentials {
    /// Creates a certificate for the loopback names and these names.
    ///
    /// It is valid from yesterday on, for as long as strict clients allow.
    pub(super) fn make(names: &[HostName]) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let now = OffsetDateTime::now_utc();
        let not_before = now.checked_sub(SignedDuration::DAY).unwrap_or(now);
        let not_after = now.checked_add(SignedDuration::days(397)).unwrap_or(now);

        let mut ca = CertificateParams::default();
        (ca.not_before, ca.not_after) = (not_before, not_after);
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = [KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign].into();
        ca.distinguished_name.push(DnType::CommonName, "azure-iot-dps simulator CA");
        let ca_key = KeyPair::generate()?;
        let ca_certificate = ca.self_signed(&ca_key)?;
        let ca = rcgen::Issuer::new(ca, ca_key);

        let own = ["localhost", "127.0.0.1", "::1"].into_iter();
        let mut leaf = CertificateParams::new(
            own.chain(names.iter().map(|name| name.as_str().trim_matches(['[', ']'])))
                .map(String::from)
                .collect::<Vec<_>>(),
        )?;
        (leaf.not_before, leaf.not_after) = (not_before, not_after);
        leaf.distinguished_name.push(DnType::CommonName, "azure-iot-dps simulator");
        leaf.use_authority_key_identifier_extension = true;
        leaf.key_usages = [KeyUsagePurpose::DigitalSignature].into();
        leaf.extended_key_usages = [ExtendedKeyUsagePurpose::ServerAuth].into();
        let leaf_key = KeyPair::generate()?;
        let certificate = leaf.signed_by(&leaf_key, &ca)?;
        let provider = Arc::new(ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let config = config.with_client_cert_verifier(Arc::new(OptionalCertificate(provider)));
        let config = config.with_single_cert(
            [certificate.der().clone()].into(),
            PrivatePkcs8KeyDer::from(leaf_key.serialize_der()).into(),
        )?;

        Ok(Self { ca_pem: ca_certificate.pem(), config, issuer: issuer(ca, ca_certificate.der().clone()) })
    }
}

/// Answers certificate signing requests with this authority.
fn issuer(ca: rcgen::Issuer<'static, KeyPair>, ca_der: CertificateDer<'static>) -> Issuer {
    Issuer::new(move |csr: &str, registration_id: &RegistrationId| {
        let request = CertificateSigningRequestParams::from_der(&base64_decode(csr)?.into()).ok()?;
        // The service requires the registration ID as the common name.
        let name = request.params.distinguished_name.get(&DnType::CommonName)?;
        let same = matches!(name, rcgen::DnValue::Utf8String(name) if name == registration_id.as_str())
            || matches!(name, rcgen::DnValue::PrintableString(name) if name.as_str() == registration_id.as_str());
        let certificate = same.then(|| request.signed_by(&ca).ok()).flatten()?;
        Some(Vec::from([certificate.der(), &ca_der].map(|der| base64_encode(der))))
    })
}
