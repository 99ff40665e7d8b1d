//! Tests the state machine in virtual time: its requests, its waits and its final errors. It never
//! sleeps.
#![allow(clippy::expect_used, clippy::panic, clippy::unchecked_time_subtraction, reason = "a test may panic")]

mod common;

use std::time::Duration;

use azure_iot_dps::assignment::Substatus;
use azure_iot_dps::attestation::AttestationKind;
use azure_iot_dps::error::{ServiceErrorKind, TransportErrorKind};
use azure_iot_dps::key::{Signer, SignerError};
use azure_iot_dps::protocol::{Response, RetryAfter};
use azure_iot_dps::registration::{Registration, RegistrationSettings, Session, Step, WaitReason};
use azure_iot_dps::time::{Now, UnixTime};
use azure_iot_dps::{Endpoint, Error, Event, RetryPolicy, SasToken};
use common::{
    ASSIGNED, Answer, Drive, NEW_YEAR, answer, assigned, assigning, assigning_after, at, drive, html, id, key, refused,
    scope, seconds, settings, step,
};

fn unreachable() -> Answer {
    Err(TransportErrorKind::CannotConnect)
}

// The straight way

#[test]
fn a_device_registers_polls_and_is_assigned() {
    let run = drive(&settings(), [assigning(), assigning(), assigned()]);
    let assignment = run.result.expect("assigned");
    assert_eq!(assignment.hub().as_str(), "my-hub.azure-devices.net");
    assert_eq!(assignment.device_id().as_str(), "dev-01");
    let requests: Vec<_> = run.sent.iter().map(|sent| (sent.method, sent.target.as_str())).collect();
    assert_eq!(
        requests,
        [
            ("PUT", "/0ne00002193/registrations/dev-01/register?api-version=2021-06-01"),
            ("GET", "/0ne00002193/registrations/dev-01/operations/5.3?api-version=2021-06-01"),
            ("GET", "/0ne00002193/registrations/dev-01/operations/5.3?api-version=2021-06-01"),
        ]
    );
}

#[test]
fn a_register_answer_that_is_assigned_at_once_needs_no_poll() {
    let run = drive(&settings(), [assigned()]);
    assert_eq!((run.sent.len(), run.ended_at), (1, seconds(0)));
    run.result.expect("assigned");
}

#[test]
fn the_assignment_carries_all_that_the_service_tells() {
    let assignment = drive(&settings(), [assigned()]).result.expect("assigned");
    assert_eq!(assignment.registration_id(), &id("dev-01"));
    assert_eq!(assignment.substatus(), Some(&Substatus::InitialAssignment));
    assert_eq!(assignment.created_at(), Some("2026-01-01T00:00:01.5163352Z"));
    assert_eq!(assignment.updated_at(), Some("2026-01-01T00:00:02.7370676Z"));
    assert_eq!(assignment.etag(), Some("IjY5MDAz"));
    assert_eq!(assignment.enrollment_group_id(), Some("my-group"));
    assert_eq!(assignment.payload_json(), Some(r#"{"colour":"red"}"#));
    let payload: std::collections::BTreeMap<String, String> =
        assignment.payload().expect("of that type").expect("is there");
    assert_eq!(payload["colour"], "red");
    assert!(assignment.payload::<u32>().is_err());
}

#[test]
fn an_answer_with_nothing_but_hub_and_device_id_is_an_assignment() {
    let body = r#"{"registrationState":{"status":"assigned","assignedHub":"h.example","deviceId":"d!1"}}"#;
    let assignment = drive(&settings(), [Ok(answer(200, body))]).result.expect("assigned");
    assert_eq!((assignment.hub().as_str(), assignment.device_id().as_str()), ("h.example", "d!1"));
    assert_eq!((assignment.substatus(), assignment.etag(), assignment.payload_json()), (None, None, None));
}

#[test]
fn fields_that_are_null_or_unheard_of_are_as_good_as_missing() {
    let body = r#"{"operationId":null,"status":"assigned","brandNew":[{}],"registrationState":{"assignedHub":"h.example",
        "deviceId":"d","status":null,"substatus":"teleported","etag":null,"payload":null,"symmetricKey":null,"x509":{}}}"#;
    let assignment = drive(&settings(), [Ok(answer(200, body))]).result.expect("assigned");
    assert_eq!(assignment.substatus(), Some(&Substatus::Other("teleported".into())));
    assert_eq!((assignment.etag(), assignment.payload_json()), (None, None));
}

#[test]
fn a_register_answer_without_a_status_is_polled_for() {
    let run = drive(&settings(), [Ok(answer(202, r#"{"operationId":"5.3"}"#)), assigned()]);
    assert_eq!(run.sent[1].method, "GET");
    run.result.expect("assigned");
}

#[test]
fn unassigned_and_statuses_unheard_of_are_polled_for() {
    for status in ["unassigned", "suspended", ""] {
        let body = format!(r#"{{"operationId":"5.3","status":"{status}"}}"#);
        let run = drive(&settings(), [Ok(answer(200, &body)), assigned()]);
        assert_eq!(run.sent.len(), 2, "{status}");
        run.result.expect("assigned");
    }
}

#[test]
fn a_poll_answer_without_an_operation_id_keeps_the_old_one() {
    let run = drive(&settings(), [assigning(), Ok(answer(202, r#"{"status":"assigning"}"#)), assigned()]);
    assert!(run.sent[2].target.contains("/operations/5.3?"));
    run.result.expect("assigned");
}

#[test]
fn a_new_operation_id_replaces_the_old_one() {
    let run =
        drive(&settings(), [assigning(), Ok(answer(202, r#"{"operationId":"5.4","status":"assigning"}"#)), assigned()]);
    assert!(run.sent[2].target.contains("/operations/5.4?"));
}

#[test]
fn an_operation_id_is_percent_encoded_and_never_leaves_its_place_in_the_path() {
    let body = r#"{"operationId":"../../a?b#c\r\nd/e %2e","status":"assigning"}"#;
    let run = drive(&settings(), [Ok(answer(202, body)), assigned()]);
    assert_eq!(
        run.sent[1].target,
        "/0ne00002193/registrations/dev-01/operations/..%2F..%2Fa%3Fb%23c%0D%0Ad%2Fe%20%252e?api-version=2021-06-01"
    );
}

#[test]
fn operation_ids_that_would_change_the_path_or_fill_the_memory_are_not_taken() {
    for bad in [String::new(), ".".into(), "..".into(), "x".repeat(100_000)] {
        let body = format!(r#"{{"operationId":"{bad}","status":"assigning"}}"#);
        let run = drive(&settings(), [Ok(answer(202, &body)), assigned()]);
        assert_eq!(run.sent[1].method, "PUT", "{} characters", bad.len());
    }
}

// What a request says

#[test]
fn a_register_request_names_the_device_in_its_body() {
    let run = drive(&settings(), [assigned()]);
    assert_eq!(run.sent[0].body.as_deref(), Some(r#"{"registrationId":"dev-01"}"#));
}

#[test]
fn a_poll_has_no_body() {
    assert_eq!(drive(&settings(), [assigning(), assigned()]).sent[1].body, None);
}

#[test]
fn a_payload_is_sent_as_it_was_given() {
    let settings = settings().payload_json(r#"{"b": 1,"a":[true, null]}"#).expect("JSON");
    let run = drive(&settings, [assigned()]);
    assert_eq!(run.sent[0].body.as_deref(), Some(r#"{"registrationId":"dev-01","payload":{"b": 1,"a":[true, null]}}"#));
    let settings = settings.payload(&["any", "type"]).expect("serializes");
    let run = drive(&settings, [assigned()]);
    assert_eq!(run.sent[0].body.as_deref(), Some(r#"{"registrationId":"dev-01","payload":["any","type"]}"#));
}

#[test]
fn a_payload_that_is_not_json_or_too_large_is_refused_before_anything_is_sent() {
    assert!(settings().payload_json("{").is_err());
    assert!(settings().payload_json("").is_err());
    assert!(settings().payload_json("{} {}").is_err());
    let around = r#"{"registrationId":"dev-01","payload":""}"#.len();
    let fits = "x".repeat(96 * 1024 - around);
    settings().payload(&fits).expect("exactly 96 KiB");
    let error = settings().payload(&format!("{fits}x")).expect_err("a byte more");
    assert_eq!(error.to_string(), "with this payload the register request has 98305 bytes; the service accepts 98304");
}

#[test]
fn the_target_of_a_request_is_percent_encoded() {
    let settings = RegistrationSettings::new(scope(), id("a:b.c_d-"));
    let run = drive(&settings, [assigned()]);
    assert_eq!(run.sent[0].target, "/0ne00002193/registrations/a%3Ab.c_d-/register?api-version=2021-06-01");
}

#[test]
fn the_token_is_for_the_registration_and_good_for_an_hour() {
    let run = drive(&settings(), [assigned()]);
    let token = SasToken::parse(&run.sent[0].authorization).expect("a token");
    assert_eq!(token.resource_uri(), "0ne00002193/registrations/dev-01");
    assert_eq!(token.key_name().as_deref(), Some("registration"));
    assert_eq!(token.expires_at(), UnixTime::from_secs(NEW_YEAR + 3600));
    assert!(token.verify(&key()));
}

#[test]
fn a_request_says_all_that_http_needs() {
    let settings = settings().endpoint(Endpoint::CHINA).product(&"acme/1.4".parse().expect("valid"));
    let key = key();
    let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
    let Ok(Step::Send(request)) = step(&mut registration, &key, at(0)) else { panic!("the first step sends") };
    assert_eq!(request.endpoint().host().as_str(), "global.azure-devices-provisioning.cn");
    let headers: Vec<_> = request.http().headers().collect();
    let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["Authorization", "Accept", "Accept-Encoding", "User-Agent", "Content-Type"]);
    assert_eq!(headers[0].1, request.token().expect("a token").as_str());
    assert_eq!(headers[1].1, "application/json");
    assert_eq!(headers[2].1, "identity");
    assert!(headers[3].1.starts_with("azure-iot-dps/0.1.0") && headers[3].1.ends_with(" acme/1.4"), "{}", headers[3].1);
    assert_eq!(headers[4].1, "application/json; charset=utf-8");
}

#[test]
fn a_request_says_who_asks_for_what_so_that_mqtt_parses_no_url() {
    use azure_iot_dps::protocol::Operation;
    let (settings, key) = (settings(), key());
    let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
    let Ok(Step::Send(request)) = step(&mut registration, &key, at(0)) else { panic!("the first step sends") };
    assert_eq!(request.operation(), Operation::Register);
    assert_eq!((request.id_scope(), request.registration_id()), (&scope(), &id("dev-01")));
    let mqtt = Response::new(202, &br#"{"operationId":"5.3","status":"assigning"}"#[..])
        .with_retry_after(RetryAfter::Delay(seconds(3)));
    registration.receive(Ok(mqtt), at(0));
    let Ok(Step::Send(request)) = step(&mut registration, &key, at(3)) else { panic!("then it polls") };
    assert_eq!(request.operation(), Operation::OperationStatus { operation_id: "5.3" });
}

// How long a poll waits

#[test]
fn polls_are_two_seconds_apart_where_the_service_does_not_say() {
    let run = drive(&settings(), [assigning(), assigning(), assigning(), assigned()]);
    assert_eq!(run.gap_seconds(), [2, 2, 2]);
}

#[test]
fn a_retry_after_in_seconds_is_kept_to_on_register_and_on_polls() {
    let run = drive(&settings(), [assigning_after("3"), assigning_after("30"), assigning_after("1"), assigned()]);
    assert_eq!(run.gap_seconds(), [3, 30, 1]);
}

#[test]
fn a_retry_after_of_zero_is_kept_to_twice_in_a_row_and_then_a_second_passes() {
    let zero = || assigning_after("0");
    let run =
        drive(&settings(), [zero(), zero(), zero(), zero(), assigning_after("2"), zero(), zero(), zero(), assigned()]);
    assert_eq!(run.gap_seconds(), [0, 0, 1, 1, 2, 0, 0, 1]);
}

#[test]
fn a_retry_after_that_makes_no_sense_is_as_good_as_none() {
    let run = drive(&settings(), [assigning_after("-5"), assigning_after("soon"), assigning_after("2.5"), assigned()]);
    assert_eq!(run.gap_seconds(), [2, 2, 2]);
}

#[test]
fn a_poll_interval_of_ones_own_is_kept_to() {
    let settings = settings().retry(RetryPolicy::DEFAULT.poll_interval(seconds(7)));
    assert_eq!(drive(&settings, [assigning(), assigning(), assigned()]).gap_seconds(), [7, 7]);
}

#[test]
fn asking_early_gives_the_rest_of_the_same_pause() {
    let (settings, key) = (settings(), key());
    let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
    let Ok(Step::Send(_)) = step(&mut registration, &key, at(0)) else { panic!("the first step sends") };
    registration.receive(Ok(assigning_after("10").expect("an answer")), at(0));
    for (uptime, left) in [(0, 10), (3, 7), (3, 7), (9, 1)] {
        let Ok(Step::Wait(pause)) = step(&mut registration, &key, at(uptime)) else { panic!("it waits at {uptime} s") };
        assert_eq!((pause.duration(), pause.reason()), (seconds(left), WaitReason::Assigning));
    }
    assert!(matches!(step(&mut registration, &key, at(10)), Ok(Step::Send(_))));
}

// What is final

#[test]
fn an_error_of_the_service_with_a_final_status_ends_the_registration_at_once() {
    for (status, code) in
        [(400, 400_012), (401, 401_002), (403, 403_000), (404, 404_201), (405, 405_000), (415, 415_000)]
    {
        let run = drive(&settings(), [refused(status, code)]);
        let error = run.error();
        assert_eq!(run.sent.len(), 1, "{status}");
        assert!(!error.is_transient(), "{status}");
        assert_eq!((error.status(), error.error_code()), (Some(status), Some(code)));
        assert!(error.retry_after().expect("enrollments are repaired") >= seconds(1800), "{status}");
    }
}

#[test]
fn an_error_tells_all_that_support_asks_for() {
    let run = drive(&settings(), [refused(401, 401_002)]);
    let error = run.error();
    assert_eq!(error.message(), Some("So it is"));
    assert_eq!(error.tracking_id(), Some("2cb8f317"));
    assert_eq!(error.request_id(), Some("6a7b"));
    assert_eq!(error.timestamp(), Some("2026-01-01T00:00:00.1573304Z"));
    assert_eq!(
        error.to_string(),
        "the service refused the request with status 401: So it is (error code 401002, tracking ID 2cb8f317, \
         request ID 6a7b, at 2026-01-01T00:00:00.1573304Z)"
    );
}

#[test]
fn a_registration_that_failed_is_final_and_says_why() {
    let body = r#"{"operationId":"5.3","status":"failed","registrationState":{"status":"failed","errorCode":404201,
        "errorMessage":"Enrollment not found"}}"#;
    let run = drive(&settings(), [assigning(), Ok(answer(200, body))]);
    let Error::Service(error) = run.error() else { panic!("{:?}", run.error()) };
    assert_eq!(
        (error.kind(), error.error_code(), error.message()),
        (ServiceErrorKind::Failed, Some(404_201), Some("Enrollment not found"))
    );
    assert!(!error.is_transient());
    assert_eq!(error.to_string(), "the registration failed: Enrollment not found (error code 404201)");
}

#[test]
fn a_registration_that_failed_without_a_word_is_final_too() {
    let run = drive(&settings(), [Ok(answer(200, r#"{"status":"failed"}"#))]);
    assert_eq!(run.error().to_string(), "the registration failed");
}

#[test]
fn a_disabled_enrollment_is_final() {
    let run = drive(&settings(), [Ok(answer(200, r#"{"operationId":"5.3","status":"disabled"}"#))]);
    let Error::Service(error) = run.error() else { panic!("{:?}", run.error()) };
    assert_eq!(error.kind(), ServiceErrorKind::Disabled);
    assert!(!error.is_transient());
}

#[test]
fn a_registration_that_has_ended_says_so() {
    let (settings, key) = (settings(), key());
    let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
    assert!(matches!(step(&mut registration, &key, at(0)), Ok(Step::Send(_))));
    registration.receive(Ok(assigned().expect("an answer")), at(0));
    assert!(matches!(step(&mut registration, &key, at(0)), Ok(Step::Done(_))));
    assert!(matches!(step(&mut registration, &key, at(0)), Err(Error::Ended)));
}

#[test]
fn an_answer_that_nobody_asked_for_is_ignored() {
    let (settings, key) = (settings(), key());
    let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
    registration.receive(Ok(refused(400, 400_000).expect("an answer")), at(0));
    assert!(matches!(step(&mut registration, &key, at(0)), Ok(Step::Send(_))));
    registration.receive(Ok(assigning().expect("an answer")), at(0));
    registration.receive(Ok(refused(400, 400_000).expect("an answer")), at(0));
    assert!(matches!(step(&mut registration, &key, at(0)), Ok(Step::Wait(_))));
}

#[test]
fn a_request_that_nobody_answered_is_given_again() {
    let (settings, key) = (settings(), key());
    let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
    for uptime in 0..3 {
        assert!(matches!(step(&mut registration, &key, at(uptime)), Ok(Step::Send(_))));
    }
}

// What is tried again

#[test]
fn throttling_and_trouble_at_the_service_are_tried_again() {
    for status in [408, 429, 500, 502, 503, 504] {
        let run = drive(&settings(), [refused(status, u32::from(status) * 1000), assigned()]);
        assert_eq!(run.sent.len(), 2, "{status}");
        assert!(run.gaps()[0] >= seconds(1) && run.gaps()[0] < seconds(5), "{status}: {:?}", run.gaps());
        run.result.expect("assigned");
    }
}

#[test]
fn whatever_is_not_the_services_is_tried_again_whatever_its_status() {
    for status in [200, 202, 204, 301, 302, 307, 400, 401, 403, 404, 407, 511, 502] {
        let run = drive(&settings(), [html(status), assigned()]);
        assert_eq!(run.sent.len(), 2, "{status}");
        run.result.expect("assigned");
    }
}

#[test]
fn answers_that_make_no_sense_are_tried_again() {
    for body in [
        "",
        "null",
        "[]",
        "{}",
        "{",
        "\u{feff}{}",
        r#"{"status":"assigned"}"#,
        r#"{"status":"assigned","registrationState":null}"#,
        r#"{"status":"assigned","registrationState":[]}"#,
        r#"{"status":"assigning"}"#,
        r#"{"status":5}"#,
        r#"{"errorCode":401002}"#,
    ] {
        let run = drive(&settings(), [Ok(answer(200, body)), assigned()]);
        assert_eq!(run.sent.len(), 2, "{body}");
        run.result.expect("assigned");
    }
    let latin1 = Ok(Response::new(200, b"{\"status\":\"\xe4\"}".to_vec()));
    drive(&settings(), [latin1, assigned()]).result.expect("assigned");
}

#[test]
fn an_assignment_that_cannot_be_used_is_final_and_names_the_field() {
    for (body, field) in [
        (r#"{"status":"assigned","registrationState":{"deviceId":"d"}}"#, "assignedHub"),
        (r#"{"status":"assigned","registrationState":{"assignedHub":"","deviceId":"d"}}"#, "assignedHub"),
        (r#"{"status":"assigned","registrationState":{"assignedHub":"no host","deviceId":"d"}}"#, "assignedHub"),
        (
            r#"{"status":"assigned","registrationState":{"assignedHub":"evil.example/path","deviceId":"d"}}"#,
            "assignedHub",
        ),
        (r#"{"status":"assigned","registrationState":{"assignedHub":"h.example:0","deviceId":"d"}}"#, "assignedHub"),
        (r#"{"status":"assigned","registrationState":{"assignedHub":"h\r\nx","deviceId":"d"}}"#, "assignedHub"),
        (r#"{"status":"assigned","registrationState":{"assignedHub":"h.example"}}"#, "deviceId"),
        (r#"{"status":"assigned","registrationState":{"assignedHub":"h.example","deviceId":""}}"#, "deviceId"),
        (r#"{"status":"assigned","registrationState":{"assignedHub":"h.example","deviceId":"a/b"}}"#, "deviceId"),
        (r#"{"status":"assigned","registrationState":{"assignedHub":"h.example","deviceId":"a\nb"}}"#, "deviceId"),
    ] {
        let run = drive(&settings(), [Ok(answer(200, body).with_header("x-ms-request-id", "6a7b"))]);
        assert_eq!(run.sent.len(), 1, "{body}");
        let Error::UnexpectedAnswer(error) = run.error() else { panic!("{body}: {:?}", run.error()) };
        assert_eq!((error.field(), run.error().request_id()), (Some(field), Some("6a7b")), "{body}");
        assert!(!run.error().is_transient());
        assert!(run.error().to_string().contains(field), "{}", run.error());
    }
}

#[test]
fn whatever_the_service_assigns_is_taken_unless_it_would_break_something() {
    for (hub, host, port) in [
        ("localhost:443", "localhost", Some(443)),
        ("h.device.azure-devices.net", "h.device.azure-devices.net", None),
        ("my_hub.example.", "my_hub.example", None),
        ("10.0.0.1:8443", "10.0.0.1", Some(8443)),
    ] {
        for device_id in ["d;1", "a&b~c|d", "x=y$z'"] {
            let body = format!(
                r#"{{"status":"assigned","registrationState":{{"assignedHub":"{hub}","deviceId":"{device_id}"}}}}"#
            );
            let assignment = drive(&settings(), [Ok(answer(200, &body))]).result.expect("assigned");
            assert_eq!((assignment.hub().as_str(), assignment.device_id().as_str()), (hub, device_id));
            assert_eq!((assignment.hub().host(), assignment.hub().port()), (host, port));
        }
    }
}

#[test]
fn an_error_without_an_error_code_is_not_the_services() {
    let run = drive(
        &settings(),
        [Ok(answer(401, r#"{"message":"Access denied due to missing subscription key"}"#)), assigned()],
    );
    run.result.expect("assigned");
}

#[test]
fn every_kind_of_failed_transport_is_tried_again() {
    use TransportErrorKind as Kind;
    for kind in [
        Kind::NameNotResolved,
        Kind::CannotConnect,
        Kind::TimedOut,
        Kind::Tls,
        Kind::CertificateNotTrusted,
        Kind::ClockNotSet,
        Kind::Proxy,
        Kind::AnswerTooLarge,
        Kind::AnswerBroken,
        Kind::Other,
    ] {
        let run = drive(&settings(), [Err(kind), assigned()]);
        assert_eq!(run.sent.len(), 2, "{kind}");
        run.result.expect("assigned");
    }
}

#[test]
fn a_proxy_that_refuses_ends_the_registration_and_says_when_to_come_back() {
    let first = drive(&settings(), [Err(TransportErrorKind::ProxyRefused)]);
    assert_eq!(first.sent.len(), 1);
    assert!(!first.error().is_transient(), "{:?}", first.error());
    let wait = first.error().retry_after().expect("it says when");
    assert!((seconds(60)..=seconds(120)).contains(&wait), "{wait:?}");
}

#[test]
fn a_conflict_is_tried_again_a_few_times_and_then_final() {
    for status in [409, 412] {
        let run = drive(&settings(), [refused(status, u32::from(status) * 1000)]);
        assert_eq!(run.sent.len(), 5, "{status}");
        assert!(matches!(run.error(), Error::Service(_)));
        assert!(run.error().is_transient() && run.error().retry_after().is_some());
    }
}

#[test]
fn a_poll_that_fails_is_polled_again_and_not_registered_anew() {
    let run = drive(&settings(), [assigning(), refused(503, 503_000), unreachable(), html(502), assigned()]);
    let methods: Vec<_> = run.sent.iter().map(|sent| sent.method).collect();
    assert_eq!(methods, ["PUT", "GET", "GET", "GET", "GET"]);
    run.result.expect("assigned");
}

#[test]
fn an_operation_that_the_service_no_longer_knows_starts_over_and_from_the_second_time_on_after_a_backoff() {
    let lost = || [assigning(), refused(404, 404_202)];
    let run = drive(&settings(), lost().into_iter().chain(lost()).chain([assigning(), assigned()]));
    let methods: Vec<_> = run.sent.iter().map(|sent| sent.method).collect();
    assert_eq!(methods, ["PUT", "GET", "PUT", "GET", "PUT", "GET"]);
    let gaps = run.gap_seconds();
    assert_eq!(gaps[1], 0, "the first time at once: {gaps:?}");
    assert!((1..5).contains(&gaps[3]), "then after a backoff: {gaps:?}");
    assert_eq!(run.events.iter().filter(|event| **event == Event::OperationLost).count(), 2);
    run.result.expect("assigned");
}

#[test]
fn an_operation_that_is_lost_again_and_again_is_final_in_the_end() {
    let lost = (0..5).flat_map(|_| [assigning(), refused(404, 404_201)]);
    let run = drive(&settings(), lost);
    let methods: Vec<_> = run.sent.iter().map(|sent| sent.method).collect();
    assert_eq!(methods[..4], ["PUT", "GET", "PUT", "GET"]);
    assert_eq!(run.sent.len(), 10);
    assert_eq!(run.error().error_code(), Some(404_201));
    assert!(!run.error().is_transient());
}

#[test]
fn waits_after_failures_double_up_to_four_minutes() {
    let run = drive(&settings().deadline(seconds(24 * 3600)), [unreachable()]);
    let ranges = [(1, 5), (5, 10), (10, 20), (20, 40), (40, 80), (80, 160), (120, 240), (120, 240), (120, 240)];
    for (gap, (low, high)) in run.gaps().into_iter().zip(ranges) {
        assert!(gap >= seconds(low) && gap < seconds(high), "{gap:?} is not within {low} to {high} s");
    }
}

#[test]
fn a_retry_after_on_a_refusal_is_a_floor_and_no_two_devices_come_back_together() {
    let busy = || refused(429, 429_001).map(|answer| answer.with_header("Retry-After", "10"));
    let gaps: Vec<Duration> = (0..50)
        .map(|number| {
            let settings = RegistrationSettings::new(scope(), id(&format!("dev-{number}")));
            let run = drive(&settings, [busy(), assigned()]);
            assert!(run.gaps()[0] >= seconds(10) && run.gaps()[0] < seconds(15), "{:?}", run.gaps());
            run.gaps()[0]
        })
        .collect();
    let mut different = gaps.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), gaps.len());
}

#[test]
fn an_answer_that_lets_the_device_in_clears_the_backoff() {
    let run = drive(&settings(), [unreachable(), unreachable(), assigning(), unreachable(), assigned()]);
    let gaps = run.gap_seconds();
    assert!((1..5).contains(&gaps[0]) && (5..10).contains(&gaps[1]), "{gaps:?}");
    assert_eq!(gaps[2], 2);
    assert!((1..5).contains(&gaps[3]), "{gaps:?}");
}

#[test]
fn conflicts_that_do_not_end_keep_the_next_registration_from_coming_back_at_once() {
    let busy = refused(409, 409_000).map(|answer| answer.with_header("Retry-After", "30"));
    let run = drive(&settings(), [busy]);
    let wait = run.error().retry_after().expect("it says when");
    assert!(wait >= seconds(30), "{wait:?}");
    let (settings, start) = (settings(), at(run.ended_at.as_secs() + 1));
    let drive = Drive { settings: &settings, signer: &key(), session: run.session, start, latency: Duration::ZERO };
    let again = drive.run([assigned()]);
    assert!(again.sent[0].at >= run.ended_at + wait - seconds(1), "{again:?}");
    let [Event::Waiting { reason: WaitReason::EarlierFailure, .. }, ..] = &again.events[..] else {
        panic!("{again:?}")
    };
}

#[test]
fn an_error_code_in_the_header_alone_is_the_services() {
    let bare =
        Response::new(401, Vec::new()).with_header("x-ms-error-code", "401002").with_header("x-ms-request-id", "6a7b");
    let run = drive(&settings(), [Ok(bare)]);
    assert_eq!((run.error().error_code(), run.error().request_id()), (Some(401_002), Some("6a7b")));
    assert!(!run.error().is_transient());
}

#[test]
fn failed_is_final_whatever_the_status_of_the_answer() {
    let body = r#"{"operationId":"5","status":"failed","registrationState":{"errorCode":404201}}"#;
    for status in [200, 404, 500] {
        let run = drive(&settings(), [Ok(answer(status, body))]);
        assert_eq!((run.error().error_code(), run.error().is_transient()), (Some(404_201), false), "{status}");
    }
}

#[test]
fn an_answer_that_is_not_the_services_tells_what_there_is_to_quote() {
    let portal = html(503).map(|answer| answer.with_header("x-ms-request-id", "6a7b"));
    let run = drive(&settings().deadline(seconds(2)), [portal]);
    assert_eq!((run.error().status(), run.error().request_id()), (Some(503), Some("6a7b")));
    let last = std::error::Error::source(run.error()).expect("the last failure");
    assert_eq!(
        last.to_string(),
        "the answer is not from the service: the body is not JSON of the device API (status 503, 26 bytes of text/html, request ID 6a7b)"
    );
}

#[test]
fn a_field_of_another_type_than_ever_before_keeps_no_device_from_its_hub() {
    let body = ASSIGNED.replace(r#""IjY5MDAz""#, "5").replace(r#"{"enrollmentGroupId":"my-group"}"#, "[]");
    let assignment = drive(&settings(), [Ok(answer(200, &body))]).result.expect("assigned");
    assert_eq!((assignment.etag(), assignment.enrollment_group_id()), (None, None));
}

// The deadline

#[test]
fn a_service_that_never_decides_ends_at_the_deadline() {
    let run = drive(&settings(), [assigning()]);
    assert!(run.ended_at <= seconds(900) && run.ended_at >= seconds(890), "{:?}", run.ended_at);
    assert!(matches!(run.error(), Error::DeadlineExceeded(_)));
    assert!(run.error().is_transient());
    assert!(run.sent.len() <= 451, "{}", run.sent.len());
}

#[test]
fn a_wait_that_would_pass_the_deadline_ends_the_registration_now_and_says_when_to_come_back() {
    let busy = refused(429, 429_001).map(|answer| answer.with_header("Retry-After", "100"));
    let run = drive(&settings().deadline(seconds(60)), [busy]);
    assert_eq!((run.sent.len(), run.ended_at), (1, seconds(0)));
    let error = run.error();
    let retry_after = error.retry_after().expect("it says when");
    assert!(retry_after >= seconds(100) && retry_after < seconds(105), "{retry_after:?}");
    assert_eq!(
        error.to_string(),
        format!("not assigned within the deadline of 60 s, try again in {} s", retry_after.as_secs() + 1)
    );
    assert_eq!((error.status(), error.error_code(), error.tracking_id()), (Some(429), Some(429_001), Some("2cb8f317")));
    assert!(std::error::Error::source(error).expect("the last failure").to_string().contains("429"));
}

#[test]
fn a_deadline_of_part_of_a_second_is_told_to_the_millisecond() {
    let busy = refused(429, 429_001).map(|answer| answer.with_header("Retry-After", "100"));
    let run = drive(&settings().deadline(Duration::from_millis(60_050)), [busy]);
    assert!(run.error().to_string().starts_with("not assigned within the deadline of 60.050 s, "), "{}", run.error());
}

#[test]
fn a_retry_after_of_ages_silences_a_device_for_no_longer_than_an_hour() {
    for value in ["86400", "18446744073709551615", "99999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"] {
        let answer = assigning_after(value).map(|answer| answer.with_header("Date", "Thu, 01 Jan 2026 00:00:00 GMT"));
        let run = drive(&settings(), [answer]);
        assert_eq!(run.error().retry_after(), Some(seconds(3600)), "{value}");
        assert_eq!(run.ended_at, seconds(0));
    }
}

#[test]
fn every_request_carries_a_time_limit_that_ends_before_the_deadline() {
    let settings = settings().deadline(seconds(100));
    let drive =
        Drive { settings: &settings, signer: &key(), session: Session::default(), start: at(7), latency: seconds(20) };
    let run = drive.run([assigning()]);
    assert_eq!(run.sent[0].time_limit, seconds(70));
    for sent in &run.sent {
        assert!(sent.time_limit > Duration::ZERO && sent.at + sent.time_limit <= seconds(107), "{sent:?}");
    }
    assert!(run.ended_at <= seconds(107));
}

#[test]
fn an_answer_that_comes_late_still_counts() {
    let (settings, key) = (settings().deadline(seconds(10)), key());
    let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
    assert!(matches!(step(&mut registration, &key, at(0)), Ok(Step::Send(_))));
    registration.receive(Ok(assigned().expect("an answer")), at(11));
    assert!(matches!(step(&mut registration, &key, at(11)), Ok(Step::Done(_))));
}

#[test]
fn a_deadline_of_nothing_sends_nothing() {
    let run = drive(&settings().deadline(Duration::ZERO), [assigned()]);
    assert!(run.sent.is_empty());
    assert!(matches!(run.error(), Error::DeadlineExceeded(_)));
}

#[test]
fn a_deadline_beyond_the_end_of_time_does_not_overflow() {
    let settings = settings().deadline(Duration::MAX);
    let start = Now { unix: Some(UnixTime::from_secs(u64::MAX)), uptime: Duration::MAX - seconds(5) };
    let drive =
        Drive { settings: &settings, signer: &key(), session: Session::default(), start, latency: Duration::ZERO };
    drive.run([assigned()]).result.expect("assigned");
}

#[test]
fn a_registration_goes_on_with_the_backoff_of_the_last_one() {
    let first = drive(&settings().deadline(seconds(60)), [unreachable()]);
    let wait = first.error().retry_after().expect("it says when");
    assert!(wait >= seconds(20), "{wait:?}");

    // A call a second later waits for the rest, then continues.
    let (settings, start) = (settings(), at(first.ended_at.as_secs() + 1));
    let drive =
        Drive { settings: &settings, signer: &key(), session: first.session.clone(), start, latency: Duration::ZERO };
    let second = drive.run([unreachable(), assigned()]);
    assert_eq!(second.sent[0].at, first.ended_at + wait);
    assert!(second.gaps()[0] >= seconds(20), "{:?}", second.gaps());
}

#[test]
fn a_backoff_that_outlasts_the_next_deadline_sends_nothing_and_says_when_to_come_back() {
    let settings = settings().deadline(seconds(60));
    let busy = refused(429, 429_001).map(|answer| answer.with_header("Retry-After", "600"));
    let first = drive(&settings, [busy]);
    let drive = Drive {
        settings: &settings,
        signer: &key(),
        session: first.session.clone(),
        start: at(1),
        latency: Duration::ZERO,
    };
    let second = drive.run([assigned()]);
    assert!(second.sent.is_empty());
    assert_eq!(second.error().retry_after(), first.error().retry_after().map(|wait| wait - seconds(1)));
}

#[test]
fn what_was_learnt_on_another_clock_silences_a_device_no_longer_than_it_did_then() {
    let settings = settings();
    let start = at(30 * 86_400);
    let drive =
        Drive { settings: &settings, signer: &key(), session: Session::default(), start, latency: Duration::ZERO };
    let first = drive.run([unreachable()]);
    let (old, pause) = (first.session.clone(), first.error().retry_after().expect("it says when"));
    // After a restart the uptime starts from zero.
    let drive = Drive { settings: &settings, signer: &key(), session: old, start: at(0), latency: Duration::ZERO };
    let run = drive.run([assigned()]);
    assert_eq!(run.sent[0].at, pause);
    run.result.expect("assigned");
}

#[test]
fn a_wait_of_exactly_the_deadline_ends_a_registration_at_once() {
    let settings = settings().deadline(seconds(3600));
    let first = drive(&settings, [assigning_after("100000")]);
    assert_eq!(first.error().retry_after(), Some(seconds(3600)));
    let drive = Drive {
        settings: &settings,
        signer: &key(),
        session: first.session.clone(),
        start: at(0),
        latency: Duration::ZERO,
    };
    let second = drive.run([assigned()]);
    assert_eq!((second.ended_at, second.error().retry_after()), (seconds(0), Some(seconds(3600))));
}

#[test]
fn the_time_that_the_service_told_is_known_to_the_next_registration() {
    let settings = settings();
    let start = Now { unix: None, uptime: seconds(0) };
    let told = refused(401, 401_002).map(|answer| answer.with_header("Date", "Thu, 01 Jan 2026 00:00:00 GMT"));
    let drive =
        Drive { settings: &settings, signer: &key(), session: Session::default(), start, latency: Duration::ZERO };
    let first = drive.run([told, assigned()]);
    let start = Now { unix: None, uptime: seconds(1000) };
    let drive =
        Drive { settings: &settings, signer: &key(), session: first.session.clone(), start, latency: Duration::ZERO };
    let second = drive.run([assigned()]);
    assert_eq!(second.sent[0].expires_at, UnixTime::from_secs(NEW_YEAR + 1000 + 3600));
}

#[test]
fn a_wait_for_an_assignment_that_was_cancelled_does_not_hold_up_the_next_registration() {
    let (settings, key) = (settings(), key());
    let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
    assert!(matches!(step(&mut registration, &key, at(0)), Ok(Step::Send(_))));
    registration.receive(Ok(assigning_after("60").expect("an answer")), at(0));
    assert!(matches!(step(&mut registration, &key, at(0)), Ok(Step::Wait(_))));
    let mut next = Registration::resume(&settings, AttestationKind::SymmetricKey, registration.session().clone());
    assert!(matches!(step(&mut next, &key, at(1)), Ok(Step::Send(_))));
}

#[test]
fn success_clears_the_backoff() {
    let run = drive(&settings(), [unreachable(), unreachable(), assigned()]);
    assert_eq!(run.session.save(run.ended_at), azure_iot_dps::registration::SavedSession::default());
}

// Tokens and clocks

#[test]
fn a_token_that_is_about_to_expire_is_signed_anew() {
    let settings = settings().deadline(seconds(10_000));
    let run = drive(&settings, [assigning_after("1000"), assigning_after("2400"), assigning_after("100"), assigned()]);
    let expiries: Vec<u64> = run.sent.iter().map(|sent| sent.expires_at.as_secs() - NEW_YEAR).collect();
    assert_eq!(expiries, [3600, 3600, 3600, 3500 + 3600]);
    assert_eq!(run.sent[0].authorization, run.sent[1].authorization);
}

#[test]
fn a_token_lifetime_of_ones_own_is_kept_to_but_not_below_five_minutes() {
    let expiry = |lifetime| {
        let run = drive(&settings().token_lifetime(seconds(lifetime)), [assigned()]);
        run.sent[0].expires_at.as_secs() - NEW_YEAR
    };
    assert_eq!((expiry(86_400), expiry(600), expiry(0)), (86_400, 600, 300));
}

#[test]
fn a_401_with_a_skewed_date_is_signed_again_with_the_services_time() {
    let refused = refused(401, 401_002).map(|answer| answer.with_header("Date", "Thu, 01 Jan 2026 10:00:00 GMT"));
    let run = drive(&settings(), [refused, assigning(), assigned()]);
    assert_eq!(run.gap_seconds(), [0, 2]);
    let expiries: Vec<u64> = run.sent.iter().map(|sent| sent.expires_at.as_secs() - NEW_YEAR).collect();
    assert_eq!(expiries, [3600, 36_000 + 3600, 36_000 + 3600]);
    let service_time = UnixTime::from_secs(NEW_YEAR + 36_000);
    assert!(run.events.contains(&Event::ClockCorrected { service_time }));
    run.result.expect("assigned");
}

#[test]
fn a_device_without_a_clock_learns_the_time_from_the_first_401() {
    let settings = settings();
    let start = Now { unix: None, uptime: seconds(9) };
    let drive = Drive { settings: &settings, signer: &key(), session: Session::default(), start, latency: seconds(1) };
    let refused = refused(401, 401_002).map(|answer| answer.with_header("Date", "Thu, 01 Jan 2026 00:00:00 GMT"));
    let run = drive.run([refused, assigning(), assigned()]);
    let expiries: Vec<u64> = run.sent.iter().map(|sent| sent.expires_at.as_secs()).collect();
    assert_eq!(expiries, [3600, NEW_YEAR + 3600, NEW_YEAR + 3600]);
    run.result.expect("assigned");
}

#[test]
fn a_second_401_after_the_clock_was_corrected_is_final() {
    let refused = refused(401, 401_002).map(|answer| answer.with_header("Date", "Thu, 01 Jan 2037 00:00:00 GMT"));
    let run = drive(&settings(), [refused]);
    assert_eq!(run.sent.len(), 2);
    assert_eq!(run.error().status(), Some(401));
}

#[test]
fn a_401_whose_date_agrees_with_the_device_is_final() {
    for date in ["Thu, 01 Jan 2026 00:00:05 GMT", "Wed, 31 Dec 2025 00:00:00 GMT", "Thu, 01 Jan 2026 00:59:59 GMT"] {
        let refused = refused(401, 401_002).map(|answer| answer.with_header("Date", date));
        assert_eq!(drive(&settings(), [refused]).sent.len(), 1, "{date}");
    }
}

#[test]
fn clock_correction_can_be_turned_off() {
    let refused = refused(401, 401_002).map(|answer| answer.with_header("Date", "Thu, 01 Jan 2026 10:00:00 GMT"));
    let run = drive(&settings().clock_correction(false), [refused]);
    assert_eq!(run.sent.len(), 1);
    assert_eq!(run.error().status(), Some(401));
}

#[test]
fn a_clock_that_is_set_in_the_middle_makes_for_a_new_token() {
    let (settings, key) = (settings(), key());
    let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
    let early = Now { unix: Some(UnixTime::from_secs(100)), uptime: seconds(0) };
    let Ok(Step::Send(request)) = step(&mut registration, &key, early) else { panic!("it sends") };
    assert_eq!(request.token().expect("a token").expires_at(), UnixTime::from_secs(3700));
    registration.receive(Err(TransportErrorKind::ClockNotSet.into()), early);
    let Ok(Step::Send(request)) = step(&mut registration, &key, at(300)) else { panic!("it sends") };
    assert_eq!(request.token().expect("a token").expires_at(), UnixTime::from_secs(NEW_YEAR + 300 + 3600));
}

// Signers

struct BrokenChip;

impl Signer for BrokenChip {
    fn sign(&self, _: &[u8]) -> Result<[u8; 32], SignerError> {
        Err(SignerError::new("slot 3 is empty"))
    }
}

#[test]
fn a_signer_that_fails_ends_the_registration_before_anything_is_sent() {
    let settings = settings();
    let drive = Drive {
        settings: &settings,
        signer: &BrokenChip,
        session: Session::default(),
        start: at(0),
        latency: Duration::ZERO,
    };
    let run = drive.run([assigned()]);
    assert!(run.sent.is_empty());
    assert!(!run.error().is_transient());
    assert_eq!(run.error().to_string(), "signing with the device's key failed");
    assert_eq!(std::error::Error::source(run.error()).expect("a source").to_string(), "slot 3 is empty");
}

#[test]
fn a_registration_runs_on_a_signer_that_gives_its_key_to_nobody() {
    struct SecureElement(azure_iot_dps::DeviceKey);
    impl Signer for SecureElement {
        fn sign(&self, message: &[u8]) -> Result<[u8; 32], SignerError> {
            self.0.sign(message)
        }
    }
    let settings = settings();
    let signer: &dyn Signer = &SecureElement(key());
    let drive =
        Drive { settings: &settings, signer, session: Session::default(), start: at(0), latency: Duration::ZERO };
    let run = drive.run([assigning(), assigned()]);
    assert!(SasToken::parse(&run.sent[0].authorization).expect("a token").verify(&key()));
    run.result.expect("assigned");
}

// Events

#[test]
fn events_tell_the_whole_story_in_order() {
    let run = drive(&settings(), [unreachable(), assigning_after("3"), Ok(answer(200, ASSIGNED))]);
    let [first, second, Event::Waiting { reason, .. }, rest @ ..] = &run.events[..] else { panic!("{:?}", run.events) };
    let kind = TransportErrorKind::CannotConnect;
    assert_eq!([first, second], [&Event::Registering { request: 1 }, &Event::Unanswered { kind }]);
    assert_eq!(reason, &WaitReason::Unanswered { kind });
    assert_eq!(
        rest,
        [
            Event::Registering { request: 2 },
            Event::Answered { status: 202 },
            Event::Waiting { duration: seconds(3), reason: WaitReason::Assigning },
            Event::Polling { request: 3 },
            Event::Answered { status: 200 },
            Event::Assigned,
        ]
    );
}

#[test]
fn a_wait_says_why() {
    for (script, reason) in [
        (refused(429, 429_001), WaitReason::Refused { status: 429 }),
        (html(200), WaitReason::UnexpectedAnswer { status: 200 }),
        (assigning(), WaitReason::Assigning),
    ] {
        let run = drive(&settings(), [script, assigned()]);
        let why = run
            .events
            .iter()
            .find_map(|event| if let Event::Waiting { reason, .. } = event { Some(*reason) } else { None });
        assert_eq!(why, Some(reason));
    }
}

#[test]
fn a_status_lookup_has_a_body_of_its_own_whatever_the_registration_says() {
    let settings = settings().payload_json(r#"{"a":1}"#).expect("JSON");
    let settings = settings.certificate_signing_request(&[0x30]).expect("fits");
    let mut lookup = Registration::new(&settings, AttestationKind::SymmetricKey).status_lookup();
    let Ok(Step::Send(request)) = step(&mut lookup, &key(), at(0)) else { panic!("it sends at once") };
    assert_eq!(request.body(), Some(&br#"{"registrationId":"dev-01"}"#[..]));
}

#[test]
fn every_setting_of_a_policy_makes_for_its_own_waits() {
    let waits = |policy: RetryPolicy| {
        let settings = settings().retry(policy).deadline(seconds(1_000_000));
        let run = drive(&settings, vec![unreachable(); 12].into_iter().chain([assigned()]));
        run.gap_seconds()
    };
    let first = waits(RetryPolicy::DEFAULT.first_wait(seconds(60)));
    assert!(first[0] < 60 && first[1] >= 60, "{first:?}");
    let max = waits(RetryPolicy::DEFAULT.max_wait(seconds(20)));
    assert!(max.iter().all(|wait| *wait < 20) && max[11] >= 10, "{max:?}");
    let poll = RetryPolicy::DEFAULT.poll_interval(seconds(11));
    let run = drive(&settings().retry(poll), [assigning(), assigning(), assigned()]);
    assert_eq!(run.gap_seconds(), [11, 11]);
}

#[test]
fn a_request_over_http_goes_to_443_or_to_the_endpoints_own_port() {
    for (endpoint, port) in [("dps.example", 443), ("dps.example:8443", 8443)] {
        let settings = settings().endpoint(endpoint.parse().expect("valid"));
        let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
        let Ok(Step::Send(request)) = step(&mut registration, &key(), at(0)) else { panic!("the first step sends") };
        assert_eq!(request.http().port(), port);
    }
}

#[test]
fn a_body_that_comes_behind_the_headers_is_the_answers_body() {
    let json = &br#"{"operationId":"5.3","status":"assigning"}"#[..];
    let response = Response::new(202, &b""[..]).with_header("Retry-After", "9").with_body(json);
    assert_eq!((response.body(), response.retry_after()), (json, Some(seconds(9))));
}
