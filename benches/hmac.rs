//! Measures keys and tokens, and compares them with the minimal number of compressions and with
//! ring.
#![allow(clippy::expect_used, missing_docs, reason = "a benchmark may panic, and criterion's macros write no docs")]

use std::fmt::Write;
use std::hint::black_box;

use azure_iot_dps::sas::Resource;
use azure_iot_dps::time::UnixTime;
use azure_iot_dps::{DeviceKey, GroupKey, IdScope, KeyDerivation, RegistrationId, SasToken};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::hmac;
use sha2::block_api::compress256;

const GROUP_KEY: &str = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==";
const DEVICE_KEY: &str = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";
const REGISTRATION_ID: &str = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6";
const EXPIRY: u64 = 1_800_000_000;

/// Runs this number of bare compressions of one block each.
fn floor(compressions: usize) {
    let mut state = black_box([0x6a09_e667; 8]);
    for _ in 0..compressions {
        compress256(&mut state, black_box(&[[0x5c; 64]]));
    }
    black_box(state);
}

fn ring_key(base64: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(base64).expect("base64"))
}

fn derive(c: &mut Criterion) {
    let group_key: GroupKey = GROUP_KEY.parse().expect("a key");
    let derivation = KeyDerivation::new(&group_key);
    let registration_id = RegistrationId::new(REGISTRATION_ID).expect("valid");
    let ring = ring_key(GROUP_KEY);

    let mut group = c.benchmark_group("derive");
    group.bench_function("keyed", |b| b.iter(|| black_box(&derivation).derive_base64(black_box(&registration_id))));
    group.bench_function("from_base64", |b| {
        b.iter(|| {
            let group_key = GroupKey::from_base64(black_box(GROUP_KEY)).expect("a key");
            KeyDerivation::new(&group_key).derive_base64(black_box(&registration_id))
        });
    });
    group.bench_function("floor", |b| b.iter(|| floor(2)));
    group.bench_function("ring", |b| {
        b.iter(|| STANDARD.encode(hmac::sign(black_box(&ring), black_box(REGISTRATION_ID).as_bytes())));
    });

    let registration_ids: Vec<RegistrationId> = (0..10_000)
        .map(|number| RegistrationId::new(format!("sn-007-888-abc-mac-a1-b2-c3-d4-{number:05}")).expect("valid"))
        .collect();
    group.throughput(Throughput::Elements(registration_ids.len() as u64));
    group.bench_function("batch", |b| {
        b.iter(|| {
            for registration_id in &registration_ids {
                black_box(black_box(&derivation).derive_base64(registration_id));
            }
        });
    });
    group.finish();
}

fn sas_token(c: &mut Criterion) {
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    let key: DeviceKey = DEVICE_KEY.parse().expect("a key");
    let id_scope = IdScope::new("0ne00002193").expect("valid");
    let registration_id = RegistrationId::new(REGISTRATION_ID).expect("valid");
    let ring = ring_key(DEVICE_KEY);

    let mut group = c.benchmark_group("sas_token");
    group.bench_function("keyed", |b| {
        b.iter(|| {
            let resource = Resource::registration(black_box(&id_scope), black_box(&registration_id));
            SasToken::sign(resource, black_box(&key), UnixTime::from_secs(black_box(EXPIRY)))
        });
    });
    group.bench_function("floor", |b| b.iter(|| floor(3)));
    group.bench_function("ring", |b| {
        b.iter(|| {
            let (scope, id) = (black_box("0ne00002193"), black_box(REGISTRATION_ID));
            let mut token = String::with_capacity(256);
            token.push_str("SharedAccessSignature sr=");
            let start = token.len();
            for part in [scope, "/registrations/", id] {
                token.extend(utf8_percent_encode(part, RESERVED));
            }
            let end = token.len();
            let _ = write!(token, "\n{}", black_box(EXPIRY));
            let signature = hmac::sign(black_box(&ring), &token.as_bytes()[start..]);
            token.truncate(end);
            let mut base64 = [0; 44];
            STANDARD.encode_slice(signature, &mut base64).expect("fits");
            token.push_str("&sig=");
            token.extend(utf8_percent_encode(str::from_utf8(&base64).expect("ASCII"), RESERVED));
            let _ = write!(token, "&se={}&skn=registration", black_box(EXPIRY));
            token
        });
    });
    group.finish();
}

criterion_group!(benches, derive, sas_token);
criterion_main!(benches);
