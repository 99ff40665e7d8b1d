//! Replays recorded answers of the real service, and answers of every other kind, with the expected
//! outcome of each.
//!
//! The recorded ones are captures of official clients, logs of real devices, and the examples of
//! Microsoft's documentation. The others are answers that the device API's description and its
//! error format allow, and answers of gateways.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod common;

use azure_iot_dps::attestation::AttestationKind;
use azure_iot_dps::error::ServiceErrorKind;
use azure_iot_dps::protocol::{Response, mqtt};
use azure_iot_dps::registration::{Registration, Step, WaitReason};
use azure_iot_dps::{Assignment, Error, Event};
use common::{act_telling, assigning, at, key, refused, settings, step};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Asked {
    Register,
    Poll,
    Lookup,
}

struct Case {
    name: &'static str,
    asked: Asked,
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    outcome: &'static str,
}

const JSON: (&str, &str) = ("Content-Type", "application/json; charset=utf-8");
const HTML: (&str, &str) = ("Content-Type", "text/html");
const LATER: (&str, &str) = ("Retry-After", "3");

/// `asked status headers body => outcome`.
const fn case(
    name: &'static str,
    asked: Asked,
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    outcome: &'static str,
) -> Case {
    Case { name, asked, status, headers, body, outcome }
}

use Asked::{Lookup, Poll, Register};

const RECORDED: &[Case] = &[
    case(
        "register is taken up",
        Register,
        202,
        &[JSON, LATER],
        r#"{"operationId":"5.316aac5bdc130deb.b1e02da8-c3a0-4ff2-a121-7ea7a6b7f550","status":"assigning"}"#,
        "polls in 3 s",
    ),
    case(
        "a poll of an old instance, with a state",
        Poll,
        202,
        &[JSON, LATER],
        r#"{"operationId":"4.316aac5bdc130deb.b1e02da8-c3a0-4ff2-a121-7ea7a6b7f550","status":"assigning",
            "registrationState":{"registrationId":"my-symkey-device","status":"assigning"}}"#,
        "polls in 3 s",
    ),
    case(
        "assigned by a group",
        Poll,
        200,
        &[JSON],
        r#"{"operationId":"5.316aac5bdc130deb.b1e02da8-c3a0-4ff2-a121-7ea7a6b7f550","status":"assigned","registrationState":{
            "registrationId":"my-symkey-device","createdDateTimeUtc":"2022-08-31T22:02:50.5163352Z",
            "assignedHub":"MyExampleHub.azure-devices.net","deviceId":"my-symkey-device","status":"assigned",
            "substatus":"initialAssignment","lastUpdatedDateTimeUtc":"2022-08-31T22:02:50.7370676Z",
            "etag":"IjY5MDAzNTBmLTAwMDAtMDEwMC0wMDAwLTYzMGZkOTdhMDAwMCI=","symmetricKey":{"enrollmentGroupId":"mylegacydevices"}}}"#,
        "MyExampleHub.azure-devices.net my-symkey-device",
    ),
    case(
        "assigned with a certificate, and a time without trailing zeros",
        Poll,
        200,
        &[JSON],
        r#"{"operationId":"4.2","status":"assigned","registrationState":{"x509":{},"registrationId":"d","createdDateTimeUtc":"2020-06-04T22:24:36.949507Z",
            "assignedHub":"x.device.azure-devices.net","deviceId":"d","status":"assigned","substatus":"deviceDataMigrated",
            "lastUpdatedDateTimeUtc":"2020-06-04T22:24:37Z","etag":"IjAi"}}"#,
        "x.device.azure-devices.net d",
    ),
    case(
        "assigned with a TPM, and nulls",
        Poll,
        200,
        &[JSON],
        r#"{"operationId":null,"status":"assigned","registrationState":{"tpm":{"authenticationKey":"AAAA"},"x509":null,
            "assignedHub":"h.azure-devices.net","deviceId":"d","status":"assigned","payload":null,"symmetricKey":null}}"#,
        "h.azure-devices.net d",
    ),
    case(
        "unauthorized",
        Register,
        401,
        &[JSON, ("x-ms-error-code", "401002")],
        r#"{"errorCode":401002,"trackingId":"2cb8f317-0c5c-4b1c-b3ad-33c4b6a6d2b5","message":"Unauthorized","info":{"a":"b"},
            "timestampUtc":"2026-01-01T00:00:00.1573304Z"}"#,
        "refused 401 401002, again in half an hour",
    ),
    case(
        "the bare result of a lookup",
        Lookup,
        200,
        &[JSON],
        r#"{"registrationId":"d","createdDateTimeUtc":"2022-08-31T22:02:50.5163352Z","assignedHub":"h.azure-devices.net",
            "deviceId":"d","status":"assigned","substatus":"initialAssignment","etag":"IjAi"}"#,
        "h.azure-devices.net d",
    ),
    case(
        "a public mock server: no more than it must",
        Poll,
        200,
        &[],
        r#"{"operationId":"1","status":"assigned","registrationState":{"status":"assigned","assignedHub":"localhost:443","deviceId":"d"}}"#,
        "localhost:443 d",
    ),
    case("a public mock server: no status at all", Register, 202, &[], r#"{"operationId":"1"}"#, "polls in 2 s"),
    case(
        "a device ID of a tool",
        Poll,
        200,
        &[JSON],
        r#"{"status":"assigned","registrationState":{"assignedHub":"h.azure-devices.net","deviceId":"a;b","status":"assigned"}}"#,
        "h.azure-devices.net a;b",
    ),
];

const FAMILIES: &[Case] = &[
    // How it goes
    case("a status of the future", Poll, 202, &[JSON], r#"{"operationId":"5.3","status":"pondering"}"#, "polls in 2 s"),
    case("unassigned", Poll, 200, &[JSON], r#"{"operationId":"5.3","status":"unassigned"}"#, "polls in 2 s"),
    case("a poll without an ID", Poll, 202, &[JSON], r#"{"status":"assigning"}"#, "polls in 2 s"),
    case(
        "told to wait a minute",
        Register,
        202,
        &[("Retry-After", "60")],
        r#"{"operationId":"5.3","status":"assigning"}"#,
        "polls in 60 s",
    ),
    case(
        "told to wait for a day",
        Register,
        202,
        &[("Retry-After", "86400")],
        r#"{"operationId":"5.3","status":"assigning"}"#,
        "the time is over, again in 3600 s",
    ),
    case(
        "told to poll at once",
        Register,
        202,
        &[("Retry-After", "0")],
        r#"{"operationId":"5.3","status":"assigning"}"#,
        "polls at once",
    ),
    case(
        "an operation that would change the path",
        Register,
        202,
        &[],
        r#"{"operationId":"..","status":"assigning"}"#,
        "tries again: no answer of the service",
    ),
    case(
        "assigned at once",
        Register,
        200,
        &[JSON],
        r#"{"status":"assigned","registrationState":{"assignedHub":"h.example","deviceId":"d"}}"#,
        "h.example d",
    ),
    // What cannot be used
    case(
        "no hub",
        Poll,
        200,
        &[JSON],
        r#"{"status":"assigned","registrationState":{"deviceId":"d"}}"#,
        "unusable assignedHub, again in an hour",
    ),
    case(
        "no name of a hub",
        Poll,
        200,
        &[JSON],
        r#"{"status":"assigned","registrationState":{"assignedHub":"a b","deviceId":"d"}}"#,
        "unusable assignedHub, again in an hour",
    ),
    case(
        "an empty device ID",
        Poll,
        200,
        &[JSON],
        r#"{"status":"assigned","registrationState":{"assignedHub":"h.example","deviceId":""}}"#,
        "unusable deviceId, again in an hour",
    ),
    // How it ended
    case(
        "disabled",
        Poll,
        200,
        &[JSON],
        r#"{"status":"disabled","registrationState":{"status":"disabled"}}"#,
        "disabled, again in an hour",
    ),
    case(
        "failed for good",
        Poll,
        200,
        &[JSON],
        r#"{"status":"failed","registrationState":{"status":"failed","errorCode":404201,"errorMessage":"x"}}"#,
        "failed 404201, again in an hour",
    ),
    case("failed without a word", Poll, 200, &[JSON], r#"{"status":"failed"}"#, "failed, again in an hour"),
    case(
        "failed, a certificate",
        Poll,
        200,
        &[JSON],
        r#"{"status":"failed","registrationState":{"errorCode":401002}}"#,
        "failed 401002, again in half an hour",
    ),
    case(
        "failed, a webhook",
        Poll,
        200,
        &[JSON],
        r#"{"status":"failed","registrationState":{"errorCode":400207}}"#,
        "failed 400207, again in minutes",
    ),
    case(
        "failed, a webhook's answer",
        Poll,
        200,
        &[JSON],
        r#"{"status":"failed","registrationState":{"errorCode":400208}}"#,
        "failed 400208, again in minutes",
    ),
    case(
        "failed, no hub",
        Poll,
        200,
        &[JSON],
        r#"{"status":"failed","registrationState":{"errorCode":400209}}"#,
        "failed 400209, again in minutes",
    ),
    case(
        "failed, throttled",
        Poll,
        200,
        &[JSON],
        r#"{"status":"failed","registrationState":{"errorCode":429001}}"#,
        "tries again: refused with 429",
    ),
    case(
        "failed, in trouble",
        Poll,
        200,
        &[JSON],
        r#"{"status":"failed","registrationState":{"errorCode":500001}}"#,
        "tries again: refused with 500",
    ),
    case(
        "failed, an error status",
        Poll,
        400,
        &[JSON],
        r#"{"status":"failed","registrationState":{"errorCode":400207}}"#,
        "failed 400207, again in minutes",
    ),
    // Refusals
    case(
        "a member that is not known",
        Register,
        400,
        &[JSON],
        r#"{"errorCode":400012}"#,
        "refused 400 400012, again in an hour",
    ),
    case(
        "a webhook, as a status",
        Register,
        400,
        &[JSON],
        r#"{"errorCode":400207}"#,
        "refused 400 400207, again in minutes",
    ),
    case(
        "unauthorized, and the time",
        Register,
        401,
        &[JSON, ("Date", "Thu, 01 Jan 2026 10:00:00 GMT")],
        r#"{"errorCode":401002}"#,
        "signs again by the service's time",
    ),
    case(
        "unauthorized, and the time in the body",
        Register,
        401,
        &[JSON],
        r#"{"errorCode":401000,"timestampUtc":"2026-01-01T10:00:00Z"}"#,
        "signs again by the service's time",
    ),
    case(
        "unauthorized, a header alone",
        Register,
        401,
        &[("x-ms-error-code", "401002")],
        "",
        "refused 401 401002, again in half an hour",
    ),
    case("unauthorized, a portal", Register, 401, &[HTML], "<html>", "tries again: no answer of the service"),
    case("forbidden", Register, 403, &[JSON], r#"{"errorCode":403000}"#, "refused 403 403000, again in an hour"),
    case("no enrollment", Register, 404, &[JSON], r#"{"errorCode":404201}"#, "refused 404 404201, again in an hour"),
    case("no operation", Poll, 404, &[JSON], r#"{"errorCode":404202}"#, "registers anew"),
    case("no operation, the other code", Poll, 404, &[JSON], r#"{"errorCode":404203}"#, "registers anew"),
    case("nothing to look up", Lookup, 404, &[JSON], r#"{"errorCode":404201}"#, "not assigned"),
    case("nothing to look up, null", Lookup, 200, &[JSON], "null", "not assigned"),
    case("nothing to look up, no content", Lookup, 204, &[], "", "not assigned"),
    case("nothing to look up yet", Lookup, 200, &[JSON], r#"{"status":"unassigned"}"#, "not assigned"),
    case(
        "a lookup of what failed",
        Lookup,
        200,
        &[JSON],
        r#"{"status":"failed","errorCode":500000}"#,
        "failed 500000, again in an hour",
    ),
    case("no such method", Register, 405, &[JSON], r#"{"errorCode":405000}"#, "refused 405 405000, again in an hour"),
    case(
        "timed out at the service",
        Register,
        408,
        &[JSON],
        r#"{"errorCode":408000}"#,
        "tries again: refused with 408",
    ),
    case("a conflict", Register, 409, &[JSON], r#"{"errorCode":409000}"#, "tries again: refused with 409"),
    case("a precondition", Register, 412, &[JSON], r#"{"errorCode":412001}"#, "tries again: refused with 412"),
    case("too large", Register, 413, &[JSON], r#"{"errorCode":413000}"#, "refused 413 413000, again in an hour"),
    case("not JSON", Register, 415, &[JSON], r#"{"errorCode":415000}"#, "refused 415 415000, again in an hour"),
    case("throttled", Register, 429, &[JSON, LATER], r#"{"errorCode":429001}"#, "tries again: refused with 429"),
    case(
        "throttled, a code in quotes",
        Poll,
        429,
        &[JSON],
        r#"{"errorCode":"429001"}"#,
        "tries again: refused with 429",
    ),
    case("in trouble", Register, 500, &[JSON], r#"{"errorCode":500000}"#, "tries again: refused with 500"),
    case("not available", Poll, 503, &[JSON], r#"{"errorCode":503001}"#, "tries again: refused with 503"),
    case(
        "redirected by the service",
        Register,
        307,
        &[JSON],
        r#"{"errorCode":307000}"#,
        "tries again: refused with 307",
    ),
    // Somebody else
    case("a gateway", Register, 502, &[HTML], "<html>bad gateway</html>", "tries again: no answer of the service"),
    case("a load balancer", Register, 503, &[], "", "tries again: no answer of the service"),
    case("a captive portal", Register, 302, &[HTML], "", "tries again: no answer of the service"),
    case("a captive portal that says 200", Register, 200, &[HTML], "<html>", "tries again: no answer of the service"),
    case(
        "JSON of somebody else",
        Register,
        200,
        &[JSON],
        r#"{"error":{"code":404}}"#,
        "tries again: no answer of the service",
    ),
    case(
        "an error of somebody else",
        Register,
        404,
        &[JSON],
        r#"{"message":"no route"}"#,
        "tries again: no answer of the service",
    ),
    case("a list", Register, 202, &[JSON], r#"["5.3","assigning"]"#, "tries again: no answer of the service"),
    case("nothing", Register, 202, &[], "", "tries again: no answer of the service"),
    case("null where nothing was looked up", Register, 200, &[JSON], "null", "tries again: no answer of the service"),
    case(
        "compressed",
        Register,
        202,
        &[JSON, ("Content-Encoding", "gzip")],
        "\u{1f}",
        "tries again: no answer of the service",
    ),
];

/// The transport of the answer.
#[derive(Clone, Copy, PartialEq)]
enum Over {
    Https,
    Mqtt,
}

fn header(case: &Case, wanted: &str) -> Option<&'static str> {
    case.headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value)
}

/// Returns whether the case applies to MQTT, which has no lookups and no headers but the delay.
fn is_for_mqtt(case: &Case) -> bool {
    let carried = |(name, value): &(&str, &str)| match *name {
        "Content-Type" => true,
        "Retry-After" => value.bytes().all(|byte| byte.is_ascii_digit()),
        // The header repeats the body.
        "x-ms-error-code" => case.body.contains(value),
        _ => false,
    };
    case.asked != Lookup && case.headers.iter().all(carried)
}

/// Returns what a device does after the answer.
fn outcome(case: &Case, over: Over) -> String {
    let (settings, key) = (settings(), key());
    let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
    let mut now = at(0);
    if case.asked == Lookup {
        registration = registration.status_lookup();
    }
    assert!(matches!(step(&mut registration, &key, now), Ok(Step::Send(_))));
    if case.asked == Poll {
        registration.receive(assigning().map_err(Into::into), now);
        now = at(2);
        assert!(matches!(step(&mut registration, &key, now), Ok(Step::Send(_))));
    }
    let response = match over {
        Over::Https => {
            let response = Response::new(case.status, case.body.as_bytes());
            case.headers.iter().fold(response, |response, (name, value)| response.with_header(name, *value))
        }
        Over::Mqtt => {
            let retry_after = header(case, "Retry-After").map(|value| format!("&retry-after={value}"));
            let topic = format!("$dps/registrations/res/{}/?$rid=1{}", case.status, retry_after.unwrap_or_default());
            let answer = mqtt::Answer::parse(&topic, case.body.as_bytes()).expect("an answer");
            assert_eq!(answer.rid(), Some(1));
            answer.into_response()
        }
    };
    registration.receive(Ok(response), now);
    let mut told = Vec::new();
    let next = act_telling(&mut registration, now, &mut told);
    let next = next.map(|next| match next {
        Step::Done(assignment) => assigned(&assignment),
        Step::Wait(wait) => match wait.reason() {
            WaitReason::Assigning => format!("polls in {} s", wait.duration().as_secs()),
            WaitReason::Refused { status } => format!("tries again: refused with {status}"),
            WaitReason::UnexpectedAnswer { .. } => "tries again: no answer of the service".into(),
            reason => format!("{reason:?}"),
        },
        Step::Sign(_) | Step::Send(_) if told.contains(&Event::OperationLost) => "registers anew".into(),
        Step::Sign(_) | Step::Send(_) if told.iter().any(|event| matches!(event, Event::ClockCorrected { .. })) => {
            "signs again by the service's time".into()
        }
        Step::Sign(_) | Step::Send(_) => "polls at once".into(),
        Step::Event(event) => panic!("{event:?}"),
    });
    next.unwrap_or_else(|error| ended(&error))
}

fn assigned(assignment: &Assignment) -> String {
    format!("{} {}", assignment.hub(), assignment.device_id())
}

fn ended(error: &Error) -> String {
    if matches!(error, Error::NotAssigned) {
        return "not assigned".into();
    }
    let minutes = error.retry_after().expect("it says when").as_secs() / 60;
    let again = match minutes {
        1..=2 => ", again in minutes",
        30..=37 => ", again in half an hour",
        60..=75 => ", again in an hour",
        _ => panic!("{error:?}"),
    };
    let code = error.error_code().map(|code| format!(" {code}")).unwrap_or_default();
    match error {
        Error::DeadlineExceeded(late) => format!("the time is over, again in {} s", late.retry_after().as_secs()),
        Error::UnexpectedAnswer(answer) => format!("unusable {}{again}", answer.field().expect("a field")),
        Error::Service(service) => match service.kind() {
            ServiceErrorKind::Failed => format!("failed{code}{again}"),
            ServiceErrorKind::Disabled => format!("disabled{again}"),
            _ => format!("refused {}{code}{again}", service.status()),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_recorded_answer_has_its_outcome() {
    for case in RECORDED {
        assert_eq!(outcome(case, Over::Https), case.outcome, "{}", case.name);
    }
}

#[test]
fn every_family_of_answers_has_its_outcome() {
    for case in FAMILIES {
        assert_eq!(outcome(case, Over::Https), case.outcome, "{}", case.name);
    }
}

#[test]
fn an_answer_has_the_same_outcome_over_mqtt() {
    let cases: Vec<_> = RECORDED.iter().chain(FAMILIES).filter(|case| is_for_mqtt(case)).collect();
    assert!(cases.len() > 40, "{}", cases.len());
    for case in cases {
        assert_eq!(outcome(case, Over::Mqtt), case.outcome, "{}", case.name);
    }
}

#[test]
fn a_conflict_that_goes_on_ends_the_call_and_comes_again_in_minutes() {
    let run = common::drive(&settings(), vec![refused(409, 409_000); 5]);
    assert_eq!(ended(run.error()), "refused 409 409000, again in minutes");
}
