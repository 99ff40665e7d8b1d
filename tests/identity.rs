//! Tests that names are valid by construction, and that each broken rule has its own error with a
//! position.
#![allow(clippy::expect_used, reason = "a test may panic")]

mod common;

use azure_iot_dps::identity::{DeviceId, HostName, HubName, ModuleId, NameError, NameKind, NameRule, Product};
use azure_iot_dps::{Endpoint, IdScope, RegistrationId};

/// Returns the rule that a text breaks, and the position.
fn broken<T: std::fmt::Debug>(result: Result<T, NameError>) -> (NameRule, usize) {
    let error = result.expect_err("not valid");
    (error.rule(), error.position())
}

#[test]
fn an_id_scope_is_ascii_letters_and_digits() {
    for text in ["0ne00002193", "0NE", "a", "1"] {
        assert_eq!(IdScope::new(text).expect(text).as_str(), text);
    }
    assert_eq!(broken(IdScope::new("")), (NameRule::Empty, 0));
    for (text, position, found) in
        [(" 0ne", 0, ' '), ("0ne ", 3, ' '), ("0ne-1", 3, '-'), ("0né", 2, 'é'), ("0ne\n", 3, '\n'), ("0n٣", 2, '٣')]
    {
        assert_eq!(broken(IdScope::new(text)), (NameRule::Character { found }, position), "{text:?}");
    }
}

#[test]
fn an_id_scope_has_at_most_64_characters() {
    IdScope::new("0".repeat(64)).expect("64 characters");
    assert_eq!(broken(IdScope::new("0".repeat(65))), (NameRule::TooLong { length: 65, limit: 64 }, 64));
    assert_eq!(broken(IdScope::new("0".repeat(1_000_000))), (NameRule::TooLong { length: 1_000_000, limit: 64 }, 64));
}

#[test]
fn a_registration_id_has_letters_digits_and_four_signs() {
    for text in ["x", "0", "-", "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6", "a:b.c_d-", "Dev_01.a:B-z", ".a", "_1", ":-"] {
        assert_eq!(RegistrationId::new(text).expect(text).as_str(), text);
    }
    for (text, position, found) in [("a b", 1, ' '), ("a/b", 1, '/'), ("ab%", 2, '%'), ("ü", 0, 'ü'), ("a\0", 1, '\0')]
    {
        assert_eq!(broken(RegistrationId::new(text)), (NameRule::Character { found }, position), "{text:?}");
    }
}

#[test]
fn a_registration_id_does_not_end_in_a_dot_an_underscore_or_a_colon() {
    for (text, position, found) in [("a.", 1, '.'), ("ab_", 2, '_'), ("abc:", 3, ':'), (".", 0, '.')] {
        assert_eq!(broken(RegistrationId::new(text)), (NameRule::LastCharacter { found }, position), "{text:?}");
    }
}

#[test]
fn a_registration_id_has_1_to_128_characters() {
    assert_eq!(broken(RegistrationId::new("")), (NameRule::Empty, 0));
    RegistrationId::new("x".repeat(128)).expect("128 characters");
    assert_eq!(broken(RegistrationId::new("x".repeat(129))), (NameRule::TooLong { length: 129, limit: 128 }, 128));
}

#[test]
fn a_registration_id_keeps_its_case_and_regards_it() {
    assert_eq!(RegistrationId::new("Dev").expect("valid").as_str(), "Dev");
    assert_ne!(RegistrationId::new("Dev"), RegistrationId::new("dev"));
}

#[test]
fn a_device_id_has_every_sign_that_a_hub_allows() {
    let all = "aZ09-.+%_#*?!(),:=@$'";
    assert_eq!(DeviceId::new(all).expect("valid").as_str(), all);
    assert_eq!(ModuleId::new(all).expect("valid").as_str(), all);
    for (text, position, found) in [("a/b", 1, '/'), ("a b", 1, ' '), ("a\"", 1, '"'), ("a&b", 1, '&'), ("ä", 0, 'ä')]
    {
        assert_eq!(broken(DeviceId::new(text)), (NameRule::Character { found }, position), "{text:?}");
    }
    assert_eq!(broken(DeviceId::new("")), (NameRule::Empty, 0));
    DeviceId::new("x".repeat(128)).expect("128 characters");
    assert_eq!(broken(DeviceId::new("x".repeat(129))), (NameRule::TooLong { length: 129, limit: 128 }, 128));
}

#[test]
fn a_host_name_is_labels_with_dots_between() {
    for text in ["localhost", "my-hub.azure-devices.net", "127.0.0.1", "a", "0.b", &"x".repeat(63)] {
        assert_eq!(HostName::new(text).expect(text).as_str(), text);
    }
    assert_eq!(broken(HostName::new("")), (NameRule::Empty, 0));
    for (text, position) in [(".", 0), (".a", 0), ("a..b", 2), ("a.b.", 4)] {
        assert_eq!(broken(HostName::new(text)), (NameRule::EmptyLabel, position), "{text}");
    }
    for (text, position) in [("-a", 0), ("a-", 1), ("a.-b", 2), ("a.b-.c", 3), ("-", 0)] {
        assert_eq!(broken(HostName::new(text)), (NameRule::OuterHyphen, position), "{text}");
    }
    for (text, position, found) in
        [("a b", 1, ' '), ("a:443", 1, ':'), ("a/b", 1, '/'), ("h_x", 1, '_'), ("münchen", 1, 'ü')]
    {
        assert_eq!(broken(HostName::new(text)), (NameRule::Character { found }, position), "{text}");
    }
}

#[test]
fn a_label_has_at_most_63_characters_and_a_host_name_253() {
    let long = "x".repeat(64);
    assert_eq!(broken(HostName::new(format!("a.{long}"))), (NameRule::LabelTooLong { length: 64 }, 2));
    let most = [&long[1..], &long[1..], &long[1..], &long[3..]].join(".");
    assert_eq!(most.len(), 253);
    HostName::new(most.clone()).expect("253 characters");
    assert_eq!(broken(HostName::new(format!("{most}x"))), (NameRule::TooLong { length: 254, limit: 253 }, 253));
}

#[test]
fn an_endpoint_is_a_host_name_with_an_optional_port() {
    let endpoint: Endpoint = "localhost:8443".parse().expect("valid");
    assert_eq!(
        (endpoint.host().as_str(), endpoint.port(), endpoint.to_string().as_str()),
        ("localhost", Some(8443), "localhost:8443")
    );
    let endpoint: Endpoint = "localhost:443".parse().expect("valid");
    assert_eq!((endpoint.port(), endpoint.to_string().as_str()), (Some(443), "localhost:443"));
    // Which port that is depends on the protocol.
    let endpoint: Endpoint = "localhost".parse().expect("valid");
    assert_eq!((endpoint.port(), endpoint.to_string().as_str()), (None, "localhost"));
    assert_eq!("127.0.0.1:1".parse::<Endpoint>().expect("valid").port(), Some(1));
}

#[test]
fn an_endpoint_may_be_an_ipv6_address_in_brackets() {
    for (text, port) in [("[::1]", None), ("[2001:db8::1]:8443", Some(8443))] {
        let endpoint: Endpoint = text.parse().expect("valid");
        assert_eq!((endpoint.port(), endpoint.to_string().as_str()), (port, text));
    }
    let error = "::1".parse::<Endpoint>().expect_err("no brackets").to_string();
    assert!(error.contains("[::1]"), "{error}");
}

#[test]
fn an_endpoint_that_is_wrong_says_how_and_where() {
    let (whole, host) = (NameKind::Endpoint, NameKind::HostName);
    for (text, name, rule, position) in [
        ("https://localhost", whole, NameRule::Url, 6),
        ("localhost//", whole, NameRule::Url, 9),
        ("", host, NameRule::Empty, 0),
        (":443", host, NameRule::Empty, 0),
        ("localhost:", whole, NameRule::PortMissing, 9),
        ("localhost:8x", whole, NameRule::PortCharacter { found: 'x' }, 11),
        ("localhost:+8", whole, NameRule::PortCharacter { found: '+' }, 10),
        ("localhost:443/", whole, NameRule::PortCharacter { found: '/' }, 13),
        ("localhost:0", whole, NameRule::PortOutOfRange, 10),
        ("localhost:65536", whole, NameRule::PortOutOfRange, 10),
        ("localhost:99999999999999999999", whole, NameRule::PortOutOfRange, 10),
        ("localhost/dps", host, NameRule::Character { found: '/' }, 9),
        ("::1", whole, NameRule::Ipv6, 0),
        ("fe80::1:443", whole, NameRule::Ipv6, 0),
        ("[::1", host, NameRule::Ipv6, 0),
        ("[::1]443", host, NameRule::Ipv6, 0),
        ("[localhost]:443", host, NameRule::Ipv6, 0),
        ("[::1]:", whole, NameRule::PortMissing, 5),
        ("user@localhost", host, NameRule::Character { found: '@' }, 4),
    ] {
        let error = text.parse::<Endpoint>().expect_err(text);
        assert_eq!((error.name(), error.rule(), error.position()), (name, rule, position), "{text}");
    }
}

#[test]
fn the_name_of_a_hub_is_taken_with_a_port_an_underscore_or_a_trailing_dot() {
    for (text, host, port) in [
        ("my-hub.azure-devices.net", "my-hub.azure-devices.net", None),
        ("localhost:443", "localhost", Some(443)),
        ("h_x.example.", "h_x.example", None),
        ("a..b", "a..b", None),
    ] {
        let hub = HubName::new(text).expect(text);
        assert_eq!((hub.as_str(), hub.host(), hub.port()), (text, host, port));
        assert_eq!(
            serde_json::from_str::<HubName>(&serde_json::to_string(&hub).expect("text")).expect("the same"),
            hub
        );
    }
    for (text, rule, position) in [
        ("", NameRule::Empty, 0),
        (":443", NameRule::Empty, 0),
        (".", NameRule::EmptyLabel, 0),
        ("a b", NameRule::Character { found: ' ' }, 1),
        ("a/b", NameRule::Character { found: '/' }, 1),
        ("h;x", NameRule::Character { found: ';' }, 1),
        ("h\r\n", NameRule::Character { found: '\r' }, 1),
        ("ü", NameRule::Character { found: 'ü' }, 0),
        ("h:", NameRule::PortMissing, 1),
        ("h:0", NameRule::PortOutOfRange, 2),
        ("h:1:2", NameRule::PortCharacter { found: ':' }, 3),
    ] {
        assert_eq!(broken(HubName::new(text)), (rule, position), "{text:?}");
    }
    assert_eq!(broken(HubName::new("x".repeat(254))), (NameRule::TooLong { length: 254, limit: 253 }, 253));
}

#[test]
fn the_endpoints_of_the_clouds_are_valid_and_the_public_one_is_the_default() {
    for (endpoint, host) in [
        (Endpoint::GLOBAL, "global.azure-devices-provisioning.net"),
        (Endpoint::US_GOVERNMENT, "global.azure-devices-provisioning.us"),
        (Endpoint::CHINA, "global.azure-devices-provisioning.cn"),
    ] {
        assert_eq!(host.parse::<Endpoint>().expect(host), endpoint);
        assert_eq!(endpoint.port(), None);
    }
    assert_eq!(Endpoint::default(), Endpoint::GLOBAL);
}

#[test]
fn a_product_is_printable_ascii() {
    for text in ["acme-gateway/1.4", "a", "Acme (rev B) gateway/2"] {
        assert_eq!(Product::new(text).expect(text).as_str(), text);
    }
    assert_eq!(broken(Product::new("")), (NameRule::Empty, 0));
    for (text, position, found) in
        [(" a", 0, ' '), ("a ", 1, ' '), ("a\r\nHost: x", 1, '\r'), ("é", 0, 'é'), ("a\tb", 1, '\t')]
    {
        assert_eq!(broken(Product::new(text)), (NameRule::Character { found }, position), "{text:?}");
    }
    assert_eq!(broken(Product::new("x".repeat(129))), (NameRule::TooLong { length: 129, limit: 128 }, 128));
}

#[test]
fn an_error_is_a_sentence_that_names_the_rule_and_the_position() {
    assert_eq!(
        RegistrationId::new("my device").expect_err("a space").to_string(),
        "a registration ID must consist of ASCII letters, digits, '-', '.', '_' and ':'; found ' ' at position 2"
    );
    assert_eq!(
        "https://global.azure-devices-provisioning.net".parse::<Endpoint>().expect_err("a URL").to_string(),
        "an endpoint must be a host name with an optional port, such as localhost:8443, not a URL; found \"//\" at position 6"
    );
}

#[test]
fn names_go_through_serde_as_text_and_are_checked_on_the_way_in() {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Config {
        scope: IdScope,
        id: RegistrationId,
        endpoint: Endpoint,
    }
    let json = r#"{"scope":"0ne1","id":"dev","endpoint":"localhost:8443"}"#;
    let config: Config = serde_json::from_str(json).expect("valid");
    assert_eq!(serde_json::to_string(&config).expect("serializes"), json);
    let error = serde_json::from_str::<RegistrationId>(r#""a b""#).expect_err("not valid");
    assert!(error.to_string().contains("found ' ' at position 1"), "{error}");
    assert!(serde_json::from_str::<Endpoint>(r#""localhost:x""#).is_err());
}

#[test]
fn names_convert_as_the_ecosystem_expects() {
    let id: RegistrationId = "dev".parse().expect("valid");
    assert_eq!(RegistrationId::try_from("dev").expect("valid"), id);
    assert_eq!(RegistrationId::try_from(String::from("dev")).expect("valid"), id);
    assert_eq!((id.as_ref(), id.to_string().as_str()), ("dev", "dev"));
    assert_eq!(
        format!("{id:?} {:?}", Endpoint::GLOBAL),
        "RegistrationId(\"dev\") Endpoint(global.azure-devices-provisioning.net)"
    );
    assert_eq!(String::from(id), "dev");
    let host = HostName::new("h").expect("valid");
    assert_eq!(Endpoint::from(host.clone()).port(), None);
    assert_eq!(Endpoint::new(host, 8443.try_into().expect("not zero")).to_string(), "h:8443");
}
