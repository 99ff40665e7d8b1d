//! The JSON of the device API, read and written.
//!
//! Unknown fields are ignored. A field counts as absent if it is `null`, an empty string or of an
//! unexpected type.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::fields::list;
pub(crate) use super::fields::{Slot, Text, read};
pub(crate) use super::write::ObjectWriter;

/// A body that the service sends: an operation status or an error.
#[derive(Default)]
pub(crate) struct Body<'a> {
    pub(crate) operation_id: Option<Text<'a>>,
    pub(crate) status: Option<Text<'a>>,
    pub(crate) registration_state: Option<RegistrationState<'a>>,
    pub(crate) error_code: Option<u32>,
    pub(crate) tracking_id: Option<Text<'a>>,
    pub(crate) message: Option<Text<'a>>,
    pub(crate) timestamp_utc: Option<Text<'a>>,
}

/// The result of a registration.
#[derive(Default)]
pub(crate) struct RegistrationState<'a> {
    pub(crate) assigned_hub: Option<Text<'a>>,
    pub(crate) device_id: Option<Text<'a>>,
    pub(crate) status: Option<Text<'a>>,
    pub(crate) substatus: Option<Text<'a>>,
    pub(crate) created_date_time_utc: Option<Text<'a>>,
    pub(crate) last_updated_date_time_utc: Option<Text<'a>>,
    pub(crate) etag: Option<Text<'a>>,
    pub(crate) payload: Option<&'a str>,
    pub(crate) symmetric_key: Option<SymmetricKey<'a>>,
    pub(crate) x509: Option<Box<X509<'a>>>,
    pub(crate) error_code: Option<u32>,
    pub(crate) error_message: Option<Text<'a>>,
    pub(crate) connection_profile: Option<Text<'a>>,
    pub(crate) issued_certificate_chain: Option<Vec<Text<'a>>>,
}

impl<'a> RegistrationState<'a> {
    /// Parses a registration state without an enclosing body, the answer to a status lookup.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut state = Self::default();
        state.read(bytes)?;
        Some(state)
    }

    /// Reads in place, because a copy takes much of a small board's stack.
    #[inline(never)]
    fn read(&mut self, bytes: &'a [u8]) -> Option<()> {
        let (mut symmetric_key, mut x509, mut chain) = (None, None, None);
        let fields = &mut [
            ("assignedHub", Slot::Text(&mut self.assigned_hub)),
            ("deviceId", Slot::Text(&mut self.device_id)),
            ("status", Slot::Text(&mut self.status)),
            ("substatus", Slot::Text(&mut self.substatus)),
            ("createdDateTimeUtc", Slot::Text(&mut self.created_date_time_utc)),
            ("lastUpdatedDateTimeUtc", Slot::Text(&mut self.last_updated_date_time_utc)),
            ("etag", Slot::Text(&mut self.etag)),
            ("payload", Slot::Json(&mut self.payload)),
            ("errorCode", Slot::Number(&mut self.error_code)),
            ("errorMessage", Slot::Text(&mut self.error_message)),
            ("connectionProfile", Slot::Text(&mut self.connection_profile)),
            ("symmetricKey", Slot::Json(&mut symmetric_key)),
            ("x509", Slot::Json(&mut x509)),
            ("issuedCertificateChain", Slot::Json(&mut chain)),
        ];
        read(bytes, fields)?;
        self.symmetric_key = symmetric_key.and_then(SymmetricKey::parse);
        self.x509 = x509.and_then(X509::parse).map(Box::new);
        self.issued_certificate_chain = chain.and_then(texts);
        Some(())
    }

    pub(crate) fn status(&self) -> Option<Status> {
        self.status.as_ref().map(|text| Status::parse(&text.0))
    }
}

/// Reads a list of strings, without the empty ones.
///
/// Returns `None` if an item is not a string.
fn texts(json: &str) -> Option<Vec<Text<'_>>> {
    let mut texts = Vec::new();
    list(json.as_bytes(), &mut |json| {
        texts.extend(Some(Text::parse(json)?).filter(|text| !text.0.is_empty()));
        Some(())
    })?;
    Some(texts)
}

#[derive(Default)]
pub(crate) struct SymmetricKey<'a> {
    pub(crate) enrollment_group_id: Option<Text<'a>>,
}

impl<'a> SymmetricKey<'a> {
    fn parse(json: &'a str) -> Option<Self> {
        let mut key = Self::default();
        read(json.as_bytes(), &mut [("enrollmentGroupId", Slot::Text(&mut key.enrollment_group_id))])?;
        Some(key)
    }
}

/// The service's data about the certificate that it accepted.
#[derive(Default)]
pub(crate) struct X509<'a> {
    pub(crate) certificate_info: Option<CertificateInfo<'a>>,
    pub(crate) enrollment_group_id: Option<Text<'a>>,
}

impl<'a> X509<'a> {
    #[inline(never)] // Inlined, its fields would enlarge the caller's stack frame.
    fn parse(json: &'a str) -> Option<Self> {
        let (mut x509, mut info) = (Self::default(), None);
        let fields = &mut [
            ("certificateInfo", Slot::Json(&mut info)),
            ("enrollmentGroupId", Slot::Text(&mut x509.enrollment_group_id)),
        ];
        read(json.as_bytes(), fields)?;
        x509.certificate_info = info.and_then(CertificateInfo::parse);
        Some(x509)
    }
}

/// The service's description of a certificate.
#[derive(Default)]
pub(crate) struct CertificateInfo<'a> {
    pub(crate) subject_name: Option<Text<'a>>,
    pub(crate) issuer_name: Option<Text<'a>>,
    pub(crate) serial_number: Option<Text<'a>>,
    pub(crate) sha1_thumbprint: Option<Text<'a>>,
    pub(crate) sha256_thumbprint: Option<Text<'a>>,
    pub(crate) not_before_utc: Option<Text<'a>>,
    pub(crate) not_after_utc: Option<Text<'a>>,
}

impl<'a> CertificateInfo<'a> {
    fn parse(json: &'a str) -> Option<Self> {
        let mut info = Self::default();
        let fields = &mut [
            ("subjectName", Slot::Text(&mut info.subject_name)),
            ("issuerName", Slot::Text(&mut info.issuer_name)),
            ("serialNumber", Slot::Text(&mut info.serial_number)),
            ("sha1Thumbprint", Slot::Text(&mut info.sha1_thumbprint)),
            ("sha256Thumbprint", Slot::Text(&mut info.sha256_thumbprint)),
            ("notBeforeUtc", Slot::Text(&mut info.not_before_utc)),
            ("notAfterUtc", Slot::Text(&mut info.not_after_utc)),
        ];
        read(json.as_bytes(), fields)?;
        Some(info)
    }
}

impl<'a> Body<'a> {
    #[cfg(test)]
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut body = Self::default();
        body.read(bytes)?;
        Some(body)
    }

    /// Reads in place. A body that is not JSON of the device API leaves all fields empty.
    #[inline(never)]
    pub(crate) fn read(&mut self, bytes: &'a [u8]) -> Option<()> {
        let mut state = None;
        let fields = &mut [
            ("operationId", Slot::Text(&mut self.operation_id)),
            ("status", Slot::Text(&mut self.status)),
            ("registrationState", Slot::Json(&mut state)),
            ("errorCode", Slot::Number(&mut self.error_code)),
            ("trackingId", Slot::Text(&mut self.tracking_id)),
            ("message", Slot::Text(&mut self.message)),
            ("timestampUtc", Slot::Text(&mut self.timestamp_utc)),
        ];
        if read(bytes, fields).is_none() {
            *self = Self::default();
            return None;
        }
        if let Some(json) = state
            && self.registration_state.get_or_insert_default().read(json.as_bytes()).is_none()
        {
            self.registration_state = None;
        }
        Some(())
    }

    /// Returns the error code of the body, or else of the registration state.
    pub(crate) fn any_error_code(&self) -> Option<u32> {
        self.error_code.or_else(|| self.registration_state.as_ref()?.error_code)
    }

    /// Returns the status of the body, or else of the registration state.
    pub(crate) fn status(&self) -> Option<Status> {
        let outer = self.status.as_ref().map(|text| Status::parse(&text.0));
        outer.or_else(|| self.registration_state.as_ref()?.status())
    }
}

/// The status of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Unassigned,
    Assigning,
    Assigned,
    Failed,
    Disabled,
    /// A status that this version does not know.
    Unknown,
}

impl Status {
    fn parse(text: &str) -> Self {
        match text {
            "unassigned" => Self::Unassigned,
            "assigning" => Self::Assigning,
            "assigned" => Self::Assigned,
            "failed" => Self::Failed,
            "disabled" => Self::Disabled,
            _ => Self::Unknown,
        }
    }
}

/// Returns the body of a register request. `payload` is JSON.
pub(crate) fn register(registration_id: &str, payload: Option<&str>, csr: Option<&str>) -> Vec<u8> {
    let body = ObjectWriter::write(|body| {
        body.text("registrationId", Some(registration_id));
        body.json("payload", payload);
        body.text("csr", csr);
    });
    body.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::borrow::Cow;

    #[test]
    fn a_body_of_nulls_is_a_body_without_fields() {
        let body = Body::parse(
            br#"{"operationId":null,"status":null,"registrationState":null,"errorCode":null,"message":null}"#,
        );
        let body = body.expect("parses");
        assert!(body.operation_id.is_none() && body.status().is_none() && body.error_code.is_none());
        let body = Body::parse(
            br#"{"registrationState":{"status":null,"payload":null,"symmetricKey":null,"assignedHub":null}}"#,
        );
        let state = body.expect("parses").registration_state.expect("is there");
        assert!(state.status.is_none() && state.payload.is_none() && state.symmetric_key.is_none());
    }

    #[test]
    fn a_field_of_a_type_that_makes_no_sense_is_as_good_as_missing() {
        let body = Body::parse(
            br#"{"status":"assigned","operationId":5,"message":{},"errorCode":"401002","registrationState":
                {"etag":5,"symmetricKey":"x","errorCode":-1,"assignedHub":"h.example","substatus":["a"]}}"#,
        );
        let body = body.expect("parses");
        assert!(body.operation_id.is_none() && body.message.is_none());
        assert_eq!((body.status(), body.error_code), (Some(Status::Assigned), Some(401_002)));
        let state = body.registration_state.expect("is there");
        assert!(
            state.etag.is_none()
                && state.symmetric_key.is_none()
                && state.error_code.is_none()
                && state.substatus.is_none()
        );
        assert_eq!(state.assigned_hub.map(|hub| hub.0).as_deref(), Some("h.example"));
    }

    #[test]
    fn an_empty_string_is_as_good_as_missing_in_every_field() {
        let fields = ["operationId", "status", "errorCode", "trackingId", "message", "timestampUtc"];
        let body = fields.map(|name| alloc::format!(r#""{name}":"""#)).join(",");
        let state = [
            "assignedHub",
            "deviceId",
            "status",
            "substatus",
            "createdDateTimeUtc",
            "lastUpdatedDateTimeUtc",
            "etag",
            "symmetricKey",
            "errorCode",
            "errorMessage",
            "connectionProfile",
            "issuedCertificateChain",
            "x509",
        ];
        let state = state.map(|name| alloc::format!(r#""{name}":"""#)).join(",");
        let json = alloc::format!(r#"{{{body},"registrationState":{{{state}}}}}"#);
        let body = Body::parse(json.as_bytes()).expect("parses");
        let state = body.registration_state.as_ref().expect("is there");
        let RegistrationState { assigned_hub, device_id, status, substatus, etag, error_message, .. } = state;
        assert!([assigned_hub, device_id, status, substatus, etag, error_message].iter().all(|text| text.is_none()));
        assert!(
            [&state.created_date_time_utc, &state.last_updated_date_time_utc, &state.connection_profile]
                .iter()
                .all(|text| text.is_none())
        );
        assert!(state.symmetric_key.is_none() && state.x509.is_none() && state.issued_certificate_chain.is_none());
        assert!(body.operation_id.is_none() && body.status().is_none() && body.any_error_code().is_none());
        assert!(body.tracking_id.is_none() && body.message.is_none() && body.timestamp_utc.is_none());
    }

    #[test]
    fn all_five_statuses_are_known_and_another_is_told_apart() {
        for (text, status) in [
            ("unassigned", Status::Unassigned),
            ("assigning", Status::Assigning),
            ("assigned", Status::Assigned),
            ("failed", Status::Failed),
            ("disabled", Status::Disabled),
            ("suspended", Status::Unknown),
        ] {
            let json = alloc::format!(r#"{{"status":"{text}"}}"#);
            assert_eq!(Body::parse(json.as_bytes()).and_then(|body| body.status()), Some(status));
        }
    }

    #[test]
    fn text_is_borrowed_from_the_answer_unless_it_is_escaped() {
        let body = Body::parse(br#"{"operationId":"5.3","status":"assign\u0065d"}"#).expect("parses");
        assert!(matches!(body.operation_id, Some(Text(Cow::Borrowed("5.3")))));
        assert_eq!(body.status(), Some(Status::Assigned));
    }

    #[test]
    fn json_that_is_60_000_levels_deep_does_not_overflow_the_stack() {
        let deep = alloc::format!("{}{}", "[".repeat(60_000), "]".repeat(60_000));
        let json = alloc::format!(r#"{{"status":"assigned","registrationState":{{"payload":{deep}}}}}"#);
        let _ = Body::parse(json.as_bytes());
        assert!(Body::parse(deep.as_bytes()).is_none());
        let unknown = alloc::format!(r#"{{"status":"assigned","unheardOf":{deep}}}"#);
        assert_eq!(Body::parse(unknown.as_bytes()).and_then(|body| body.status()), Some(Status::Assigned));
    }
}
