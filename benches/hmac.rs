//! What keys and tokens cost, beside the compressions that nobody can avoid.
#![allow(clippy::expect_used, missing_docs, reason = "a benchmark may panic, and criterion's macros write no docs")]

use std::hint::black_box;

use azure_iot_dps::{DeviceKey, GroupKey, IdScope, KeyDerivation, RegistrationId, Resource, SasToken, UnixTime};
use criterion::{Criterion, criterion_group, criterion_main};
use sha2::block_api::compress256;

const GROUP_KEY: &str = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==";

fn registration_id() -> RegistrationId {
    RegistrationId::new("sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6").expect("valid")
}

/// This many bare compressions of one block each.
fn floor(compressions: usize) {
    let mut state = black_box([0x6a09_e667; 8]);
    for _ in 0..compressions {
        compress256(&mut state, black_box(&[[0x5c; 64]]));
    }
    black_box(state);
}

fn derive(c: &mut Criterion) {
    let group_key: GroupKey = GROUP_KEY.parse().expect("a key");
    let (derivation, registration_id) = (KeyDerivation::new(&group_key), registration_id());
    let mut group = c.benchmark_group("derive");
    group.bench_function("keyed", |b| b.iter(|| black_box(&derivation).derive_base64(black_box(&registration_id))));
    group.bench_function("floor", |b| b.iter(|| floor(2)));
    group.finish();
}

fn sas_token(c: &mut Criterion) {
    let key: DeviceKey = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=".parse().expect("a key");
    let (id_scope, registration_id) = (IdScope::new("0ne00002193").expect("valid"), registration_id());
    let mut group = c.benchmark_group("sas_token");
    group.bench_function("keyed", |b| {
        b.iter(|| {
            let resource = Resource::registration(black_box(&id_scope), black_box(&registration_id));
            SasToken::sign(resource, black_box(&key), UnixTime::from_secs(1_800_000_000))
        });
    });
    group.bench_function("floor", |b| b.iter(|| floor(3)));
    group.finish();
}

criterion_group!(benches, derive, sas_token);
criterion_main!(benches);
