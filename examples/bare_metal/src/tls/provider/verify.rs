//! Verifies the signatures of certificates and of the server in a handshake.

use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{self, DerSignature};
use rsa::pkcs1::DecodeRsaPublicKey;
use rsa::signature::Verifier as _;
use rsa::traits::PublicKeyParts;
use rsa::{RsaPublicKey, pkcs1v15, pss};
use rustls::SignatureScheme;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};
use sha2_for_rsa::{Sha256, Sha384};

pub(super) static ALGORITHMS: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[&EcdsaP256, &RsaSha256, &RsaSha384, &RsaPssSha256],
    mapping: &[
        (SignatureScheme::ECDSA_NISTP256_SHA256, &[&EcdsaP256]),
        (SignatureScheme::RSA_PSS_SHA256, &[&RsaPssSha256]),
        (SignatureScheme::RSA_PKCS1_SHA256, &[&RsaSha256]),
        (SignatureScheme::RSA_PKCS1_SHA384, &[&RsaSha384]),
    ],
};

/// The minimum length of a modulus, in bytes. Shorter keys can be broken.
const MIN_RSA: usize = 256;

fn rsa_key(der: &[u8]) -> Result<RsaPublicKey, InvalidSignature> {
    let key = RsaPublicKey::from_pkcs1_der(der).map_err(|_| InvalidSignature)?;
    if key.size() >= MIN_RSA { Ok(key) } else { Err(InvalidSignature) }
}

macro_rules! algorithm {
    ($Name:ident, $key:expr, $signature:expr, $parse_key:expr, $parse_signature:expr) => {
        #[derive(Debug)]
        struct $Name;

        impl SignatureVerificationAlgorithm for $Name {
            fn public_key_alg_id(&self) -> AlgorithmIdentifier {
                $key
            }

            fn signature_alg_id(&self) -> AlgorithmIdentifier {
                $signature
            }

            fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
                let key = $parse_key(key).map_err(|_| InvalidSignature)?;
                let signature = $parse_signature(signature).map_err(|_| InvalidSignature)?;
                key.verify(message, &signature).map_err(|_| InvalidSignature)
            }
        }
    };
}

algorithm!(
    EcdsaP256,
    alg_id::ECDSA_P256,
    alg_id::ECDSA_SHA256,
    ecdsa::VerifyingKey::from_sec1_bytes,
    DerSignature::from_bytes
);
algorithm!(
    RsaSha256,
    alg_id::RSA_ENCRYPTION,
    alg_id::RSA_PKCS1_SHA256,
    |der| rsa_key(der).map(pkcs1v15::VerifyingKey::<Sha256>::new),
    pkcs1v15::Signature::try_from
);
algorithm!(
    RsaSha384,
    alg_id::RSA_ENCRYPTION,
    alg_id::RSA_PKCS1_SHA384,
    |der| rsa_key(der).map(pkcs1v15::VerifyingKey::<Sha384>::new),
    pkcs1v15::Signature::try_from
);
algorithm!(
    RsaPssSha256,
    alg_id::RSA_ENCRYPTION,
    alg_id::RSA_PSS_SHA256,
    |der| rsa_key(der).map(pss::VerifyingKey::<Sha256>::new),
    pss::Signature::try_from
);
