//! Measures a whole registration: without a network, and over TLS on loopback.
#![allow(clippy::expect_used, missing_docs, reason = "a benchmark may panic, and criterion's macros write no docs")]

use std::fmt::Write;
use std::hint::black_box;
use std::time::Duration;

use azure_iot_dps::attestation::AttestationKind;
use azure_iot_dps::key::Signer;
use azure_iot_dps::protocol::Response;
use azure_iot_dps::registration::{Registration, RegistrationSettings, Step};
use azure_iot_dps::time::UnixTime;
use azure_iot_dps::{DeviceKey, HttpsTransport, IdScope, ProvisioningClient, RegistrationId, Roots};
use azure_iot_dps_simulator::{Simulator, SimulatorServer};
use criterion::{Criterion, criterion_group, criterion_main};

const ASSIGNING: &[u8] =
    br#"{"operationId":"5.316aac5bdc130deb.b1e02da8-c3a0-4ff2-a121-7ea7a6b7f550","status":"assigning"}"#;
const ASSIGNED: &[u8] =
    br#"{"operationId":"5.316aac5bdc130deb.b1e02da8-c3a0-4ff2-a121-7ea7a6b7f550","status":"assigned",
    "registrationState":{"registrationId":"dev-01","createdDateTimeUtc":"2026-01-01T00:00:01.5163352Z",
    "assignedHub":"my-hub.azure-devices.net","deviceId":"dev-01","status":"assigned","substatus":"initialAssignment",
    "lastUpdatedDateTimeUtc":"2026-01-01T00:00:02.7370676Z","etag":"IjY5MDAz"}}"#;

fn key_of(sim: &Simulator) -> DeviceKey {
    sim.device_key(&id()).expect("an enrollment").parse().expect("a key")
}

fn id() -> RegistrationId {
    RegistrationId::new("dev-01").expect("valid")
}

/// Runs a registration with two polls.
fn engine(settings: &RegistrationSettings, key: &DeviceKey) {
    let mut registration = Registration::new(settings, AttestationKind::SymmetricKey);
    let mut now = azure_iot_dps::time::Now { unix: Some(UnixTime::from_secs(1_767_225_600)), uptime: Duration::ZERO };
    let mut answers = [ASSIGNING, ASSIGNING, ASSIGNED].into_iter();
    let mut target = String::new();
    loop {
        match registration.step(now).expect("goes on") {
            Step::Sign(request) => {
                let signature = key.sign(request.message());
                registration.signed(signature);
            }
            Step::Send(request) => {
                target.clear();
                write!(target, "{}", request.http().target()).expect("a string takes all");
                black_box(&target);
                let response = Response::new(200, answers.next().expect("three requests"));
                registration.receive(Ok(response), now);
            }
            Step::Wait(pause) => now.uptime = now.uptime.saturating_add(pause.duration()),
            Step::Event(event) => {
                black_box(event);
            }
            Step::Done(assignment) => {
                black_box(assignment);
                return;
            }
        }
    }
}

fn client(sim: &Simulator, server: &SimulatorServer) -> ProvisioningClient {
    let transport = HttpsTransport::builder().roots(Roots::pem(server.ca_pem().as_bytes()).expect("PEM")).build();
    let key = key_of(sim);
    let client =
        ProvisioningClient::builder(sim.id_scope(), id(), key).endpoint(server.endpoint()).transport(transport);
    client.build()
}

fn registration(c: &mut Criterion) {
    let mut group = c.benchmark_group("registration");
    let settings = RegistrationSettings::new(IdScope::new("0ne00002193").expect("valid"), id());
    let key = DeviceKey::from_base64("miuSB501eJKWtdSGawOlw0wbqw7z4flDPUIeAsCTiWs=").expect("a key");
    group.bench_function("engine", |b| b.iter(|| engine(black_box(&settings), black_box(&key))));

    let sim = Simulator::builder().assigning_polls(1).retry_after(Duration::ZERO).build();
    let mut local =
        ProvisioningClient::builder(sim.id_scope(), id(), key_of(&sim)).build_with(sim.transport(), sim.clock());
    group.bench_function("simulator", |b| b.iter(|| local.register().expect("assigned")));

    let server = sim.serve().expect("serves");
    let mut kept = client(&sim, &server);
    group.bench_function("tls_kept", |b| b.iter(|| kept.register().expect("assigned")));
    group.bench_function("tls_new", |b| b.iter(|| client(&sim, &server).register().expect("assigned")));
    group.finish();
}

criterion_group!(benches, registration);
criterion_main!(benches);
