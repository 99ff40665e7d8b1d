//! An assignment as JSON and compared with another one.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod common;

use azure_iot_dps::Assignment;
use azure_iot_dps::attestation::KeySlot;
use azure_iot_dps::protocol::Response;
use serde_json::{Value, json};

/// What the service answers: all the fields that it may send.
const WHOLE: &str = r#"{"operationId":"5.3","status":"assigned","registrationState":{
    "registrationId":"dev-01","createdDateTimeUtc":"2026-01-01T00:00:01.5163352Z",
    "assignedHub":"my-hub.azure-devices.net","deviceId":"my-device","status":"assigned",
    "substatus":"initialAssignment","lastUpdatedDateTimeUtc":"2026-01-01T00:00:02.7370676Z","etag":"IjY5MDAz",
    "payload":{"interval":30,"tags":["a",null,1.5]},"symmetricKey":{"enrollmentGroupId":"line-7"},
    "issuedCertificateChain":["AAEC","AwQF"],"connectionProfile":"mqttV5"}}"#;

fn assigned(body: &str) -> Assignment {
    let answer = Ok(Response::new(200, body.as_bytes().to_vec()));
    common::drive(&common::settings(), [answer]).result.expect("assigned")
}

fn again(assignment: &Assignment) -> Assignment {
    let json = serde_json::to_string(assignment).expect("writes");
    serde_json::from_str(&json).expect("reads")
}

#[test]
fn an_assignment_is_written_with_the_services_names() {
    let json = serde_json::to_value(assigned(WHOLE)).expect("writes");
    let mut expected = serde_json::from_str::<Value>(WHOLE).expect("JSON")["registrationState"].take();
    expected["keyUsed"] = json!("primary");
    assert_eq!(json, expected);
}

#[test]
fn an_assignment_survives_json() {
    let assignment = assigned(WHOLE);
    let again = again(&assignment);
    assert_eq!(again, assignment);
    assert_eq!((again.device_id().as_str(), again.key_used()), ("my-device", Some(KeySlot::Primary)));
    assert_eq!(again.certificates().collect::<Vec<_>>(), [&[0, 1, 2][..], &[3, 4, 5]]);
    assert_eq!((again.requests(), assignment.requests()), (0, 1), "the run is not written");
}

#[test]
fn a_payload_survives_json_however_it_is_written() {
    let assignment = assigned(&WHOLE.replace(r#"{"interval":30,"tags":["a",null,1.5]}"#, r#"{"b": 1e2, "a": [ 1 ]}"#));
    assert_eq!(assignment.payload_json(), Some(r#"{"b": 1e2, "a": [ 1 ]}"#));
    assert_eq!(again(&assignment), assignment);
    assert_ne!(assignment, assigned(WHOLE));
}

#[test]
fn a_payload_that_json_values_cannot_hold_is_an_error_and_does_not_show_it() {
    for payload in ["1e999", &format!("{}\"s3cret\"{}", "[".repeat(200), "]".repeat(200))] {
        let assignment = assigned(&WHOLE.replace(r#"{"interval":30,"tags":["a",null,1.5]}"#, payload));
        let error = serde_json::to_string(&assignment).expect_err(payload).to_string();
        assert!(error.contains("payload") && !error.contains("s3cret"), "{error}");
        assert_eq!(assignment, assignment.clone());
    }
}

#[test]
fn the_absence_of_a_key_survives_json() {
    let mut json = serde_json::to_value(assigned(WHOLE)).expect("writes");
    json.as_object_mut().expect("an object").remove("keyUsed");
    let assignment: Assignment = serde_json::from_value(json).expect("reads");
    assert_eq!((assignment.key_used(), again(&assignment).key_used()), (None, None));
    assert_ne!(assignment, assigned(WHOLE));
}

#[test]
fn json_that_is_not_an_assignment_is_an_error_that_names_the_field() {
    let change = |field: &str, value: Value| {
        let mut json = serde_json::to_value(assigned(WHOLE)).expect("writes");
        json[field] = value;
        serde_json::from_value::<Assignment>(json).expect_err(field).to_string()
    };
    for (field, value) in [
        ("registrationId", Value::Null),
        ("assignedHub", Value::Null),
        ("deviceId", json!("a/b")),
        ("keyUsed", json!("s3cret")),
        ("keyUsed", json!(5)),
        ("issuedCertificateChain", json!(["s3cret!"])),
    ] {
        let error = change(field, value);
        assert!(error.contains(field) && !error.contains("s3cret"), "{field}: {error}");
    }
    assert!(change("registrationId", json!("a b")).contains("registration ID"));
    for json in ["[]", "null", "3", "\"x\"", "{}"] {
        assert!(serde_json::from_str::<Assignment>(json).is_err(), "{json}");
    }
}

#[test]
fn two_assignments_are_equal_if_what_the_service_says_is_and_tell_whether_the_hub_is_the_same() {
    let one = assigned(WHOLE);
    let touched = assigned(&WHOLE.replace("IjY5MDAz", "IjY5MDA0"));
    let moved = assigned(&WHOLE.replace("my-hub", "other-hub"));
    assert!(one == assigned(WHOLE) && one != touched && one != moved);
    assert!(one.is_same_hub(&touched) && !one.is_same_hub(&moved));
}
