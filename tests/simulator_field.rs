//! Tests the simulator's models of the field: allocation, reprovisioning, limits, faults, the hub,
//! and records.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod common;
#[path = "common/over.rs"]
mod over;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use azure_iot_dps::assignment::Substatus;
use azure_iot_dps::attestation::AttestationKind;
use azure_iot_dps::error::{ServiceErrorKind, TransportErrorKind};
use azure_iot_dps::identity::HostName;
use azure_iot_dps::registration::{Registration, Step};
use azure_iot_dps::{Assignment, Error, ProvisioningClient, ProvisioningClientBuilder};
use azure_iot_dps_simulator::{
    Allocation, Asked, EnrollmentGroup, IndividualEnrollment, Limits, Record, Reprovisioning, Simulator,
    SimulatorBuilder, SymmetricKey,
};
use common::{id, seconds};

fn host(name: &str) -> HostName {
    HostName::new(name).expect("valid")
}

fn group() -> EnrollmentGroup {
    EnrollmentGroup::new("line-7", SymmetricKey::from_bytes(&[1; 64]).expect("a key"))
}

fn client(sim: &Simulator, name: &str) -> ProvisioningClientBuilder {
    let key = common::key_of(sim, &id(name));
    ProvisioningClient::builder(sim.id_scope(), id(name), key)
}

fn register(sim: &Simulator, name: &str) -> Result<Assignment, Error> {
    client(sim, name).build_with(over::transport(sim), sim.clock()).register()
}

// Allocation

fn a_custom_allocation_sees_the_device_and_its_payload_and_answers_a_hub_and_a_payload() {
    let sim = Simulator::builder()
        .hub(host("small.example"))
        .hub(host("large.example"))
        .allocation(|request| {
            assert_eq!(request.registration_id().as_str(), "dev-01");
            let hub = request
                .hubs()
                .iter()
                .find(|hub| request.payload_json().is_some_and(|it| it.contains(&hub.as_str()[..5])));
            match hub {
                Some(hub) => Allocation::hub(hub.clone()).payload(&["welcome"]).expect("JSON"),
                None => Allocation::failed(400_208, "No hub has that size"),
            }
        })
        .build();
    let with = |payload: &str| {
        client(&sim, "dev-01").payload(payload).expect("JSON").build_with(over::transport(&sim), sim.clock()).register()
    };
    let assignment = with("large").expect("assigned");
    assert_eq!((assignment.hub().as_str(), assignment.payload_json()), ("large.example", Some(r#"["welcome"]"#)));
    let Err(Error::Service(error)) = with("huge") else { panic!("it was to fail") };
    assert_eq!(
        (error.kind(), error.error_code(), error.message()),
        (ServiceErrorKind::Failed, Some(400_208), Some("No hub has that size"))
    );
}

fn an_enrollment_with_a_hub_of_its_own_goes_there() {
    let individual = IndividualEnrollment::new(id("dev-01"), common::enrolled_key()).hub(host("own.example"));
    let sim = Simulator::builder()
        .hub(host("a.example"))
        .individual(individual)
        .group(group().hub(host("groups.example")))
        .build();
    assert_eq!(register(&sim, "dev-01").expect("assigned").hub().as_str(), "own.example");
    assert_eq!(register(&sim, "dev-02").expect("assigned").hub().as_str(), "groups.example");
}

/// Creates a simulator that assigns these hubs in turn, one for each registration.
fn moving(reprovisioning: Reprovisioning) -> Simulator {
    let turn = AtomicUsize::new(0);
    let hubs = ["a.example", "b.example", "a.example", "a.example"];
    let builder: SimulatorBuilder = Simulator::builder().group(group().reprovisioning(reprovisioning));
    let builder = builder.hub(host("a.example")).hub(host("b.example"));
    builder.allocation(move |_| Allocation::hub(host(hubs[turn.fetch_add(1, Ordering::SeqCst) % hubs.len()]))).build()
}

fn a_second_registration_follows_the_reprovisioning_policy() {
    use Substatus::{DeviceDataMigrated, DeviceDataReset, InitialAssignment, ReprovisionedToInitialAssignment};
    for (policy, expected) in [
        (
            Reprovisioning::Migrate,
            [
                ("a.example", InitialAssignment),
                ("b.example", DeviceDataMigrated),
                ("a.example", ReprovisionedToInitialAssignment),
                ("a.example", ReprovisionedToInitialAssignment),
            ],
        ),
        (
            Reprovisioning::Reset,
            [
                ("a.example", InitialAssignment),
                ("b.example", DeviceDataReset),
                ("a.example", ReprovisionedToInitialAssignment),
                ("a.example", ReprovisionedToInitialAssignment),
            ],
        ),
        (Reprovisioning::Never, [0; 4].map(|_| ("a.example", InitialAssignment))),
    ] {
        let sim = moving(policy);
        for (hub, substatus) in expected {
            let assignment = register(&sim, "dev-01").expect("assigned");
            assert_eq!((assignment.hub().as_str(), assignment.substatus()), (hub, Some(&substatus)), "{policy:?}");
        }
    }
}

fn a_disabled_enrollment_is_told_so() {
    let sim = Simulator::builder().group(group().disabled()).build();
    let Err(Error::Service(error)) = register(&sim, "dev-01") else { panic!("it was to fail") };
    assert_eq!(error.kind(), ServiceErrorKind::Disabled);
    assert_eq!(sim.devices().len(), 1);
}

fn a_device_that_comes_back_in_another_case_is_the_same_device() {
    let sim = Simulator::builder().group(group()).build();
    let first = register(&sim, "Dev-01").expect("assigned");
    sim.clock().advance(seconds(60));
    // Its key is derived from the ID in its new spelling.
    let second = register(&sim, "DEV-01").expect("assigned");
    assert_eq!((first.hub(), first.device_id()), (second.hub(), second.device_id()));
    assert_eq!(sim.devices().len(), 1);
}

fn an_allocation_to_a_hub_that_is_not_linked_fails() {
    let sim = Simulator::builder().allocation(|_| Allocation::hub(host("elsewhere.example"))).build();
    assert_eq!(register(&sim, "dev-01").expect_err("not linked").error_code(), Some(400_209));
}

fn a_device_whose_answer_was_lost_has_not_moved_twice_when_it_comes_back() {
    let sim = moving(Reprovisioning::Migrate);
    register(&sim, "dev-01").expect("assigned");
    // The answer that would move it to b.example is lost. The next one makes it stay.
    sim.device(&id("dev-01")).cut_after(10);
    let assignment = register(&sim, "dev-01").expect("assigned");
    assert_eq!(assignment.hub().as_str(), "a.example");
    assert_eq!(assignment.substatus(), Some(&Substatus::InitialAssignment));
}

// The hub, without a network

fn telemetry(sim: &Simulator, name: &str) -> Option<u16> {
    let key = common::key_of(sim, &id(name));
    let (hub, device) = (host("simulated-hub.azure-devices.net").into(), name.parse().expect("valid"));
    let expiry = azure_iot_dps::time::UnixTime::from_secs(u64::MAX);
    let token = azure_iot_dps::SasToken::sign(azure_iot_dps::sas::Resource::device(&hub, &device), &key, expiry)
        .expect("signs");
    let target = format!("/devices/{name}/messages/events?api-version=2020-03-13");
    sim.request("POST", &target, &[("Authorization", token.as_str())], b"21 degrees").map(|response| response.status())
}

fn a_whole_boot_up_to_the_first_message_runs_without_a_socket() {
    let sim = Simulator::builder().group(group()).hub_quota(1).build();
    assert_eq!(telemetry(&sim, "dev-01"), Some(404));
    register(&sim, "dev-01").expect("assigned");
    assert_eq!((telemetry(&sim, "dev-01"), telemetry(&sim, "dev-01")), (Some(204), Some(403)));
    assert!(
        sim.records().iter().any(|record| matches!(record, Record::Telemetry { body, .. } if body == b"21 degrees"))
    );
}

fn faults_reach_a_device_at_its_hub_too() {
    let sim = Simulator::builder().group(group()).build();
    register(&sim, "dev-01").expect("assigned");
    sim.device(&id("dev-01")).answer(503);
    sim.device(&id("dev-01")).cut_after(3);
    let statuses: Vec<Option<u16>> = (0..3).map(|_| telemetry(&sim, "dev-01")).collect();
    assert_eq!(statuses, [Some(503), None, Some(204)]);
}

// Limits

fn more_registrations_in_a_minute_than_the_service_takes_are_throttled_and_taken_later() {
    let limits = Limits::NONE.registrations_per_minute(3).retry_after(seconds(5));
    let sim = Simulator::builder().limits(limits).assigning_polls(0).retry_after(None).build();
    for number in 0..6 {
        register(&sim, &format!("dev-{number}")).expect("assigned in the end");
    }
    let throttled =
        sim.records().into_iter().filter(|record| matches!(record, Record::Request { status: Some(429), .. })).count();
    assert!(throttled > 0, "nobody was throttled");
    // Three are accepted at once, the other three at one per 20 s.
    assert!(sim.clock().elapsed() >= seconds(40), "{:?}", sim.clock().elapsed());
}

fn a_device_that_polls_faster_than_it_may_is_throttled() {
    let sim = Simulator::builder().limits(Limits::SERVICE).assigning_polls(20).retry_after(seconds(1)).build();
    register(&sim, "dev-01").expect("assigned in the end");
    let throttled = sim.records().into_iter().any(|record| matches!(record, Record::Request { status: Some(429), .. }));
    assert!(throttled);
    let sim = Simulator::builder().limits(Limits::SERVICE).assigning_polls(20).retry_after(seconds(2)).build();
    register(&sim, "dev-01").expect("assigned");
    assert!(sim.records().iter().all(|record| !matches!(record, Record::Request { status: Some(429), .. })));
}

// Faults

fn statuses(sim: &Simulator) -> Vec<Option<u16>> {
    let requests = sim.records().into_iter();
    requests
        .filter_map(|record| if let Record::Request { status, .. } = record { Some(status) } else { None })
        .collect()
}

fn prompt() -> Simulator {
    Simulator::builder().assigning_polls(0).retry_after(None).build()
}

fn a_scripted_answer_comes_as_often_as_it_was_asked_for_and_then_the_device_recovers() {
    let sim = prompt();
    sim.device(&id("dev-01")).answer(429).header("Retry-After", "30").times(2);
    sim.device(&id("DEV-01")).answer(503).body("<html>").header("Content-Type", "text/html");
    register(&sim, "dev-01").expect("assigned in the end");
    assert_eq!(statuses(&sim), [Some(429), Some(429), Some(503), Some(202), Some(200)]);
    assert!(sim.clock().elapsed() >= seconds(60));
}

fn a_scripted_error_is_in_the_services_format_unless_a_body_is_given() {
    let sim = prompt();
    sim.device(&id("dev-01")).answer(400);
    let error = register(&sim, "dev-01").expect_err("refused");
    assert_eq!((error.error_code(), error.message()), (Some(400_000), Some("As scripted.")));
    sim.device(&id("dev-01")).answer(400).body("no JSON").times(u32::MAX);
    let error = client(&sim, "dev-01")
        .deadline(seconds(60))
        .build_with(over::transport(&sim), sim.clock())
        .register()
        .expect_err("never");
    assert!(error.is_transient());
    sim.device(&id("dev-01")).recover();
    register(&sim, "dev-01").expect("assigned");
}

fn faults_of_one_device_do_not_touch_another() {
    let sim = prompt();
    sim.device(&id("dev-01")).answer(400);
    register(&sim, "dev-02").expect("assigned");
    register(&sim, "dev-01").expect_err("refused");
}

fn every_way_of_breaking_a_connection_is_survived() {
    let sim = prompt();
    let device = sim.device(&id("dev-01"));
    device.drop_before_answer();
    device.cut_after(30);
    device.garbage(b"\0\0\0\0");
    device.drop_after_answer();
    device.answer_slowly(seconds(100));
    register(&sim, "dev-01").expect("assigned in the end");
    assert_eq!(statuses(&sim).len(), 6);
}

fn a_slow_answer_takes_its_time_but_not_more_than_the_request_may_take() {
    let sim = prompt();
    sim.device(&id("dev-01")).answer_slowly(seconds(20)).times(2);
    register(&sim, "dev-01").expect("assigned");
    assert_eq!(sim.clock().elapsed(), seconds(42));
    sim.device(&id("dev-01")).answer_slowly(seconds(1000));
    let error = client(&sim, "dev-01")
        .deadline(seconds(30))
        .build_with(over::transport(&sim), sim.clock())
        .register()
        .expect_err("too slow");
    assert_eq!(error.transport().map(azure_iot_dps::error::TransportError::kind), Some(TransportErrorKind::TimedOut));
    assert_eq!(sim.clock().elapsed(), seconds(72));
}

#[test]
fn a_date_that_is_off_is_what_a_device_is_told() {
    use azure_iot_dps::Transport;
    let sim = prompt();
    sim.device(&id("dev-01")).date_off_by(-7200);
    let (settings, key) = (common::settings(), common::key_of(&sim, &id("dev-01")));
    let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
    let Ok(Step::Send(request)) = common::step(&mut registration, &key, common::at(0)) else {
        panic!("the first step sends")
    };
    let mut transport = over::transport(&sim);
    let answer = transport.send(&request).expect("an answer");
    assert_eq!(answer.date().map(azure_iot_dps::time::UnixTime::as_secs), Some(common::NEW_YEAR - 7200));
}

// The device API's versions

/// Returns the status of a register request with this API version.
fn status_of_version(sim: &Simulator, version: &str) -> Option<u16> {
    let (scope, id) = (sim.id_scope(), id("dev-01"));
    let key = common::key_of(sim, &id);
    let resource = azure_iot_dps::sas::Resource::registration(&scope, &id);
    let expiry = azure_iot_dps::time::UnixTime::from_secs(u64::MAX);
    let token = azure_iot_dps::SasToken::sign(resource, &key, expiry).expect("signs");
    let target = format!("/{scope}/registrations/{id}/register?api-version={version}");
    let body = br#"{"registrationId":"dev-01"}"#;
    let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
    sim.request("PUT", &target, &headers, body).map(|response| response.status())
}

#[test]
fn every_published_version_is_taken_one_that_was_withdrawn_is_not_and_the_list_can_be_extended() {
    let sim = prompt();
    for version in ["2018-11-01", "2019-01-15", "2019-03-31", "2021-06-01", "2021-10-01"] {
        assert_eq!(status_of_version(&sim, version), Some(202), "{version}");
    }
    for version in ["2025-07-01-preview", "2026-11-01", "2026-11-02-preview"] {
        assert_eq!(status_of_version(&sim, version), Some(202), "{version}");
    }
    for version in ["2026-04-01", "2030-01-01", ""] {
        assert_eq!(status_of_version(&sim, version), Some(400), "{version}");
    }
    let extended = Simulator::builder().api_version("2030-01-01").build();
    assert_eq!(status_of_version(&extended, "2030-01-01"), Some(202));
}

// What happened

fn what_happened_can_be_asked() {
    let sim = Simulator::builder().assigning_polls(0).hub(host("h.example")).build();
    register(&sim, "dev-01").expect("assigned");
    assert_eq!(sim.devices(), [(id("dev-01"), "dev-01".parse().expect("valid"), Some(host("h.example")))]);
    let records = sim.records();
    let [Record::Request { asked, body, .. }, Record::Assigned { registration_id, hub, .. }, Record::Request { .. }] =
        &records[..]
    else {
        panic!("{records:?}")
    };
    assert_eq!(asked, &Asked::Register { registration_id: "dev-01".to_owned() });
    assert_eq!(body.as_slice(), br#"{"registrationId":"dev-01"}"#);
    assert_eq!((registration_id, hub), (&id("dev-01"), &host("h.example")));
}

fn only_the_last_1024_requests_are_kept() {
    let sim = Simulator::builder().assigning_polls(1).build();
    for number in 0..400 {
        register(&sim, &format!("dev-{number}")).expect("assigned");
    }
    let records = sim.records();
    assert_eq!(records.iter().filter(|record| matches!(record, Record::Request { .. })).count(), 1024);
    let Some(Record::Request { asked: Asked::OperationStatus { registration_id, .. }, .. }) = records.last() else {
        panic!("{:?}", records.last())
    };
    assert_eq!(registration_id, "dev-399");
}

fn the_next_thing_that_happens_can_be_waited_for() {
    let sim = prompt();
    let mut watch = sim.watch();
    assert_eq!(watch.next(Duration::ZERO), None);
    std::thread::scope(|scope| {
        scope.spawn(|| register(&sim, "dev-01").expect("assigned"));
        let Some(Record::Request { asked, .. }) = watch.next(seconds(60)) else { panic!("nothing happened") };
        assert!(matches!(asked, Asked::Register { .. }), "{asked}");
        let Some(Record::Assigned { .. }) = watch.next(seconds(60)) else { panic!("nothing happened") };
        let Some(Record::Request { .. }) = watch.next(seconds(60)) else { panic!("nothing happened") };
    });
    assert_eq!(watch.next(Duration::ZERO), None);
}

fn a_key_that_is_given_to_the_simulator_does_not_show_in_its_records() {
    let sim = Simulator::builder().individual(IndividualEnrollment::new(id("dev-01"), common::enrolled_key())).build();
    register(&sim, "dev-01").expect("assigned");
    let text = format!("{:?} {sim:?}", sim.records());
    let decimal: Vec<String> = {
        use base64::Engine;
        let bytes = base64::engine::general_purpose::STANDARD.decode(common::KEY).expect("base64");
        bytes.iter().map(u8::to_string).collect()
    };
    assert!(!text.contains("sig=") && !text.contains(&common::KEY[..8]) && !text.contains(&decimal[..8].join(", ")));
}

// What users report of the service

fn a_key_that_was_rolled_can_be_refused_for_half_an_hour_and_then_lets_the_device_in() {
    let sim = Simulator::builder().group(group()).build();
    sim.device(&id("dev-01")).refuse_keys_for(seconds(30 * 60));
    let key = common::key_of(&sim, &id("dev-01"));
    let keys = azure_iot_dps::Attestation::symmetric_keys(key.clone(), key);
    let mut client =
        ProvisioningClient::builder(sim.id_scope(), id("dev-01"), keys).build_with(over::transport(&sim), sim.clock());
    let error = client.register().expect_err("both keys are refused");
    assert_eq!((error.status(), error.error_code()), (Some(401), Some(401_002)));
    let pause = error.retry_after().expect("it is not hopeless");
    assert!(pause >= seconds(30 * 60), "{pause:?}");
    sim.clock().advance(pause);
    client.register().expect("the service has noticed");
    sim.device(&id("dev-01")).refuse_keys_for(seconds(60));
    client.register().expect_err("refused");
    sim.device(&id("dev-01")).recover();
    client.forget_refusal();
    client.register().expect("recovered");
}

fn two_processes_that_register_the_same_identity_at_once_both_get_its_hub_and_register_once_each() {
    let sim = Simulator::builder().group(group()).assigning_polls(3).build();
    let registration = || common::settings();
    let key = common::key_of(&sim, &id("dev-01"));
    let settings = [registration(), registration()];
    let mut both: Vec<_> = settings
        .iter()
        .map(|settings| {
            let kind = AttestationKind::SymmetricKey;
            Registration::new(settings, kind)
        })
        .collect();
    let mut hubs = Vec::new();
    let mut transport = over::transport(&sim);
    for second in 0..60 {
        both.retain_mut(|registration| {
            let now = common::at(second);
            match common::step(registration, &key, now).expect("goes on") {
                Step::Send(request) => {
                    let answer = azure_iot_dps::Transport::send(&mut transport, &request);
                    registration.receive(answer, now);
                    true
                }
                Step::Done(assignment) => {
                    hubs.push(assignment.hub().clone());
                    false
                }
                _ => true,
            }
        });
        sim.clock().advance(seconds(1));
    }
    assert_eq!((hubs.len(), both.len()), (2, 0));
    assert_eq!(hubs[0], hubs[1]);
    let registers = sim
        .records()
        .into_iter()
        .filter(|record| matches!(record, Record::Request { asked: Asked::Register { .. }, .. }));
    assert_eq!(registers.count(), 2, "nobody's operation is lost");
}

fn an_operation_that_others_have_superseded_many_times_is_forgotten_and_a_client_registers_anew() {
    let sim = Simulator::builder().group(group()).assigning_polls(0).build();
    let operations: Vec<String> = (0..8)
        .map(|_| {
            register(&sim, "dev-01").expect("assigned");
            let polls = sim.records().into_iter().rev().find_map(|record| match record {
                Record::Request { asked: Asked::OperationStatus { operation_id, .. }, .. } => Some(operation_id),
                _ => None,
            });
            polls.expect("a poll")
        })
        .collect();
    let status = |operation_id: &str| {
        let (scope, id) = (sim.id_scope(), id("dev-01"));
        let key = common::key_of(&sim, &id);
        let resource = azure_iot_dps::sas::Resource::registration(&scope, &id);
        let expiry = azure_iot_dps::time::UnixTime::from_secs(u64::MAX);
        let token = azure_iot_dps::SasToken::sign(resource, &key, expiry).expect("signs");
        let target = format!("/{scope}/registrations/{id}/operations/{operation_id}?api-version=2021-06-01");
        sim.request("GET", &target, &[("Authorization", token.as_str())], b"").expect("an answer").status()
    };
    let statuses: Vec<u16> = operations.iter().map(|operation| status(operation)).collect();
    assert_eq!(statuses, [404, 404, 404, 200, 200, 200, 200, 200]);
}

fn errors_without_the_header_that_repeats_their_code_are_understood() {
    let sim = Simulator::builder().group(group()).bare_errors(true).build();
    let wrong = azure_iot_dps::DeviceKey::from_bytes(&[9; 32]).expect("a key");
    let client = ProvisioningClient::builder(sim.id_scope(), id("dev-01"), wrong);
    let error = client.build_with(over::transport(&sim), sim.clock()).register().expect_err("refused");
    assert_eq!((error.status(), error.error_code()), (Some(401), Some(401_002)));
}

over_both! {
    a_custom_allocation_sees_the_device_and_its_payload_and_answers_a_hub_and_a_payload,
    an_enrollment_with_a_hub_of_its_own_goes_there,
    a_second_registration_follows_the_reprovisioning_policy,
    a_disabled_enrollment_is_told_so,
    a_device_that_comes_back_in_another_case_is_the_same_device,
    an_allocation_to_a_hub_that_is_not_linked_fails,
    a_device_whose_answer_was_lost_has_not_moved_twice_when_it_comes_back,
    a_whole_boot_up_to_the_first_message_runs_without_a_socket,
    faults_reach_a_device_at_its_hub_too,
    more_registrations_in_a_minute_than_the_service_takes_are_throttled_and_taken_later,
    a_device_that_polls_faster_than_it_may_is_throttled,
    a_scripted_answer_comes_as_often_as_it_was_asked_for_and_then_the_device_recovers,
    a_scripted_error_is_in_the_services_format_unless_a_body_is_given,
    faults_of_one_device_do_not_touch_another,
    every_way_of_breaking_a_connection_is_survived,
    a_slow_answer_takes_its_time_but_not_more_than_the_request_may_take,
    what_happened_can_be_asked,
    only_the_last_1024_requests_are_kept,
    the_next_thing_that_happens_can_be_waited_for,
    a_key_that_is_given_to_the_simulator_does_not_show_in_its_records,
    a_key_that_was_rolled_can_be_refused_for_half_an_hour_and_then_lets_the_device_in,
    two_processes_that_register_the_same_identity_at_once_both_get_its_hub_and_register_once_each,
    an_operation_that_others_have_superseded_many_times_is_forgotten_and_a_client_registers_anew,
    errors_without_the_header_that_repeats_their_code_are_understood,
}
