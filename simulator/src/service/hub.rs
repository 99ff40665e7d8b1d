//! The IoT hub, as far as it handles messages.

use std::time::Duration;

use azure_iot_dps::identity::DeviceId;
use azure_iot_dps::time::UnixTime;

use crate::hub_state::Mailboxes;
use crate::journal::{Asked, Record};
use crate::service::answer::Answer;
use crate::service::hub_refused::{HubRefused, NOT_FOUND, UNAUTHORIZED, error, refuse_unknown};
use crate::service::{Credentials, Question, Service, Unknown};
use crate::token::Token;

/// The largest message that a hub accepts, in bytes.
const MAX_MESSAGE: usize = 256 * 1024;

/// An authorized device of the hub, or a module of one.
pub(crate) struct HubCaller {
    pub(crate) device_id: DeviceId,
    /// The expiry of the token; `None` for a certificate, which does not end a connection.
    pub(crate) expires_at: Option<Duration>,
}

impl Service {
    /// Authorizes a device at the hub.
    ///
    /// The hub must know the device. It checks the certificate, or the resource, the expiry and the
    /// signature of the token.
    pub(crate) fn authorize_to_hub(
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
        if let (None, [leaf, issuers @ ..]) = (credentials.token, credentials.certificates) {
            let caller = self.authorize_certificate(leaf, issuers, &device.registration_id, now);
            caller.map_err(|_| UNAUTHORIZED)?;
            return Ok(HubCaller { device_id: device.device_id.clone(), expires_at: None });
        }
        let token = credentials.token.and_then(Token::parse).ok_or(UNAUTHORIZED)?;
        let mut resource = String::from(hub.as_str());
        resource.extend(["/devices/", device_id]);
        resource.extend(module_id.into_iter().flat_map(|module_id| ["/modules/", module_id]));
        let for_device = token.resource().eq_ignore_ascii_case(&resource);
        let good = for_device && token.key_name().is_empty() && token.expires_at > now.as_secs();
        if !good || !self.is_key_of(&device.registration_id, &token) {
            return Err(UNAUTHORIZED);
        }
        Ok(HubCaller { device_id: device.device_id.clone(), expires_at: Some(Duration::from_secs(token.expires_at)) })
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
