//! Certificate signing requests. Source: RFC 2986 (PKCS #10).

use alloc::vec::Vec;
use core::str::FromStr;

use x509_cert::attr::Attributes;
use x509_cert::der::asn1::{Any, BitString, ObjectIdentifier};
use x509_cert::der::{self, Encode};
use x509_cert::name::Name;
use x509_cert::request::{CertReq, CertReqInfo, Version};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use super::{CertificateSigner, ClientCertificate, SignatureScheme};
use crate::identity::RegistrationId;
use crate::key::SignerError;

// Source of the object identifiers: RFC 5480 and RFC 5758.
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

impl ClientCertificate {
    /// Creates a certificate signing request for a P-256 key, as DER.
    ///
    /// The registration ID becomes the common name. `public_key` is the uncompressed point: 65
    /// bytes, of which the first is 4.
    ///
    /// Send the request to the service with [`certificate_signing_request`][builder]. The service
    /// returns [`Assignment::certificates`](crate::Assignment::certificates), which together with
    /// the key make a client certificate: use [`der`](Self::der), or
    /// [`der_with_signer`](Self::der_with_signer) if the key is in a chip.
    ///
    /// [builder]: crate::ProvisioningClientBuilder::certificate_signing_request
    ///
    /// # Errors
    ///
    /// Returns [`SignerError`] if the signer fails or the request cannot be encoded.
    pub fn signing_request(
        registration_id: &RegistrationId,
        public_key: &[u8; 65],
        signer: &(impl CertificateSigner + ?Sized),
    ) -> Result<Vec<u8>, SignerError> {
        let unwritable = |_: der::Error| SignerError::new("the certificate signing request cannot be encoded");
        let info = info(registration_id, public_key).map_err(unwritable)?;
        let signature = signer.sign(SignatureScheme::EcdsaP256Sha256, &info.to_der().map_err(unwritable)?)?;
        let algorithm = AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None };
        let signature = BitString::from_bytes(&signature).map_err(unwritable)?;
        CertReq { info, algorithm, signature }.to_der().map_err(unwritable)
    }
}

fn info(registration_id: &RegistrationId, public_key: &[u8]) -> Result<CertReqInfo, der::Error> {
    // No character of a registration ID has a special meaning in a distinguished name.
    let subject = Name::from_str(&["CN=", registration_id.as_str()].concat())?;
    let algorithm = AlgorithmIdentifierOwned { oid: EC_PUBLIC_KEY, parameters: Some(Any::from(P256)) };
    let public_key = SubjectPublicKeyInfoOwned { algorithm, subject_public_key: BitString::from_bytes(public_key)? };
    Ok(CertReqInfo { version: Version::V1, subject, public_key, attributes: Attributes::default() })
}
