//! The check of the credential: a status lookup, which registers nothing and is not billed.

use std::time::Duration;

use azure_iot_dps::Error;

use crate::limits::Limits;
use crate::report::Check;
use crate::support::device::Device;
use crate::support::{Result, sentence};

/// Looks the device's assignment up. `knows_device` says that the service asked for credentials.
pub(crate) fn check(device: &Device, knows_device: bool, limits: Limits) -> Check {
    let complete = |check: Check| {
        let check = check.fact("registration_id", device.registration_id.as_str());
        check.fact("id_scope", device.id_scope.as_str())
    };
    let id = &device.registration_id;
    let check = match look_up(device, limits.look_up()) {
        Ok(Some((hub, device_id))) => {
            let check = Check::pass("credential", format!("{id} is assigned to {hub} as {device_id}"));
            check.fact("assigned", true).fact("hub", hub).fact("device_id", device_id)
        }
        Ok(None) if knows_device => {
            let detail = format!(
                "{id} has no assignment yet, and the credential was not refused. A lookup does not tell \
                 whether there is an enrollment"
            );
            Check::pass("credential", detail).fact("assigned", false)
        }
        Ok(None) => {
            let detail = format!(
                "the service answers 404 before it asks for credentials: it does not know the ID scope {}, or the \
                 registration ID {id}",
                device.id_scope
            );
            let what_to_do = "Correct the ID scope, which the overview of the DPS instance in the Azure \
                portal shows, or create an enrollment for this registration ID.";
            Check::fail("credential", detail, what_to_do).fact("assigned", false)
        }
        Err(error) => refused(device, &*error),
    };
    complete(check)
}

fn look_up(device: &Device, limit: Duration) -> Result<Option<(String, String)>> {
    let assignment = device.client()?.deadline(limit).build().status_lookup()?;
    Ok(assignment.map(|assignment| (assignment.hub().to_string(), assignment.device_id().to_string())))
}

fn refused(device: &Device, error: &(dyn std::error::Error + 'static)) -> Check {
    let Some(cause) = error.downcast_ref::<Error>() else {
        return Check::fail("credential", sentence(error), "Correct what the error names.");
    };
    let mut what_to_do = cause.remedy().to_owned();
    if cause.status() == Some(401) && device.key().is_ok_and(|key| key.len() == 64) {
        what_to_do.push_str(
            " This key has 64 bytes: if it is the key of an enrollment group, derive the device's key from it first.",
        );
    }
    let mut detail = sentence(error);
    // Most errors tell the IDs themselves.
    let mut ids = [cause.tracking_id(), cause.request_id()].into_iter().flatten();
    if ids.any(|id| !detail.contains(id)) {
        detail = format!("{detail}\nfor Azure's support: {}", cause.support_info());
    }
    let check = Check::fail("credential", detail, what_to_do).fact("status", cause.status());
    let check = check.fact("error_code", cause.error_code()).fact("tracking_id", cause.tracking_id());
    check.fact("request_id", cause.request_id())
}
