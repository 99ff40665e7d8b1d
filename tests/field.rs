//! Tests problems of devices in the field, in virtual time: rolled keys, clocks, fleets, reboots,
//! lookups, certificates.
#![allow(
    clippy::expect_used,
    clippy::items_after_statements,
    clippy::panic,
    clippy::unchecked_time_subtraction,
    reason = "a test may"
)]

mod common;
#[path = "common/over.rs"]
mod over;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use azure_iot_dps::assignment::ConnectionProfile;
use azure_iot_dps::attestation::{AttestationKind, KeySlot};
use azure_iot_dps::error::TransportErrorKind;
use azure_iot_dps::key::Signer;
use azure_iot_dps::registration::{Registration, SavedSession, Session, Step, WaitReason};
use azure_iot_dps::time::{Now, UnixTime};
use azure_iot_dps::transport::FnTransport;
use azure_iot_dps::{
    Attestation, Clock, DeviceKey, Error, Event, ProvisioningClient, ProvisioningClientBuilder, RetryPolicy, SasToken,
};
use azure_iot_dps_simulator::{IndividualEnrollment, Simulator};
use common::{Drive, NEW_YEAR, answer, assigned, assigning, at, drive, id, key, refused, scope, seconds, settings};

fn other_key() -> DeviceKey {
    DeviceKey::from_bytes(&[7; 32]).expect("a key")
}

fn unreachable() -> common::Answer {
    Err(TransportErrorKind::CannotConnect)
}

fn with_keys(sim: &Simulator, primary: DeviceKey, secondary: DeviceKey) -> ProvisioningClientBuilder {
    ProvisioningClient::builder(sim.id_scope(), id("dev-01"), Attestation::symmetric_keys(primary, secondary))
}

fn build(sim: &Simulator, builder: ProvisioningClientBuilder) -> ProvisioningClient {
    builder.build_with(over::transport(sim), sim.clock())
}

fn one_device() -> Simulator {
    Simulator::builder().individual(IndividualEnrollment::new(id("dev-01"), common::enrolled_key())).build()
}

// Rolled keys

fn a_key_that_was_rolled_is_replaced_by_the_other_one_and_the_next_registration_starts_with_that() {
    let sim = one_device();
    let events = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&events);
    let observer = move |event| log.lock().expect("not poisoned").push(event);
    let mut client = build(&sim, with_keys(&sim, other_key(), key()).observer(observer));
    let assignment = client.register().expect("assigned");
    assert_eq!(assignment.key_used(), Some(KeySlot::Secondary));
    assert!(events.lock().expect("not poisoned").contains(&Event::KeySwitched { key: KeySlot::Secondary }));
    assert_eq!(assignment.requests(), 4);

    events.lock().expect("not poisoned").clear();
    let assignment = client.register().expect("assigned");
    assert_eq!((assignment.key_used(), assignment.requests()), (Some(KeySlot::Secondary), 3));
    assert!(!events.lock().expect("not poisoned").iter().any(|event| matches!(event, Event::KeySwitched { .. })));
}

fn two_wrong_keys_are_each_tried_once_and_the_next_registration_starts_with_the_first() {
    let sim = one_device();
    let wrong = DeviceKey::from_bytes(&[8; 32]).expect("a key");
    let mut client = build(&sim, with_keys(&sim, other_key(), wrong));
    for requests in [2, 4] {
        assert_eq!(client.register().expect_err("refused").status(), Some(401));
        assert_eq!(sim.records().len(), requests);
        client.forget_refusal();
    }
}

fn keys_can_be_replaced_on_a_living_client() {
    let sim = one_device();
    let mut client = build(&sim, with_keys(&sim, other_key(), key()));
    assert_eq!(client.register().expect("assigned").key_used(), Some(KeySlot::Secondary));
    client.set_attestation(Attestation::symmetric_keys(key(), other_key()));
    let assignment = client.register().expect("assigned");
    assert_eq!((assignment.key_used(), assignment.requests()), (Some(KeySlot::Primary), 3));
}

#[test]
fn the_clock_is_looked_at_before_the_other_key_is_tried() {
    let settings = settings();
    let (first, second) = (key(), other_key());
    let keys = Attestation::symmetric_keys(first.clone(), second.clone());
    let mut registration = Registration::new(&settings, keys.kind());
    let mut tokens = Vec::new();
    let late = refused(401, 401_002).map(|answer| answer.with_header("Date", "Thu, 01 Jan 2026 10:00:00 GMT"));
    for answer in [late, refused(401, 401_002), assigned()] {
        let step = common::step_with(&mut registration, |key, message| keys.sign(key, message), at(0));
        let Ok(Step::Send(request)) = step else { panic!("it sends at once") };
        tokens.push(SasToken::parse(request.token().expect("is there").as_str()).expect("a token"));
        registration.receive(answer.map_err(Into::into), at(0));
    }
    let done = common::step_with(&mut registration, |key, message| keys.sign(key, message), at(0));
    assert!(matches!(done, Ok(Step::Done(_))), "{done:?}");
    let signed_by: Vec<bool> = tokens.iter().map(|token| token.verify(&first)).collect();
    assert_eq!(signed_by, [true, true, false]);
    assert!(tokens[2].verify(&second));
}

// Clocks

#[test]
fn the_assignment_tells_how_far_the_clock_is_off() {
    let late = || refused(401, 401_002).map(|answer| answer.with_header("Date", "Thu, 01 Jan 2026 10:00:00 GMT"));
    let assignment = drive(&settings(), [late(), assigned()]).result.expect("assigned");
    let correction = assignment.clock_correction().expect("the clock was corrected");
    assert_eq!(correction.offset_seconds(), Some(36_000));
    assert_eq!(correction.time_at(seconds(60)), UnixTime::from_secs(NEW_YEAR + 36_060));

    let settings = settings();
    let start = Now { unix: None, uptime: seconds(9) };
    let drive =
        Drive { settings: &settings, signer: &key(), session: Session::default(), start, latency: Duration::ZERO };
    let assignment = drive.run([late(), assigned()]).result.expect("assigned");
    let correction = assignment.clock_correction().expect("the clock was corrected");
    assert_eq!(
        (correction.offset_seconds(), correction.time_at(seconds(19))),
        (None, UnixTime::from_secs(NEW_YEAR + 36_010))
    );
    let assignment = common::drive(&settings, [assigned()]).result.expect("assigned");
    assert_eq!(assignment.clock_correction(), None);
}

#[test]
fn a_clock_that_was_set_meanwhile_is_gone_by_again_and_not_corrected_twice() {
    let settings = settings();
    let late = || refused(401, 401_002).map(|answer| answer.with_header("Date", "Thu, 01 Jan 2026 10:00:00 GMT"));
    let first = drive(&settings, [late(), assigned()]);
    let again = |now: Now| {
        let drive = Drive {
            settings: &settings,
            signer: &key(),
            session: first.session.clone(),
            start: now,
            latency: Duration::ZERO,
        };
        drive.run([assigned()])
    };
    // If the clock is not set, the same correction applies and saves the device another 401.
    let run = again(at(100));
    assert_eq!(run.sent[0].expires_at, UnixTime::from_secs(NEW_YEAR + 36_100 + 3600));
    assert_eq!(run.result.expect("assigned").clock_correction().and_then(|it| it.offset_seconds()), Some(36_000));
    // The device sets its clock by the correction.
    let run = again(Now { unix: Some(UnixTime::from_secs(NEW_YEAR + 36_100)), uptime: seconds(100) });
    assert_eq!(run.sent[0].expires_at, UnixTime::from_secs(NEW_YEAR + 36_100 + 3600));
    assert_eq!(run.result.expect("assigned").clock_correction(), None);
}

#[test]
fn a_date_that_was_a_lie_is_forgotten_with_the_registration_that_it_did_not_help() {
    let settings = settings();
    let lie = refused(401, 401_002).map(|answer| answer.with_header("Date", "Fri, 31 Dec 9999 23:59:59 GMT"));
    let first = drive(&settings, [lie, refused(401, 401_002)]);
    assert_eq!(first.error().status(), Some(401));
    let mut session = first.session;
    session.forget_refusal();
    let drive = Drive { settings: &settings, signer: &key(), session, start: at(5), latency: Duration::ZERO };
    assert_eq!(drive.run([assigned()]).sent[0].expires_at, UnixTime::from_secs(NEW_YEAR + 3605));
}

#[test]
fn an_expired_token_is_not_blamed_on_the_key_even_if_the_clock_may_not_be_corrected() {
    let settings = settings().clock_correction(false);
    let mut registration = Registration::new(&settings, AttestationKind::SymmetricKeyPair);
    assert!(matches!(common::step(&mut registration, &key(), at(0)), Ok(Step::Send(_))));
    let late = refused(401, 401_002).map(|answer| answer.with_header("Date", "Thu, 01 Jan 2026 10:00:00 GMT"));
    registration.receive(late.map_err(Into::into), at(0));
    let error = common::act(&mut registration, at(0)).expect_err("final");
    assert_eq!(error.status(), Some(401));
}

// Fleets and reboots

#[test]
fn the_first_spread_is_drawn_once_whatever_the_deadline() {
    let policy = RetryPolicy::DEFAULT.first_spread(seconds(3600));
    let settings = settings().retry(policy).deadline(seconds(10));
    let first = drive(&settings, [assigned()]);
    let wait = first.error().retry_after().expect("it says when");
    assert!(first.sent.is_empty());
    let start = Now { unix: None, uptime: wait };
    let drive = Drive { settings: &settings, signer: &key(), session: first.session, start, latency: Duration::ZERO };
    let second = drive.run([assigned()]);
    assert_eq!(second.sent[0].at, wait);
    let drive = Drive { settings: &settings, signer: &key(), session: second.session, start, latency: Duration::ZERO };
    assert_eq!(drive.run([assigned()]).sent[0].at, wait);
}

#[test]
fn a_first_spread_is_not_cut_short_by_calls_that_come_too_early() {
    let policy = RetryPolicy::DEFAULT.first_spread(seconds(36_000));
    let settings = settings().retry(policy).deadline(seconds(10));
    let first = drive(&settings, [assigned()]);
    let wait = first.error().retry_after().expect("it says when");
    assert!(wait > seconds(250), "longer than a deadline and a backoff: {wait:?}");
    let mut session = first.session;
    for uptime in [1, 2, 200] {
        let drive = Drive { settings: &settings, signer: &key(), session, start: at(uptime), latency: Duration::ZERO };
        let early = drive.run([assigned()]);
        assert_eq!(early.error().retry_after(), Some(wait - seconds(uptime)));
        session = early.session;
    }
}

#[test]
fn a_fleet_that_is_powered_on_together_spreads_its_first_requests() {
    let policy = RetryPolicy::DEFAULT.first_spread(seconds(60));
    let starts: Vec<Duration> = (0..100)
        .map(|number| {
            let settings =
                azure_iot_dps::registration::RegistrationSettings::new(scope(), id(&format!("dev-{number}")))
                    .retry(policy);
            let run = drive(&settings, [assigned()]);
            assert!(matches!(run.events[0], Event::Waiting { reason: WaitReason::FirstSpread, .. }));
            run.sent[0].at
        })
        .collect();
    for quarter in 0..4 {
        let within = starts.iter().filter(|at| (quarter * 15..quarter * 15 + 15).contains(&at.as_secs())).count();
        assert!(within > 10, "{within} of 100 in quarter {quarter}");
    }
    assert!(starts.iter().all(|at| *at < seconds(60)));
}

#[test]
fn a_backoff_survives_a_reboot() {
    let before = drive(&settings().deadline(seconds(60)), [unreachable()]);
    let wait = before.error().retry_after().expect("it says when");
    let saved = before.session.save(before.ended_at + seconds(1));
    assert_eq!(saved.wait(), wait - seconds(1));
    let text = serde_json::to_string(&saved).expect("serializes");
    let restored: SavedSession = serde_json::from_str(&text).expect("reads what it wrote");
    assert_eq!(restored, saved);

    let settings = settings();
    let session = Session::restore(restored, seconds(3));
    let drive = Drive { settings: &settings, signer: &key(), session, start: at(3), latency: Duration::ZERO };
    let after = drive.run([unreachable(), assigned()]);
    assert_eq!(after.sent[0].at, seconds(3) + saved.wait());
    assert!(after.gaps()[0] >= seconds(10), "{:?}", after.gaps());
}

fn a_clients_backoff_can_be_saved_and_restored() {
    let sim = one_device();
    sim.device(&id("dev-01")).answer(503).times(3);
    let mut client = build(&sim, with_keys(&sim, key(), other_key()).deadline(seconds(3)));
    client.register().expect_err("not within 3 s");
    let saved = client.save_session();
    assert!(saved.failures() > 0 && !saved.wait().is_zero());
    let mut rebooted = build(&sim, with_keys(&sim, key(), other_key()));
    rebooted.restore_session(saved.clone());
    let again = rebooted.save_session();
    assert_eq!((again.failures(), again.wait(), again.key()), (saved.failures(), saved.wait(), saved.key()));
    let started = sim.clock().elapsed();
    rebooted.register().expect("assigned");
    assert!(sim.clock().elapsed() - started >= saved.wait());
}

// The whole device API

#[test]
fn the_status_of_a_registration_is_looked_up_without_registering() {
    let sim = Simulator::builder().assigning_polls(0).build();
    let device_key = common::key_of(&sim, &id("dev-01"));
    let mut client = build(&sim, ProvisioningClient::builder(sim.id_scope(), id("dev-01"), device_key));
    assert!(client.status_lookup().expect("an answer").is_none());
    let assignment = client.register().expect("assigned");
    let known = client.status_lookup().expect("an answer").expect("an assignment");
    assert_eq!(
        (known.hub(), known.device_id(), known.created_at()),
        (assignment.hub(), assignment.device_id(), assignment.created_at())
    );
    assert_eq!(known.requests(), 1);
}

#[test]
fn a_status_lookup_is_tried_again_like_any_request_and_a_refusal_is_one() {
    let (settings, key) = (settings(), key());
    let look_up = |answers: Vec<common::Answer>| {
        let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey).status_lookup();
        let mut now = at(0);
        let mut answers = answers.into_iter();
        loop {
            match common::step(&mut registration, &key, now)? {
                Step::Send(request) => {
                    assert_eq!(
                        (request.http().method(), request.body()),
                        ("POST", Some(&br#"{"registrationId":"dev-01"}"#[..]))
                    );
                    assert_eq!(
                        request.http().target().to_string(),
                        "/0ne00002193/registrations/dev-01?api-version=2021-06-01"
                    );
                    registration.receive(answers.next().expect("enough answers").map_err(Into::into), now);
                }
                Step::Sign(_) | Step::Event(_) => unreachable!("it was signed"),
                Step::Wait(pause) => now = at(now.uptime.as_secs() + pause.duration().as_secs() + 1),
                Step::Done(assignment) => return Ok::<_, Error>(assignment),
            }
        }
    };
    let state = r#"{"registrationId":"dev-01","assignedHub":"h.example","deviceId":"dev-01","status":"assigned"}"#;
    let found =
        look_up(vec![unreachable(), refused(503, 503_000), common::html(200), Ok(answer(200, state))]).expect("found");
    assert_eq!((found.hub().as_str(), found.requests()), ("h.example", 4));
    assert!(matches!(look_up(vec![refused(404, 404_201)]), Err(Error::NotAssigned)));
    assert!(matches!(look_up(vec![Ok(answer(200, r#"{"status":"assigning"}"#))]), Err(Error::NotAssigned)));
    assert!(matches!(look_up(vec![refused(401, 401_002)]), Err(Error::Service(_))));
    let failed = r#"{"status":"failed","errorCode":400209,"errorMessage":"No hub","lastUpdatedDateTimeUtc":"2026-01-01T00:00:00Z"}"#;
    let error = look_up(vec![Ok(answer(200, failed))]).expect_err("failed");
    assert_eq!(
        (error.error_code(), error.message(), error.timestamp()),
        (Some(400_209), Some("No hub"), Some("2026-01-01T00:00:00Z"))
    );
}

#[test]
fn a_signing_request_is_sent_as_base64_with_the_version_that_knows_it_and_the_chain_comes_back_as_der() {
    let settings = settings().certificate_signing_request(&[0x30, 0x01, 0xff]).expect("fits");
    let body = common::ASSIGNED.replace(r#""etag""#, r#""issuedCertificateChain":["AQID","BAU="],"etag""#);
    let run = drive(&settings, [assigning(), Ok(answer(200, &body))]);
    assert_eq!(run.sent[0].body.as_deref(), Some(r#"{"registrationId":"dev-01","csr":"MAH/"}"#));
    assert!(run.sent.iter().all(|sent| sent.target.ends_with("?api-version=2026-11-01")));
    let assignment = run.result.expect("assigned");
    assert_eq!(assignment.certificates().collect::<Vec<_>>(), [&[1, 2, 3][..], &[4, 5]]);
    let broken = body.replace("BAU=", "B*U=");
    let run = drive(&settings, [Ok(answer(200, &broken))]);
    let Error::UnexpectedAnswer(error) = run.error() else { panic!("{:?}", run.error()) };
    assert_eq!(error.field(), Some("issuedCertificateChain"));
    assert!(settings.certificate_signing_request(&vec![0; 96 * 1024]).is_err());
}

#[test]
fn the_assignment_tells_the_connection_profile_and_classic_where_the_service_says_nothing() {
    let profile = |json: &str| {
        let body = common::ASSIGNED.replace(r#""etag""#, &format!(r#""connectionProfile":{json},"etag""#));
        drive(&settings(), [Ok(answer(200, &body))]).result.expect("assigned")
    };
    for (json, expected) in [
        ("null", ConnectionProfile::Classic),
        ("\"\"", ConnectionProfile::Classic),
        ("5", ConnectionProfile::Classic),
        ("\"classic\"", ConnectionProfile::Classic),
        ("\"mqttV5\"", ConnectionProfile::MqttV5),
        ("\"mqttV6\"", ConnectionProfile::Other("mqttV6".into())),
    ] {
        let assignment = profile(json);
        assert_eq!(assignment.connection_profile(), &expected, "{json}");
        let record = assignment.to_record(&settings());
        let restored = azure_iot_dps::Assignment::from_record(&record, &settings()).expect("whole").expect("is there");
        assert_eq!(restored.connection_profile(), &expected, "{json}");
    }
    assert_eq!(ConnectionProfile::MqttV5.to_string(), "mqttV5");
    let plain = drive(&settings(), [assigned()]).result.expect("assigned");
    assert_eq!(plain.connection_profile(), &ConnectionProfile::Classic);
}

#[test]
fn a_model_id_is_sent_as_plug_and_play_has_it() {
    let settings = settings().model_id("dtmi:com:example:Thermostat;1").expect("fits");
    let run = drive(&settings, [assigned()]);
    let expected = r#"{"registrationId":"dev-01","payload":{"modelId":"dtmi:com:example:Thermostat;1"}}"#;
    assert_eq!(run.sent[0].body.as_deref(), Some(expected));
}

#[test]
fn an_event_tells_people_what_happens() {
    let run = drive(&settings(), [unreachable(), common::assigning_after("3"), assigned()]);
    let told: Vec<String> = run.events.iter().map(ToString::to_string).collect();
    assert_eq!(told[0], "connecting");
    assert!(told[2].starts_with("no connection could be made, next try in "), "{told:?}");
    assert!(told.contains(&"assigning, next poll in 3 s".to_owned()), "{told:?}");
    assert_eq!(told.last().map(String::as_str), Some("assigned"));
}

#[test]
fn a_signer_that_is_shared_between_dps_and_hub_stays_one() {
    let shared: Arc<DeviceKey> = Arc::new(key());
    let transport = FnTransport::new(|_| assigned().map_err(Into::into));
    let client = ProvisioningClient::builder(scope(), id("dev-01"), Arc::clone(&shared));
    struct Fixed;
    impl Clock for Fixed {
        fn now(&mut self) -> Now {
            at(0)
        }
        fn sleep(&mut self, _: Duration) {}
    }
    client.build_with(transport, Fixed).register().expect("assigned");
    assert!(shared.sign(b"hub").is_ok());
}

over_both! {
    a_key_that_was_rolled_is_replaced_by_the_other_one_and_the_next_registration_starts_with_that,
    two_wrong_keys_are_each_tried_once_and_the_next_registration_starts_with_the_first,
    keys_can_be_replaced_on_a_living_client,
    a_clients_backoff_can_be_saved_and_restored,
}
