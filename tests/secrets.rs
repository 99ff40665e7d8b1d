//! Tests that no `Debug`, `Display` or error shows a key or a signature.
#![cfg(all(feature = "https", feature = "proxy", feature = "ring"))]
#![allow(clippy::expect_used, clippy::panic, clippy::unchecked_time_subtraction, reason = "a test may panic")]

mod common;

use std::error::Error as StdError;
use std::fmt::Debug;

use azure_iot_dps::attestation::AttestationKind;
use azure_iot_dps::error::{TransportError, TransportErrorKind};
use azure_iot_dps::key::SignerError;
use azure_iot_dps::protocol::Response;
use azure_iot_dps::registration::{Registration, Session, Step};
use azure_iot_dps::sas::Resource;
use azure_iot_dps::time::UnixTime;
use azure_iot_dps::transport::FnTransport;
use azure_iot_dps::{DeviceKey, Error, GroupKey, HttpsTransport, KeyDerivation, ProvisioningClient, Proxy, SasToken};
use common::{Answer, answer, drive, id, key, scope, settings};

/// Returns both forms of a `Debug` text.
fn debug(value: &dyn Debug) -> String {
    format!("{value:?} {value:#?}")
}

/// Returns the text of an error and all its sources.
fn words(error: &(dyn StdError + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    let texts: Vec<String> = chain.map(|error| format!("{error} {error:?} {error:#?}")).collect();
    texts.join("\n")
}

#[track_caller]
fn shows_nothing_of(text: &str, secrets: &[String]) {
    for secret in secrets {
        for piece in secret.as_bytes().windows(8) {
            let piece = std::str::from_utf8(piece).expect("ASCII");
            assert!(!text.contains(piece), "{piece:?} of a secret stands in: {text}");
        }
    }
}

/// Returns the forms in which a key could leak.
fn forms_of(bytes: &[u8]) -> Vec<String> {
    use base64::Engine;
    let decimal: Vec<String> = bytes.iter().map(u8::to_string).collect();
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    vec![base64::engine::general_purpose::STANDARD.encode(bytes), hex.concat(), decimal.join(", ")]
}

fn secret_bytes() -> [u8; 64] {
    core::array::from_fn(|index| u8::try_from(index * 37 % 251).expect("fits") | 1)
}

#[test]
fn the_debug_text_of_a_key_hides_it() {
    let secrets = forms_of(&secret_bytes());
    let group_key = GroupKey::from_bytes(&secret_bytes()).expect("a key");
    let device_key = DeviceKey::from_bytes(&secret_bytes()).expect("a key");
    let derivation = KeyDerivation::new(&group_key);
    shows_nothing_of(&debug(&group_key), &secrets);
    shows_nothing_of(&debug(&device_key), &secrets);
    shows_nothing_of(&debug(&device_key.to_base64()), &secrets);
    shows_nothing_of(&debug(&derivation), &secrets);
    let derived = derivation.derive_base64(&id("dev-01"));
    let secrets = [derived.as_str().to_owned()];
    shows_nothing_of(&debug(&derived), &secrets);
    shows_nothing_of(&debug(&derivation.derive(&id("dev-01"))), &secrets);
}

#[test]
fn the_debug_text_of_whatever_holds_a_key_hides_it() {
    let secrets = forms_of(&secret_bytes());
    let key = DeviceKey::from_bytes(&secret_bytes()).expect("a key");
    let settings = settings();
    shows_nothing_of(&debug(&Registration::new(&settings, AttestationKind::SymmetricKey)), &secrets);
    let builder = ProvisioningClient::builder(scope(), id("dev-01"), key);
    shows_nothing_of(&debug(&builder), &secrets);
    shows_nothing_of(&debug(&builder.build()), &secrets);
}

#[test]
fn the_debug_text_of_a_token_a_request_and_a_step_hides_the_signature() {
    let (settings, key) = (settings(), key());
    let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
    let step = common::step(&mut registration, &key, common::at(0)).expect("sends");
    let shown = debug(&step);
    let Step::Send(request) = step else { panic!("the first step sends") };
    let token = request.token().expect("a token");
    let (_, rest) = token.as_str().split_once("sig=").expect("a signature");
    let secrets = [rest.split('&').next().expect("a signature").to_owned()];
    shows_nothing_of(&shown, &secrets);
    shows_nothing_of(&debug(&request), &secrets);
    shows_nothing_of(&debug(token), &secrets);
    let token = SasToken::sign(Resource::uri("r"), &key, UnixTime::EPOCH).expect("signs");
    let (_, rest) = token.as_str().split_once("sig=").expect("a signature");
    shows_nothing_of(&debug(&token), &[rest.split('&').next().expect("a signature").to_owned()]);
}

/// Returns answers of a service that repeats the request's token wherever it can.
fn parrot(token: &str) -> Vec<Answer> {
    let decoded = token.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
    let lower = token.replace("%2B", "%2b").replace("%2F", "%2f").replace("%3D", "%3d");
    let mut answers = Vec::new();
    let twice = token.replace('%', "%25").replace('&', "%26").replace('=', "%3D");
    let glued = format!("{}https://gateway.example/{decoded}", "x ".repeat(196));
    for text in [token, &decoded, &lower, &twice, &glued] {
        let error =
            serde_json::json!({"errorCode": 401_002, "trackingId": text, "message": text, "timestampUtc": text});
        answers.push(Ok(answer(401, &error.to_string()).with_header("x-ms-request-id", text.to_owned())));
        let failed =
            serde_json::json!({"status": "failed", "registrationState": {"errorCode": 1, "errorMessage": text}});
        answers.push(Ok(answer(200, &failed.to_string())));
        answers.push(Ok(Response::new(407, text.as_bytes().to_vec()).with_header("Content-Type", text.to_owned())));
    }
    answers
}

#[test]
fn an_error_message_that_repeats_our_token_back_is_shown_without_the_signature() {
    let settings = settings().deadline(common::seconds(5));
    let token = drive(&settings, [common::assigned()]).sent[0].authorization.clone();
    let (_, rest) = token.split_once("sig=").expect("a signature");
    let signature = rest.split('&').next().expect("a signature");
    let decoded = signature.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
    let secrets = [signature.to_owned(), signature.to_lowercase(), decoded];
    for answer in parrot(&token) {
        let run = drive(&settings, [answer]);
        let shown = words(run.error());
        shows_nothing_of(&shown, &secrets);
        assert!(shown.contains("<hidden>"), "the answer was shown at all: {shown}");
    }
}

#[test]
fn a_response_does_not_show_its_body() {
    let response = Response::new(200, b"s3cret".to_vec());
    assert!(!debug(&response).contains("s3cret") && !debug(&response).contains("115, 51"));
}

#[test]
fn a_transport_does_not_show_its_proxys_password() {
    let proxy = Proxy::new("http://ada:s3cretpassword@proxy.example:3128").expect("valid");
    let secrets = ["s3cretpassword".to_owned()];
    shows_nothing_of(&debug(&proxy), &secrets);
    let builder = HttpsTransport::builder().proxy(proxy);
    shows_nothing_of(&debug(&builder), &secrets);
    shows_nothing_of(&debug(&builder.build()), &secrets);
}

#[test]
fn every_error_there_is_has_words_and_no_secret() {
    let secrets = forms_of(&secret_bytes());
    let key = DeviceKey::from_bytes(&secret_bytes()).expect("a key");
    let deadline = settings().deadline(common::seconds(2));
    let scripts = [
        vec![common::refused(401, 401_002)],
        vec![common::html(502)],
        vec![Err(TransportErrorKind::TimedOut)],
        vec![Ok(answer(200, r#"{"status":"failed"}"#))],
        vec![Ok(answer(200, r#"{"status":"disabled"}"#))],
    ];
    let start = common::at(0);
    let errors: Vec<Error> = scripts
        .into_iter()
        .map(|script| {
            let (settings, signer, latency) = (&deadline, &key, std::time::Duration::ZERO);
            common::Drive { settings, signer, session: Session::default(), start, latency }
                .run(script)
                .result
                .expect_err("fails")
        })
        .chain([Error::Cancelled, Error::Ended, SignerError::new("the chip is gone").into()])
        .chain([Error::Transport(TransportError::new(TransportErrorKind::Unsupported).with_source("+CME ERROR: 30"))])
        .collect();
    for error in &errors {
        let shown = words(error);
        assert!(shown.split_whitespace().count() > 3, "{shown}");
        shows_nothing_of(&shown, &secrets);
    }
}

#[test]
fn a_closure_that_holds_a_secret_is_not_shown() {
    let secret = String::from("s3cretpassword");
    let transport = FnTransport::new(move |_| {
        let _ = &secret;
        Err(TransportErrorKind::Other.into())
    });
    assert_eq!(debug(&transport), "FnTransport FnTransport");
}

#[test]
fn a_panic_in_the_middle_of_a_request_tells_no_signature() {
    let signature = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let seen = std::sync::Arc::clone(&signature);
    let transport = FnTransport::new(move |request| {
        let (_, rest) = request.token().expect("a token").as_str().split_once("sig=").expect("a signature");
        rest.split('&').next().expect("a signature").clone_into(&mut seen.lock().expect("not poisoned"));
        panic!("a driver gave up on {request:?}")
    });
    let client = ProvisioningClient::builder(scope(), id("dev-01"), key()).transport(transport);
    let mut client = client.build();
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| client.register())).expect_err("it panics");
    let text = panic.downcast_ref::<String>().expect("a text");
    assert!(text.starts_with("a driver gave up on Request"), "{text}");
    shows_nothing_of(text, &[signature.lock().expect("not poisoned").clone()]);
    shows_nothing_of(&debug(&client), &[common::KEY.to_owned()]);
}

#[test]
fn what_comes_out_of_a_registration_holds_nothing_of_what_went_in() {
    let run = drive(&settings(), [common::assigned()]);
    let (_, rest) = run.sent[0].authorization.split_once("sig=").expect("a signature");
    let secrets = [rest.split('&').next().expect("a signature").to_owned(), common::KEY.to_owned()];
    let saved = run.session.save(std::time::Duration::ZERO);
    let serialized = serde_json::to_string(&(saved.clone(), scope(), id("dev-01"), azure_iot_dps::Endpoint::GLOBAL))
        .expect("serializes");
    let shown =
        [debug(&run.result), debug(&run.events), debug(&run.session), debug(&settings()), debug(&saved), serialized];
    shows_nothing_of(&shown.concat(), &secrets);
}
