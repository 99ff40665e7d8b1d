//! Properties that hold for any input.
#![allow(clippy::expect_used, reason = "a test may panic")]

mod common;

use azure_iot_dps::{
    DeviceId, DeviceKey, Endpoint, GroupKey, HostName, IdScope, KeyDerivation, Product, RegistrationId, Resource,
    SasToken, Signer, UnixTime,
};
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
        prop_assert_eq!(read.length(), key.len());
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
}
