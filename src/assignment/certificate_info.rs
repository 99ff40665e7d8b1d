//! The certificate that the device proved its identity with, as the service describes it.

use alloc::boxed::Box;

use crate::protocol::json::{self, ObjectWriter, Text};

/// The certificate that the device proved its identity with. Every field may be missing.
///
/// ```
/// use azure_iot_dps::Assignment;
///
/// fn issuer(assignment: &Assignment) -> Option<&str> {
///     assignment.certificate_info()?.issuer_name()
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateInfo {
    subject_name: Option<Box<str>>,
    issuer_name: Option<Box<str>>,
    serial_number: Option<Box<str>>,
    sha1_thumbprint: Option<Box<str>>,
    sha256_thumbprint: Option<Box<str>>,
    not_before: Option<Box<str>>,
    not_after: Option<Box<str>>,
}

impl CertificateInfo {
    pub(super) fn from_json(info: &json::CertificateInfo<'_>) -> Self {
        let text = |field: &Option<Text<'_>>| field.as_ref().map(|text| Box::from(&*text.0));
        Self {
            subject_name: text(&info.subject_name),
            issuer_name: text(&info.issuer_name),
            serial_number: text(&info.serial_number),
            sha1_thumbprint: text(&info.sha1_thumbprint),
            sha256_thumbprint: text(&info.sha256_thumbprint),
            not_before: text(&info.not_before_utc),
            not_after: text(&info.not_after_utc),
        }
    }

    /// Writes the JSON fields as the service does.
    pub(super) fn write(&self, info: &mut ObjectWriter) {
        info.text("subjectName", self.subject_name());
        info.text("issuerName", self.issuer_name());
        info.text("serialNumber", self.serial_number());
        info.text("sha1Thumbprint", self.sha1_thumbprint());
        info.text("sha256Thumbprint", self.sha256_thumbprint());
        info.text("notBeforeUtc", self.not_before());
        info.text("notAfterUtc", self.not_after());
    }

    /// Returns the subject of the device's certificate, such as `CN=my-device`.
    #[must_use]
    pub fn subject_name(&self) -> Option<&str> {
        self.subject_name.as_deref()
    }

    /// Returns the name of the certificate's issuer.
    #[must_use]
    pub fn issuer_name(&self) -> Option<&str> {
        self.issuer_name.as_deref()
    }

    /// Returns the serial number, in hexadecimal digits.
    #[must_use]
    pub fn serial_number(&self) -> Option<&str> {
        self.serial_number.as_deref()
    }

    /// Returns the SHA-1 hash of the certificate, in hexadecimal digits.
    #[must_use]
    pub fn sha1_thumbprint(&self) -> Option<&str> {
        self.sha1_thumbprint.as_deref()
    }

    /// Returns the SHA-256 hash of the certificate, in hexadecimal digits.
    #[must_use]
    pub fn sha256_thumbprint(&self) -> Option<&str> {
        self.sha256_thumbprint.as_deref()
    }

    /// Returns when the certificate becomes valid, as the service writes it.
    #[must_use]
    pub fn not_before(&self) -> Option<&str> {
        self.not_before.as_deref()
    }

    /// Returns when the certificate expires, as the service writes it.
    #[must_use]
    pub fn not_after(&self) -> Option<&str> {
        self.not_after.as_deref()
    }
}
