//! Tests keys with known answers and an independent HMAC, and every kind of invalid key.
#![allow(clippy::expect_used, clippy::panic, clippy::unchecked_time_subtraction, reason = "a test may panic")]

mod common;

use azure_iot_dps::key::{KeyError, Signer};
use azure_iot_dps::{DeviceKey, GroupKey, KeyDerivation, RegistrationId};
use common::{hmac_by_definition, id};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    derivations: Vec<Derivation>,
}

#[derive(Deserialize)]
struct Derivation {
    group_key: String,
    registration_id: String,
    device_key: String,
}

fn derivations() -> Vec<Derivation> {
    serde_json::from_str::<Vectors>(include_str!("data/vectors.json")).expect("vectors").derivations
}

#[test]
fn the_tutorials_group_key_gives_the_tutorials_device_key() {
    let group_key: GroupKey =
        "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
            .parse()
            .expect("a key");
    let key = KeyDerivation::new(&group_key).derive_base64(&id("sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6"));
    assert_eq!(key.as_str(), "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=");
}

#[test]
fn every_known_derivation_comes_out_in_both_forms() {
    let derivations = derivations();
    assert!(derivations.len() >= 25);
    for Derivation { group_key, registration_id, device_key } in derivations {
        let derivation = KeyDerivation::new(&group_key.parse().expect("a key"));
        let registration_id = RegistrationId::new(registration_id).expect("a registration ID");
        assert_eq!(derivation.derive_base64(&registration_id).as_str(), device_key);
        assert_eq!(derivation.derive(&registration_id).to_base64().as_str(), device_key);
    }
}

#[test]
fn a_derivation_counts_the_registration_id_as_written() {
    let derivation = KeyDerivation::new(&GroupKey::from_bytes(&[7; 64]).expect("a key"));
    assert_ne!(derivation.derive_base64(&id("Dev")).as_str(), derivation.derive_base64(&id("dev")).as_str());
}

#[test]
fn a_derivation_agrees_with_the_definition_of_hmac() {
    for length in 16..=64 {
        let bytes: Vec<u8> = (0..length).map(|byte: u8| byte.wrapping_mul(5) ^ length).collect();
        let derivation = KeyDerivation::new(&GroupKey::from_bytes(&bytes).expect("a key"));
        for name in ["x", &"n".repeat(55), &"n".repeat(56), &"n".repeat(64), &"n".repeat(128)] {
            let expected = DeviceKey::from_bytes(&hmac_by_definition(&bytes, name.as_bytes())).expect("a key");
            assert_eq!(derivation.derive(&id(name)).to_base64().as_str(), expected.to_base64().as_str());
        }
    }
}

#[test]
fn a_signature_agrees_with_the_definition_of_hmac() {
    for length in 16..=64 {
        let bytes: Vec<u8> = (0..length).map(|byte| 255 - byte).collect();
        let key = DeviceKey::from_bytes(&bytes).expect("a key");
        for message in [&b""[..], b"a", &[0; 63], &[1; 64], &[2; 65], &[3; 1000]] {
            assert_eq!(key.sign(message).expect("signs"), hmac_by_definition(&bytes, message));
        }
    }
}

// RFC 4231, through the public interface: its keys of 16 to 64 bytes. The unit tests of the MAC contain the others.
#[test]
fn a_device_key_gives_the_answers_of_rfc_4231() {
    let cases: [(&[u8], &[u8], &str); 4] = [
        (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        (
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25],
            &[0xcd; 50],
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
        (&[0x0c; 20], b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
    ];
    for (key, message, expected) in cases {
        let signature = DeviceKey::from_bytes(key).expect("a key").sign(message).expect("signs");
        assert!(signature.starts_with(&common::unhex(expected)), "{signature:?} is not {expected}");
    }
}

#[test]
fn white_space_around_a_key_is_taken_in_stride() {
    for text in [" ", "\n", "\r\n", "\t \r\n"] {
        let key = format!("{text}{}{text}", common::KEY);
        assert_eq!(DeviceKey::from_base64(&key).expect("a key").to_base64().as_str(), common::KEY);
        GroupKey::from_base64(&key).expect("a key");
    }
}

#[test]
fn a_key_of_16_to_64_bytes_comes_back_as_it_was() {
    for length in 16..=64 {
        let key = DeviceKey::from_bytes(&vec![0xa5; length]).expect("a key");
        assert_eq!(key.len(), length);
        let again = DeviceKey::from_base64(key.to_base64().as_str()).expect("a key");
        assert_eq!(again.to_base64().as_str(), key.to_base64().as_str());
    }
}

#[track_caller]
fn refused(text: &str) -> KeyError {
    let error = DeviceKey::from_base64(text).expect_err(text);
    assert_eq!(GroupKey::from_base64(text).expect_err(text), error);
    error
}

#[test]
fn an_empty_key_is_told_apart() {
    for text in ["", " ", "\r\n"] {
        assert_eq!(refused(text), KeyError::Empty);
    }
    assert_eq!(DeviceKey::from_bytes(&[]).expect_err("empty"), KeyError::Empty);
}

#[test]
fn a_key_of_the_wrong_length_is_told_apart() {
    assert_eq!(refused("AAAA"), KeyError::TooShort { length: 3 });
    assert_eq!(refused("94FwudoheixCQzn2Tqe81"), KeyError::TooShort { length: 15 }, "whatever its padding");
    assert_eq!(refused("94FwudoheixCQzn2Tqe8="), KeyError::TooShort { length: 15 });
    assert_eq!(refused("AAAAAAAAAAAAAAAAAAAA"), KeyError::TooShort { length: 15 });
    assert_eq!(refused(&format!("{}A=", "A".repeat(86))), KeyError::TooLong { length: 65 });
    assert_eq!(refused(&"AAAA".repeat(100_000)), KeyError::TooLong { length: 300_000 });
    assert_eq!(GroupKey::from_bytes(&[0; 15]).expect_err("short"), KeyError::TooShort { length: 15 });
    assert_eq!(GroupKey::from_bytes(&[0; 65]).expect_err("long"), KeyError::TooLong { length: 65 });
}

#[test]
fn url_safe_base64_is_told_apart() {
    assert_eq!(refused("94FwudoheixCQzn2Tqe81-=="), KeyError::UrlSafe { position: 21 });
    assert_eq!(refused(" _4FwudoheixCQzn2Tqe81A=="), KeyError::UrlSafe { position: 1 });
}

#[test]
fn missing_padding_is_told_apart() {
    assert_eq!(refused("94FwudoheixCQzn2Tqe81A"), KeyError::PaddingMissing);
    assert_eq!(refused("94FwudoheixCQzn2Tqe81A="), KeyError::PaddingMissing);
    assert_eq!(refused("94FwudoheixCQzn2Tqe81AA"), KeyError::PaddingMissing);
}

#[test]
fn a_connection_string_is_told_apart() {
    let text = "HostName=my-hub.azure-devices.net;DeviceId=d;SharedAccessKey=94FwudoheixCQzn2Tqe81A==";
    assert_eq!(refused(text), KeyError::ConnectionString);
}

#[test]
fn a_byte_order_mark_and_space_around_a_key_are_ignored() {
    for text in ["\u{feff}94FwudoheixCQzn2Tqe81A==", "\u{feff} 94FwudoheixCQzn2Tqe81A==\r\n"] {
        assert_eq!(DeviceKey::from_base64(text).expect("a key").len(), 16);
    }
    assert_eq!(refused("\u{feff}94F*"), KeyError::Character { position: 6 }, "in bytes of the whole text");
}

#[test]
fn a_key_in_quotes_is_told_apart() {
    assert_eq!(refused("\"94FwudoheixCQzn2Tqe81A==\""), KeyError::Quoted { position: 0 });
    assert_eq!(refused("'94FwudoheixCQzn2Tqe81A=='"), KeyError::Quoted { position: 0 });
}

#[test]
fn bad_base64_is_told_apart_with_its_position() {
    assert_eq!(refused("94Fwudoh eixCQzn2Tqe81A=="), KeyError::Character { position: 8 });
    assert_eq!(refused("94Fwudoh\neixCQzn2Tqe81A=="), KeyError::Character { position: 8 });
    assert_eq!(refused("94Fw*doheixCQzn2Tqe81A=="), KeyError::Character { position: 4 });
    assert_eq!(refused("94Fw=doheixCQzn2Tqe81A=="), KeyError::Character { position: 4 });
    assert_eq!(refused("94Fwüdoheixcqzn2Tqe81A=="), KeyError::Character { position: 4 });
}

#[test]
fn a_key_that_was_cut_off_or_damaged_is_told_apart() {
    assert_eq!(refused("94FwudoheixCQzn2Tqe81AAAA"), KeyError::Truncated { length: 25 });
    assert_eq!(refused("94FwudoheixCQzn2Tqe81A==="), KeyError::Truncated { length: 22 });
    assert_eq!(refused("94FwudoheixCQzn2Tqe81B=="), KeyError::TrailingBits);
    assert_eq!(refused("===="), KeyError::Empty);
}

#[test]
fn no_error_about_a_key_holds_a_piece_of_it() {
    let secret = "s3cretS3cret";
    for text in [
        format!("{secret}{secret}{secret}"),
        secret.to_owned(),
        format!("{secret}-{secret}"),
        format!("{secret}!{secret}"),
        format!("\"{secret}\""),
        secret.repeat(20),
        format!("{secret}A"),
    ] {
        let Err(error) = DeviceKey::from_base64(&text) else { continue };
        let shown = format!("{error} {error:?}").to_lowercase();
        assert!(!shown.contains("s3c") && !shown.contains("ret"), "{shown}");
    }
}

#[test]
fn keys_are_read_by_serde_and_an_error_tells_nothing_of_them() {
    #[derive(Deserialize)]
    struct Config {
        key: DeviceKey,
    }
    let config: Config = serde_json::from_str(&format!(r#"{{"key":"{}"}}"#, common::KEY)).expect("a key");
    assert_eq!(config.key.to_base64().as_str(), common::KEY);
    let error = serde_json::from_str::<GroupKey>(r#""s3cret""#).expect_err("no key");
    assert!(!error.to_string().contains("s3cret"), "{error}");
}

#[test]
fn keys_convert_as_the_ecosystem_expects() {
    let key: DeviceKey = common::KEY.parse().expect("a key");
    assert_eq!(DeviceKey::try_from(common::KEY).expect("a key").to_base64().as_str(), key.to_base64().as_str());
    assert_eq!(DeviceKey::try_from(&[1; 16][..]).expect("a key").len(), 16);
    GroupKey::try_from(common::KEY).expect("a key");
}

#[test]
fn what_is_no_text_is_no_key_and_an_error_does_not_repeat_it() {
    for json in
        ["12345678901234567890", "-1234567890123", "1234567.8901", "true", "[12345678]", r#"{"key":12345678}"#, "null"]
    {
        let error = serde_json::from_str::<DeviceKey>(json).expect_err("no key").to_string();
        assert!(!error.contains("1234567"), "{error}");
    }
}
