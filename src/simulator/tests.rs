//! The service over HTTP, in virtual time: what it takes and what it refuses.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::identity::RegistrationId;
use crate::key::DeviceKey;
use crate::sas::{Resource, SasToken};
use crate::simulator::front::http::{HttpAnswer, HttpRequest};
use crate::simulator::handle::BEGINNING;
use crate::simulator::settings::API_VERSIONS;
use crate::simulator::state::Delivery;
use crate::simulator::{IndividualEnrollment, Simulator};
use crate::time::UnixTime;

/// A service with one device, and that device's token.
fn service() -> (Simulator, String) {
    let key = DeviceKey::from_bytes(&[7; 32]).expect("a key");
    let registration_id = RegistrationId::new("Dev-01").expect("valid");
    let sim = Simulator::builder().individual(IndividualEnrollment::new(registration_id.clone(), key.clone())).build();
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
    assert_eq!(ask("PUT", REGISTER, "", &"x".repeat(96 * 1024 + 1)).0, 413);
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
