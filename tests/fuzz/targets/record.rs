//! Fuzzes stored assignments: a record is accepted if the checksum of its body and the identity of
//! its device match, by an independent implementation. No content of a flash page causes a panic.
#![no_main]

use arbitrary::Arbitrary;
use azure_iot_dps::Assignment;
use azure_iot_dps::error::StoreError;
use azure_iot_dps::registration::{RegistrationSettings, SavedSession};
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    bytes: &'a [u8],
    /// Whether a valid head is put before the bytes.
    framed: bool,
    /// The assignment of a body with a valid identity, which replaces the bytes.
    assignment: Option<&'a str>,
    format: u8,
}

fn hex(bytes: &[u8], length: usize) -> String {
    Sha256::digest(bytes)[..length].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut record = format!("azure-iot-dps assignment {} {}\n", hex(body, 8), body.len()).into_bytes();
    record.extend(body);
    record
}

/// The fields that are read from a body. None may occur twice.
const KNOWN: [&str; 5] = ["format", "identity", "second_key", "x509", "assignment"];

/// The field names of an object, in order, as serde reads them.
struct Names(Vec<String>);

impl<'de> serde::Deserialize<'de> for Names {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Names;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: serde::de::MapAccess<'de>>(self, mut map: M) -> Result<Names, M::Error> {
                let mut names = Names(Vec::new());
                while let Some((name, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                    names.0.push(name);
                }
                Ok(names)
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// Returns the body of a whole record. Ignores bytes after its end.
fn body(record: &[u8]) -> Option<&[u8]> {
    let rest = record.strip_prefix(b"azure-iot-dps assignment ")?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let (checksum, length) = std::str::from_utf8(&rest[..end]).ok()?.split_once(' ')?;
    let body = rest[end + 1..].get(..length.parse().ok()?)?;
    (hex(body, 8) == checksum).then_some(body)
}

fuzz_target!(|input: Input<'_>| {
    let scope = "0ne00002193".parse().expect("valid");
    let settings = RegistrationSettings::new(scope, "dev-01".parse().expect("valid"));
    let identity = hex(b"global.azure-devices-provisioning.net\n0ne00002193\ndev-01", 16);
    let record = match (input.assignment, input.framed) {
        (Some(assignment), _) => {
            let Input { format, .. } = input;
            framed(
                format!(
                    r#"{{"format":{format},"identity":"{identity}","second_key":false,"assignment":{assignment}}}"#
                )
                .as_bytes(),
            )
        }
        (None, true) => framed(input.bytes),
        (None, false) => input.bytes.to_vec(),
    };
    let erased = [0, 0xFF].iter().any(|erased| record.iter().all(|byte| byte == erased));
    // Raw, because other parsers do not accept every number.
    type Members<'a> = std::collections::BTreeMap<String, &'a serde_json::value::RawValue>;
    let whole = body(&record).and_then(|body| serde_json::from_slice::<Members<'_>>(body).ok());
    let written = whole.as_ref().and_then(|body| body.get("identity"));
    let ours = written.is_some_and(|it| serde_json::from_str::<String>(it.get()).is_ok_and(|it| it == identity));
    match Assignment::from_record(&record, &settings) {
        Ok(Some(assignment)) => {
            assert!(ours && !erased, "nobody else's, and nothing made up");
            let again = assignment.to_record(&settings);
            let read =
                Assignment::from_record(&again, &settings).expect("what was written is read").expect("and is there");
            assert_eq!(
                (read.hub(), read.device_id(), read.key_used()),
                (assignment.hub(), assignment.device_id(), assignment.key_used())
            );
            assert_eq!(read.payload_json(), assignment.payload_json());
            assert_eq!(again, read.to_record(&settings), "and written as it was");
        }
        Ok(None) => assert!(erased || !ours, "an assignment of this device was there"),
        Err(StoreError::LaterFormat { found, known }) => assert!(ours && found > known),
        Err(StoreError::Damaged { problem: "its body is not JSON" }) => {
            let names =
                body(&record).and_then(|body| serde_json::from_str::<Names>(std::str::from_utf8(body).ok()?).ok());
            let twice =
                |names: &Names| KNOWN.iter().any(|known| names.0.iter().filter(|name| name == known).count() > 1);
            assert!(names.is_none_or(|names| twice(&names)), "it is JSON");
        }
        Err(StoreError::Damaged { .. }) => assert!(!erased),
        Err(error) => panic!("{error:?}"),
    }
    // Saved sessions come from flash too.
    if let Ok(saved) = serde_json::from_slice::<SavedSession>(input.bytes) {
        let json = serde_json::to_vec(&saved).expect("serializes");
        assert_eq!(serde_json::from_slice::<SavedSession>(&json).expect("reads what it wrote"), saved);
    }
});
