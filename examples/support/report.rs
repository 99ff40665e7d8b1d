//! An assignment, told to people and to programs.

use azure_iot_dps::assignment::Substatus;
use azure_iot_dps::identity::{DeviceId, HubName};
use azure_iot_dps::{Assignment, RegistrationId};
use serde::Serialize;
use serde_json::value::RawValue;

use super::Result;

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

/// As the service names the fields.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Output<'a> {
    registration_id: &'a RegistrationId,
    assigned_hub: &'a HubName,
    device_id: &'a DeviceId,
    status: &'a str,
    substatus: Option<&'a str>,
    created_date_time_utc: Option<&'a str>,
    last_updated_date_time_utc: Option<&'a str>,
    etag: Option<&'a str>,
    payload: Option<&'a RawValue>,
}

pub fn as_json(assignment: &Assignment) -> Result<String> {
    let json = serde_json::to_string(&Output {
        registration_id: assignment.registration_id(),
        assigned_hub: assignment.hub(),
        device_id: assignment.device_id(),
        status: "assigned",
        substatus: assignment.substatus().map(Substatus::as_str),
        created_date_time_utc: assignment.created_at(),
        last_updated_date_time_utc: assignment.updated_at(),
        etag: assignment.etag(),
        payload: assignment.payload()?,
    })?;
    Ok(json + "\n")
}
