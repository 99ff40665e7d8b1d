//! The answers of the provisioning service, in its own format.

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use core::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::protocol::http_date;
use crate::simulator::device::{Device, Outcome};
use crate::simulator::forms::{timestamp, uuid};
use crate::simulator::http::HttpAnswer;
use crate::time::UnixTime;

/// An error in the service's own format.
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
}

pub(super) const BAD_REQUEST: u32 = 400_000;
pub(super) const UNAUTHORIZED: u32 = 401_002;
pub(super) const NOT_FOUND: u32 = 404_201;
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
pub(super) struct StatusBody<'a> {
    pub(super) operation_id: &'a str,
    pub(super) status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) registration_state: Option<StateBody<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StateBody<'a> {
    registration_id: &'a str,
    created_date_time_utc: String,
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
    last_updated_date_time_utc: String,
    etag: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    symmetric_key: Option<SymmetricKeyBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_certificate_chain: Option<&'a [String]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SymmetricKeyBody<'a> {
    enrollment_group_id: &'a str,
}

pub(super) fn status(device: &Device) -> HttpAnswer {
    let registration_state = Some(state_of(device, &device.outcome));
    HttpAnswer::json(
        200,
        &StatusBody { operation_id: &device.operation_id, status: status_text(&device.outcome), registration_state },
    )
}

fn status_text(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Assigned { .. } => "assigned",
        Outcome::Failed(_) => "failed",
        Outcome::Disabled => "disabled",
    }
}

pub(super) fn state_of<'a>(device: &'a Device, outcome: &'a Outcome) -> StateBody<'a> {
    let mut state = StateBody {
        registration_id: device.registration_id.as_str(),
        created_date_time_utc: timestamp(device.created),
        assigned_hub: None,
        device_id: None,
        status: status_text(outcome),
        substatus: None,
        error_code: None,
        error_message: None,
        last_updated_date_time_utc: timestamp(device.updated),
        etag: uuid(&[b"etag", device.operation_id.as_bytes()]),
        payload: device.payload.as_deref(),
        symmetric_key: device.group.as_deref().map(|enrollment_group_id| SymmetricKeyBody { enrollment_group_id }),
        issued_certificate_chain: device.certificates.as_deref(),
    };
    match outcome {
        Outcome::Assigned { hub, substatus } => {
            state.assigned_hub = Some(hub.as_str());
            state.device_id = Some(device.device_id.as_str());
            state.substatus = Some(substatus);
        }
        Outcome::Failed(failure) => {
            state.error_code = Some(failure.code);
            state.error_message = Some(&failure.message);
        }
        Outcome::Disabled => {}
    }
    state
}

pub(super) fn refusal(refused: &Refused, request_id: &str, now: Duration) -> HttpAnswer {
    let Refused { status, code, message, retry_after } = *refused;
    let body = ErrorBody { error_code: code, tracking_id: request_id, message, timestamp_utc: &timestamp(now) };
    let answer = HttpAnswer::json(status, &body).with_header("x-ms-error-code", code.to_string());
    with_retry_after(answer, retry_after)
}

pub(super) fn with_retry_after(answer: HttpAnswer, retry_after: Option<Duration>) -> HttpAnswer {
    match retry_after {
        Some(delay) => answer.with_header("Retry-After", delay.as_secs().to_string()),
        None => answer,
    }
}

/// With the headers that every answer of the service has.
pub(super) fn complete(answer: HttpAnswer, request_id: String, date: Duration) -> HttpAnswer {
    answer
        .with_header("Date", http_date(UnixTime::from_secs(date.as_secs())))
        .with_header("x-ms-request-id", request_id)
        .with_header("Strict-Transport-Security", "max-age=31536000; includeSubDomains".to_owned())
}
