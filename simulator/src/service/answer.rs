//! The answers of the service and the hub, independent of a protocol, and the JSON of the service.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::hub_state::Message;
use crate::ids::etag;
use crate::service::description::CertificateDescription;
use crate::service::device::{Device, Outcome};
use crate::wire::timestamp;

/// An answer: the status, the body, and what some protocols send beside them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// The JSON of the body, which may be empty.
    pub(crate) json: Vec<u8>,
    /// A message for the device, instead of JSON.
    pub(crate) message: Option<Message>,
    pub(crate) error_code: Option<ErrorCode>,
    /// The accepted registration, as `{registrationId}/operations/{operationId}`.
    pub(crate) location: Option<String>,
    pub(crate) request_id: String,
    /// The time of the answer, since 1970.
    pub(crate) date: Duration,
}

/// The error code that is sent in addition to the one in the body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ErrorCode {
    Service(u32),
    Hub(&'static str),
}

impl Answer {
    /// Creates an answer with a JSON body.
    ///
    /// The types of the simulator always serialize. An empty body would show that one did not.
    pub(super) fn json<T: Serialize>(status: u16, body: &T) -> Self {
        Self { status, json: serde_json::to_vec(body).unwrap_or_default(), ..Self::default() }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self { status, ..Self::default() }
    }
}

/// An error in the format of the service.
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) code: u32,
    pub(super) message: &'static str,
    pub(super) retry_after: Option<Duration>,
}

impl Refused {
    pub(super) const fn new(code: u32, message: &'static str) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "codes have six digits, their first three are an HTTP status"
        )]
        Self { status: (code / 1000) as u16, code, message, retry_after: None }
    }

    pub(super) fn answer(&self, request_id: &str, now: Duration) -> Answer {
        let Self { status, code, message, retry_after } = *self;
        let body = ErrorBody { error_code: code, tracking_id: request_id, message, timestamp_utc: &timestamp(now) };
        Answer { retry_after, error_code: Some(ErrorCode::Service(code)), ..Answer::json(status, &body) }
    }
}

pub(super) const BAD_REQUEST: u32 = 400_000;
/// The code for a body with a member that the API does not know.
pub(super) const UNKNOWN_MEMBER: u32 = 400_012;
pub(super) const UNAUTHORIZED: u32 = 401_002;
/// The code for an unknown registration.
pub(super) const NOT_FOUND: u32 = 404_201;
pub(super) const NO_SUCH_OPERATION: u32 = 404_202;
pub(super) const METHOD_NOT_ALLOWED: u32 = 405_000;
pub(super) const TOO_LARGE: u32 = 413_000;
pub(super) const NOT_JSON: u32 = 415_000;
pub(super) const THROTTLED: u32 = 429_001;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorBody<'a> {
    error_code: u32,
    tracking_id: &'a str,
    message: &'a str,
    timestamp_utc: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusBody<'a> {
    operation_id: &'a str,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_state: Option<StateBody<'a>>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct StateBody<'a> {
    registration_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_date_time_utc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assigned_hub: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<&'a str>,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    substatus: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_updated_date_time_utc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_profile: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    symmetric_key: Option<SymmetricKeyBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x509: Option<X509Body<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_certificate_chain: Option<&'a [String]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct X509Body<'a> {
    certificate_info: &'a CertificateDescription,
    #[serde(skip_serializing_if = "Option::is_none")]
    enrollment_group_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SymmetricKeyBody<'a> {
    enrollment_group_id: &'a str,
}

/// The first version of the device API whose results have a connection profile.
const PROFILE_API_VERSION: &str = "2026-11-02";

/// Returns the answer to an accepted registration.
pub(super) fn registering(device: &Device, retry_after: Option<Duration>) -> Answer {
    under_way(device, &device.operation_id, None, retry_after)
}

/// Returns the answer to a poll of a registration that is in progress.
pub(super) fn assigning(device: &Device, operation_id: &str, retry_after: Option<Duration>) -> Answer {
    let registration_id = device.registration_id.as_str();
    let state = StateBody { registration_id, status: ASSIGNING, ..StateBody::default() };
    under_way(device, operation_id, Some(state), retry_after)
}

const ASSIGNING: &str = "assigning";

fn under_way(
    device: &Device,
    operation_id: &str,
    state: Option<StateBody<'_>>,
    retry_after: Option<Duration>,
) -> Answer {
    let body = StatusBody { operation_id, status: ASSIGNING, registration_state: state };
    let location = Some(format!("{}/operations/{operation_id}", device.registration_id));
    Answer { retry_after, location, ..Answer::json(202, &body) }
}

/// Returns the answer to a poll of a registration that has ended.
pub(super) fn ended(device: &Device, operation_id: &str, api_version: &str) -> Answer {
    let registration_state = Some(state_of(device, &device.outcome, api_version));
    let status = status_text(&device.outcome);
    Answer::json(200, &StatusBody { operation_id, status, registration_state })
}

/// Returns the answer to a status lookup: the bare result, without certificates.
pub(super) fn result(device: &Device, outcome: &Outcome, api_version: &str) -> Answer {
    Answer::json(200, &StateBody { issued_certificate_chain: None, ..state_of(device, outcome, api_version) })
}

fn status_text(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Assigned { .. } => "assigned",
        Outcome::Failed(_) => "failed",
        Outcome::Disabled => "disabled",
    }
}

fn state_of<'a>(device: &'a Device, outcome: &'a Outcome, api_version: &str) -> StateBody<'a> {
    let (group, certificate) = (device.group.as_deref(), device.certificate.as_ref());
    let mut state = StateBody {
        registration_id: device.registration_id.as_str(),
        created_date_time_utc: Some(timestamp(device.created)),
        assigned_hub: None,
        device_id: None,
        status: status_text(outcome),
        substatus: None,
        error_code: None,
        error_message: None,
        last_updated_date_time_utc: Some(timestamp(device.updated)),
        etag: Some(etag(&[b"etag", device.operation_id.as_bytes()])),
        payload: device.payload.as_deref(),
        connection_profile: None,
        symmetric_key: group.filter(|_| certificate.is_none()).map(|id| SymmetricKeyBody { enrollment_group_id: id }),
        x509: certificate.map(|certificate_info| X509Body { certificate_info, enrollment_group_id: group }),
        issued_certificate_chain: device.certificates.as_deref(),
    };
    match outcome {
        Outcome::Assigned { hub, substatus } => {
            state.assigned_hub = Some(hub.as_str());
            state.device_id = Some(device.device_id.as_str());
            state.substatus = Some(substatus);
            state.connection_profile = (api_version >= PROFILE_API_VERSION).then_some("classic");
        }
        Outcome::Failed(failure) => {
            state.error_code = Some(failure.code);
            state.error_message = Some(&failure.message);
        }
        Outcome::Disabled => {}
    }
    state
}
