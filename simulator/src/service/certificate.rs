//! The authorization of devices by certificate.
//!
//! The TLS handshake has shown that the device has the private key. The rest is checked here.

use std::fmt::Write;
use std::time::Duration;

use azure_iot_dps::identity::RegistrationId;
use ring::digest;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};
use x509_parser::time::ASN1Time;

use crate::service::Service;
use crate::service::answer::{Refused, UNAUTHORIZED};
use crate::service::authorize::Caller;
use crate::service::description::CertificateDescription;
use crate::wire::timestamp;

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
        let (_, certificate) = X509Certificate::from_der(leaf).map_err(|_| invalid())?;
        if !common_name(certificate.subject()).is_some_and(|name| name.eq_ignore_ascii_case(registration_id.as_str())) {
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

fn common_name<'a>(subject: &'a X509Name<'_>) -> Option<&'a str> {
    subject.iter_common_name().next()?.as_str().ok()
}

/// Returns whether the chain, as presented, leads to this authority at this time.
fn is_issued_by(leaf: &[u8], issuers: &[Vec<u8>], authority: &[u8], now: Duration) -> bool {
    let [leaf, authority] = [leaf, authority].map(CertificateDer::from);
    let (Ok(leaf), Ok(anchor)) = (EndEntityCert::try_from(&leaf), anchor_from_trusted_cert(&authority)) else {
        return false;
    };
    let issuers: Vec<_> = issuers.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let now = UnixTime::since_unix_epoch(now);
    let usage = KeyUsage::client_auth();
    leaf.verify_for_usage(ALL_VERIFICATION_ALGS, &[anchor], &issuers, now, usage, None, None).is_ok()
}

fn describe(der: &[u8], certificate: &X509Certificate<'_>) -> CertificateDescription {
    let thumbprint = |algorithm| hex(digest::digest(algorithm, der).as_ref());
    let time = |time: ASN1Time| timestamp(Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or_default()));
    CertificateDescription {
        subject_name: certificate.subject().to_string(),
        sha1_thumbprint: thumbprint(&digest::SHA1_FOR_LEGACY_USE_ONLY),
        sha256_thumbprint: thumbprint(&digest::SHA256),
        issuer_name: certificate.issuer().to_string(),
        not_before_utc: time(certificate.validity().not_before),
        not_after_utc: time(certificate.validity().not_after),
        serial_number: hex(certificate.raw_serial()),
        version: certificate.version().0.saturating_add(1),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02X}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::base64_decode;

    /// A certificate that openssl wrote.
    const CERTIFICATE: &str = "MIIBeTCCAR+gAwIBAgIUFLr4hExUWFge6ZSCIlcS/Bt9JgYwCgYIKoZIzj0EAwIwETEPMA0GA1UEAwwGZGV2LWVj\
        MCAXDTI2MTEyNTEzNDIzN1oYDzIxMjYxMTAxMTM0MjM3WjARMQ8wDQYDVQQDDAZkZXYtZWMwWTATBgcqhkjOPQIB\
        BggqhkjOPQMBBwNCAATncLsOJ/3y1xdci5QiLcFF95KgS0jhJcwwl0JraHOP+F0m1uyjWFHE3FYZUn60F0YQWZLM\
        Ipl693PTGFAhxfsHo1MwUTAdBgNVHQ4EFgQUSx3fat09/4oajJpPc14stgcWXU4wHwYDVR0jBBgwFoAUSx3fat09\
        /4oajJpPc14stgcWXU4wDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiBxJCsxJrcHbFfJ2KpF7kkK\
        KEsWNAW9QB9MS+ur9PPffQIhALLwgMlQutvAn19iaOsdPTj4gJIGLqdXqTjUg3HWvlN/";

    #[test]
    fn a_description_has_all_members_that_the_official_java_client_requires() {
        let der = base64_decode(CERTIFICATE).expect("base64");
        let (_, certificate) = X509Certificate::from_der(&der).expect("a certificate");
        let description = serde_json::to_value(describe(&der, &certificate)).expect("serializes");
        // As `openssl x509 -text -fingerprint` shows it.
        let expected = serde_json::json!({
            "subjectName": "CN=dev-ec",
            "issuerName": "CN=dev-ec",
            "sha1Thumbprint": "4984E25DBE6B3E0C6196FECBBD18D1FCDAC613C2",
            "sha256Thumbprint": "59A099F7603DFBAA6140D1F7A574089D2E7329C2C4E86F47A7520B1CE79BAD1D",
            "notBeforeUtc": "2026-11-25T13:42:37Z",
            "notAfterUtc": "2126-11-01T13:42:37Z",
            "serialNumber": "14BAF8844C5458581EE99482225712FC1B7D2606",
            "version": 3,
        });
        assert_eq!(description, expected);
    }
}
