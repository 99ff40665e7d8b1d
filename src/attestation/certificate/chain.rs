//! Reads a device's certificate, and checks that the certificates after it form its chain.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::name::Name;

use super::error::CertificateError;
use crate::time::UnixTime;

/// The facts about the leaf that the crate reports.
pub(super) struct Leaf {
    pub(super) common_name: Box<str>,
    pub(super) not_before: UnixTime,
    pub(super) not_after: UnixTime,
    /// Whether the leaf names itself as its issuer.
    pub(super) self_issued: bool,
}

impl Leaf {
    /// Reads the leaf of a chain, and checks by name that the next certificate issued each one.
    pub(super) fn of(chain: &[CertificateDer<'static>]) -> Result<Self, CertificateError> {
        let certificates = parse_each(chain)?;
        let names: Vec<(&Name, &Name)> = certificates
            .iter()
            .map(|certificate| (certificate.tbs_certificate().subject(), certificate.tbs_certificate().issuer()))
            .collect();
        for (number, pair) in (1..).zip(names.windows(2)) {
            let [(_, issuer), (next, _)] = pair else { continue };
            if issuer == next {
                continue;
            }
            let elsewhere = names.iter().any(|(subject, _)| subject == issuer);
            return Err(if elsewhere {
                CertificateError::OutOfOrder { number }
            } else {
                CertificateError::IssuerMissing { number, issuer: issuer.to_string().into() }
            });
        }
        let leaf = certificates.first().ok_or(CertificateError::NoCertificate)?.tbs_certificate();
        let common_name = leaf.subject().common_name().ok().flatten().ok_or(CertificateError::NoCommonName)?;
        let time = |time: x509_cert::time::Time| UnixTime::from_secs(time.to_unix_duration().as_secs());
        Ok(Self {
            common_name: common_name.value().into(),
            not_before: time(leaf.validity().not_before),
            not_after: time(leaf.validity().not_after),
            self_issued: leaf.subject() == leaf.issuer(),
        })
    }
}

/// Parses all certificates of a chain.
pub(super) fn parse_each(chain: &[CertificateDer<'static>]) -> Result<Vec<Certificate>, CertificateError> {
    let parse = |(der, number): (&CertificateDer<'static>, usize)| {
        Certificate::from_der(der).map_err(|_| CertificateError::Certificate { number })
    };
    chain.iter().zip(1..).map(parse).collect()
}
