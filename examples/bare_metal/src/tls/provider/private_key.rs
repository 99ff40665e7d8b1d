//! The key of the board's certificate.
//!
//! Replace [`Signer::sign`] with a call of your secure element if the key must not leave it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::DecodePrivateKey;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::{Signer, SigningKey as TlsSigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};

/// A key for ECDSA on P-256.
#[derive(Clone, Debug)]
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    /// Parses a PKCS #8 key in PEM.
    pub fn from_pem(pem: &[u8]) -> Result<Self, &'static str> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| "the private key is not PEM")?;
        let key =
            SigningKey::from_pkcs8_der(der.secret_pkcs8_der()).map_err(|_| "the private key is not one of P-256")?;
        Ok(Self(key))
    }
}

impl TlsSigningKey for PrivateKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.scheme()).then(|| Box::new(self.clone()) as _)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for PrivateKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = self.0.try_sign(message);
        let signature: DerSignature = signature.map_err(|_| Error::General("the key cannot sign".into()))?;
        Ok(signature.as_bytes().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}
