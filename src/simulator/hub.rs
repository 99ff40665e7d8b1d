//! The IoT hub, as far as it takes messages over HTTPS: `POST /devices/{deviceId}/messages/events`.
//!
//! Source of the answers: Microsoft, "Understand and resolve Azure IoT Hub errors".

use alloc::string::String;
use core::time::Duration;

use serde::Serialize;

use crate::sas::SasToken;
use crate::simulator::http::{HttpAnswer, HttpRequest};
use crate::simulator::journal::Record;
use crate::simulator::service::Service;
use crate::time::UnixTime;

/// The largest message that a hub takes.
const LARGEST_MESSAGE: usize = 256 * 1024;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorBody<'a> {
    message: &'a str,
}

fn error(status: u16, code: &'static str, message: &'static str) -> HttpAnswer {
    HttpAnswer::json(status, &ErrorBody { message }).with_header("iothub-errorcode", code.into())
}

pub(super) fn answer(service: &mut Service, request: &HttpRequest<'_>, now: Duration) -> HttpAnswer {
    let unauthorized = || error(401, "IotHubUnauthorizedAccess", "ErrorCode:IotHubUnauthorizedAccess;Unauthorized");
    let segments = request.segments();
    let [_, device_id, messages, events] = &segments[..] else {
        return error(404, "NotFound", "ErrorCode:NotFound;Resource not found");
    };
    if (messages.as_str(), events.as_str()) != ("messages", "events") {
        return error(404, "NotFound", "ErrorCode:NotFound;Resource not found");
    }
    if request.method != "POST" {
        return error(405, "MethodNotAllowed", "ErrorCode:MethodNotAllowed;Method not allowed");
    }
    if request.parameter("api-version").is_none() {
        return error(400, "InvalidProtocolVersion", "ErrorCode:InvalidProtocolVersion;The api-version is missing");
    }
    let token = request.header("authorization").and_then(|token| SasToken::parse(token).ok());
    let Some(token) = token else { return unauthorized() };
    let Some(device) =
        service.devices().find(|device| device.device_id.as_str() == device_id && device.hub().is_some())
    else {
        return error(404, "DeviceNotFound", "ErrorCode:DeviceNotFound;The device is not known to this hub");
    };
    let (registration_id, device_id) = (device.registration_id.clone(), device.device_id.clone());
    let resource = device.hub().map(|hub| {
        let mut resource = String::from(hub.as_str());
        resource.extend(["/devices/", device_id.as_str()]);
        resource
    });
    let for_device = resource.is_some_and(|resource| token.resource_uri().eq_ignore_ascii_case(&resource));
    let good = for_device && token.key_name().is_none() && !token.is_expired_at(UnixTime::from_secs(now.as_secs()));
    if !good || !service.is_key_of(&registration_id, &token) {
        return unauthorized();
    }
    if request.body.len() > LARGEST_MESSAGE {
        return error(413, "MessageTooLarge", "ErrorCode:MessageTooLarge;The message is too large");
    }
    if !service.count_message() {
        return error(
            403,
            "IotHubQuotaExceeded",
            "ErrorCode:IotHubQuotaExceeded;The daily quota of messages is used up (403002)",
        );
    }
    let at = UnixTime::from_secs(now.as_secs());
    service.journal().write(Record::Telemetry { at, device_id, body: request.body.into() });
    HttpAnswer::empty(204)
}
