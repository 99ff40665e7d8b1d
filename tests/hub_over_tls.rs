//! Tests the way from the assignment to the first message over real TLS, and the device's reaction
//! to the hub's answers. The code of the examples sends the messages.
#![cfg(all(feature = "bundled-roots", feature = "https", feature = "proxy", feature = "ring",))]
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod common;
#[path = "../examples/with_simulator/support/mod.rs"]
mod support;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use azure_iot_dps::hub::{Advice, HubFailure, Reconnection};
use azure_iot_dps::identity::HostName;
use azure_iot_dps::{
    Assignment, Clock, FileStore, HttpsTransport, HubCredentials, ProvisioningClient, Roots, SystemClock,
};
use azure_iot_dps_simulator::{Allocation, Asked, Record, Simulator, SimulatorBuilder, SimulatorServer};
use common::{id, seconds};
use support::hub::Hub;

fn serve(builder: SimulatorBuilder) -> (Simulator, SimulatorServer) {
    let sim = builder.assigning_polls(0).retry_after(Duration::ZERO).build();
    let server = sim.serve().expect("serves");
    (sim, server)
}

struct Device<'a> {
    sim: &'a Simulator,
    server: &'a SimulatorServer,
    client: ProvisioningClient,
    store: FileStore,
}

impl<'a> Device<'a> {
    fn new(sim: &'a Simulator, server: &'a SimulatorServer, name: &str) -> Self {
        let roots = Roots::pem(server.ca_pem().as_bytes()).expect("PEM");
        let key = common::key_of(sim, &id("dev-01"));
        let client = ProvisioningClient::builder(sim.id_scope(), id("dev-01"), key)
            .endpoint(server.endpoint())
            .transport(HttpsTransport::builder().roots(roots).build())
            .build();
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("hub_over_tls");
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join(name);
        let _ = fs::remove_file(&path);
        Self { sim, server, client, store: FileStore::new(path) }
    }

    fn assignment(&mut self) -> Assignment {
        let assignment = self.client.load_or_register(&mut self.store).expect("assigned");
        assert!(self.client.store_error().is_none(), "{:?}", self.client.store_error());
        assignment
    }

    /// Returns the assignment as after a reboot: a new client with the same file.
    fn assignment_again(&self) -> Assignment {
        let mut rebooted = Device::new(self.sim, self.server, "unused");
        rebooted.store = self.store.clone();
        rebooted.assignment()
    }

    fn send(&self, assignment: &Assignment) -> Result<(), HubFailure> {
        let key = common::key_of(self.sim, &id("dev-01"));
        let mut credentials = HubCredentials::new(assignment, key).expect("one key");
        let roots = Roots::pem(self.server.ca_pem().as_bytes()).expect("PEM");
        let hub = Hub::new(&credentials, Some(&self.server.endpoint()), &roots, None).expect("a hub");
        let time = assignment.time_at(SystemClock::new().now()).expect("a clock");
        let token = credentials.token(time).expect("signs");
        hub.send(token, r#"{"t":21}"#).map_err(|refused| refused.failure)
    }

    fn advice(&self, assignment: &Assignment) -> Advice {
        let failure = self.send(assignment).expect_err("it was to fail");
        // Without a spread, only the hub's answers count.
        Reconnection::new(id("dev-01")).fleet_spread(Duration::ZERO).failed(failure, SystemClock::new().now())
    }
}

fn waits(advice: Advice) -> bool {
    matches!(advice, Advice::Retry { .. })
}

#[test]
fn a_device_boots_sends_a_message_and_boots_again_without_registering() {
    let (sim, server) = serve(Simulator::builder());
    let mut device = Device::new(&sim, &server, "boots");
    let assignment = device.assignment();
    device.send(&assignment).expect("acknowledged");
    device.send(&device.assignment_again()).expect("acknowledged");
    let count = |wanted: fn(&Asked) -> bool| {
        let records = sim.records().into_iter();
        records.filter(|record| matches!(record, Record::Request { asked, .. } if wanted(asked))).count()
    };
    let registrations = count(|asked| matches!(asked, Asked::Register { .. }));
    let messages = count(|asked| matches!(asked, Asked::SendMessage { .. }));
    assert_eq!((registrations, messages), (1, 2));
}

#[test]
fn a_hub_that_does_not_know_the_device_means_ask_and_then_all_is_well() {
    let (old_sim, old_server) = serve(Simulator::builder());
    let mut device = Device::new(&old_sim, &old_server, "unknown");
    let assignment = device.assignment();
    let (sim, server) = serve(Simulator::builder());
    let mut device = Device::new(&sim, &server, "unknown-2");
    assert_eq!(device.advice(&assignment), Advice::LookUp);
    let assignment = device.client.look_up_or_register(&mut device.store).expect("assigned");
    device.send(&assignment).expect("acknowledged");
}

#[test]
fn a_device_that_was_moved_to_another_hub_finds_it_by_a_lookup() {
    let host = |name| HostName::new(name).expect("valid");
    let first = std::sync::atomic::AtomicBool::new(true);
    let name = move || if first.swap(false, std::sync::atomic::Ordering::SeqCst) { "a.example" } else { "b.example" };
    let builder = Simulator::builder().hub(host("a.example")).hub(host("b.example"));
    let (sim, server) = serve(builder.allocation(move |_| Allocation::hub(host(name()))));
    let mut device = Device::new(&sim, &server, "moved");
    let assignment = device.assignment();
    // A tool of the operator moves the device.
    let moved = Device::new(&sim, &server, "mover").assignment();
    assert_eq!((assignment.hub().as_str(), moved.hub().as_str()), ("a.example", "b.example"));
    assert_eq!(device.advice(&assignment), Advice::LookUp);
    let assignment = device.client.look_up_or_register(&mut device.store).expect("assigned");
    device.send(&assignment).expect("acknowledged");
    assert_eq!(device.assignment().hub().as_str(), "b.example");
}

#[test]
fn a_quota_that_is_used_up_is_told_from_a_refusal_by_its_code() {
    let (sim, server) = serve(Simulator::builder().hub_quota(1));
    let mut device = Device::new(&sim, &server, "quota");
    let assignment = device.assignment();
    device.send(&assignment).expect("acknowledged");
    let Advice::Retry { after } = device.advice(&assignment) else { panic!("it was to wait") };
    assert!(after >= seconds(60), "{after:?}");
    sim.device(&id("dev-01")).answer(403);
    assert_eq!(device.advice(&assignment), Advice::LookUp);
}

#[test]
fn a_busy_hub_means_wait_as_long_as_it_says() {
    let (sim, server) = serve(Simulator::builder());
    let mut device = Device::new(&sim, &server, "busy");
    let assignment = device.assignment();
    sim.device(&id("dev-01")).answer(429).header("Retry-After", "77");
    let Advice::Retry { after } = device.advice(&assignment) else { panic!("it was to wait") };
    assert!((77..82).contains(&after.as_secs()), "{after:?}");
    sim.device(&id("dev-01")).answer(503);
    assert!(waits(device.advice(&assignment)));
    device.send(&assignment).expect("acknowledged");
}

#[test]
fn a_hub_that_does_not_answer_or_breaks_off_is_unreachable() {
    let (sim, server) = serve(Simulator::builder());
    let mut device = Device::new(&sim, &server, "unreachable");
    let assignment = device.assignment();
    sim.device(&id("dev-01")).drop_before_answer().times(9);
    assert_eq!(device.send(&assignment), Err(HubFailure::UNREACHABLE));
    sim.device(&id("dev-01")).recover();
    sim.device(&id("dev-01")).cut_after(20);
    assert_eq!(device.send(&assignment), Err(HubFailure::UNREACHABLE));
    assert!(waits(Reconnection::new(id("dev-01")).failed(HubFailure::UNREACHABLE, SystemClock::new().now())));
    device.send(&assignment).expect("acknowledged");
}
