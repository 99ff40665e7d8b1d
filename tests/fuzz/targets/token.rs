//! Fuzzes tokens: parsing returns the parts of a token, and accepts nothing else.
#![no_main]

use azure_iot_dps::key::{DeviceKey, Signer};
use azure_iot_dps::sas::{Resource, SasToken};
use azure_iot_dps::time::UnixTime;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;

/// Decodes percent-encoding, independent of the crate.
fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let (mut decoded, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let pair = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        let hex = pair.filter(|pair| pair.bytes().all(|it| it.is_ascii_hexdigit()));
        match (bytes[at], hex.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

fn field<'a>(token: &'a str, name: &str) -> Option<&'a str> {
    let fields = token.strip_prefix("SharedAccessSignature ")?.split('&');
    let mut values = fields.filter_map(|field| field.split_once('=')).filter(|(it, _)| *it == name);
    values.next().map(|(_, value)| value)
}

fuzz_target!(|input: (&str, [u8; 32], u64)| {
    let (text, key, expiry) = input;
    let Ok(key) = DeviceKey::from_bytes(&key) else { unreachable!("32 bytes are a key") };
    let token = match SasToken::sign(Resource::uri(text), &key, UnixTime::from_secs(expiry)) {
        Ok(token) => token,
        Err(error) => panic!("a key in memory signs: {error}"),
    };
    let again = SasToken::parse(token.as_str()).expect("what was signed is read");
    assert!(again.verify(&key), "{token:?}");
    assert_eq!(again.expires_at(), UnixTime::from_secs(expiry));
    // The resource is used as written, encoded or not.
    let sr = field(token.as_str(), "sr").expect("a resource");
    assert_eq!(again.resource_uri().as_bytes(), decode(sr), "{token:?}");
    let signed = key.sign(format!("{sr}\n{expiry}").as_bytes()).expect("signs");
    assert_eq!(decode(field(token.as_str(), "sig").expect("a signature")), STANDARD.encode(signed).into_bytes());

    if let Ok(foreign) = SasToken::parse(text) {
        let sig = decode(field(text, "sig").expect("no token without a signature"));
        assert_eq!(STANDARD.decode(sig).map(|sig| sig.len()), Ok(32), "{text:?}");
        let se = field(text, "se").expect("no token without an expiry");
        assert_eq!(se.parse(), Ok(foreign.expires_at().as_secs()), "{text:?}");
        let message = format!("{}\n{se}", field(text, "sr").expect("no token without a resource"));
        let right = STANDARD.encode(key.sign(message.as_bytes()).expect("signs")).into_bytes();
        assert_eq!(foreign.verify(&key), decode(field(text, "sig").expect("a signature")) == right, "{text:?}");
        let sig = field(text, "sig").expect("a signature");
        assert!(sig.len() < 8 || !format!("{foreign:?}").contains(sig), "it is a secret");
    }
});
