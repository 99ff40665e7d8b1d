//! Results as text and as JSON.

use azure_iot_dps::{Assignment, Error};
use serde::Serialize;

use super::{Result, sentence};

pub fn as_words(assignment: &Assignment) -> String {
    let mut text = format!("assigned hub: {}\ndevice ID:    {}\n", assignment.hub(), assignment.device_id());
    if let Some(substatus) = assignment.substatus() {
        text.extend(["substatus:    ", substatus.as_str(), "\n"]);
    }
    if let Some(payload) = assignment.payload_json() {
        text.extend(["payload:      ", payload, "\n"]);
    }
    text
}

/// Returns the assignment as JSON, with the service's names of the fields.
pub fn as_json(assignment: &Assignment) -> Result<String> {
    Ok(serde_json::to_string(assignment)? + "\n")
}

/// Returns an error as JSON.
pub fn failure_as_json(error: &(dyn std::error::Error + 'static)) -> Result<String> {
    let of_client = error.downcast_ref::<Error>();
    let failure = Failure {
        status: "failed",
        error: sentence(error),
        is_transient: of_client.is_some_and(Error::is_transient),
        retry_after_seconds: of_client
            .and_then(Error::retry_after)
            .map(|pause| pause.as_secs().saturating_add(u64::from(pause.subsec_nanos() > 0))),
        remedy: of_client.map(Error::remedy),
        http_status: of_client.and_then(Error::status),
        error_code: of_client.and_then(Error::error_code),
        tracking_id: of_client.and_then(Error::tracking_id),
        request_id: of_client.and_then(Error::request_id),
        timestamp: of_client.and_then(Error::timestamp),
    };
    Ok(serde_json::to_string(&failure)? + "\n")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure<'a> {
    status: &'static str,
    error: String,
    is_transient: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracking_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<&'a str>,
}
