//! The description of a certificate in the answers of the service.

use serde::Serialize;

/// A certificate as the service describes it.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CertificateDescription {
    pub(super) subject_name: String,
    pub(super) sha1_thumbprint: String,
    pub(super) sha256_thumbprint: String,
    pub(super) issuer_name: String,
    pub(super) not_before_utc: String,
    pub(super) not_after_utc: String,
    pub(super) serial_number: String,
    pub(super) version: u32,
}
