//! The certificates that a server presents, and the root at which they end.

use azure_iot_dps::Roots;
use azure_iot_dps::time::UnixTime;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::name::Name;

/// A certificate that was presented or is trusted.
pub(crate) struct Seen(Certificate);

impl Seen {
    fn parse(der: &[u8]) -> Option<Self> {
        Certificate::from_der(der).ok().map(Self)
    }

    fn subject_name(&self) -> &Name {
        self.0.tbs_certificate().subject()
    }

    fn issuer_name(&self) -> &Name {
        self.0.tbs_certificate().issuer()
    }

    pub(crate) fn subject(&self) -> String {
        shown(self.subject_name())
    }

    pub(crate) fn issuer(&self) -> String {
        shown(self.issuer_name())
    }

    pub(crate) fn not_before(&self) -> UnixTime {
        UnixTime::from_secs(self.0.tbs_certificate().validity().not_before.to_unix_duration().as_secs())
    }

    pub(crate) fn not_after(&self) -> UnixTime {
        UnixTime::from_secs(self.0.tbs_certificate().validity().not_after.to_unix_duration().as_secs())
    }
}

fn shown(name: &Name) -> String {
    if name.is_empty() { "(no name)".into() } else { name.to_string() }
}

/// A chain as it was presented, leaf first.
pub(crate) struct Chain {
    /// `None` stands for a certificate that cannot be read.
    certificates: Vec<Option<Seen>>,
    /// The trusted root that has the name of an issuer.
    root: Option<Seen>,
}

impl Chain {
    pub(crate) fn new(presented: &[CertificateDer<'_>], roots: &Roots) -> Self {
        let certificates: Vec<_> = presented.iter().map(|der| Seen::parse(der)).collect();
        let root = find_root(&certificates, roots);
        Self { certificates, root }
    }

    fn readable(&self) -> impl Iterator<Item = &Seen> {
        self.certificates.iter().flatten()
    }

    /// Forgets the root, which has the name of an issuer and another key. Returns whether there
    /// was one.
    pub(crate) fn forget_root(&mut self) -> bool {
        self.root.take().is_some()
    }

    /// Returns the name of the last certificate's issuer.
    pub(crate) fn last_issuer(&self) -> Option<String> {
        self.readable().last().map(Seen::issuer)
    }

    /// Returns the time nearest to this one at which all certificates are valid.
    pub(crate) fn nearest_valid_time(&self, now: UnixTime) -> Option<UnixTime> {
        let begin = self.readable().map(Seen::not_before).max()?;
        let end = self.readable().map(Seen::not_after).min()?;
        (begin <= end).then(|| now.clamp(begin, end))
    }

    /// Describes each certificate in a few lines: who issued what, and until when it is valid.
    pub(crate) fn to_text(&self) -> String {
        let mut lines = Vec::new();
        for (number, certificate) in (1..).zip(&self.certificates) {
            let Some(certificate) = certificate else {
                lines.push(format!("{number}. a certificate that cannot be read"));
                continue;
            };
            lines.push(format!("{number}. {}", certificate.subject()));
            lines.push(format!("   issued by {}", certificate.issuer()));
            lines.push(format!("   valid from {} until {}", certificate.not_before(), certificate.not_after()));
        }
        if let Some(root) = &self.root {
            lines.push(format!("trusted root: {}, until {}", root.subject(), root.not_after()));
        }
        lines.join("\n")
    }

    pub(crate) fn to_json(&self) -> Value {
        let describe = |certificate: &Option<Seen>| match certificate {
            None => Value::Null,
            Some(certificate) => json!({
                "subject": certificate.subject(),
                "issuer": certificate.issuer(),
                "not_before": certificate.not_before().to_string(),
                "not_after": certificate.not_after().to_string(),
            }),
        };
        self.certificates.iter().map(describe).collect()
    }

    pub(crate) fn root_to_json(&self) -> Value {
        self.root.as_ref().map_or(Value::Null, |root| root.subject().into())
    }
}

/// Follows the issuers from the leaf to the first one that is a trusted root. This compares names
/// only: the verifier has checked the signatures.
fn find_root(presented: &[Option<Seen>], roots: &Roots) -> Option<Seen> {
    let trusted: Vec<Seen> = roots.certificates().filter_map(Seen::parse).collect();
    let mut current = presented.first()?.as_ref()?;
    for _ in presented {
        let issuer = current.issuer_name();
        if let Some(position) = trusted.iter().position(|root| root.subject_name() == issuer) {
            return trusted.into_iter().nth(position);
        }
        current = presented.iter().flatten().find(|certificate| certificate.subject_name() == issuer)?;
    }
    None
}
