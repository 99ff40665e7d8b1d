//! Tests that parse errors of files, secrets and answers show only the position and the kind, never
//! the content.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod common;

use std::error::Error as _;

use azure_iot_dps::assignment::PayloadError;
use azure_iot_dps::{DeviceKey, GroupKey};
use common::{ASSIGNED, answer, drive, settings};
use serde::Deserialize;

/// The payload that a device expects from its allocation.
#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "never made")]
struct Payload {
    wifi: String,
    port: u16,
}

/// A value whose `Serialize` fails.
struct Refuses;

impl serde::Serialize for Refuses {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("cannot write s3cret"))
    }
}

/// Returns the `Display` and the `Debug` text of an error and all its sources.
fn all_of(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    chain.map(|error| format!("{error} {error:?} {error:#?}")).collect::<Vec<_>>().join(" ")
}

#[cfg(feature = "https")]
#[test]
fn a_key_that_is_given_as_a_certificate_is_named_and_not_shown() {
    use azure_iot_dps::Roots;
    use azure_iot_dps::transport::{PemProblem, RootsError};

    let key = rcgen::KeyPair::generate().expect("a key");
    let pem = key.serialize_pem();
    let der = key.serialize_der();
    let decimals = format!("{}, {}, {}", der[0], der[1], der[2]);
    let body = pem.lines().nth(1).expect("a line");
    let words = [&body[..12], &decimals];
    let damaged = pem.replace("PRIVATE KEY", "CERTIFICATE");
    let truncated = damaged.replace(body, &body[1..]);
    for (what, text) in [("a key", pem.clone()), ("a key under another name", damaged), ("base64 cut", truncated)] {
        let error = Roots::pem(text.as_bytes()).expect_err(what);
        let told = all_of(&error);
        assert!(words.iter().all(|word| !told.contains(word)), "{what}: {told}");
    }
    let error = Roots::pem(pem.as_bytes()).expect_err("a key");
    assert!(matches!(error, RootsError::Pem { line: 1, problem: PemProblem::PrivateKey }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "line 1 of the root certificates: a private key was found where certificates are expected"
    );
    let error = Roots::der(&der).expect_err("a key");
    let told = all_of(&error);
    assert!(matches!(error, RootsError::Certificate { number: 1, .. }) && !told.contains(&decimals), "{told}");
}

#[test]
fn a_key_that_is_no_text_is_not_shown_whatever_type_it_has() {
    const SECRET: u128 = 340_282_366_920_938_463_463_374_607_431_768_211;
    type Number = serde::de::value::U128Deserializer<serde::de::value::Error>;
    type Signed = serde::de::value::I128Deserializer<serde::de::value::Error>;
    let secret = SECRET.to_string();
    let number = || serde::de::IntoDeserializer::<serde::de::value::Error>::into_deserializer(SECRET);
    let signed = || {
        let number = i128::try_from(SECRET).expect("fits");
        serde::de::IntoDeserializer::<serde::de::value::Error>::into_deserializer(number)
    };
    let errors = [
        DeviceKey::deserialize::<Number>(number()).expect_err("a number"),
        DeviceKey::deserialize::<Signed>(signed()).expect_err("a number"),
        GroupKey::deserialize::<Number>(number()).expect_err("a number"),
        GroupKey::deserialize::<Signed>(signed()).expect_err("a number"),
    ];
    for error in errors {
        assert!(!all_of(&error).contains(&secret[..9]), "{error}");
    }
    for json in ["123456789123", "-123456789123", "1234567891.23", "[\"123456789\"]", "{\"123456789\":1}", "true"] {
        let told = all_of(&serde_json::from_str::<DeviceKey>(json).expect_err("no text"));
        assert!(!told.contains("123456789") && told.contains("base64"), "{told}");
    }
}

#[test]
fn a_payload_of_the_allocation_that_is_of_another_type_is_not_shown() {
    let body = ASSIGNED.replace(r#"{"colour":"red"}"#, r#"{"wifi":"s3cret-passphrase","port":"s3cret-port"}"#);
    let assignment = drive(&settings(), [Ok(answer(200, &body))]).result.expect("assigned");
    let error = assignment.payload::<Payload>().expect_err("no number");
    let told = all_of(&error);
    assert!(!told.contains("s3cret"), "{told}");
    let PayloadError::Type(problem) = &error else { panic!("{error:?}") };
    assert_eq!((problem.line(), problem.column()), (1, 48));
    assert_eq!(
        error.source().expect("a source").to_string(),
        "a value of the wrong type, or a missing or unknown field at line 1, column 48"
    );
}

#[test]
fn a_payload_that_cannot_be_sent_is_not_shown() {
    let texts = [r#"{"wifi":"s3cret" "x"}"#, r#"{"wifi":s3cret}"#, r#"{"wifi":"s3cret"#];
    for (text, problem) in texts.into_iter().zip(["a syntax error", "a syntax error", "JSON that is cut off"]) {
        let error = settings().payload_json(text).expect_err("not JSON");
        let told = all_of(&error);
        assert!(!told.contains("s3cret") && told.contains(problem), "{told}");
    }
    let error = settings().payload(&Refuses).expect_err("it refuses");
    let told = all_of(&error);
    assert!(!told.contains("s3cret") && told.contains("failed to serialize"), "{told}");
}
