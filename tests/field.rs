//! What the field brings, in virtual time: rolled keys, clocks, fleets, reboots, look-ups, certificates.
#![cfg(feature = "simulator")]
#![allow(
    clippy::expect_used,
    clippy::items_after_statements,
    clippy::panic,
    clippy::unchecked_time_subtraction,
    reason = "a test may"
)]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use azure_iot_dps::simulator::{IndividualEnrollment, Simulator};
use azure_iot_dps::{
    Backoff, Carryover, Clock, DeviceKey, Error, Event, FnTransport, KeyUsed, Now, ProvisioningClient,
    ProvisioningClientBuilder, RetryPolicy, SasToken, Signer, TransportErrorKind, UnixTime, WaitReason,
};
use common::{Drive, NEW_YEAR, answer, assigned, assigning, at, drive, id, key, refused, scope, seconds, settings};

fn other_key() -> DeviceKey {
    DeviceKey::from_bytes(&[7; 32]).expect("a key")
}

fn unreachable() -> common::Answer {
    Err(TransportErrorKind::CannotConnect)
}

fn with_keys(sim: &Simulator, first: DeviceKey, second: DeviceKey) -> ProvisioningClientBuilder {
    ProvisioningClient::builder(sim.id_scope(), id("dev-01"), first)
        .second_key(second)
        .transport(sim.transport())
        .clock(sim.clock())
}

fn one_device() -> Simulator {
    Simulator::builder().individual(IndividualEnrollment::new(id("dev-01"), key())).build()
}

// Rolled keys

#[test]
fn a_key_that_was_rolled_is_replaced_by_the_other_one_and_the_next_registration_starts_with_that() {
    let sim = one_device();
    let events = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&events);
    let observer = move |event| log.lock().expect("not poisoned").push(event);
    let mut client = with_keys(&sim, other_key(), key()).observer(observer).build().expect("builds");
    let assignment = client.register().expect("assigned");
    assert_eq!(assignment.key_used(), KeyUsed::Secondary);
    assert!(events.lock().expect("not poisoned").contains(&Event::KeySwitched { key: KeyUsed::Secondary }));
    assert_eq!(assignment.requests(), 4);

    events.lock().expect("not poisoned").clear();
    let assignment = client.register().expect("assigned");
    assert_eq!((assignment.key_used(), assignment.requests()), (KeyUsed::Secondary, 3));
    assert!(!events.lock().expect("not poisoned").iter().any(|event| matches!(event, Event::KeySwitched { .. })));
}

#[test]
fn two_wrong_keys_are_each_tried_once_and_the_next_registration_starts_with_the_first() {
    let sim = one_device();
    let wrong = DeviceKey::from_bytes(&[8; 32]).expect("a key");
    let mut client = with_keys(&sim, other_key(), wrong).build().expect("builds");
    for requests in [2, 4] {
        assert_eq!(client.register().expect_err("refused").http_status(), Some(401));
        assert_eq!(sim.records().len(), requests);
    }
}

#[test]
fn keys_can_be_replaced_on_a_living_client() {
    let sim = one_device();
    let mut client = with_keys(&sim, other_key(), key()).build().expect("builds");
    assert_eq!(client.register().expect("assigned").key_used(), KeyUsed::Secondary);
    client.set_keys(key(), Some(other_key()));
    let assignment = client.register().expect("assigned");
    assert_eq!((assignment.key_used(), assignment.requests()), (KeyUsed::Primary, 3));
}

#[test]
fn the_clock_is_looked_at_before_the_other_key_is_tried() {
    let settings = settings();
    let (first, second) = (key(), other_key());
    let mut registration = azure_iot_dps::Registration::new(&settings, &first).second_signer(&second);
    let mut tokens = Vec::new();
    let late = refused(401, 401_002).map(|answer| answer.with_header("Date", "Thu, 01 Jan 2026 10:00:00 GMT"));
    for answer in [late, refused(401, 401_002), assigned()] {
        let Ok(azure_iot_dps::Step::Send(request)) = registration.step(at(0)) else { panic!("it sends at once") };
        tokens.push(SasToken::parse(request.token().as_str()).expect("a token"));
        registration.receive(answer.map_err(Into::into), at(0)).expect("goes on");
    }
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
        Drive { settings: &settings, signer: &key(), carryover: Carryover::default(), start, latency: Duration::ZERO };
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
            carryover: first.carryover,
            start: now,
            latency: Duration::ZERO,
        };
        drive.run([assigned()])
    };
    // Not set: the same correction holds, and spares the device another 401.
    let run = again(at(100));
    assert_eq!(run.sent[0].expires_at, UnixTime::from_secs(NEW_YEAR + 36_100 + 3600));
    assert_eq!(run.result.expect("assigned").clock_correction().and_then(|it| it.offset_seconds()), Some(36_000));
    // Set by what it was told.
    let run = again(Now { unix: Some(UnixTime::from_secs(NEW_YEAR + 36_100)), uptime: seconds(100) });
    assert_eq!(run.sent[0].expires_at, UnixTime::from_secs(NEW_YEAR + 36_100 + 3600));
    assert_eq!(run.result.expect("assigned").clock_correction(), None);
}

#[test]
fn a_date_that_was_a_lie_is_forgotten_with_the_registration_that_it_did_not_help() {
    let settings = settings();
    let lie = refused(401, 401_002).map(|answer| answer.with_header("Date", "Fri, 31 Dec 9999 23:59:59 GMT"));
    let first = drive(&settings, [lie, refused(401, 401_002)]);
    assert_eq!(first.error().http_status(), Some(401));
    let drive = Drive {
        settings: &settings,
        signer: &key(),
        carryover: first.carryover,
        start: at(5),
        latency: Duration::ZERO,
    };
    assert_eq!(drive.run([assigned()]).sent[0].expires_at, UnixTime::from_secs(NEW_YEAR + 3605));
}

#[test]
fn an_expired_token_is_not_blamed_on_the_key_even_if_the_clock_may_not_be_corrected() {
    let settings = settings().clock_correction(false);
    let (first, second) = (key(), other_key());
    let mut registration = azure_iot_dps::Registration::new(&settings, &first).second_signer(&second);
    assert!(matches!(registration.step(at(0)), Ok(azure_iot_dps::Step::Send(_))));
    let late = refused(401, 401_002).map(|answer| answer.with_header("Date", "Thu, 01 Jan 2026 10:00:00 GMT"));
    let error = registration.receive(late.map_err(Into::into), at(0)).expect_err("final");
    assert_eq!(error.http_status(), Some(401));
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
    let drive =
        Drive { settings: &settings, signer: &key(), carryover: first.carryover, start, latency: Duration::ZERO };
    let second = drive.run([assigned()]);
    assert_eq!(second.sent[0].at, wait);
    let drive =
        Drive { settings: &settings, signer: &key(), carryover: second.carryover, start, latency: Duration::ZERO };
    assert_eq!(drive.run([assigned()]).sent[0].at, wait);
}

#[test]
fn a_fleet_that_is_powered_on_together_spreads_its_first_requests() {
    let policy = RetryPolicy::DEFAULT.first_spread(seconds(60));
    let starts: Vec<Duration> = (0..100)
        .map(|number| {
            let settings =
                azure_iot_dps::RegistrationSettings::new(scope(), id(&format!("dev-{number}"))).retry(policy);
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
    let saved = before.carryover.backoff(before.ended_at + seconds(1));
    assert_eq!(saved.wait, wait - seconds(1));
    let text = serde_json::to_string(&saved).expect("serializes");
    let restored: Backoff = serde_json::from_str(&text).expect("reads what it wrote");
    assert_eq!(restored, saved);

    let settings = settings();
    let carryover = Carryover::restore(restored, seconds(3));
    let drive = Drive { settings: &settings, signer: &key(), carryover, start: at(3), latency: Duration::ZERO };
    let after = drive.run([unreachable(), assigned()]);
    assert_eq!(after.sent[0].at, seconds(3) + saved.wait);
    assert!(after.gaps()[0] >= seconds(10), "{:?}", after.gaps());
}

#[test]
fn a_clients_backoff_can_be_saved_and_restored() {
    let sim = one_device();
    sim.device(&id("dev-01")).answer(503).times(3);
    let mut client = with_keys(&sim, key(), other_key()).deadline(seconds(3)).build().expect("builds");
    client.register().expect_err("not within 3 s");
    let saved = client.backoff();
    assert!(saved.failures > 0 && !saved.wait.is_zero());
    let mut rebooted = with_keys(&sim, key(), other_key()).build().expect("builds");
    rebooted.restore_backoff(saved);
    assert_eq!(rebooted.backoff(), saved);
    let started = sim.clock().elapsed();
    rebooted.register().expect("assigned");
    assert!(sim.clock().elapsed() - started >= saved.wait);
}

// The whole device API

#[test]
fn the_status_of_a_registration_is_looked_up_without_registering() {
    let sim = Simulator::builder().assigning_polls(0).build();
    let device_key = sim.device_key(&id("dev-01")).expect("an enrollment");
    let builder = ProvisioningClient::builder(sim.id_scope(), id("dev-01"), device_key).transport(sim.transport());
    let mut client = builder.clock(sim.clock()).build().expect("builds");
    assert!(client.registration_status().expect("an answer").is_none());
    let assignment = client.register().expect("assigned");
    let known = client.registration_status().expect("an answer").expect("an assignment");
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
        let mut registration = azure_iot_dps::Registration::new(&settings, &key).look_up();
        let mut now = at(0);
        let mut answers = answers.into_iter();
        loop {
            match registration.step(now)? {
                azure_iot_dps::Step::Send(request) => {
                    assert_eq!(
                        (request.method(), request.body()),
                        ("POST", Some(&br#"{"registrationId":"dev-01"}"#[..]))
                    );
                    assert_eq!(request.target(), "/0ne00002193/registrations/dev-01?api-version=2021-06-01");
                    registration.receive(answers.next().expect("enough answers").map_err(Into::into), now)?;
                }
                azure_iot_dps::Step::Wait(pause) => now = at(now.uptime.as_secs() + pause.duration().as_secs() + 1),
                azure_iot_dps::Step::Done(assignment) => return Ok::<_, Error>(assignment),
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
    assert!(run.sent.iter().all(|sent| sent.target.ends_with("?api-version=2026-04-01")));
    let assignment = run.result.expect("assigned");
    assert_eq!(assignment.certificates().collect::<Vec<_>>(), [&[1, 2, 3][..], &[4, 5]]);
    let broken = body.replace("BAU=", "B*U=");
    drive(&settings, [Ok(answer(200, &broken)), Ok(answer(200, &body))]).result.expect("tried again");
    assert!(settings.certificate_signing_request(&vec![0; 96 * 1024]).is_err());
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
    let client = ProvisioningClient::builder(scope(), id("dev-01"), Arc::clone(&shared)).transport(transport);
    struct Fixed;
    impl Clock for Fixed {
        fn now(&mut self) -> Now {
            at(0)
        }
        fn sleep(&mut self, _: Duration) {}
    }
    client.clock(Fixed).build().expect("builds").register().expect("assigned");
    assert!(shared.sign(b"hub").is_ok());
}
