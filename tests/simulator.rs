//! Tests that the simulator checks what the service checks, and answers as the service answers.
#![allow(clippy::expect_used, clippy::panic, clippy::unchecked_time_subtraction, reason = "a test may panic")]

mod common;
#[path = "common/over.rs"]
mod over;

use azure_iot_dps::attestation::AttestationKind;
use azure_iot_dps::identity::{DeviceId, HostName, HubName};
use azure_iot_dps::key::Signer;
use azure_iot_dps::registration::{Registration, RegistrationSettings, Step};
use azure_iot_dps::{Assignment, DeviceKey, Error, GroupKey, IdScope, ProvisioningClient, Transport};
use azure_iot_dps_simulator::{EnrollmentGroup, IndividualEnrollment, Simulator, SimulatorBuilder, SymmetricKey};
use common::{id, seconds};

fn group_key(byte: u8) -> GroupKey {
    GroupKey::from_bytes(&[byte; 64]).expect("a key")
}

fn device_key(byte: u8) -> DeviceKey {
    DeviceKey::from_bytes(&[byte; 64]).expect("a key")
}

/// Returns the key of these bytes for an enrollment.
fn enrolled(byte: u8) -> SymmetricKey {
    SymmetricKey::from_bytes(&[byte; 64]).expect("a key")
}

fn register_as(sim: &Simulator, name: &str, key: DeviceKey) -> Result<Assignment, Error> {
    let client = ProvisioningClient::builder(sim.id_scope(), id(name), key);
    client.build_with(over::transport(sim), sim.clock()).register()
}

fn derived(byte: u8, name: &str) -> DeviceKey {
    azure_iot_dps::KeyDerivation::new(&group_key(byte)).derive(&id(name))
}

fn with_group() -> SimulatorBuilder {
    Simulator::builder().group(EnrollmentGroup::new("line-7", enrolled(1)).secondary_key(enrolled(2)))
}

fn either_key_of_a_group_lets_a_device_in_and_no_other() {
    let sim = with_group().build();
    for byte in [1, 2] {
        let assignment = register_as(&sim, "dev-01", derived(byte, "dev-01")).expect("assigned");
        assert_eq!(assignment.enrollment_group_id(), Some("line-7"));
    }
    let error = register_as(&sim, "dev-01", derived(3, "dev-01")).expect_err("refused");
    assert_eq!(error.error_code(), Some(401_002));
}

fn a_key_derived_for_one_device_lets_no_other_in() {
    let sim = with_group().build();
    let error = register_as(&sim, "dev-01", derived(1, "dev-02")).expect_err("refused");
    assert_eq!(error.status(), Some(401));
}

fn a_group_key_in_place_of_a_device_key_is_refused() {
    let sim = with_group().build();
    let error = register_as(&sim, "dev-01", device_key(1)).expect_err("refused");
    assert_eq!(error.status(), Some(401));
}

fn either_key_of_an_individual_enrollment_lets_the_device_in_under_its_own_name() {
    let individual = IndividualEnrollment::new(id("dev-01"), enrolled(1))
        .secondary_key(enrolled(2))
        .device_id(DeviceId::new("Lift#7").expect("valid"));
    let sim = Simulator::builder().individual(individual).build();
    for byte in [1, 2] {
        let assignment = register_as(&sim, "dev-01", device_key(byte)).expect("assigned");
        assert_eq!((assignment.device_id().as_str(), assignment.enrollment_group_id()), ("Lift#7", None));
    }
    assert_eq!(register_as(&sim, "dev-01", device_key(3)).expect_err("refused").status(), Some(401));
}

fn a_device_that_nobody_enrolled_is_not_found() {
    let sim = Simulator::builder().individual(IndividualEnrollment::new(id("dev-01"), enrolled(1))).build();
    let error = register_as(&sim, "dev-02", device_key(1)).expect_err("not found");
    assert_eq!((error.status(), error.error_code()), (Some(404), Some(404_201)));
}

fn an_individual_enrollment_goes_before_the_groups() {
    let sim = with_group().individual(IndividualEnrollment::new(id("dev-01"), enrolled(9))).build();
    assert!(register_as(&sim, "dev-01", derived(1, "dev-01")).is_err());
    register_as(&sim, "dev-01", device_key(9)).expect("assigned");
}

fn the_simulator_knows_every_devices_key() {
    let sim = with_group().individual(IndividualEnrollment::new(id("dev-09"), enrolled(9))).build();
    for name in ["dev-01", "dev-09", "x"] {
        let key = common::key_of(&sim, &id(name));
        register_as(&sim, name, key).expect("assigned");
    }
    let sim = Simulator::builder().individual(IndividualEnrollment::new(id("dev-09"), enrolled(9))).build();
    assert!(sim.device_key(&id("dev-01")).is_none());
}

fn assigning_is_said_as_often_as_was_asked_for() {
    for polls in [0, 1, 7] {
        let sim = Simulator::builder().assigning_polls(polls).retry_after(seconds(5)).build();
        let key = common::key_of(&sim, &id("dev-01"));
        register_as(&sim, "dev-01", key).expect("assigned");
        assert_eq!(sim.clock().elapsed(), seconds(5 * (u64::from(polls) + 1)));
    }
}

fn without_a_retry_after_the_device_polls_at_its_own_pace() {
    let sim = Simulator::builder().assigning_polls(2).retry_after(None).build();
    let key = common::key_of(&sim, &id("dev-01"));
    register_as(&sim, "dev-01", key).expect("assigned");
    assert_eq!(sim.clock().elapsed(), seconds(6));
}

fn devices_are_spread_over_the_hubs_and_each_stays_where_it_is() {
    let hubs = ["a.example", "b.example", "c.example"].map(|hub| HostName::new(hub).expect("valid"));
    let sim = hubs.iter().cloned().fold(Simulator::builder(), SimulatorBuilder::hub).build();
    let hub_of = |name: &str| {
        let key = common::key_of(&sim, &id(name));
        register_as(&sim, name, key).expect("assigned").hub().clone()
    };
    let names: Vec<String> = (0..60).map(|number| format!("dev-{number}")).collect();
    let first: Vec<HubName> = names.iter().map(|name| hub_of(name)).collect();
    for hub in &hubs {
        assert!(first.iter().filter(|it| it.as_str() == hub.as_str()).count() > 8, "{hub}");
    }
    assert_eq!(first, names.iter().map(|name| hub_of(name)).collect::<Vec<_>>());
}

#[test]
fn two_simulators_share_nothing_and_two_handles_share_all() {
    let scope = IdScope::new("0ne00000001").expect("valid");
    let (one, other) = (Simulator::builder().id_scope(scope.clone()).build(), Simulator::builder().build());
    assert_eq!(one.clone().id_scope(), scope);
    one.clone().clock().advance(seconds(9));
    assert_eq!((one.clock().elapsed(), other.clock().elapsed()), (seconds(9), seconds(0)));
}

/// Sends the first request of a registration with a change, and returns the simulator's answer.
fn first_answer(
    sim: &Simulator,
    settings: &RegistrationSettings,
    signer: &dyn Signer,
    uptime: u64,
) -> (u16, serde_json::Value) {
    let mut registration = Registration::new(settings, AttestationKind::SymmetricKey);
    let Ok(Step::Send(request)) = common::step(&mut registration, &signer, common::at(uptime)) else {
        panic!("the first step sends")
    };
    let mut transport = over::transport(sim);
    let answer = transport.send(&request).expect("the simulator answers");
    (answer.status(), serde_json::from_slice(answer.body()).expect("JSON"))
}

fn a_refusal_is_in_the_services_own_format() {
    let sim = with_group().build();
    let (status, body) = first_answer(&sim, &common::settings(), &common::key(), 0);
    assert_eq!((status, &body["errorCode"]), (401, &401_002.into()));
    assert!(body["trackingId"].is_string() && body["message"].as_str().expect("text").starts_with("Unauthorized"));
    let timestamp = body["timestampUtc"].as_str().expect("text");
    assert_eq!(timestamp, "2026-01-01T00:00:00Z");
}

fn an_expired_token_is_refused_by_the_services_clock() {
    let sim = with_group().build();
    let settings = common::settings();
    let key = derived(1, "dev-01");
    assert_eq!(first_answer(&sim, &settings, &key, 0).0, 202);
    sim.clock().advance(seconds(3600));
    let (status, body) = first_answer(&sim, &settings, &key, 0);
    assert_eq!((status, body["message"].as_str()), (401, Some("Unauthorized: the token has expired.")));
    assert_eq!(first_answer(&sim, &settings, &key, 3600).0, 202);
}

fn another_scope_is_not_found() {
    let sim = with_group().build();
    let settings = RegistrationSettings::new(IdScope::new("0ne99999999").expect("valid"), id("dev-01"));
    assert_eq!(first_answer(&sim, &settings, &derived(1, "dev-01"), 0).0, 404);
}

fn a_registration_that_was_taken_up_names_its_operation_in_the_services_form() {
    let (status, body) = first_answer(&with_group().build(), &common::settings(), &derived(1, "dev-01"), 0);
    assert_eq!((status, body["status"].as_str()), (202, Some("assigning")));
    let operation_id = body["operationId"].as_str().expect("text");
    let parts: Vec<&str> = operation_id.split('.').collect();
    assert_eq!((parts.len(), parts[0], parts[1].len(), parts[2].len()), (3, "5", 16, 36), "{operation_id}");
}

#[test]
fn the_debug_text_of_a_simulator_shows_no_key() {
    let sim = with_group().individual(IndividualEnrollment::new(id("dev-09"), common::enrolled_key())).build();
    let text = format!("{sim:?}");
    assert!(text.contains("line-7") && !text.contains(&common::KEY[..8]), "{text}");
}

over_both! {
    either_key_of_a_group_lets_a_device_in_and_no_other,
    a_key_derived_for_one_device_lets_no_other_in,
    a_group_key_in_place_of_a_device_key_is_refused,
    either_key_of_an_individual_enrollment_lets_the_device_in_under_its_own_name,
    a_device_that_nobody_enrolled_is_not_found,
    an_individual_enrollment_goes_before_the_groups,
    the_simulator_knows_every_devices_key,
    assigning_is_said_as_often_as_was_asked_for,
    without_a_retry_after_the_device_polls_at_its_own_pace,
    devices_are_spread_over_the_hubs_and_each_stays_where_it_is,
    a_refusal_is_in_the_services_own_format,
    an_expired_token_is_refused_by_the_services_clock,
    another_scope_is_not_found,
    a_registration_that_was_taken_up_names_its_operation_in_the_services_form,
}
