//! The provisioning service and the hub behind it, as pure code.
//!
//! A question and the time go in, an answer comes out, independent of a protocol.

mod answer;
mod authorize;
mod certificate;
mod description;
mod device;
mod hub;
mod hub_refused;
mod issuer;
mod question;
mod register;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub(super) use answer::{Answer, ErrorCode};
use answer::{BAD_REQUEST, METHOD_NOT_ALLOWED, NOT_FOUND, NOT_JSON, Refused, THROTTLED, UNAUTHORIZED};
use azure_iot_dps::identity::RegistrationId;
use device::Device;
pub(super) use hub::HubCaller;
use hub_refused::HubRefused;
pub(super) use issuer::Issuer;
pub(super) use question::{Addressee, Credentials, Question, Unknown};

use crate::hub_state::Mailboxes;
use crate::ids::uuid;
use crate::journal::{Asked, Journal};
use crate::key::SymmetricKey;
use crate::limits::Meters;
use crate::settings::Settings;
use crate::token::Token;

/// The state of the simulated service.
#[derive(Debug)]
pub(super) struct Service {
    settings: Settings,
    /// By registration ID in lower case.
    devices: BTreeMap<String, Device>,
    meters: Meters,
    requests: u64,
    messages: u64,
    journal: Arc<Journal>,
    issuer: Option<Issuer>,
}

impl Service {
    pub(super) fn new(settings: Settings, journal: Arc<Journal>) -> Self {
        Self {
            settings,
            devices: BTreeMap::new(),
            meters: Meters::default(),
            requests: 0,
            messages: 0,
            journal,
            issuer: None,
        }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sends certificate signing requests to this issuer.
    #[cfg(feature = "server")]
    pub(super) fn set_issuer(&mut self, issuer: Issuer) {
        self.issuer = Some(issuer);
    }

    pub(super) fn device_key(&self, registration_id: &RegistrationId) -> Option<SymmetricKey> {
        let individual = self.settings.individuals.iter().find(|it| it.is_for(registration_id));
        match individual {
            Some(individual) => individual.device_key(),
            None => self.settings.groups.iter().find_map(|group| group.device_key(registration_id)),
        }
    }

    /// Returns whether a key of the enrollments of this device signed the token.
    pub(super) fn is_key_of(&self, registration_id: &RegistrationId, token: &Token<'_>) -> bool {
        match self.settings.individuals.iter().find(|it| it.is_for(registration_id)) {
            Some(individual) => individual.signed(token),
            None => self.settings.groups.iter().any(|group| group.signed(token, registration_id)),
        }
    }

    pub(super) fn devices(&self) -> impl Iterator<Item = &Device> {
        self.devices.values()
    }

    /// Returns the registration ID of the device that asks, in lower case, or an empty text.
    pub(super) fn device_of(&self, asked: &Asked) -> String {
        match asked {
            Asked::Register { registration_id }
            | Asked::OperationStatus { registration_id, .. }
            | Asked::StatusLookup { registration_id } => registration_id.to_ascii_lowercase(),
            Asked::SendMessage { device_id }
            | Asked::ReceiveMessage { device_id }
            | Asked::CompleteMessage { device_id, .. }
            | Asked::Connect { device_id } => {
                let known = self.devices.iter().find(|(_, device)| device.device_id.as_str() == *device_id);
                known.map_or_else(|| device_id.to_ascii_lowercase(), |(key, _)| key.clone())
            }
            Asked::Other { .. } => String::new(),
        }
    }

    /// Answers a question that comes at this time since 1970.
    pub(super) fn answer(&mut self, question: &Question<'_>, mailboxes: &mut Mailboxes, now: Duration) -> Answer {
        let request_id = self.request_id();
        let answer = match &question.to {
            Addressee::Hub { module_id } => {
                self.answer_as_hub(question, *module_id, mailboxes, now).unwrap_or_else(HubRefused::answer)
            }
            Addressee::Service { id_scope } => self
                .answer_as_service(question, id_scope, now)
                .unwrap_or_else(|refused| refused.answer(&request_id, now)),
        };
        Answer { request_id, date: now, ..answer }
    }

    /// Answers an unknown question.
    pub(super) fn refuse_unknown(&mut self, to: &Addressee<'_>, unknown: Unknown, now: Duration) -> Answer {
        let request_id = self.request_id();
        let answer = match (to, unknown) {
            (Addressee::Hub { .. }, unknown) => hub_refused::refuse_unknown(unknown).answer(),
            (Addressee::Service { .. }, Unknown::Resource) => {
                Refused::new(NOT_FOUND, "Resource not found.").answer(&request_id, now)
            }
            (Addressee::Service { .. }, Unknown::Method) => {
                Refused::new(METHOD_NOT_ALLOWED, "The method is not allowed.").answer(&request_id, now)
            }
            (Addressee::Service { .. }, Unknown::MediaType) => {
                Refused::new(NOT_JSON, "The body is not application/json.").answer(&request_id, now)
            }
        };
        Answer { request_id, date: now, ..answer }
    }

    /// Returns an error with this status in the format of the service, as scripted by a test.
    pub(super) fn scripted(&mut self, status: u16, now: Duration) -> Answer {
        let request_id = self.request_id();
        let code = u32::from(status).saturating_mul(1000);
        let refused = Refused { status, code, message: "As scripted.", retry_after: None };
        let answer = refused.answer(&request_id, now);
        Answer { request_id, date: now, ..answer }
    }

    /// Refuses the token of a device, whichever key signed it.
    pub(super) fn refuse_key(&mut self, now: Duration) -> Answer {
        let request_id = self.request_id();
        let refused = Refused::new(UNAUTHORIZED, "Unauthorized: another key was used last.");
        Answer { date: now, ..refused.answer(&request_id, now) }
    }

    fn request_id(&mut self) -> String {
        self.requests = self.requests.saturating_add(1);
        uuid(&[b"request", &self.requests.to_be_bytes()])
    }

    fn answer_as_service(&mut self, question: &Question<'_>, id_scope: &str, now: Duration) -> Result<Answer, Refused> {
        let api_version = match question.api_version {
            Some(version) if self.settings.api_versions.iter().any(|it| it == version) => version,
            Some(_) => return Err(Refused::new(BAD_REQUEST, "The api-version is not supported.")),
            None => return Err(Refused::new(BAD_REQUEST, "The api-version is missing.")),
        };
        if id_scope != self.settings.id_scope.as_str() {
            return Err(Refused::new(NOT_FOUND, "No DPS instance has this ID scope."));
        }
        let (Asked::Register { registration_id }
        | Asked::OperationStatus { registration_id, .. }
        | Asked::StatusLookup { registration_id }) = &question.asked
        else {
            return Err(Refused::new(NOT_FOUND, "Resource not found."));
        };
        let registration_id = RegistrationId::new(registration_id.as_str())
            .map_err(|_| Refused::new(BAD_REQUEST, "The registration ID is not valid."))?;
        let caller = self.authorize(question, &registration_id, now)?;
        self.throttle(&question.asked, caller.key(), now)?;
        match &question.asked {
            Asked::Register { .. } => self.register(question, &caller, api_version, now),
            Asked::OperationStatus { operation_id, .. } => {
                self.operation_status(operation_id, &caller, api_version, now)
            }
            Asked::StatusLookup { .. } => self.look_up(question.body, &caller, api_version),
            _ => Err(Refused::new(NOT_FOUND, "Resource not found.")),
        }
    }

    fn throttle(&mut self, asked: &Asked, device: &str, now: Duration) -> Result<(), Refused> {
        let limits = &self.settings.limits;
        let within = match asked {
            Asked::Register { .. } => self.meters.register(limits, now),
            Asked::OperationStatus { .. } => self.meters.poll(limits, device, now),
            _ => true,
        };
        let retry_after = limits.retry_after;
        let refused = Refused { retry_after, ..Refused::new(THROTTLED, "Too many requests.") };
        if within { Ok(()) } else { Err(refused) }
    }
}
