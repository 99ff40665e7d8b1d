//! The JSON of the device API, both ways. Unknown fields are ignored. A field that is null, of another type than expected, or an
//! empty string counts as absent.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// A string of an answer, borrowed unless it had to be unescaped. Never empty in a field.
#[derive(Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// Any body that the service sends: an operation status, or an error.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Body<'a> {
    #[serde(borrow, deserialize_with = "lenient")]
    pub(crate) operation_id: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient")]
    pub(crate) status: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient_object")]
    pub(crate) registration_state: Option<RegistrationState<'a>>,

    #[serde(deserialize_with = "error_code")]
    pub(crate) error_code: Option<u32>,
    #[serde(borrow, deserialize_with = "lenient")]
    pub(crate) tracking_id: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient")]
    pub(crate) message: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient")]
    pub(crate) timestamp_utc: Option<Text<'a>>,
}

/// The result of a registration.
#[derive(Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct RegistrationState<'a> {
    #[serde(borrow, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) assigned_hub: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) device_id: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) substatus: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) created_date_time_utc: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) last_updated_date_time_utc: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) payload: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "lenient_object", skip_serializing_if = "Option::is_none")]
    pub(crate) symmetric_key: Option<SymmetricKey<'a>>,
    #[serde(borrow, deserialize_with = "lenient_object", skip_serializing_if = "Option::is_none")]
    pub(crate) x509: Option<X509<'a>>,
    #[serde(deserialize_with = "error_code", skip_serializing_if = "Option::is_none")]
    pub(crate) error_code: Option<u32>,
    #[serde(borrow, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) error_message: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) connection_profile: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient_list", skip_serializing_if = "Option::is_none")]
    pub(crate) issued_certificate_chain: Option<Vec<Text<'a>>>,
}

impl<'a> RegistrationState<'a> {
    /// The bare form, as a registration status lookup is answered.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        parse(bytes)
    }

    pub(crate) fn status(&self) -> Option<Status> {
        self.status.as_ref().map(|text| Status::parse(&text.0))
    }
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    // A list would be taken for the fields in order.
    let object = bytes.trim_ascii_start().starts_with(b"{");
    if object { serde_json::from_slice(bytes).ok() } else { None }
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct SymmetricKey<'a> {
    #[serde(borrow, deserialize_with = "lenient")]
    pub(crate) enrollment_group_id: Option<Text<'a>>,
}

/// What the service tells about a certificate that let a device in.
#[derive(Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct X509<'a> {
    #[serde(borrow, deserialize_with = "lenient_object", skip_serializing_if = "Option::is_none")]
    pub(crate) certificate_info: Option<CertificateInfo<'a>>,
    #[serde(borrow, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) enrollment_group_id: Option<Text<'a>>,
}

/// A certificate as the service describes it.
#[derive(Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct CertificateInfo<'a> {
    #[serde(borrow, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) subject_name: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) issuer_name: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) serial_number: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) sha1_thumbprint: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) sha256_thumbprint: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) not_before_utc: Option<Text<'a>>,
    #[serde(borrow, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) not_after_utc: Option<Text<'a>>,
}

/// A field of another type than expected is as good as missing: a change at the service that does not matter to a device
/// must not keep it from its hub.
fn lenient<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let json: Option<&'de RawValue> = Option::deserialize(deserializer)?;
    let json = json.map(RawValue::get).filter(|json| *json != EMPTY);
    Ok(json.and_then(|json| serde_json::from_str(json).ok()))
}

/// Reads an object leniently.
fn lenient_object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let json: Option<&'de RawValue> = Option::deserialize(deserializer)?;
    Ok(json.and_then(|json| parse(json.get().as_bytes())))
}

/// Reads a list of strings leniently.
fn lenient_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Text<'de>>>, D::Error> {
    let list: Option<Vec<Text<'de>>> = lenient(deserializer)?;
    Ok(list.map(|list| list.into_iter().filter(|text| !text.0.is_empty()).collect()))
}

/// An empty string, which no field of the service means.
const EMPTY: &str = "\"\"";

/// A number, in quotes or not.
fn error_code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let json: Option<&'de RawValue> = Option::deserialize(deserializer)?;
    Ok(json.and_then(|json| json.get().trim_matches('"').parse().ok()))
}

impl<'a> Body<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        parse(bytes)
    }

    /// The error code, wherever it stands.
    pub(crate) fn any_error_code(&self) -> Option<u32> {
        self.error_code.or_else(|| self.registration_state.as_ref()?.error_code)
    }

    /// The status of the registration, wherever it stands.
    pub(crate) fn status(&self) -> Option<Status> {
        let outer = self.status.as_ref().map(|text| Status::parse(&text.0));
        outer.or_else(|| self.registration_state.as_ref()?.status())
    }
}

/// How far a registration has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Unassigned,
    Assigning,
    Assigned,
    Failed,
    Disabled,
    /// One that came after this was written.
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

/// The body of a register request.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Register<'a> {
    pub(crate) registration_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) payload: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) csr: Option<&'a str>,
}

impl Register<'_> {
    /// As bytes. Strings and raw JSON always serialize; an empty body would be refused by the service.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let written = serde_json::to_string(&body.registration_state.as_ref().expect("is there")).expect("serializes");
        assert_eq!(written, "{}");
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
