//! The provisioning service itself, pure: a request and the time in, an answer out.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::identity::{DeviceId, HostName, RegistrationId};
use crate::key::DeviceKey;
use crate::sas::SasToken;
use crate::simulator::Issuer;
use crate::simulator::allocation::{AllocationRequest, Failure};
use crate::simulator::answers::{
    BAD_REQUEST, NOT_FOUND, Refused, StatusBody, THROTTLED, UNAUTHORIZED, complete, refusal, state_of, status,
    with_retry_after,
};
use crate::simulator::builder::Settings;
use crate::simulator::device::{Device, Outcome};
use crate::simulator::enrollment::{Reprovisioning, Terms};
use crate::simulator::fault::{Delivery, Effect, Script};
use crate::simulator::forms::{operation_id, uuid};
use crate::simulator::http::{HttpAnswer, HttpRequest};
use crate::simulator::hub;
use crate::simulator::journal::{Journal, Record};
use crate::simulator::limits::Meters;
use crate::time::UnixTime;

/// The versions of the device API that the service takes.
const API_VERSIONS: [&str; 4] = ["2019-03-31", "2021-06-01", "2021-10-01", "2026-04-01"];
/// The one that knows certificate signing requests.
const CSR_API_VERSION: &str = "2026-04-01";
/// The largest request body that the service takes.
const LARGEST_BODY: usize = 96 * 1024;

/// All that the simulated service knows.
#[derive(Debug)]
pub(super) struct Service {
    settings: Settings,
    /// By registration ID in lower case.
    devices: BTreeMap<String, Device>,
    scripts: BTreeMap<String, Script>,
    meters: Meters,
    requests: u64,
    messages: u64,
    journal: Arc<Journal>,
    issuer: Option<Issuer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RegisterBody<'a> {
    registration_id: String,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    csr: Option<String>,
}

/// Who sent a request, once it is clear, and what is arranged for them.
struct Caller {
    registration_id: RegistrationId,
    key: String,
    device_id: Option<DeviceId>,
    group: Option<String>,
    terms: Terms,
}

impl Service {
    pub(super) fn new(settings: Settings, journal: Arc<Journal>) -> Self {
        Self {
            settings,
            devices: BTreeMap::new(),
            scripts: BTreeMap::new(),
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

    /// Whom certificate signing requests go to.
    #[cfg(feature = "simulator-server")]
    pub(super) fn set_issuer(&mut self, issuer: Issuer) {
        self.issuer = Some(issuer);
    }

    pub(super) fn device_key(&self, registration_id: &RegistrationId) -> Option<DeviceKey> {
        let individual = self.settings.individuals.iter().find(|it| it.is_for(registration_id));
        match individual {
            Some(individual) => Some(individual.device_key()),
            None => Some(self.settings.groups.first()?.device_key(registration_id)),
        }
    }

    /// Whether one of the keys that let this device in signed the token.
    pub(super) fn is_key_of(&self, registration_id: &RegistrationId, token: &SasToken) -> bool {
        match self.settings.individuals.iter().find(|it| it.is_for(registration_id)) {
            Some(individual) => individual.signed(token),
            None => self.settings.groups.iter().any(|group| group.signed(token, registration_id)),
        }
    }

    pub(super) fn with_script<T>(&mut self, key: &str, change: impl FnOnce(&mut Script) -> T) -> T {
        change(self.scripts.entry(key.into()).or_default())
    }

    pub(super) fn devices(&self) -> impl Iterator<Item = &Device> {
        self.devices.values()
    }

    /// Counts a message to a hub; whether it is within the quota.
    pub(super) fn count_message(&mut self) -> bool {
        self.messages = self.messages.saturating_add(1);
        self.settings.hub_quota.is_none_or(|quota| self.messages <= quota)
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Answers a request that comes at this time since 1970, and says how the answer arrives.
    pub(super) fn deliver(&mut self, request: &HttpRequest<'_>, now: Duration) -> Delivery {
        let key = self.device_of(request);
        let effect = self.scripts.get_mut(&key).and_then(Script::next);
        let whole = |answer| Delivery::Whole { answer, after: Duration::ZERO, close: false };
        let delivery = match effect {
            None => whole(self.answer(request, now, now)),
            Some(Effect::DropBefore) => Delivery::Nothing,
            Some(Effect::Garbage(bytes)) => Delivery::Garbage(bytes),
            Some(Effect::Answer { status, headers, body }) => whole(self.scripted(status, headers, body, now)),
            Some(Effect::CutAfter(bytes)) => Delivery::Cut { answer: self.answer(request, now, now), bytes },
            Some(Effect::DropAfter) => {
                Delivery::Whole { answer: self.answer(request, now, now), after: Duration::ZERO, close: true }
            }
            Some(Effect::Slow(after)) => {
                Delivery::Whole { answer: self.answer(request, now, now), after, close: false }
            }
            Some(Effect::DateOff(seconds)) => {
                let date = now.as_secs().saturating_add_signed(seconds);
                whole(self.answer(request, now, Duration::from_secs(date)))
            }
        };
        self.journal.write(Record::Request {
            at: UnixTime::from_secs(now.as_secs()),
            method: request.method.into(),
            target: request.target.into(),
            body: request.body.into(),
            status: if let Delivery::Whole { answer, .. } = &delivery { Some(answer.status) } else { None },
        });
        delivery
    }

    /// Whose request it is, by its path: a registration at DPS, or a device at its hub.
    fn device_of(&self, request: &HttpRequest<'_>) -> String {
        let segments = request.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match &segments[..] {
            ["devices", device_id, ..] => {
                let known = self.devices.iter().find(|(_, device)| device.device_id.as_str() == *device_id);
                known.map_or_else(|| device_id.to_ascii_lowercase(), |(key, _)| key.clone())
            }
            [_, "registrations", registration_id, ..] => registration_id.to_ascii_lowercase(),
            _ => String::new(),
        }
    }

    fn request_id(&mut self) -> String {
        self.requests = self.requests.saturating_add(1);
        uuid(&[b"request", &self.requests.to_be_bytes()])
    }

    fn scripted(
        &mut self,
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Option<Vec<u8>>,
        now: Duration,
    ) -> HttpAnswer {
        let request_id = self.request_id();
        let answer = if let Some(body) = body {
            HttpAnswer { body, ..HttpAnswer::empty(status) }
        } else {
            let code = u32::from(status).saturating_mul(1000);
            refusal(&Refused { status, code, message: "As scripted.", retry_after: None }, &request_id, now)
        };
        let mut answer = complete(answer, request_id, now);
        // What is scripted takes the place of what the service would say.
        answer.headers.retain(|(name, _)| !headers.iter().any(|(it, _)| it.eq_ignore_ascii_case(name)));
        answer.headers.extend(headers);
        answer
    }

    fn answer(&mut self, request: &HttpRequest<'_>, now: Duration, date: Duration) -> HttpAnswer {
        let request_id = self.request_id();
        let answer = if request.path().starts_with("/devices/") {
            hub::answer(self, request, now)
        } else {
            self.route(request, now).unwrap_or_else(|refused| refusal(&refused, &request_id, now))
        };
        complete(answer, request_id, date)
    }

    fn route(&mut self, request: &HttpRequest<'_>, now: Duration) -> Result<HttpAnswer, Refused> {
        let segments = request.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let [id_scope, "registrations", registration_id, rest @ ..] = &segments[..] else {
            return Err(Refused::new(NOT_FOUND, "Resource not found."));
        };
        let api_version = match request.parameter("api-version") {
            Some(version) if API_VERSIONS.contains(&version) => version,
            Some(_) => return Err(Refused::new(BAD_REQUEST, "The api-version is not supported.")),
            None => return Err(Refused::new(BAD_REQUEST, "The api-version is missing.")),
        };
        if *id_scope != self.settings.id_scope.as_str() {
            return Err(Refused::new(NOT_FOUND, "No DPS instance has this ID scope."));
        }
        let registration_id = RegistrationId::new(*registration_id)
            .map_err(|_| Refused::new(BAD_REQUEST, "The registration ID is not valid."))?;
        let caller = self.authorize(request, &registration_id, now)?;
        self.throttle(request.method, rest, &caller, now)?;
        match (request.method, rest) {
            ("PUT", ["register"]) => self.register(request, &caller, api_version, now),
            ("GET", ["operations", operation_id]) => self.operation_status(operation_id, &caller, now),
            ("POST", []) => self.look_up(&caller),
            (_, [] | ["register"] | ["operations", _]) => Err(Refused::new(405_000, "The method is not allowed.")),
            _ => Err(Refused::new(NOT_FOUND, "Resource not found.")),
        }
    }

    fn throttle(&mut self, method: &str, rest: &[&str], caller: &Caller, now: Duration) -> Result<(), Refused> {
        let limits = &self.settings.limits;
        let within = match (method, rest) {
            ("PUT", ["register"]) => self.meters.register(limits, now),
            ("GET", ["operations", _]) => self.meters.poll(limits, &caller.key, now),
            _ => true,
        };
        let retry_after = limits.retry_after;
        let refused = Refused { retry_after, ..Refused::new(THROTTLED, "Too many requests.") };
        if within { Ok(()) } else { Err(refused) }
    }

    /// The service's check: the token as sent, its resource, its expiry, and the keys of whoever may have this ID.
    fn authorize(
        &self,
        request: &HttpRequest<'_>,
        registration_id: &RegistrationId,
        now: Duration,
    ) -> Result<Caller, Refused> {
        let unauthorized = |message| Refused::new(UNAUTHORIZED, message);
        let token = request.header("authorization").ok_or(unauthorized("Unauthorized: no token."))?;
        let token = SasToken::parse(token).map_err(|_| unauthorized("Unauthorized: not a SAS token."))?;
        let signed_as = self.signed_as(&token, registration_id);
        let signed_as = signed_as.ok_or(unauthorized("Unauthorized: the token is for another resource."))?;
        if token.key_name().is_some_and(|name| name != "registration") {
            return Err(unauthorized("Unauthorized: the token's key name is not \"registration\"."));
        }
        if token.is_expired_at(UnixTime::from_secs(now.as_secs())) {
            return Err(unauthorized("Unauthorized: the token has expired."));
        }
        let wrong_key = unauthorized("Unauthorized: the signature does not match.");
        let key = signed_as.as_str().to_ascii_lowercase();
        if let Some(individual) = self.settings.individuals.iter().find(|it| it.is_for(registration_id)) {
            if !individual.signed(&token) {
                return Err(wrong_key);
            }
            let (device_id, terms) = (individual.own_device_id().cloned(), individual.terms.clone());
            return Ok(Caller { registration_id: signed_as, key, device_id, group: None, terms });
        }
        if self.settings.groups.is_empty() {
            return Err(Refused::new(NOT_FOUND, "No enrollment has this registration ID."));
        }
        let group = self.settings.groups.iter().find(|group| group.signed(&token, &signed_as)).ok_or(wrong_key)?;
        let (group, terms) = (Some(group.name().to_owned()), group.terms.clone());
        Ok(Caller { registration_id: signed_as, key, device_id: None, group, terms })
    }

    /// The registration ID as the token's resource writes it, if it is the path's but for case.
    fn signed_as(&self, token: &SasToken, registration_id: &RegistrationId) -> Option<RegistrationId> {
        let resource = token.resource_uri();
        let mut segments = resource.splitn(3, '/');
        let (scope, registrations, id) = (segments.next()?, segments.next()?, segments.next()?);
        let same = scope == self.settings.id_scope.as_str()
            && registrations == "registrations"
            && id.eq_ignore_ascii_case(registration_id.as_str());
        if same { RegistrationId::new(id).ok() } else { None }
    }

    fn register(
        &mut self,
        request: &HttpRequest<'_>,
        caller: &Caller,
        api_version: &str,
        now: Duration,
    ) -> Result<HttpAnswer, Refused> {
        if request.body.len() > LARGEST_BODY {
            return Err(Refused::new(413_000, "The request is too large."));
        }
        let body: RegisterBody<'_> = serde_json::from_slice(request.body)
            .map_err(|_| Refused::new(BAD_REQUEST, "The body is not a device registration."))?;
        if !body.registration_id.eq_ignore_ascii_case(caller.registration_id.as_str()) {
            return Err(Refused::new(BAD_REQUEST, "The body's registration ID is not that of the path."));
        }
        let certificates = match body.csr {
            None => None,
            Some(_) if api_version != CSR_API_VERSION => {
                return Err(Refused::new(BAD_REQUEST, "This api-version knows no certificate signing requests."));
            }
            Some(csr) => {
                let chain = self.issuer.as_ref().and_then(|issuer| issuer.issue(&csr, &caller.registration_id));
                Some(chain.ok_or(Refused::new(BAD_REQUEST, "The certificate signing request is not valid."))?)
            }
        };
        let previous = self.devices.get(&caller.key);
        let (outcome, payload) = self.assign(caller, previous, body.payload);
        // A device that comes back in another case is the same device, under the name that it has.
        let device_id = previous.map(|device| device.device_id.clone()).or_else(|| caller.device_id.clone());
        let device_id = device_id.or_else(|| DeviceId::new(caller.registration_id.as_str()).ok());
        let device_id = device_id.ok_or(Refused::new(BAD_REQUEST, "No device ID."))?;
        let device = Device {
            registration_id: caller.registration_id.clone(),
            operation_id: operation_id(&caller.key, self.requests),
            polls_left: self.settings.assigning_polls,
            created: previous.map_or(now, |device| device.created),
            updated: now,
            first_hub: previous.and_then(|device| device.first_hub.clone()),
            assigned: previous.and_then(|device| device.assigned.clone()),
            outcome,
            device_id,
            group: caller.group.clone(),
            payload,
            certificates,
        };
        let answer = if device.is_enabled() {
            let scope = &self.settings.id_scope;
            let location =
                format!("/{scope}/registrations/{}/operations/{}", caller.registration_id, device.operation_id);
            self.assigning(&device.operation_id).with_header("Location", location)
        } else {
            status(&device)
        };
        self.devices.insert(caller.key.clone(), device);
        Ok(answer)
    }

    /// Where the device goes, by what is arranged for it and where it was before.
    fn assign(
        &self,
        caller: &Caller,
        previous: Option<&Device>,
        payload: Option<&RawValue>,
    ) -> (Outcome, Option<Box<RawValue>>) {
        if caller.terms.disabled {
            return (Outcome::Disabled, None);
        }
        let before = previous.and_then(|device| device.assigned.clone());
        if let (Some((hub, substatus)), Reprovisioning::Never) = (&before, caller.terms.reprovisioning) {
            let outcome = Outcome::Assigned { hub: hub.clone(), substatus };
            return (outcome, previous.and_then(|device| device.payload.clone()));
        }
        let (wanted, payload) = if let Some(hub) = &caller.terms.hub {
            (Ok(hub.clone()), None)
        } else {
            let hubs = &self.settings.hubs[..];
            let request = AllocationRequest { registration_id: &caller.registration_id, payload, hubs };
            let allocation = self.settings.allocation.allocate(&request);
            (allocation.outcome, allocation.payload)
        };
        let linked = |hub: &HostName| self.settings.hubs.contains(hub) || caller.terms.hub.as_ref() == Some(hub);
        let hub = match wanted {
            Ok(hub) if linked(&hub) => hub,
            Ok(_) => {
                let message = "The allocation chose a hub that is not linked.".into();
                return (Outcome::Failed(Failure { code: 400_209, message }), payload);
            }
            Err(failure) => return (Outcome::Failed(failure), payload),
        };
        let first_hub = previous.and_then(|device| device.first_hub.as_ref());
        let substatus = match before {
            Some((old, substatus)) if old == hub => substatus,
            Some(_) if first_hub == Some(&hub) => "reprovisionedToInitialAssignment",
            Some(_) if caller.terms.reprovisioning == Reprovisioning::Reset => "deviceDataReset",
            Some(_) => "deviceDataMigrated",
            None => "initialAssignment",
        };
        (Outcome::Assigned { hub, substatus }, payload)
    }

    fn operation_status(&mut self, operation_id: &str, caller: &Caller, now: Duration) -> Result<HttpAnswer, Refused> {
        let device = self.devices.get_mut(&caller.key).filter(|device| device.operation_id == operation_id);
        let device = device.ok_or(Refused::new(NOT_FOUND, "No registration has this operation ID."))?;
        if let Some(left) = device.polls_left.checked_sub(1) {
            device.polls_left = left;
            device.updated = now;
            return Ok(self.assigning(operation_id));
        }
        if let Outcome::Assigned { hub, substatus } = &device.outcome {
            device.first_hub.get_or_insert_with(|| hub.clone());
            device.assigned = Some((hub.clone(), substatus));
            self.journal.write(Record::Assigned {
                at: UnixTime::from_secs(now.as_secs()),
                registration_id: device.registration_id.clone(),
                device_id: device.device_id.clone(),
                hub: hub.clone(),
            });
        }
        Ok(status(device))
    }

    /// The registration status lookup: the bare result, once there is one.
    fn look_up(&self, caller: &Caller) -> Result<HttpAnswer, Refused> {
        let none = Refused::new(NOT_FOUND, "The device is not registered.");
        let device = self.devices.get(&caller.key).ok_or(none)?;
        match &device.assigned {
            // While it registers anew, it is still where it was.
            Some((hub, substatus)) => {
                let outcome = Outcome::Assigned { hub: hub.clone(), substatus };
                Ok(HttpAnswer::json(200, &state_of(device, &outcome)))
            }
            None if !device.is_enabled() => Ok(HttpAnswer::json(200, &state_of(device, &device.outcome))),
            None => Err(Refused::new(NOT_FOUND, "The device is not assigned.")),
        }
    }

    fn assigning(&self, operation_id: &str) -> HttpAnswer {
        let body = StatusBody { operation_id, status: "assigning", registration_state: None };
        with_retry_after(HttpAnswer::json(202, &body), self.settings.retry_after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::DeviceKey;
    use crate::sas::Resource;
    use crate::simulator::{BEGINNING, IndividualEnrollment, Simulator};

    /// A service with one device, and that device's token.
    fn service() -> (Simulator, String) {
        let key = DeviceKey::from_bytes(&[7; 32]).expect("a key");
        let registration_id = RegistrationId::new("Dev-01").expect("valid");
        let sim =
            Simulator::builder().individual(IndividualEnrollment::new(registration_id.clone(), key.clone())).build();
        let scope = sim.id_scope();
        let resource = Resource::registration(&scope, &registration_id);
        let token = SasToken::sign(resource, &key, UnixTime::from_secs(u64::MAX)).expect("signs");
        (sim, token.as_str().to_owned())
    }

    fn answer(sim: &Simulator, request: &HttpRequest<'_>) -> HttpAnswer {
        match sim.deliver(request, BEGINNING) {
            Delivery::Whole { answer, .. } => answer,
            other => panic!("{other:?}"),
        }
    }

    fn ask(method: &str, target: &str, token: &str, body: &str) -> (u16, serde_json::Value) {
        let (sim, good) = service();
        let token = if token.is_empty() { &good } else { token };
        let request = HttpRequest { method, target, headers: [("authorization", token)].into(), body: body.as_bytes() };
        let answer = answer(&sim, &request);
        (answer.status, serde_json::from_slice(&answer.body).expect("JSON"))
    }

    const REGISTER: &str = "/0ne00002193/registrations/Dev-01/register?api-version=2021-06-01";
    const BODY: &str = r#"{"registrationId":"Dev-01"}"#;

    #[test]
    fn a_register_request_of_every_known_version_is_taken() {
        for version in API_VERSIONS {
            let target = REGISTER.replace("2021-06-01", version);
            assert_eq!(ask("PUT", &target, "", BODY).0, 202, "{version}");
        }
        assert_eq!(
            ask("PUT", &REGISTER.replace("Dev-01", "dEV%2D01"), "", &BODY.to_lowercase().replace("id", "Id")).0,
            202
        );
    }

    #[test]
    fn a_request_that_is_wrong_is_a_400_in_the_services_format() {
        for (target, body) in [
            ("/0ne00002193/registrations/Dev-01/register", BODY),
            ("/0ne00002193/registrations/Dev-01/register?api-version=1999-01-01", BODY),
            ("/0ne00002193/registrations/a%20b/register?api-version=2021-06-01", BODY),
            (REGISTER, ""),
            (REGISTER, "{}"),
            (REGISTER, "{"),
            (REGISTER, r#"{"registrationId":"other"}"#),
        ] {
            let (status, body) = ask("PUT", target, "", body);
            assert_eq!((status, &body["errorCode"]), (400, &400_000.into()), "{target}");
            assert!(body["trackingId"].is_string() && body["message"].is_string() && body["timestampUtc"].is_string());
        }
    }

    #[test]
    fn a_path_a_method_or_a_body_that_the_service_does_not_have_is_refused() {
        assert_eq!(ask("GET", REGISTER, "", "").0, 405);
        assert_eq!(ask("PUT", "/", "", BODY).0, 404);
        assert_eq!(ask("PUT", &REGISTER.replace("register?", "unregister?"), "", BODY).0, 404);
        assert_eq!(ask("GET", &REGISTER.replace("register?", "operations/5.3?"), "", "").0, 404);
        assert_eq!(ask("PUT", REGISTER, "", &"x".repeat(LARGEST_BODY + 1)).0, 413);
    }

    #[test]
    fn a_token_that_is_none_or_for_something_else_is_a_401() {
        let (sim, good) = service();
        for token in [
            "Bearer x".to_owned(),
            good.replace("Dev-01", "Dev-02"),
            good.replace("0ne", "0nf"),
            good.replace("skn=registration", "skn=device"),
        ] {
            let (status, body) = ask("PUT", REGISTER, &token, BODY);
            assert_eq!((status, &body["errorCode"]), (401, &401_002.into()), "{token}");
        }
        let request = HttpRequest { method: "PUT", target: REGISTER, headers: Vec::new(), body: BODY.as_bytes() };
        assert_eq!(answer(&sim, &request).status, 401);
    }

    #[test]
    fn an_answer_carries_the_services_headers() {
        let (sim, good) = service();
        let request = HttpRequest {
            method: "PUT",
            target: REGISTER,
            headers: [("Authorization", good.as_str())].into(),
            body: BODY.as_bytes(),
        };
        let answer = answer(&sim, &request);
        let value = |name: &str| answer.headers.iter().find(|(it, _)| *it == name).map(|(_, value)| value.as_str());
        assert_eq!((value("Retry-After"), value("Date")), (Some("3"), Some("Thu, 01 Jan 2026 00:00:00 GMT")));
        assert!(
            value("Location")
                .is_some_and(|location| location.starts_with("/0ne00002193/registrations/Dev-01/operations/5."))
        );
        assert!(value("x-ms-request-id").is_some() && value("Strict-Transport-Security").is_some());
        assert_eq!(value("Content-Type"), Some("application/json; charset=utf-8"));
    }
}
