//! Tests properties that hold for any input.
#![allow(clippy::expect_used, reason = "a test may panic")]

mod common;

use azure_iot_dps::Attestation;
use azure_iot_dps::identity::{DeviceId, HostName, Product};
use azure_iot_dps::key::Signer;
use azure_iot_dps::registration::Step;
use azure_iot_dps::sas::Resource;
use azure_iot_dps::time::UnixTime;
use azure_iot_dps::{DeviceKey, Endpoint, GroupKey, IdScope, KeyDerivation, RegistrationId, SasToken};
use common::hmac_by_definition;
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_derived_key_is_the_hmac_of_the_registration_id(
        key in vec(any::<u8>(), 16..=64),
        name in "[A-Za-z0-9._:-]{0,127}[A-Za-z0-9-]",
    ) {
        let derivation = KeyDerivation::new(&GroupKey::from_bytes(&key).expect("a key"));
        let id = RegistrationId::new(name.as_str()).expect("valid");
        let expected = DeviceKey::from_bytes(&hmac_by_definition(&key, name.as_bytes())).expect("a key");
        let (derived, base64) = (derivation.derive_base64(&id), expected.to_base64());
        prop_assert_eq!(derived.as_str(), base64.as_str());
        prop_assert_eq!(derivation.derive(&id).sign(b"m").expect("signs"), expected.sign(b"m").expect("signs"));
    }

    #[test]
    fn a_signature_is_the_hmac_of_the_message(key in vec(any::<u8>(), 16..=64), message in vec(any::<u8>(), 0..300)) {
        let signature = DeviceKey::from_bytes(&key).expect("a key").sign(&message).expect("signs");
        prop_assert_eq!(signature, hmac_by_definition(&key, &message));
    }

    #[test]
    fn a_key_read_from_what_was_written_is_the_same_key(key in vec(any::<u8>(), 16..=64), before in "[ \t\r\n]*", after in "[ \t\r\n]*") {
        let written = DeviceKey::from_bytes(&key).expect("a key").to_base64();
        let read = DeviceKey::from_base64(&format!("{before}{}{after}", written.as_str())).expect("a key");
        let again = read.to_base64();
        prop_assert_eq!(again.as_str(), written.as_str());
        prop_assert_eq!(read.len(), key.len());
    }

    #[test]
    fn a_token_parsed_from_what_was_signed_is_the_same_token(
        uri in ".{0,200}",
        name in proptest::option::of(".{1,40}"),
        expires_at in any::<u64>(),
        key in vec(any::<u8>(), 16..=64),
    ) {
        let key = DeviceKey::from_bytes(&key).expect("a key");
        let resource = Resource::uri(&uri);
        let resource = name.as_deref().map_or(resource, |name| resource.with_key_name(name));
        let signed = SasToken::sign(resource, &key, UnixTime::from_secs(expires_at)).expect("signs");
        let parsed = SasToken::parse(signed.as_str()).expect("a token");
        prop_assert_eq!(parsed.as_str(), signed.as_str());
        prop_assert_eq!(parsed.resource_uri(), uri);
        prop_assert_eq!(parsed.key_name(), name);
        prop_assert_eq!(parsed.expires_at(), UnixTime::from_secs(expires_at));
        prop_assert!(parsed.verify(&key) && signed.verify(&key));
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in ".*", tail in ".*") {
        let _ = SasToken::parse(&text);
        let _ = SasToken::parse(&format!("SharedAccessSignature {text}"));
        let _ = SasToken::parse(&format!("SharedAccessSignature sr={text}&sig={tail}&se=1&{tail}"));
        let _ = DeviceKey::from_base64(&text);
        let _ = IdScope::new(text.as_str());
        let _ = HostName::new(text.as_str());
        let _ = DeviceId::new(text.as_str());
        let _ = Product::new(text.as_str());
        let _ = text.parse::<Endpoint>();
        let _ = RegistrationId::new(text);
    }

    #[test]
    fn what_is_a_name_shows_as_it_was_written(text in "[A-Za-z0-9.:-]{1,40}(:[0-9]{1,6})?") {
        if let Ok(id) = RegistrationId::new(text.as_str()) {
            prop_assert_eq!(id.to_string(), text.as_str());
        }
        if let Ok(endpoint) = text.parse::<Endpoint>() {
            prop_assert_eq!(endpoint.to_string().parse::<Endpoint>().expect("reads what it wrote"), endpoint);
        }
    }

    #[test]
    fn no_answers_in_any_order_on_any_clock_make_a_registration_panic_or_outlast_its_deadline(
        answers in vec(any_answer(), 1..40),
        deadline in 0_u64..2000,
        latency in 0_u64..90,
        start in 0_u64..u64::MAX / 4,
        unix in proptest::option::of(any::<u64>()),
        (failures, wait) in (0_u32..40, 0_u64..3000),
        (two_keys, look_up, operation) in any::<(bool, bool, bool)>(),
    ) {
        let (settings, key) = (common::settings().deadline(common::seconds(deadline)), common::key());
        let second = DeviceKey::from_bytes(&[7; 32]).expect("a key");
        let saved = serde_json::json!({
            "failures": failures,
            "wait": { "secs": wait, "nanos": 0 },
            "operation": operation.then(|| serde_json::json!({ "id": "5.9", "fingerprint": [0, 0, 0, 0, 0, 0, 0, 0], "wait": { "secs": wait, "nanos": 0 } })),
        });
        let saved = serde_json::from_value(saved).expect("a session");
        let session = azure_iot_dps::registration::Session::restore(saved, common::seconds(start));
        let keys = if two_keys { Attestation::symmetric_keys(key, second) } else { Attestation::from(key) };
        let mut registration = azure_iot_dps::registration::Registration::resume(&settings, keys.kind(), session);
        if look_up {
            registration = registration.status_lookup();
        }
        let begin = common::seconds(start);
        let mut now = azure_iot_dps::time::Now { unix: unix.map(UnixTime::from_secs), uptime: begin };
        let mut answers = answers.into_iter().cycle();
        let mut requests = 0_u64;
        loop {
            match common::step_with(&mut registration, |key, message| keys.sign(key, message), now) {
                Ok(Step::Send(request)) => {
                    requests += 1;
                    prop_assert!(!request.time_limit().is_zero());
                    prop_assert!(now.uptime + request.time_limit() <= begin + common::seconds(deadline));
                    let taken = common::seconds(latency).min(request.time_limit());
                    now.uptime += taken;
                    let answer = answers.next().expect("without end");
                    registration.receive(answer.map_err(Into::into), now);
                }
                Ok(Step::Sign(_) | Step::Event(_)) => unreachable!("it was signed"),
                Ok(Step::Wait(pause)) => {
                    prop_assert!(!pause.duration().is_zero());
                    now.uptime += pause.duration();
                    now.unix = now.unix.map(|unix| unix.saturating_add(pause.duration()));
                }
                Ok(Step::Done(_)) | Err(_) => break,
            }
        }
        prop_assert!(now.uptime <= begin + common::seconds(deadline));
        // Requests may follow at once if the service asks for no wait (twice), after a clock correction, and
        // after a lost operation. Otherwise they are at least a second apart.
        prop_assert!(requests <= 3 * (deadline + 3), "{} requests within {} s", requests, deadline);
    }
}

/// Returns an answer of a service, a gateway or a broken network: mostly well-formed, with any part
/// wrong.
fn any_answer() -> impl Strategy<Value = common::Answer> {
    let body = prop_oneof![
        Just(common::ASSIGNED.replace("my-hub", "my hub")),
        Just(common::ASSIGNED.to_owned()),
        Just(r#"{"operationId":"5.3","status":"assigning"}"#.to_owned()),
        Just(r#"{"errorCode":401002,"message":"no"}"#.to_owned()),
        Just(r#"{"errorCode":404201}"#.to_owned()),
        Just(r#"{"errorCode":429001}"#.to_owned()),
        r#"\{"(status|operationId|errorCode|registrationState)":(null|1|"[a-z./]{0,12}"|\{\}|\[\])\}"#,
        ".{0,60}",
    ];
    let bytes = prop_oneof![4 => body.prop_map(String::into_bytes), 1 => vec(any::<u8>(), 0..60)];
    let header = prop_oneof!["(Retry-After|Date|x-ms-error-code|Content-Type)", "[A-Za-z-]{1,12}"];
    let value = prop_oneof!["[0-9]{1,22}", Just("Thu, 01 Jan 2026 00:00:00 GMT".to_owned()), "[ -~]{0,20}"];
    let status = prop_oneof![Just(200), Just(202), Just(401), Just(404), Just(409), Just(429), Just(503), any::<u16>()];
    let response = (status, bytes, vec((header, value), 0..3)).prop_map(|(status, body, headers)| {
        let response = azure_iot_dps::protocol::Response::new(status, body);
        Ok(headers.into_iter().fold(response, |response, (name, value)| response.with_header(&name, value)))
    });
    prop_oneof![6 => response, 1 => Just(Err(azure_iot_dps::error::TransportErrorKind::TimedOut))]
}
