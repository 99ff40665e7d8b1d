//! Tests that each error tells whether it is transient, when to retry, what to quote and what to
//! do.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use azure_iot_dps::Error;
use azure_iot_dps::error::{SupportInfo, TransportError, TransportErrorKind as Kind};
use azure_iot_dps::key::SignerError;
use azure_iot_dps::registration::Session;
use azure_iot_dps::time::Now;
use common::{Answer, Drive, answer, assigned, assigning, at, drive, html, key, refused, seconds, settings};

/// Returns the error of a registration with a deadline of 2 s.
fn error(script: impl IntoIterator<Item = Answer>) -> Error {
    drive(&settings().deadline(seconds(2)), script).result.expect_err("it was to fail")
}

fn status(status: u16) -> Error {
    error([refused(status, u32::from(status) * 1000)])
}

const KINDS: [Kind; 12] = [
    Kind::NameNotResolved,
    Kind::CannotConnect,
    Kind::TimedOut,
    Kind::Tls,
    Kind::CertificateNotTrusted,
    Kind::ClockNotSet,
    Kind::Proxy,
    Kind::ProxyRefused,
    Kind::AnswerTooLarge,
    Kind::AnswerBroken,
    Kind::Unsupported,
    Kind::Other,
];

/// Returns the error of a call right after a refusal.
fn too_early() -> Error {
    let (settings, signer) = (settings(), &key());
    let session = drive(&settings, [refused(401, 401_002)]).session;
    let early = Drive { settings: &settings, signer, session, start: at(1), latency: Duration::ZERO };
    early.run([assigned()]).result.expect_err("too early")
}

/// Returns the error of a device that has no clock and does not learn the time.
fn blind() -> Error {
    let (settings, signer, session) = (settings(), &key(), Session::default());
    let start = Now { unix: None, uptime: Duration::ZERO };
    let answer = answer(401, r#"{"errorCode":401002,"message":"Unauthorized"}"#);
    let drive = Drive { settings: &settings, signer, session, start, latency: Duration::ZERO };
    drive.run([Ok(answer)]).result.expect_err("refused")
}

/// Returns one error of each kind, a word that its remedy must contain, and whether it is
/// transient.
fn all() -> Vec<(&'static str, Error, &'static str, bool)> {
    let unusable = r#"{"status":"assigned","registrationState":{"assignedHub":"a b","deviceId":"d"}}"#;
    vec![
        ("redirected", status(302), "redirects", true),
        ("bad request", status(400), "payload", false),
        ("unauthorized", status(401), "derived", false),
        ("forbidden", status(403), "enrollment", false),
        ("not found", status(404), "Create an enrollment", false),
        ("method not allowed", status(405), "endpoint", false),
        ("timed out at the service", status(408), "Wait", true),
        ("conflict", status(409), "no other process", true),
        ("precondition", status(412), "no other process", true),
        ("throttled", status(429), "spread", true),
        ("in trouble", status(503), "Azure's status", true),
        ("allocation failed", error([refused(400, 400_207)]), "allocation policy", true),
        ("failed", error([Ok(answer(200, r#"{"status":"failed"}"#))]), "allocation policy", false),
        ("disabled", error([Ok(answer(200, r#"{"status":"disabled"}"#))]), "Enable", false),
        ("unusable", error([Ok(answer(200, unusable))]), "assigns", false),
        ("a portal", error([html(200)]), "captive portal", true),
        ("still assigning", error([assigning()]), "same registration", true),
        (
            "no time at all",
            drive(&settings().deadline(seconds(0)), [html(200)]).result.expect_err("late"),
            "Wait",
            true,
        ),
        ("too early", too_early(), "forget the refusal", false),
        ("clock not set", blind(), "device's clock", true),
        ("not assigned", Error::NotAssigned, "Register", false),
        ("cancelled", Error::Cancelled, "again", false),
        ("signer", SignerError::new("gone").into(), "secure element", false),
        ("ended", Error::Ended, "new registration", false),
    ]
}

fn is_one_sentence(text: &str) -> bool {
    text.ends_with('.') && text.matches(". ").count() == 0 && text.starts_with(|c: char| c.is_ascii_uppercase())
}

#[test]
fn every_error_says_in_one_sentence_what_a_person_should_do() {
    for (name, error, word, _) in all() {
        let remedy = error.remedy();
        assert!(is_one_sentence(remedy) && remedy.contains(word), "{name}: {remedy}");
    }
}

#[test]
fn every_failure_of_a_transport_says_so_too_in_words_of_its_own() {
    let mut remedies = BTreeMap::new();
    for kind in KINDS {
        let error = error([Err(kind)]);
        assert_eq!(error.remedy(), kind.remedy());
        assert!(is_one_sentence(kind.remedy()), "{}", kind.remedy());
        assert_eq!(error.is_transient(), kind.is_transient(), "{kind}");
        assert_eq!(error.transport().map(TransportError::kind), Some(kind));
        if let Some(other) = remedies.insert(kind.remedy(), kind) {
            panic!("{kind:?} and {other:?} say the same");
        }
    }
    assert_eq!(
        KINDS.into_iter().filter(|kind| !kind.is_transient()).collect::<Vec<_>>(),
        [Kind::ProxyRefused, Kind::Unsupported]
    );
}

#[test]
fn every_error_says_whether_trying_again_can_help_and_when_if_it_can() {
    for (name, error, _, transient) in all() {
        assert_eq!(error.is_transient(), transient, "{name}");
        // An enrollment is repaired in the cloud: all that the service has answered says when to ask again.
        let answered = matches!(error, Error::Service(_) | Error::UnexpectedAnswer(_) | Error::TooEarly(_));
        assert_eq!(error.retry_after().is_some(), transient || answered, "{name}");
    }
}

#[test]
fn what_there_is_to_quote_is_one_value_that_prints_on_one_line() {
    let error = status(401);
    let info = error.support_info();
    assert_eq!((info.status, info.error_code, info.tracking_id), (Some(401), Some(401_000), Some("2cb8f317")));
    assert_eq!((info.request_id, info.operation_id), (Some("6a7b"), None));
    assert_eq!(info.timestamp, Some("2026-01-01T00:00:00.1573304Z"));
    assert_eq!(
        info.to_string(),
        "status 401, error code 401000, tracking ID 2cb8f317, request ID 6a7b, at 2026-01-01T00:00:00.1573304Z"
    );
    assert!(!info.is_empty());
    assert!(Error::Cancelled.support_info().is_empty());
    assert_eq!(SupportInfo::default().to_string(), "no details");
}

#[test]
fn the_last_failure_before_the_deadline_is_quoted() {
    let busy = refused(503, 503_000);
    let error = error([busy]);
    assert!(matches!(error, Error::DeadlineExceeded(_)));
    assert_eq!((error.status(), error.tracking_id(), error.message()), (Some(503), Some("2cb8f317"), Some("So it is")));
    assert_eq!(error.service().map(azure_iot_dps::error::ServiceError::status), Some(503));
}

#[test]
fn an_empty_string_of_the_service_is_not_shown() {
    let body = r#"{"errorCode":400000,"trackingId":"","message":"","timestampUtc":""}"#;
    let error = error([Ok(answer(400, body))]);
    assert_eq!((error.tracking_id(), error.message(), error.timestamp()), (None, None, None));
    assert_eq!(error.to_string(), "the service refused the request with status 400 (error code 400000)");
}
