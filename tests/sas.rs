//! Tests SAS tokens: known answers, every form that official clients send, and any clocks and
//! names.
#![allow(clippy::expect_used, clippy::panic, clippy::unchecked_time_subtraction, reason = "a test may panic")]

mod common;

use azure_iot_dps::identity::{DeviceId, HubName, ModuleId};
use azure_iot_dps::sas::{Resource, SasTokenError};
use azure_iot_dps::time::UnixTime;
use azure_iot_dps::{DeviceKey, SasToken};
use common::{id, key, scope};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    sas_tokens: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    device_key: String,
    resource_uri: String,
    key_name: Option<String>,
    expires_at: u64,
    token: String,
}

fn vectors() -> Vec<Vector> {
    let vectors: Vectors = serde_json::from_str(include_str!("data/vectors.json")).expect("vectors");
    assert!(vectors.sas_tokens.len() >= 20);
    vectors.sas_tokens
}

fn sign(resource: Resource<'_>, expires_at: u64) -> SasToken {
    SasToken::sign(resource, &key(), UnixTime::from_secs(expires_at)).expect("a key in memory always signs")
}

#[test]
fn every_known_token_comes_out() {
    for Vector { device_key, resource_uri, key_name, expires_at, token } in vectors() {
        let key = DeviceKey::from_base64(&device_key).expect("a key");
        let resource = Resource::uri(&resource_uri);
        let resource = key_name.as_deref().map_or(resource, |name| resource.with_key_name(name));
        let signed = SasToken::sign(resource, &key, UnixTime::from_secs(expires_at)).expect("signs");
        assert_eq!(signed.as_str(), token);
    }
}

#[test]
fn every_known_token_is_taken_apart_and_verified() {
    for Vector { device_key, resource_uri, key_name, expires_at, token } in vectors() {
        let token = SasToken::parse(&token).expect("a token");
        assert_eq!(token.resource_uri(), resource_uri);
        assert_eq!(token.key_name(), key_name);
        assert_eq!(token.expires_at(), UnixTime::from_secs(expires_at));
        assert!(token.verify(&DeviceKey::from_base64(&device_key).expect("a key")));
        assert!(!token.verify(&DeviceKey::from_bytes(&[0; 32]).expect("a key")));
    }
}

#[test]
fn a_registration_has_the_key_name_registration_and_a_hub_resource_has_none() {
    let (scope, id) = (scope(), id("a:b.c_d-"));
    let token = sign(Resource::registration(&scope, &id), 1);
    assert!(token.as_str().starts_with("SharedAccessSignature sr=0ne00002193%2Fregistrations%2Fa%3Ab.c_d-&sig="));
    assert!(token.as_str().ends_with("&se=1&skn=registration"));
    let hub = HubName::new("my-hub.azure-devices.net").expect("valid");
    let (device, module) = (DeviceId::new("d#1").expect("valid"), ModuleId::new("m+2").expect("valid"));
    let token = sign(Resource::device(&hub, &device), 1);
    assert_eq!((token.resource_uri().as_str(), token.key_name()), ("my-hub.azure-devices.net/devices/d#1", None));
    assert!(
        token.as_str().contains("sr=my-hub.azure-devices.net%2Fdevices%2Fd%231&") && token.as_str().ends_with("&se=1")
    );
    let token = sign(Resource::module(&hub, &device, &module), 1);
    assert_eq!(token.resource_uri(), "my-hub.azure-devices.net/devices/d#1/modules/m+2");
}

#[test]
fn a_resource_shows_as_its_uri() {
    assert_eq!(Resource::registration(&scope(), &id("dev")).to_string(), "0ne00002193/registrations/dev");
}

#[test]
fn a_resource_or_key_name_of_any_unicode_is_signed_and_comes_back() {
    for text in ["", "/", "%", "%2F", "a b", "ä/漢字/🦀", "&sig=x&se=1", "\0\n\u{7f}", "+", "=="] {
        let token = sign(Resource::uri(text).with_key_name(text), 5);
        let again = SasToken::parse(token.as_str()).expect("a token");
        assert_eq!(again.resource_uri(), text);
        assert_eq!(again.key_name(), Some(text.to_owned()).filter(|name| !name.is_empty()));
        assert_eq!(again.key_name(), token.key_name());
        assert!(again.verify(&key()), "{text:?}");
    }
}

#[test]
fn an_expiry_of_any_time_is_signed_and_comes_back() {
    for seconds in [0, 1, 253_402_300_800, u64::MAX] {
        let token = sign(Resource::uri("r"), seconds);
        assert!(token.as_str().ends_with(&format!("&se={seconds}")));
        let again = SasToken::parse(token.as_str()).expect("a token");
        assert_eq!(again.expires_at(), UnixTime::from_secs(seconds));
        assert!(!format!("{again:?}").is_empty());
    }
}

#[test]
fn a_token_is_expired_from_its_expiry_on() {
    let token = sign(Resource::uri("r"), 100);
    let expired = |time| token.is_expired_at(UnixTime::from_secs(time));
    assert_eq!((expired(0), expired(99), expired(100), expired(u64::MAX)), (false, false, true, true));
    assert!(sign(Resource::uri("r"), 0).is_expired_at(UnixTime::EPOCH));
}

#[test]
fn the_longest_ids_make_a_token() {
    let (scope, id) = (scope(), id(&"x:".repeat(63).add_end()));
    let token = sign(Resource::registration(&scope, &id), u64::MAX);
    assert!(SasToken::parse(token.as_str()).expect("a token").verify(&key()));
}

trait AddEnd {
    fn add_end(self) -> String;
}

impl AddEnd for String {
    fn add_end(self) -> String {
        self + "-9"
    }
}

/// Returns a token for `sr`, which is not encoded further.
fn token_over(sr: &str, fields: impl Fn(&str) -> String) -> String {
    use azure_iot_dps::key::Signer;
    use base64::Engine;
    let signature = key().sign(format!("{sr}\n1700000000").as_bytes()).expect("signs");
    fields(&base64::engine::general_purpose::STANDARD.encode(signature))
}

#[test]
fn a_token_is_verified_over_its_resource_as_sent() {
    for sr in ["0ne/registrations/a:b", "0ne%2fregistrations%2fa%3ab", "0ne%2Fregistrations%2Fa%3Ab"] {
        let token = token_over(sr, |sig| {
            let sig = sig.replace('+', "%2b").replace('/', "%2f").replace('=', "%3d");
            format!("SharedAccessSignature sr={sr}&sig={sig}&se=1700000000&skn=registration")
        });
        let token = SasToken::parse(&token).expect("a token");
        assert_eq!(token.resource_uri(), "0ne/registrations/a:b");
        assert!(token.verify(&key()), "{sr}");
    }
}

#[test]
fn fields_come_in_any_order_raw_or_encoded_with_skn_or_without() {
    for form in [
        "sr={sr}&sig={sig}&se=1700000000&skn=registration",
        "sr={sr}&sig={sig}&skn=registration&se=1700000000",
        "skn=&se=1700000000&sig={sig}&sr={sr}",
        "sig={sig}&se=1700000000&sr={sr}",
        "se=1700000000&sr={sr}&future=1&sig={sig}",
    ] {
        let token =
            token_over("r", |sig| format!("SharedAccessSignature {form}").replace("{sr}", "r").replace("{sig}", sig));
        let token = SasToken::parse(&token).expect(form);
        assert!(token.verify(&key()), "{form}");
        assert_eq!(token.key_name().as_deref(), form.contains("skn=registration").then_some("registration"), "{form}");
    }
}

#[test]
fn what_is_no_token_says_which_field_is_wrong() {
    let sig = "CA5Y%2FNYlk%2BcV2UB03gZJjjnE9OGTHgNq93R1vm5pGwA%3D";
    for (text, error) in [
        (String::new(), SasTokenError::Scheme),
        ("Bearer x".into(), SasTokenError::Scheme),
        (format!("sr=r&sig={sig}&se=1"), SasTokenError::Scheme),
        ("SharedAccessSignature ".into(), SasTokenError::Missing { field: "sr" }),
        (format!("SharedAccessSignature sig={sig}&se=1"), SasTokenError::Missing { field: "sr" }),
        ("SharedAccessSignature sr=r&se=1".into(), SasTokenError::Missing { field: "sig" }),
        (format!("SharedAccessSignature sr=r&sig={sig}"), SasTokenError::Missing { field: "se" }),
        (format!("SharedAccessSignature sr=r&sr=r&sig={sig}&se=1"), SasTokenError::Repeated { field: "sr" }),
        (format!("SharedAccessSignature sr=r&sig={sig}&se="), SasTokenError::Expiry),
        (format!("SharedAccessSignature sr=r&sig={sig}&se=-1"), SasTokenError::Expiry),
        (format!("SharedAccessSignature sr=r&sig={sig}&se=+1"), SasTokenError::Expiry),
        (format!("SharedAccessSignature sr=r&sig={sig}&se=18446744073709551616"), SasTokenError::Expiry),
        ("SharedAccessSignature sr=r&sig=&se=1".into(), SasTokenError::Signature),
        ("SharedAccessSignature sr=r&sig=AAAA&se=1".into(), SasTokenError::Signature),
        (format!("SharedAccessSignature sr=r&sig={sig}A&se=1"), SasTokenError::Signature),
        (format!("SharedAccessSignature sr=r&sig={}&se=1", "A".repeat(44)), SasTokenError::Signature),
        (format!("SharedAccessSignature sr=r&sig={}&se=1", "%".repeat(44)), SasTokenError::Signature),
    ] {
        assert_eq!(SasToken::parse(&text).expect_err(&text), error, "{text}");
    }
}

#[test]
fn a_signature_that_differs_in_one_bit_does_not_verify() {
    let good = sign(Resource::uri("r"), 1);
    let flipped = good.as_str().replacen("sig=", "sig=\u{1}", 1);
    let start = flipped.find('\u{1}').expect("is there");
    let first = flipped.as_bytes()[start + 1] as char;
    let other = if first == 'A' { 'B' } else { 'A' };
    let flipped = flipped.replacen(&format!("\u{1}{first}"), &other.to_string(), 1);
    assert!(good.verify(&key()));
    assert!(!SasToken::parse(&flipped).expect("still a token").verify(&key()));
}

#[test]
fn the_debug_text_of_a_token_hides_the_signature() {
    let token = sign(Resource::registration(&scope(), &id("dev")).with_key_name("registration"), 1_700_000_000);
    assert_eq!(
        format!("{token:?}"),
        "SasToken { resource_uri: \"0ne00002193/registrations/dev\", signature: <hidden>, \
         expires_at: 2023-11-14T22:13:20Z, key_name: Some(\"registration\"), .. }"
    );
}
