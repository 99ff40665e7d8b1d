//! A client certificate, with its chain and what signs for it.

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
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use signer::Hook;
pub use signer::{CertificateSigner, KeyAlgorithm, SignatureScheme};
use zeroize::Zeroizing;

use crate::identity::RegistrationId;
use crate::time::UnixTime;

/// More than any chain with its key has.
const MAX_FILE: u64 = 256 * 1024;

/// A client certificate that proves a device's identity: the chain, leaf first, and the private key, or what signs in its place.
///
/// The chain goes as far as the certificate authority that the enrollment knows, which may be left out. An intermediate that is left
/// out is the most frequent mistake: the service cannot find it elsewhere.
///
/// The registration ID is the leaf's common name. Clones share the certificate. What is read and decoded of a key here is wiped; the
/// scratch memory of the PEM reader, and the copy that the crypto library signs with (ring's), are not.
///
/// ```no_run
/// use azure_iot_dps::attestation::ClientCertificate;
/// use azure_iot_dps::{IdScope, ProvisioningClient};
///
/// let certificate = ClientCertificate::files("/etc/acme/device-chain.pem", "/etc/acme/device.key")?;
/// let mut client = ProvisioningClient::with_certificate(IdScope::new("0ne00002193")?, &certificate)?;
/// let assignment = client.register()?;
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
    /// Reads a chain, leaf first, and a private key (PKCS #8, SEC 1 or PKCS #1) from PEM. Both may be the same text.
    ///
    /// # Errors
    ///
    /// Either is missing or cannot be read, the key is encrypted or belongs to another certificate, or the chain is not one. The error
    /// holds nothing of the key.
    pub fn pem(chain: &[u8], private_key: &[u8]) -> Result<Self, CertificateError> {
        let (kind, key) = read_key(private_key)?;
        let key = match kind {
            SectionKind::EcPrivateKey => PrivateKeyDer::Sec1(key.as_slice().into()),
            SectionKind::RsaPrivateKey => PrivateKeyDer::Pkcs1(key.as_slice().into()),
            _ => PrivateKeyDer::Pkcs8(key.as_slice().into()),
        };
        Self::new(certificates(chain)?, &key)
    }

    /// Reads the same from files: one for both, or one for each.
    ///
    /// # Errors
    ///
    /// A file cannot be read or has more than 256 KiB; otherwise as [`pem`](Self::pem).
    pub fn files(chain: impl AsRef<Path>, private_key: impl AsRef<Path>) -> Result<Self, CertificateError> {
        Self::pem(&read(chain.as_ref())?, &read(private_key.as_ref())?)
    }

    /// Takes a chain, leaf first, and a private key (PKCS #8, SEC 1 or PKCS #1) as DER.
    ///
    /// # Errors
    ///
    /// As [`pem`](Self::pem).
    pub fn der<'c>(chain: impl IntoIterator<Item = &'c [u8]>, private_key: &[u8]) -> Result<Self, CertificateError> {
        let chain = chain.into_iter().map(|der| CertificateDer::from(der.to_vec())).collect();
        let key = PrivateKeyDer::try_from(private_key).map_err(|_| CertificateError::Key)?;
        Self::new(chain, &key)
    }

    /// Takes a chain, leaf first, as PEM, whose private key is in a chip: the signer signs.
    ///
    /// Whether the key belongs to the certificate shows when the service is asked.
    ///
    /// # Errors
    ///
    /// There is no certificate, or one that cannot be read, or the chain is not one.
    pub fn with_signer(chain: &[u8], signer: impl CertificateSigner + 'static) -> Result<Self, CertificateError> {
        Self::signed_by(certificates(chain)?, signer)
    }

    /// Takes the same as DER: what the service issued for a signing request, for one.
    ///
    /// # Errors
    ///
    /// As [`with_signer`](Self::with_signer).
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
        let key = any_supported_type(key).map_err(|_| CertificateError::Key)?;
        let certified_key = CertifiedKey::new(chain, key);
        match certified_key.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => return Err(CertificateError::KeyMismatch),
            Err(_) => return Err(CertificateError::Certificate { number: 1 }),
        }
        Ok(Self { certified_key: Arc::new(certified_key), leaf })
    }

    /// The common name of the leaf, which is the registration ID.
    #[must_use]
    pub fn common_name(&self) -> &str {
        &self.leaf.common_name
    }

    /// The registration ID: the leaf's common name.
    ///
    /// # Errors
    ///
    /// The common name is no registration ID.
    pub fn registration_id(&self) -> Result<RegistrationId, CertificateError> {
        let common_name = self.common_name();
        RegistrationId::new(common_name)
            .map_err(|source| CertificateError::NotARegistrationId { common_name: common_name.into(), source })
    }

    /// Checks that it is the certificate of this device. The service compares without regard to case.
    ///
    /// # Errors
    ///
    /// The common name is another.
    pub fn check(&self, registration_id: &RegistrationId) -> Result<(), CertificateError> {
        if self.common_name().eq_ignore_ascii_case(registration_id.as_str()) {
            return Ok(());
        }
        let (common_name, registration_id) = (self.common_name().into(), registration_id.clone());
        Err(CertificateError::OtherDevice { common_name, registration_id })
    }

    /// The chain as DER, leaf first.
    pub fn chain(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.certified_key.cert.iter().map(AsRef::as_ref)
    }

    /// When the leaf becomes valid.
    #[must_use]
    pub fn not_before(&self) -> UnixTime {
        self.leaf.not_before
    }

    /// When the leaf expires.
    #[must_use]
    pub fn not_after(&self) -> UnixTime {
        self.leaf.not_after
    }

    /// What may keep the service from taking it, by the device's own clock if it has one.
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
    // A block of PKCS #8, or a header of the old form.
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
    // Room for all of it, so that no copy of a key is left behind where it grows.
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

/// Reads certificates, one at least, each of which can be parsed.
#[cfg(feature = "simulator")]
pub(crate) fn certificates_from_pem(pem: &[u8]) -> Result<Vec<Vec<u8>>, CertificateError> {
    let certificates = certificates(pem)?;
    if certificates.is_empty() {
        return Err(CertificateError::NoCertificate);
    }
    chain::parse_each(&certificates)?;
    Ok(certificates.iter().map(|der| der.to_vec()).collect())
}
