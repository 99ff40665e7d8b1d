//! The service itself, pure: a request and the time in, an answer out.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;
use core::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::encoding::percent_decode;
use crate::identity::RegistrationId;
use crate::key::DeviceKey;
use crate::protocol::http_date;
use crate::sas::SasToken;
use crate::simulator::Settings;
use crate::simulator::http::{HttpAnswer, HttpRequest};
use crate::time::UnixTime;

/// The versions of the device API that the service takes.
const API_VERSIONS: [&str; 4] = ["2019-03-31", "2021-06-01", "2021-10-01", "2026-04-01"];
/// The largest request body that the service takes.
const LARGEST_BODY: usize = 96 * 1024;

/// All that the simulated service knows.
#[derive(Debug)]
pub(super) struct Service {
    settings: Settings,
    /// By registration ID in lower case.
    devices: BTreeMap<String, Device>,
    requests: u64,
}

/// A device that has registered.
#[derive(Debug)]
struct Device {
    operation_id: String,
    polls_left: u32,
    created: Duration,
    updated: Duration,
    hub: String,
    /// The name in the hub.
    name: String,
    group: Option<String>,
}

/// An error in the service's own format.
struct Refused {
    status: u16,
    code: u32,
    message: &'static str,
}

impl Refused {
    const fn new(code: u32, message: &'static str) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "codes have six digits, their first three are an HTTP status"
        )]
        Self { status: (code / 1000) as u16, code, message }
    }
}

const BAD_REQUEST: u32 = 400_000;
const UNAUTHORIZED: u32 = 401_002;
const NOT_FOUND: u32 = 404_201;

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
struct StatusBody<'a> {
    operation_id: &'a str,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_state: Option<StateBody<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StateBody<'a> {
    registration_id: &'a str,
    created_date_time_utc: String,
    assigned_hub: &'a str,
    device_id: &'a str,
    status: &'a str,
    substatus: &'a str,
    last_updated_date_time_utc: String,
    etag: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    symmetric_key: Option<SymmetricKeyBody<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SymmetricKeyBody<'a> {
    enrollment_group_id: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RegisterBody {
    registration_id: String,
}

/// Who sent a request, once it is clear.
struct Caller {
    registration_id: RegistrationId,
    device_id: String,
    group: Option<String>,
}

impl Service {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, devices: BTreeMap::new(), requests: 0 }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn device_key(&self, registration_id: &RegistrationId) -> Option<DeviceKey> {
        let individual = self.settings.individuals.iter().find(|it| it.is_for(registration_id));
        match individual {
            Some(individual) => individual.device_key(),
            None => self.settings.groups.first()?.device_key(registration_id),
        }
    }

    /// Answers a request that comes at this time since 1970.
    pub(super) fn answer(&mut self, request: &HttpRequest<'_>, now: Duration) -> HttpAnswer {
        self.requests = self.requests.saturating_add(1);
        let request_id = uuid(&[b"request", &self.requests.to_be_bytes()]);
        let mut answer = self.route(request, now).unwrap_or_else(|Refused { status, code, message }| {
            let (tracking_id, timestamp_utc) = (&*request_id, &*timestamp(now));
            let mut answer = json(status, &ErrorBody { error_code: code, tracking_id, message, timestamp_utc });
            answer.headers.push(("x-ms-error-code", code.to_string()));
            answer
        });
        answer.headers.extend([
            ("Date", http_date(UnixTime::from_secs(now.as_secs()))),
            ("x-ms-request-id", request_id),
            ("Strict-Transport-Security", "max-age=31536000; includeSubDomains".to_owned()),
        ]);
        answer
    }

    fn route(&mut self, request: &HttpRequest<'_>, now: Duration) -> Result<HttpAnswer, Refused> {
        let segments: Vec<String> = request.path().split('/').skip(1).map(decode).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let [id_scope, "registrations", registration_id, rest @ ..] = &segments[..] else {
            return Err(Refused::new(NOT_FOUND, "Resource not found."));
        };
        match request.parameter("api-version") {
            Some(version) if API_VERSIONS.contains(&version) => {}
            Some(_) => return Err(Refused::new(BAD_REQUEST, "The api-version is not supported.")),
            None => return Err(Refused::new(BAD_REQUEST, "The api-version is missing.")),
        }
        if *id_scope != self.settings.id_scope.as_str() {
            return Err(Refused::new(NOT_FOUND, "No DPS instance has this ID scope."));
        }
        let registration_id = RegistrationId::new(*registration_id)
            .map_err(|_| Refused::new(BAD_REQUEST, "The registration ID is not valid."))?;
        let caller = self.authorize(request, &registration_id, now)?;
        match (request.method, rest) {
            ("PUT", ["register"]) => self.register(request, &caller, now),
            ("GET", ["operations", operation_id]) => self.operation_status(operation_id, &caller, now),
            (_, ["register"] | ["operations", _]) => Err(Refused::new(405_000, "The method is not allowed.")),
            _ => Err(Refused::new(NOT_FOUND, "Resource not found.")),
        }
    }

    /// The service's check: the token as sent, its resource, its expiry, and the keys of whoever may have this ID.
    fn authorize(
        &self,
        request: &HttpRequest<'_>,
        registration_id: &RegistrationId,
        now: Duration,
    ) -> Result<Caller, Refused> {
        let token = request.header("authorization").ok_or(Refused::new(UNAUTHORIZED, "Unauthorized: no token."))?;
        let token = SasToken::parse(token).map_err(|_| Refused::new(UNAUTHORIZED, "Unauthorized: not a SAS token."))?;
        let signed_as = self
            .signed_as(&token, registration_id)
            .ok_or(Refused::new(UNAUTHORIZED, "Unauthorized: the token is for another resource."))?;
        if token.key_name().is_some_and(|name| name != "registration") {
            return Err(Refused::new(UNAUTHORIZED, "Unauthorized: the token's key name is not \"registration\"."));
        }
        if token.is_expired_at(UnixTime::from_secs(now.as_secs())) {
            return Err(Refused::new(UNAUTHORIZED, "Unauthorized: the token has expired."));
        }
        let wrong_key = Err(Refused::new(UNAUTHORIZED, "Unauthorized: the signature does not match."));
        if let Some(individual) = self.settings.individuals.iter().find(|it| it.is_for(registration_id)) {
            if !individual.signed(&token) {
                return wrong_key;
            }
            let device_id = individual.own_device_id().map_or(signed_as.as_str(), |id| id.as_str()).to_owned();
            return Ok(Caller { registration_id: signed_as, device_id, group: None });
        }
        if self.settings.groups.is_empty() {
            return Err(Refused::new(NOT_FOUND, "No enrollment has this registration ID."));
        }
        match self.settings.groups.iter().find(|group| group.signed(&token, &signed_as)) {
            None => wrong_key,
            Some(group) => {
                let device_id = signed_as.as_str().to_owned();
                Ok(Caller { registration_id: signed_as, device_id, group: Some(group.name().to_owned()) })
            }
        }
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

    fn register(&mut self, request: &HttpRequest<'_>, caller: &Caller, now: Duration) -> Result<HttpAnswer, Refused> {
        if request.body.len() > LARGEST_BODY {
            return Err(Refused::new(413_000, "The request is too large."));
        }
        let body: RegisterBody = serde_json::from_slice(request.body)
            .map_err(|_| Refused::new(BAD_REQUEST, "The body is not a device registration."))?;
        if !body.registration_id.eq_ignore_ascii_case(caller.registration_id.as_str()) {
            return Err(Refused::new(BAD_REQUEST, "The body's registration ID is not that of the path."));
        }
        let key = caller.registration_id.as_str().to_ascii_lowercase();
        let operation_id = operation_id(&key, self.requests);
        let hub = self.pick_hub(&key);
        let created = self.devices.get(&key).map_or(now, |device| device.created);
        let device = Device {
            operation_id,
            polls_left: self.settings.assigning_polls,
            created,
            updated: now,
            hub,
            name: caller.device_id.clone(),
            group: caller.group.clone(),
        };
        let mut answer = self.assigning(&device.operation_id);
        let scope = &self.settings.id_scope;
        let location = format!("/{scope}/registrations/{}/operations/{}", caller.registration_id, device.operation_id);
        answer.headers.push(("Location", location));
        self.devices.insert(key, device);
        Ok(answer)
    }

    fn operation_status(&mut self, operation_id: &str, caller: &Caller, now: Duration) -> Result<HttpAnswer, Refused> {
        let key = caller.registration_id.as_str().to_ascii_lowercase();
        let device = self.devices.get_mut(&key).filter(|device| device.operation_id == operation_id);
        let device = device.ok_or(Refused::new(NOT_FOUND, "No registration has this operation ID."))?;
        if let Some(left) = device.polls_left.checked_sub(1) {
            device.polls_left = left;
            device.updated = now;
            return Ok(self.assigning(operation_id));
        }
        let state = StateBody {
            registration_id: caller.registration_id.as_str(),
            created_date_time_utc: timestamp(device.created),
            assigned_hub: &device.hub,
            device_id: &device.name,
            status: "assigned",
            substatus: "initialAssignment",
            last_updated_date_time_utc: timestamp(device.updated),
            etag: uuid(&[b"etag", device.operation_id.as_bytes()]),
            symmetric_key: device.group.as_deref().map(|enrollment_group_id| SymmetricKeyBody { enrollment_group_id }),
        };
        Ok(json(200, &StatusBody { operation_id, status: "assigned", registration_state: Some(state) }))
    }

    fn assigning(&self, operation_id: &str) -> HttpAnswer {
        let mut answer = json(202, &StatusBody { operation_id, status: "assigning", registration_state: None });
        let retry_after = self.settings.retry_after.map(|delay| ("Retry-After", delay.as_secs().to_string()));
        answer.headers.extend(retry_after);
        answer
    }

    /// Evenly, and the same for the same device each time.
    fn pick_hub(&self, key: &str) -> String {
        let [first, ..] = <[u8; 32]>::from(Sha256::digest(key));
        let mut hubs = self.settings.hubs.iter().cycle();
        hubs.nth(usize::from(first)).map(ToString::to_string).unwrap_or_default()
    }
}

fn decode(segment: &str) -> String {
    String::from_utf8_lossy(&percent_decode(segment).collect::<Vec<u8>>()).into_owned()
}

/// Nothing that the simulator writes fails to serialize; an empty body would show that it did.
fn json<T: Serialize>(status: u16, body: &T) -> HttpAnswer {
    let headers = Vec::from([("Content-Type", "application/json; charset=utf-8".to_owned())]);
    HttpAnswer { status, headers, body: serde_json::to_vec(body).unwrap_or_default() }
}

/// With seven digits of fraction, as the service writes its times.
fn timestamp(unix: Duration) -> String {
    let mut text = UnixTime::from_secs(unix.as_secs()).to_string();
    text.pop();
    // Writing to a `String` cannot fail.
    let _ = write!(text, ".{:07}Z", unix.subsec_nanos() / 100);
    text
}

/// As the service forms them: `5.316aac5bdc130deb.b1e02da8-c3a0-4ff2-a121-7ea7a6b7f550`.
fn operation_id(key: &str, number: u64) -> String {
    let hash = hex(&[b"operation", key.as_bytes()]);
    let prefix = hash.get(..16).unwrap_or_default();
    format!("5.{prefix}.{}", uuid(&[key.as_bytes(), &number.to_be_bytes()]))
}

fn uuid(parts: &[&[u8]]) -> String {
    let hash = hex(parts);
    let part = |range| hash.get(range).unwrap_or_default();
    format!("{}-{}-4{}-a{}-{}", part(0..8), part(8..12), part(13..16), part(17..20), part(20..32))
}

fn hex(parts: &[&[u8]]) -> String {
    let hash = parts.iter().fold(Sha256::new(), Digest::chain_update).finalize();
    hash.iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
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

    fn ask(method: &str, target: &str, token: &str, body: &str) -> (u16, serde_json::Value) {
        let (sim, good) = service();
        let token = if token.is_empty() { &good } else { token };
        let request = HttpRequest { method, target, headers: [("authorization", token)].into(), body: body.as_bytes() };
        let answer = sim.answer(&request, BEGINNING);
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
        assert_eq!(sim.answer(&request, BEGINNING).status, 401);
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
        let answer = sim.answer(&request, BEGINNING);
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
