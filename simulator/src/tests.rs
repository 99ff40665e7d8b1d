//! Tests of the service over HTTP, in virtual time: what it accepts and what it refuses.

use azure_iot_dps::identity::RegistrationId;
use azure_iot_dps::sas::Resource;
use azure_iot_dps::time::UnixTime;
use azure_iot_dps::{DeviceKey, GroupKey, KeyDerivation, SasToken};

use crate::front::http::{HttpAnswer, HttpRequest};
use crate::handle::BEGINNING;
use crate::settings::API_VERSIONS;
use crate::state::Delivery;
use crate::{IndividualEnrollment, Simulator, SymmetricKey};

/// Returns a service with one device, and a token of the device.
fn service() -> (Simulator, String) {
    let key = DeviceKey::from_bytes(&[7; 32]).expect("a key");
    let own = SymmetricKey::from_bytes(&[7; 32]).expect("a key");
    let registration_id = RegistrationId::new("Dev-01").expect("valid");
    let sim = Simulator::builder().individual(IndividualEnrollment::new(registration_id.clone(), own)).build();
    let scope = sim.id_scope();
    let resource = Resource::registration(&scope, &registration_id);
    let token = SasToken::sign(resource, &key, UnixTime::from_secs(u64::MAX)).expect("signs");
    (sim, token.as_str().to_owned())
}

fn answer(sim: &Simulator, request: &HttpRequest<'_>) -> HttpAnswer {
    match sim.deliver(request, BEGINNING) {
        Delivery::Whole { reply, .. } => sim.http_answer(reply),
        other => panic!("{other:?}"),
    }
}

fn ask(method: &str, target: &str, token: &str, body: &str) -> (u16, serde_json::Value) {
    let (sim, good) = service();
    let token = if token.is_empty() { &good } else { token };
    let headers = [("authorization", token), JSON].into();
    let answer = answer(&sim, &HttpRequest { method, target, headers, body: body.as_bytes(), certificates: &[] });
    (answer.status, serde_json::from_slice(&answer.body).expect("JSON"))
}

const REGISTER: &str = "/0ne00002193/registrations/Dev-01/register?api-version=2021-06-01";
const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");
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
    let request = HttpRequest {
        method: "PUT",
        target: REGISTER,
        headers: [JSON].into(),
        body: BODY.as_bytes(),
        certificates: &[],
    };
    assert_eq!(answer(&sim, &request).status, 401);
}

#[test]
fn an_answer_carries_the_services_headers() {
    let (sim, good) = service();
    let request = HttpRequest {
        method: "PUT",
        target: REGISTER,
        headers: [("Authorization", good.as_str()), JSON].into(),
        body: BODY.as_bytes(),
        certificates: &[],
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

#[test]
fn a_body_is_json_by_its_type_in_whatever_charset_or_it_is_a_415() {
    let (sim, good) = service();
    let status = |content_type: Option<&str>| {
        let mut headers = vec![("authorization", good.as_str())];
        headers.extend(content_type.map(|value| ("Content-Type", value)));
        answer(
            &sim,
            &HttpRequest { method: "PUT", target: REGISTER, headers, body: BODY.as_bytes(), certificates: &[] },
        )
        .status
    };
    for taken in ["application/json", "application/json; charset=utf-8", "Application/JSON ;charset=\"UTF-8\""] {
        assert_eq!(status(Some(taken)), 202, "{taken}");
    }
    for refused in [None, Some(""), Some("text/plain"), Some("application/json-patch+json"), Some("json")] {
        assert_eq!(status(refused), 415, "{refused:?}");
    }
    let target = REGISTER.replace("register?", "operations/5.3?");
    let poll = HttpRequest {
        method: "GET",
        target: &target,
        headers: [("authorization", &*good)].into(),
        body: b"",
        certificates: &[],
    };
    assert_eq!(answer(&sim, &poll).status, 404, "without a body there is no type to be had");
}

#[test]
fn a_body_with_a_member_that_the_api_does_not_know_is_a_400012() {
    let lookup = "/0ne00002193/registrations/Dev-01?api-version=2021-06-01";
    for (method, target) in [("PUT", REGISTER), ("POST", lookup)] {
        for member in [r#""modelId":"dtmi:a;1""#, r#""Payload":{}"#, r#""x":null"#] {
            let body = BODY.replace('}', &format!(",{member}}}"));
            let (status, body) = ask(method, target, "", &body);
            assert_eq!((status, &body["errorCode"]), (400, &400_012.into()), "{method} {member}");
        }
    }
    for member in [r#""payload":{"modelId":"dtmi:a;1"}"#, r#""payload":null"#, r#""csr":null,"tpm":null"#] {
        assert_eq!(ask("PUT", REGISTER, "", &BODY.replace('}', &format!(",{member}}}"))).0, 202, "{member}");
    }
    let tpm = BODY.replace('}', r#","tpm":{"endorsementKey":"AA=="}}"#);
    let (status, body) = ask("PUT", REGISTER, "", &tpm);
    assert_eq!((status, &body["errorCode"]), (400, &400_000.into()), "no enrollment is one of a TPM");
    let (status, body) = ask("POST", lookup, "", &BODY.replace('}', r#","csr":"AAAA"}"#));
    assert_eq!((status, &body["errorCode"]), (400, &400_000.into()));
}

#[test]
fn a_poll_and_a_registration_are_answered_in_the_services_form() {
    let (sim, good) = service();
    let ask = |method: &str, target: &str, body: &str| {
        let headers = [("authorization", good.as_str()), JSON].into();
        let answer = answer(&sim, &HttpRequest { method, target, headers, body: body.as_bytes(), certificates: &[] });
        let location = answer.headers.iter().find(|(it, _)| *it == "Location").map(|(_, value)| value.clone());
        let json: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        (answer.status, location, json)
    };
    let (status, location, registered) = ask("PUT", REGISTER, BODY);
    let operation_id = registered["operationId"].as_str().expect("text").to_owned();
    assert_eq!((status, registered.as_object().expect("an object").len()), (202, 2), "{registered}");
    let poll = REGISTER.replace("register?", &format!("operations/{operation_id}?"));
    let (status, of_poll, polled) = ask("GET", &poll, "");
    assert_eq!((status, of_poll), (202, location));
    let state = serde_json::json!({ "registrationId": "Dev-01", "status": "assigning" });
    assert_eq!((&polled["status"], &polled["registrationState"]), (&"assigning".into(), &state));
    let (.., assigned) = ask("GET", &poll, "");
    let etag = assigned["registrationState"]["etag"].as_str().expect("text");
    let guid = String::from_utf8(crate::wire::base64_decode(etag).expect("base64")).expect("text");
    assert!(guid.len() == 38 && guid.starts_with('"') && guid.ends_with('"'), "{guid}");
    let (status, _, unknown) = ask("GET", &REGISTER.replace("register?", "operations/5.3?"), "");
    assert_eq!((status, &unknown["errorCode"]), (404, &404_202.into()));
}

#[test]
fn a_token_may_be_signed_for_the_resource_in_lower_case_as_identity_service_does() {
    let (id, scope) = (RegistrationId::new("Dev-01").expect("valid"), "0NE0000A1B2");
    let derivation = KeyDerivation::new(&GroupKey::from_bytes(&[5; 64]).expect("a key"));
    let enrollment = crate::EnrollmentGroup::new("g", SymmetricKey::from_bytes(&[5; 64]).expect("a key"));
    let sim = Simulator::builder().id_scope(scope.parse().expect("valid")).group(enrollment).build();
    let target = format!("/{scope}/registrations/Dev-01/register?api-version=2021-06-01");
    let lower = RegistrationId::new("dev-01").expect("valid");
    // A device that signs in lower case may derive the key from either spelling.
    for (key, status) in [(derivation.derive(&id), 202), (derivation.derive(&lower), 202), (group_key(), 401)] {
        let resource = format!("{}/registrations/dev-01", scope.to_ascii_lowercase());
        let token = SasToken::sign(Resource::uri(&resource), &key, UnixTime::from_secs(u64::MAX)).expect("signs");
        let token = format!("{}&skn=registration", token.as_str());
        let headers = [("authorization", token.as_str()), JSON].into();
        let request = HttpRequest { method: "PUT", target: &target, headers, body: BODY.as_bytes(), certificates: &[] };
        let registered = answer(&sim, &request);
        assert_eq!(registered.status, status);
        if status == 202 {
            assert_eq!(status_at_the_hub(&sim, &registered, &token, &key), 204, "nor does the hub mind");
        }
    }
}

/// Polls until the device is assigned, and sends a message to its hub.
fn status_at_the_hub(sim: &Simulator, registered: &HttpAnswer, token: &str, key: &DeviceKey) -> u16 {
    let location = registered.headers.iter().find(|(name, _)| *name == "Location").map(|(_, value)| value.as_str());
    let target = format!("{}?api-version=2021-06-01", location.expect("a location"));
    for _ in 0..2 {
        let headers = [("authorization", token)].into();
        answer(sim, &HttpRequest { method: "GET", target: &target, headers, body: b"", certificates: &[] });
    }
    let resource = Resource::uri("simulated-hub.azure-devices.net/devices/Dev-01");
    let token = SasToken::sign(resource, key, UnixTime::from_secs(u64::MAX)).expect("signs");
    let headers = [("authorization", token.as_str())].into();
    let target = "/devices/Dev-01/messages/events?api-version=2020-03-13";
    answer(sim, &HttpRequest { method: "POST", target, headers, body: b"{}", certificates: &[] }).status
}

fn group_key() -> DeviceKey {
    DeviceKey::from_bytes(&[5; 64]).expect("a key")
}

#[test]
fn what_is_kept_of_requests_that_are_refused_has_a_bound_in_bytes() {
    let (sim, _) = service();
    let body = "x".repeat(500_000);
    let headers = || [JSON].into();
    for _ in 0..100 {
        answer(
            &sim,
            &HttpRequest {
                method: "PUT",
                target: REGISTER,
                headers: headers(),
                body: body.as_bytes(),
                certificates: &[],
            },
        );
    }
    assert_eq!(sim.records().len(), 8, "of half a megabyte each, in 4 MiB");
    let target = format!("/{}", "y".repeat(1_000_000));
    for _ in 0..100 {
        answer(&sim, &HttpRequest { method: "PUT", target: &target, headers: headers(), body: b"", certificates: &[] });
    }
    assert_eq!(sim.records().len(), 4, "names count, too");
    let huge = "z".repeat(20_000_000);
    answer(
        &sim,
        &HttpRequest { method: "PUT", target: REGISTER, headers: headers(), body: huge.as_bytes(), certificates: &[] },
    );
    assert_eq!(sim.records().len(), 1, "the last one is there in any case");
}
