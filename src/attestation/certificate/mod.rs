//! Client certificates: a chain, and a private key or a signer.

mod chain;
mod error;
mod request;
mod signer;

use alloc::borrow::ToOwned;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use chain::Leaf;
pub use error::{CertificateError, CertificateNote};
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use signer::Hook;
pub use signer::{CertificateSigner, KeyAlgorithm, SignatureScheme};
use zeroize::Zeroizing;

use crate::crypto::provider;
use crate::identity::RegistrationId;
use crate::time::UnixTime;

/// The largest accepted file, in bytes. It is larger than any chain with its key.
const MAX_FILE: u64 = 256 * 1024;

/// A client certificate with its chain, and the private key or a signer that holds it.
///
/// The chain starts with the leaf and extends to the certificate authority of the enrollment, which
/// may itself be left out. The most frequent mistake is to leave out an intermediate: the service
/// cannot get it from elsewhere.
///
/// The registration ID is the leaf's common name. Clones share the certificate. The buffers into
/// which a key is read and decoded here are wiped. The scratch memory of the PEM reader is not, and
/// neither is the copy that the crypto library, ring, signs with.
///
/// ```
/// use azure_iot_dps::attestation::ClientCertificate;
/// use azure_iot_dps::{IdScope, ProvisioningClient};
///
/// # let (chain, key) = ("tests/data/rsa/dev-ec.pem", "tests/data/rsa/dev-ec.sec1.key");
/// let certificate = ClientCertificate::files(chain, key)?;
/// assert_eq!(certificate.registration_id()?.as_str(), "dev-ec");
///
/// let id_scope = IdScope::new("0ne00002193")?;
/// let builder = ProvisioningClient::builder_with_certificate(id_scope, &certificate)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Source: Microsoft, "X.509 certificate attestation".
#[derive(Clone)]
pub struct ClientCertificate {
    certified_key: Arc<CertifiedKey>,
    leaf: Arc<Leaf>,
}

impl ClientCertificate {
    /// Creates a client certificate from a chain, leaf first, and a private key, both in PEM.
    ///
    /// The key is in PKCS #8, SEC 1 or PKCS #1. Both arguments may be the same text.
    ///
    /// # Errors
    ///
    /// Returns [`CertificateError`] if the chain or the key is missing or cannot be read, if the
    /// key is encrypted or belongs to another certificate, or if the certificates do not form a
    /// chain. The error holds nothing of the key.
    pub fn pem(chain: &[u8], private_key: &[u8]) -> Result<Self, CertificateError> {
        let (kind, key) = read_key(private_key)?;
        let key = match kind {
            SectionKind::EcPrivateKey => PrivateKeyDer::Sec1(key.as_slice().into()),
            SectionKind::RsaPrivateKey => PrivateKeyDer::Pkcs1(key.as_slice().into()),
            _ => PrivateKeyDer::Pkcs8(key.as_slice().into()),
        };
        Self::new(certificates(chain)?, &key)
    }

    /// Creates a client certificate from PEM files. Both paths may name the same file.
    ///
    /// # Errors
    ///
    /// Returns [`CertificateError::File`] if a file cannot be read,
    /// [`CertificateError::TooLarge`] if a file has more than 256 KiB, and the errors of
    /// [`pem`](Self::pem).
    pub fn files(chain: impl AsRef<Path>, private_key: impl AsRef<Path>) -> Result<Self, CertificateError> {
        Self::pem(&read(chain.as_ref())?, &read(private_key.as_ref())?)
    }

    /// Creates a client certificate from a chain, leaf first, and a private key, both in DER.
    ///
    /// The key is in PKCS #8, SEC 1 or PKCS #1.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`pem`](Self::pem).
    pub fn der<'c>(chain: impl IntoIterator<Item = &'c [u8]>, private_key: &[u8]) -> Result<Self, CertificateError> {
        let chain = chain.into_iter().map(|der| CertificateDer::from(der.to_vec())).collect();
        let key = PrivateKeyDer::try_from(private_key).map_err(|_| CertificateError::Key)?;
        Self::new(chain, &key)
    }

    /// Creates a client certificate from a PEM chain, leaf first, and a signer for its key.
    ///
    /// Nothing checks here whether the key belongs to the certificate. If it does not, the TLS
    /// handshake fails.
    ///
    /// # Errors
    ///
    /// Returns [`CertificateError`] if there is no certificate, if one cannot be read, or if the
    /// certificates do not form a chain.
    pub fn with_signer(chain: &[u8], signer: impl CertificateSigner + 'static) -> Result<Self, CertificateError> {
        Self::signed_by(certificates(chain)?, signer)
    }

    /// Creates a client certificate from a DER chain, leaf first, and a signer for its key.
    ///
    /// The service issues such a chain for a certificate signing request.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`with_signer`](Self::with_signer).
    pub fn der_with_signer<'c>(
        chain: impl IntoIterator<Item = &'c [u8]>,
        signer: impl CertificateSigner + 'static,
    ) -> Result<Self, CertificateError> {
        Self::signed_by(chain.into_iter().map(|der| CertificateDer::from(der.to_vec())).collect(), signer)
    }

    fn signed_by(
        chain: Vec<CertificateDer<'static>>,
        signer: impl CertificateSigner + 'static,
    ) -> Result<Self, CertificateError> {
        let leaf = Arc::new(Leaf::of(&chain)?);
        let certified_key = Arc::new(CertifiedKey::new(chain, Arc::new(Hook::new(signer))));
        Ok(Self { certified_key, leaf })
    }

    fn new(chain: Vec<CertificateDer<'static>>, key: &PrivateKeyDer<'_>) -> Result<Self, CertificateError> {
        let leaf = Arc::new(Leaf::of(&chain)?);
        let provider = provider().map_err(|_| CertificateError::NoCryptoProvider)?;
        let key = provider.key_provider.load_private_key(key.clone_key()).map_err(|_| CertificateError::Key)?;
        let certified_key = CertifiedKey::new(chain, key);
        match certified_key.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => return Err(CertificateError::KeyMismatch),
            Err(_) => return Err(CertificateError::Certificate { number: 1 }),
        }
        Ok(Self { certified_key: Arc::new(certified_key), leaf })
    }

    /// Returns the leaf's common name, which is the registration ID.
    #[must_use]
    pub fn common_name(&self) -> &str {
        &self.leaf.common_name
    }

    /// Returns the registration ID, which is the leaf's common name.
    ///
    /// # Errors
    ///
    /// Returns [`CertificateError::NotARegistrationId`] if the common name is not a valid
    /// registration ID.
    pub fn registration_id(&self) -> Result<RegistrationId, CertificateError> {
        let common_name = self.common_name();
        RegistrationId::new(common_name)
            .map_err(|source| CertificateError::NotARegistrationId { common_name: common_name.into(), source })
    }

    /// Checks that the certificate belongs to this device.
    ///
    /// The comparison ignores ASCII case, as the service's does.
    ///
    /// # Errors
    ///
    /// Returns [`CertificateError::OtherDevice`] if the common name is not the registration ID.
    pub fn check(&self, registration_id: &RegistrationId) -> Result<(), CertificateError> {
        if self.common_name().eq_ignore_ascii_case(registration_id.as_str()) {
            return Ok(());
        }
        let (common_name, registration_id) = (self.common_name().into(), registration_id.clone());
        Err(CertificateError::OtherDevice { common_name, registration_id })
    }

    /// Returns the certificates of the chain in DER, leaf first.
    pub fn chain(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.certified_key.cert.iter().map(AsRef::as_ref)
    }

    /// Returns the time at which the leaf becomes valid.
    #[must_use]
    pub fn not_before(&self) -> UnixTime {
        self.leaf.not_before
    }

    /// Returns the time at which the leaf expires.
    #[must_use]
    pub fn not_after(&self) -> UnixTime {
        self.leaf.not_after
    }

    /// Returns the reasons for which the service may refuse the certificate.
    ///
    /// `now` is the time of the device's clock. If it is `None`, the validity is not checked.
    pub fn notes(&self, now: Option<UnixTime>) -> impl Iterator<Item = CertificateNote> + use<> {
        let Leaf { not_before, not_after, .. } = *self.leaf;
        let alone = self.certified_key.cert.len() == 1 && !self.leaf.self_issued;
        [
            now.is_some_and(|now| now < not_before).then_some(CertificateNote::NotYetValid { not_before }),
            now.is_some_and(|now| now > not_after).then_some(CertificateNote::Expired { not_after }),
            alone.then_some(CertificateNote::IssuerNotIncluded),
        ]
        .into_iter()
        .flatten()
    }

    #[cfg(any(feature = "https", feature = "mqtt"))]
    pub(crate) fn certified_key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified_key)
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate")
            .field("common_name", &self.common_name())
            .field("certificates", &self.certified_key.cert.len())
            .finish_non_exhaustive()
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    read.map_err(|_| CertificateError::Pem)
}

fn read_key(pem: &[u8]) -> Result<(SectionKind, Zeroizing<Vec<u8>>), CertificateError> {
    // The label of encrypted PKCS #8, or the header `Proc-Type` of the older form.
    let is_encrypted = ["ENCRYPTED PRIVATE KEY", "4,ENCRYPTED"]
        .iter()
        .any(|text| pem.windows(text.len()).any(|window| window == text.as_bytes()));
    if is_encrypted {
        return Err(CertificateError::EncryptedKey);
    }
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
        let (kind, der) = section.map_err(|_| CertificateError::Pem)?;
        let der = Zeroizing::new(der);
        if matches!(kind, SectionKind::PrivateKey | SectionKind::EcPrivateKey | SectionKind::RsaPrivateKey) {
            return Ok((kind, der));
        }
    }
    Err(CertificateError::NoKey)
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    // The buffer must not grow: a reallocation would leave a copy of the key behind.
    let mut bytes = Zeroizing::new(Vec::new());
    let file = File::open(path).and_then(|file| {
        let length = file.metadata()?.len().min(MAX_FILE);
        bytes.reserve_exact(usize::try_from(length).unwrap_or_default().saturating_add(1));
        file.take(MAX_FILE.saturating_add(1)).read_to_end(&mut bytes)
    });
    file.map_err(|source| CertificateError::File { path: path.to_owned(), source })?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(CertificateError::TooLarge { path: path.to_owned(), limit: MAX_FILE });
    }
    Ok(bytes)
}
