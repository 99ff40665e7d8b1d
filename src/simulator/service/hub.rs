//! The IoT hub, as far as it takes messages.
//!
//! Source of the answers: Microsoft, "Understand and resolve Azure IoT Hub errors".

use alloc::string::String;
use core::time::Duration;

use serde::Serialize;

use crate::sas::SasToken;
use crate::simulator::journal::{Asked, Record};
use crate::simulator::service::answer::{Answer, ErrorCode};
use crate::simulator::service::{Question, Service, Unknown};
use crate::time::UnixTime;

/// The largest message that a hub takes.
const MAX_MESSAGE: usize = 256 * 1024;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorBody<'a> {
    message: &'a str,
}

fn error(status: u16, code: &'static str, message: &'static str) -> Answer {
    Answer { error_code: Some(ErrorCode::Hub(code)), ..Answer::json(status, &ErrorBody { message }) }
}

pub(super) fn refuse_unknown(unknown: Unknown) -> Answer {
    match unknown {
        Unknown::Resource | Unknown::MediaType => error(404, "NotFound", "ErrorCode:NotFound;Resource not found"),
        Unknown::Method => error(405, "MethodNotAllowed", "ErrorCode:MethodNotAllowed;Method not allowed"),
    }
}

impl Service {
    pub(super) fn answer_as_hub(&mut self, question: &Question<'_>, now: Duration) -> Answer {
        let unauthorized = || error(401, "IotHubUnauthorizedAccess", "ErrorCode:IotHubUnauthorizedAccess;Unauthorized");
        let Asked::SendMessage { device_id } = &question.asked else { return refuse_unknown(Unknown::Resource) };
        if question.api_version.is_none() {
            return error(400, "InvalidProtocolVersion", "ErrorCode:InvalidProtocolVersion;The api-version is missing");
        }
        let token = question.token.and_then(|token| SasToken::parse(token).ok());
        let Some(token) = token else { return unauthorized() };
        let mut known = self.devices().filter(|device| device.device_id.as_str() == device_id);
        let Some((device, hub)) = known.find_map(|device| Some((device, device.hub()?))) else {
            return error(404, "DeviceNotFound", "ErrorCode:DeviceNotFound;The device is not known to this hub");
        };
        let mut resource = String::from(hub.as_str());
        resource.extend(["/devices/", device.device_id.as_str()]);
        let (registration_id, device_id) = (device.registration_id.clone(), device.device_id.clone());
        drop(known);
        let for_device = token.resource_uri().eq_ignore_ascii_case(&resource);
        let at = UnixTime::from_secs(now.as_secs());
        let good = for_device && token.key_name().is_none() && !token.is_expired_at(at);
        if !good || !self.is_key_of(&registration_id, &token) {
            return unauthorized();
        }
        if question.body.len() > MAX_MESSAGE {
            return error(413, "MessageTooLarge", "ErrorCode:MessageTooLarge;The message is too large");
        }
        if !self.count_message() {
            return error(
                403,
                "IotHubQuotaExceeded",
                "ErrorCode:IotHubQuotaExceeded;The daily quota of messages is used up (403002)",
            );
        }
        self.journal.write(Record::Telemetry { at, device_id, body: question.body.into() });
        Answer::empty(204)
    }

    /// Counts a message to a hub; whether it is within the quota.
    fn count_message(&mut self) -> bool {
        self.messages = self.messages.saturating_add(1);
        self.settings.hub_quota.is_none_or(|quota| self.messages <= quota)
    }
}
