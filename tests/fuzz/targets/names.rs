//! Compares names with an independent implementation of their rules.
#![no_main]

use std::net::Ipv6Addr;

use azure_iot_dps::identity::{DeviceId, Endpoint, HostName, HubName, IdScope, ModuleId, Product, RegistrationId};
use libfuzzer_sys::fuzz_target;

fn all(text: &str, length: std::ops::RangeInclusive<usize>, allowed: &str) -> bool {
    length.contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || allowed.contains(c))
}

fn is_host(text: &str) -> bool {
    let is_label = |label: &str| all(label, 1..=63, "-") && !label.starts_with('-') && !label.ends_with('-');
    let is_name = text.len() <= 253 && text.split('.').all(is_label);
    let in_brackets = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    is_name || in_brackets.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

fuzz_target!(|text: &str| {
    assert_eq!(IdScope::new(text).is_ok(), all(text, 1..=64, ""));
    let ends_well = !text.ends_with(['.', '_', ':']);
    assert_eq!(RegistrationId::new(text).is_ok(), all(text, 1..=128, "-._:") && ends_well);
    let in_hub = all(text, 1..=128, "-.+%_#*?!(),:=@$'");
    assert_eq!((DeviceId::new(text).is_ok(), ModuleId::new(text).is_ok()), (in_hub, in_hub));
    assert_eq!(HostName::new(text).is_ok(), is_host(text));
    let printable = (1..=128).contains(&text.len()) && text.bytes().all(|byte| (0x20..0x7F).contains(&byte));
    assert_eq!(Product::new(text).is_ok(), printable && text.trim_matches(' ') == text);

    // The colons of an IPv6 address are within brackets.
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_port = |port: &str| {
        !port.is_empty()
            && port.bytes().all(|it| it.is_ascii_digit())
            && port.parse() != Ok(0_u16)
            && port.parse::<u16>().is_ok()
    };
    let endpoint = text.parse::<Endpoint>();
    if let Ok(endpoint) = &endpoint {
        assert!(is_host(host) && port.is_none_or(is_port), "{endpoint}");
        assert_eq!(endpoint.to_string().parse::<Endpoint>().as_ref(), Ok(endpoint), "what is written is read");
    } else {
        // A leading zero or a plus may be refused; a plain port is not.
        let plain = port.is_none_or(|port| is_port(port) && !port.starts_with('0'));
        assert!(!(is_host(host) && plain), "{text}: {endpoint:?}");
    }
    // Assigned names have looser rules, but never characters that would break a path, a header or a log line.
    if let Ok(hub) = HubName::new(text) {
        assert!(hub.as_str().bytes().all(|byte| byte.is_ascii_graphic() && !b"/\\\"?#@%".contains(&byte)), "{hub}");
    }
    for error in
        [IdScope::new(text).err(), RegistrationId::new(text).err(), HostName::new(text).err()].into_iter().flatten()
    {
        assert!(error.position() <= text.len() && !error.to_string().contains('\n'), "{error}");
    }
});
