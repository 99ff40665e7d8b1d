//! The cipher suites.

use rustls::crypto::tls12::PrfUsingHmac;
use rustls::crypto::tls13::HkdfUsingHmac;
use rustls::crypto::{CipherSuiteCommon, KeyExchangeAlgorithm};
use rustls::{CipherSuite, SignatureScheme, SupportedCipherSuite, Tls12CipherSuite, Tls13CipherSuite};

use super::aes_gcm::Aes128Gcm;
use super::hash::{HmacSha256, Sha256};

pub(super) const ALL: &[SupportedCipherSuite] = &[
    SupportedCipherSuite::Tls13(&TLS13),
    SupportedCipherSuite::Tls12(&TLS12_ECDSA),
    SupportedCipherSuite::Tls12(&TLS12_RSA),
];

static TLS13: Tls13CipherSuite = Tls13CipherSuite {
    common: common(CipherSuite::TLS13_AES_128_GCM_SHA256),
    hkdf_provider: &HkdfUsingHmac(&HmacSha256),
    aead_alg: &Aes128Gcm,
    quic: None,
};

static TLS12_ECDSA: Tls12CipherSuite =
    tls12(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, &[SignatureScheme::ECDSA_NISTP256_SHA256]);

static TLS12_RSA: Tls12CipherSuite = tls12(
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    &[SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256],
);

const fn common(suite: CipherSuite) -> CipherSuiteCommon {
    // Source of the limit: RFC 8446, section 5.5, rounded down.
    CipherSuiteCommon { suite, hash_provider: &Sha256, confidentiality_limit: 1 << 24 }
}

const fn tls12(suite: CipherSuite, sign: &'static [SignatureScheme]) -> Tls12CipherSuite {
    Tls12CipherSuite {
        common: common(suite),
        prf_provider: &PrfUsingHmac(&HmacSha256),
        kx: KeyExchangeAlgorithm::ECDHE,
        sign,
        aead_alg: &Aes128Gcm,
    }
}
