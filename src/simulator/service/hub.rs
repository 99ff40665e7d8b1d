//! The IoT hub, as far as it handles messages.
//!
//! Source of the answers: Microsoft, "Understand and resolve Azure IoT Hub errors".

use alloc::string::String;
use core::time::Duration;

use serde::Serialize;

use crate::identity::DeviceId;
use crate::sas::SasToken;
use crate::simulator::hub_state::Mailboxes;
use crate::simulator::journal::{Asked, Record};
use crate::simulator::service::answer::{Answer, ErrorCode};
use crate::simulator::service::{Credentials, Question, Service, Unknown};
use crate::time::UnixTime;

/// The largest message that a hub accepts, in bytes.
const MAX_MESSAGE: usize = 256 * 1024;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorBody<'a> {
    message: &'a str,
}

/// An error in the format of the hub.
#[derive(Clone, Copy)]
pub(in crate::simulator) struct HubRefused {
    pub(in crate::simulator) status: u16,
    code: &'static str,
    message: &'static str,
}

impl HubRefused {
    pub(super) fn answer(self) -> Answer {
        let Self { status, code, message } = self;
        Answer { error_code: Some(ErrorCode::Hub(code)), ..Answer::json(status, &ErrorBody { message }) }
    }
}

const fn error(status: u16, code: &'static str, message: &'static str) -> HubRefused {
    HubRefused { status, code, message }
}

const UNAUTHORIZED: HubRefused =
    error(401, "IotHubUnauthorizedAccess", "ErrorCode:IotHubUnauthorizedAccess;Unauthorized");
const NOT_FOUND: HubRefused =
    error(404, "DeviceNotFound", "ErrorCode:DeviceNotFound;The device is not known to this hub");

pub(super) fn refuse_unknown(unknown: Unknown) -> HubRefused {
    match unknown {
        Unknown::Resource | Unknown::MediaType => error(404, "NotFound", "ErrorCode:NotFound;Resource not found"),
        Unknown::Method => error(405, "MethodNotAllowed", "ErrorCode:MethodNotAllowed;Method not allowed"),
    }
}

/// An authorized device of the hub, or a module of one.
pub(in crate::simulator) struct HubCaller {
    pub(in crate::simulator) device_id: DeviceId,
    /// The expiry of the token; `None` for a certificate, which does not end a connection.
    pub(in crate::simulator) expires_at: Option<UnixTime>,
}

impl Service {
    /// Authorizes a device at the hub.
    ///
    /// The hub must know the device. It checks the certificate, or the resource, the expiry and the
    /// signature of the token.
    pub(in crate::simulator) fn authorize_to_hub(
        &self,
        device_id: &str,
        module_id: Option<&str>,
        hub: Option<&str>,
        credentials: Credentials<'_>,
        now: Duration,
    ) -> Result<HubCaller, HubRefused> {
        let mut known = self.devices().filter(|device| device.device_id.as_str() == device_id);
        let found = known.find_map(|device| Some((device, device.hub()?)));
        let found = found.filter(|(_, its)| hub.is_none_or(|hub| its.as_str().eq_ignore_ascii_case(hub)));
        let (device, hub) = found.ok_or(NOT_FOUND)?;
        #[cfg(feature = "x509")]
        if let (None, [leaf, issuers @ ..]) = (credentials.token, credentials.certificates) {
            let caller = self.authorize_certificate(leaf, issuers, &device.registration_id, now);
            caller.map_err(|_| UNAUTHORIZED)?;
            return Ok(HubCaller { device_id: device.device_id.clone(), expires_at: None });
        }
        let token = credentials.token.and_then(|token| SasToken::parse(token).ok()).ok_or(UNAUTHORIZED)?;
        let mut resource = String::from(hub.as_str());
        resource.extend(["/devices/", device_id]);
        resource.extend(module_id.into_iter().flat_map(|module_id| ["/modules/", module_id]));
        let for_device = token.resource_uri().eq_ignore_ascii_case(&resource);
        let at = UnixTime::from_secs(now.as_secs());
        let good = for_device && token.key_name().is_none() && !token.is_expired_at(at);
        if !good || !self.is_key_of(&device.registration_id, &token) {
            return Err(UNAUTHORIZED);
        }
        Ok(HubCaller { device_id: device.device_id.clone(), expires_at: Some(token.expires_at()) })
    }

    pub(super) fn answer_as_hub(
        &mut self,
        question: &Question<'_>,
        module_id: Option<&str>,
        mailboxes: &mut Mailboxes,
        now: Duration,
    ) -> Result<Answer, HubRefused> {
        let (Asked::SendMessage { device_id }
        | Asked::ReceiveMessage { device_id }
        | Asked::CompleteMessage { device_id, .. }) = &question.asked
        else {
            return Err(refuse_unknown(Unknown::Resource));
        };
        if question.api_version.is_none() {
            const MISSING: &str = "ErrorCode:InvalidProtocolVersion;The api-version is missing";
            return Err(error(400, "InvalidProtocolVersion", MISSING));
        }
        let caller = self.authorize_to_hub(device_id, module_id, None, question.credentials, now)?;
        match &question.asked {
            Asked::ReceiveMessage { device_id } => Ok(match mailboxes.give(device_id, now) {
                Some(message) => Answer { message: Some(message), ..Answer::empty(200) },
                None => Answer::empty(204),
            }),
            Asked::CompleteMessage { device_id, lock_token } => {
                let lock_token = lock_token.trim_matches('"');
                if mailboxes.complete(device_id, lock_token) {
                    return Ok(Answer::empty(204));
                }
                Err(error(412, "DeviceMessageLockLost", "ErrorCode:DeviceMessageLockLost;There is no such message"))
            }
            _ => self.take_message(caller.device_id, question.body, now),
        }
    }

    fn take_message(&mut self, device_id: DeviceId, body: &[u8], now: Duration) -> Result<Answer, HubRefused> {
        if body.len() > MAX_MESSAGE {
            return Err(error(413, "MessageTooLarge", "ErrorCode:MessageTooLarge;The message is too large"));
        }
        if !self.count_message() {
            const USED_UP: &str = "ErrorCode:IotHubQuotaExceeded;The daily quota of messages is used up (403002)";
            return Err(error(403, "IotHubQuotaExceeded", USED_UP));
        }
        self.journal.write(Record::Telemetry { at: UnixTime::from_secs(now.as_secs()), device_id, body: body.into() });
        Ok(Answer::empty(204))
    }

    /// Counts a message to a hub, and returns whether it is within the quota.
    fn count_message(&mut self) -> bool {
        self.messages = self.messages.saturating_add(1);
        self.settings.hub_quota.is_none_or(|quota| self.messages <= quota)
    }
}
