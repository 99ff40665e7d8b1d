//! Creates certificate authorities and device certificates for tests.
#![allow(dead_code, unreachable_pub, clippy::expect_used, reason = "each suite uses a part, and a test may panic")]

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SignatureAlgorithm,
};

/// An authority that issues certificates.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
pub struct Device {
    pub pem: String,
    pub der: Vec<u8>,
    pub key_pem: String,
    pub key_der: Vec<u8>,
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn authority(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = [KeyUsagePurpose::KeyCertSign].into();
    params
}

impl Authority {
    /// Returns an authority that can only be trusted, not issue.
    pub fn of_pem(pem: &str) -> Self {
        Self { pem: pem.to_owned(), ..Self::root("unused") }
    }

    pub fn root(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let params = authority(name);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    pub fn intermediate(&self, name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let params = authority(name);
        let pem = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    pub fn device(&self, name: &str) -> Device {
        self.device_with(name, &PKCS_ECDSA_P256_SHA256, |_| {})
    }

    pub fn device_with(
        &self,
        name: &str,
        algorithm: &'static SignatureAlgorithm,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Device {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let mut params = named(name);
        params.extended_key_usages = [ExtendedKeyUsagePurpose::ClientAuth].into();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Device {
            pem: certificate.pem(),
            der: certificate.der().to_vec(),
            key_pem: key.serialize_pem(),
            key_der: key.serialize_der(),
        }
    }
}

/// Returns a self-signed certificate.
pub fn self_signed(name: &str) -> Device {
    let key = KeyPair::generate().expect("a key");
    let certificate = named(name).self_signed(&key).expect("a certificate");
    Device {
        pem: certificate.pem(),
        der: certificate.der().to_vec(),
        key_pem: key.serialize_pem(),
        key_der: key.serialize_der(),
    }
}
