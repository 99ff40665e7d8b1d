//! Tests what a session carries to the next call: the pending operation, the backoff and the clock.
//!
//! Repeated faults that are not the device's must not become final.
#![allow(clippy::expect_used, clippy::panic, clippy::unchecked_time_subtraction, reason = "a test may panic")]

mod common;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use azure_iot_dps::attestation::{Attestation, AttestationKind, KeySlot};
use azure_iot_dps::error::Failure;
use azure_iot_dps::protocol::{Operation, Request};
use azure_iot_dps::registration::{Registration, RegistrationSettings, SavedSession, Session, Step, Wait, WaitReason};
use azure_iot_dps::time::{Now, UnixTime};
use azure_iot_dps::transport::FnTransport;
use azure_iot_dps::{Error, Event, ProvisioningClient};
use common::{
    Answer, Drive, Run, Virtual, answer, assigned, assigning, assigning_after, at, drive, id, key, refused, scope,
    seconds, settings, step,
};

fn resume(settings: &RegistrationSettings, session: Session, start: Now, script: Vec<Answer>) -> Run {
    Drive { settings, signer: &key(), session, start, latency: Duration::ZERO }.run(script)
}

fn methods(run: &Run) -> Vec<&'static str> {
    run.sent.iter().map(|sent| sent.method).collect()
}

/// Runs a registration that ends at its deadline of a minute while the service is assigning.
fn unfinished(settings: &RegistrationSettings) -> Run {
    let run = resume(settings, Session::default(), at(0), vec![assigning_after("60")]);
    assert!(matches!(run.error(), Error::DeadlineExceeded(_)), "{:?}", run.error());
    run
}

// The operation outlives the deadline

#[test]
fn a_service_that_asks_to_wait_for_the_whole_deadline_is_polled_by_the_next_call_and_not_asked_to_register_again() {
    let settings = settings().deadline(seconds(60));
    let first = unfinished(&settings);
    assert_eq!((methods(&first), first.error().retry_after()), (vec!["PUT"], Some(seconds(60))));
    let second = resume(&settings, first.session, at(60), vec![assigned()]);
    assert_eq!(methods(&second), ["GET"]);
    assert!(second.sent[0].target.contains("/operations/5.3?"));
    second.result.expect("assigned");
    assert_eq!(second.session.save(seconds(60)).operation_id(), None);
}

#[test]
fn calls_in_a_row_make_one_registration_and_one_poll() {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&requests);
    let transport = FnTransport::new(move |request: &Request<'_>| {
        let mut asked = asked.lock().expect("not poisoned");
        asked.push(request.http().method());
        let answer =
            if matches!(request.operation(), Operation::Register) { assigning_after("60") } else { assigned() };
        answer.map_err(Into::into)
    });
    let clock = Virtual::default();
    let client = ProvisioningClient::builder(scope(), id("dev-01"), key()).deadline(seconds(60));
    let mut client = client.build_with(transport, clock.clone());
    let tries = (1..=20).find(|_| {
        let result = client.register();
        if let Err(error) = &result {
            clock.pass(error.retry_after().expect("it says when"));
        }
        result.is_ok()
    });
    assert_eq!(tries, Some(2));
    assert_eq!(*requests.lock().expect("not poisoned"), ["PUT", "GET"]);
}

#[test]
fn a_call_that_comes_before_its_time_waits_for_the_poll_or_says_when() {
    let settings = settings().deadline(seconds(60));
    let first = unfinished(&settings);
    let early = resume(&settings, first.session.clone(), at(0), vec![assigned()]);
    assert!(early.sent.is_empty());
    assert_eq!(early.error().retry_after(), Some(seconds(60)));
    assert_eq!(early.error().operation_id(), Some("5.3"), "what is waited for is told");
    let later = resume(&settings, early.session, at(10), vec![assigned()]);
    assert_eq!((methods(&later), later.sent[0].at), (vec!["GET"], seconds(60)));
    let [Event::Waiting { duration, reason: WaitReason::Assigning }, ..] = &later.events[..] else {
        panic!("{:?}", later.events)
    };
    assert_eq!(*duration, seconds(50));
}

#[test]
fn an_operation_that_the_service_has_forgotten_meanwhile_registers_anew() {
    let settings = settings().deadline(seconds(60));
    let first = unfinished(&settings);
    let second = resume(&settings, first.session, at(60), vec![refused(404, 404_203), assigning(), assigned()]);
    assert_eq!(methods(&second), ["GET", "PUT", "GET"]);
    second.result.expect("assigned");
}

#[test]
fn what_was_learnt_survives_a_reboot_by_way_of_flash() {
    let settings = settings().deadline(seconds(60));
    let first = unfinished(&settings);
    let saved = first.session.save(seconds(20));
    assert_eq!((saved.operation_id(), saved.failures(), saved.wait()), (Some("5.3"), 0, seconds(0)));
    let json = serde_json::to_string(&saved).expect("serializes");
    let restored: SavedSession = serde_json::from_str(&json).expect("reads what it wrote");
    assert_eq!(restored, saved);
    // The uptime starts from zero.
    let second = resume(&settings, Session::restore(restored, seconds(3)), at(3), vec![assigned()]);
    assert_eq!((methods(&second), second.sent[0].at), (vec!["GET"], seconds(43)));
    second.result.expect("assigned");
}

#[test]
fn the_key_that_works_survives_a_reboot_too() {
    let keys = Attestation::symmetric_keys(key(), azure_iot_dps::DeviceKey::from_bytes(&[9; 32]).expect("a key"));
    let settings = settings();
    let first_key = |session: Session| {
        let mut registration = Registration::resume(&settings, keys.kind(), session);
        let Ok(Step::Sign(request)) = common::act(&mut registration, at(0)) else { panic!("it asks for a signature") };
        let slot = request.key();
        let signature = keys.sign(slot, request.message());
        registration.signed(signature);
        assert!(matches!(common::act(&mut registration, at(0)), Ok(Step::Send(_))));
        registration.receive(refused(401, 401_002).map_err(Into::into), at(0));
        assert!(matches!(common::act(&mut registration, at(0)), Ok(Step::Sign(_))), "it tries the other key");
        (slot, registration.into_session())
    };
    let (slot, session) = first_key(Session::default());
    assert_eq!(slot, KeySlot::Primary);
    let json = serde_json::to_string(&session.save(seconds(1))).expect("serializes");
    let saved: SavedSession = serde_json::from_str(&json).expect("reads what it wrote");
    assert_eq!(saved.key(), KeySlot::Secondary);
    assert_eq!(first_key(Session::restore(saved, seconds(0))).0, KeySlot::Secondary);
}

#[test]
fn a_session_without_an_operation_is_read_from_flash_too() {
    let old = r#"{"failures":3,"wait":{"secs":7,"nanos":0}}"#;
    let saved: SavedSession = serde_json::from_str(old).expect("whole");
    assert_eq!((saved.failures(), saved.wait(), saved.operation_id()), (3, seconds(7), None));
}

#[test]
fn an_operation_id_from_flash_that_would_change_the_path_is_not_asked_about() {
    let settings = settings().deadline(seconds(60));
    let saved = unfinished(&settings).session.save(seconds(60));
    let json = serde_json::to_string(&saved).expect("serializes");
    for bad in ["..", ".", "", &"x".repeat(600)] {
        let damaged = json.replace(r#""5.3""#, &format!("{bad:?}"));
        let saved: SavedSession = serde_json::from_str(&damaged).expect("reads");
        let run = resume(&settings, Session::restore(saved, seconds(0)), at(0), vec![assigned()]);
        assert_eq!(methods(&run), ["PUT"], "{bad:?}");
    }
    let saved: SavedSession = serde_json::from_str(&json).expect("reads");
    let run = resume(&settings, Session::restore(saved, seconds(0)), at(0), vec![assigned()]);
    assert_eq!(methods(&run), ["GET"], "whole as it was");
}

#[test]
fn an_operation_is_forgotten_when_something_else_is_asked_for() {
    let settings = settings().deadline(seconds(60));
    let session = unfinished(&settings).session;
    let others = [
        ("a payload", settings.clone().payload_json("1").expect("JSON")),
        ("a signing request", settings.clone().certificate_signing_request(&[0x30]).expect("fits")),
        ("an endpoint", settings.clone().endpoint("dps.example".parse().expect("valid"))),
        ("a device", RegistrationSettings::new(scope(), id("dev-02"))),
    ];
    for (what, other) in others {
        let run = resume(&other, session.clone(), at(60), vec![assigned()]);
        assert_eq!(methods(&run), ["PUT"], "{what}");
    }
    let mut other_proof = Registration::resume(&settings, AttestationKind::X509, session.clone());
    let Ok(Step::Send(request)) = common::act(&mut other_proof, at(60)) else { panic!("it sends") };
    assert_eq!(request.operation(), Operation::Register);
    let mut forgotten = session;
    forgotten.forget_credentials();
    assert_eq!(methods(&resume(&settings, forgotten, at(60), vec![assigned()])), ["PUT"]);
}

#[test]
fn a_client_whose_keys_are_replaced_forgets_the_operation() {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&requests);
    let transport = FnTransport::new(move |request: &Request<'_>| {
        asked.lock().expect("not poisoned").push(request.http().method());
        assigning_after("60").map_err(Into::into)
    });
    let clock = Virtual::default();
    let client = ProvisioningClient::builder(scope(), id("dev-01"), key()).deadline(seconds(60));
    let mut client = client.build_with(transport, clock.clone());
    for _ in 0..2 {
        client.register().expect_err("never assigned");
        assert!(client.save_session().operation_id().is_some());
        client.set_attestation(azure_iot_dps::DeviceKey::from_bytes(&[9; 32]).expect("a key"));
        assert_eq!(client.save_session().operation_id(), None);
    }
    assert_eq!(*requests.lock().expect("not poisoned"), ["PUT", "PUT"]);
}

#[test]
fn a_final_refusal_forgets_the_operation() {
    for last in [refused(400, 400_000), Ok(answer(200, r#"{"status":"failed"}"#)), refused(401, 401_002)] {
        let run = drive(&settings(), [assigning(), last]);
        assert!(!run.error().is_transient());
        assert_eq!(run.session.save(run.ended_at).operation_id(), None);
    }
}

#[test]
fn a_status_lookup_leaves_the_operation_alone() {
    let settings = settings().deadline(seconds(60));
    let session = unfinished(&settings).session;
    let mut lookup = Registration::resume(&settings, AttestationKind::SymmetricKey, session.clone()).status_lookup();
    let Ok(Step::Send(request)) = step(&mut lookup, &key(), at(1)) else { panic!("it sends at once") };
    assert_eq!(request.operation(), Operation::StatusLookup);
    lookup.receive(Ok(refused(404, 404_201).expect("an answer")), at(1));
    let error = common::act(&mut lookup, at(1)).expect_err("none");
    assert!(matches!(error, Error::NotAssigned));
    assert_eq!(lookup.into_session().save(seconds(1)).operation_id(), Some("5.3"));
}

#[test]
fn whatever_was_restored_costs_at_most_one_wait_and_is_used_up() {
    let settings = settings();
    let damaged = r#"{"failures":3,"wait":{"secs":18446744073709551615,"nanos":0},
        "operation":{"id":"5.3","fingerprint":[0,0,0,0,0,0,0,0],"wait":{"secs":18446744073709551615,"nanos":0}}}"#;
    let saved: SavedSession = serde_json::from_str(damaged).expect("whole");
    let mut session = Session::restore(saved, seconds(3));
    let mut now = 3;
    let mut waits = Vec::new();
    for _ in 0..3 {
        let run = resume(&settings, session, at(now), vec![assigned()]);
        session = run.session.clone();
        match &run.result {
            Ok(_) => break,
            Err(error) => {
                let wait = error.retry_after().expect("it says when");
                waits.push(wait);
                now += wait.as_secs() + 1;
            }
        }
    }
    assert_eq!(waits, [seconds(3600 + 240)], "the longest Retry-After and the longest backoff, once");
}

/// Returns when a device sends again that is reset every `every` seconds and saves its session
/// after each call.
fn resets_until_a_request(first: &Run, clock: bool, every: u64) -> u64 {
    let settings = settings();
    let start = first.ended_at.as_secs();
    let mut session = first.session.clone();
    for reset in 1..100 {
        let json = serde_json::to_string(&session.save(seconds(start))).expect("serializes");
        session = Session::restore(serde_json::from_str(&json).expect("reads what it wrote"), seconds(start));
        // The uptime starts from zero each time. The wall clock continues, if there is one.
        let unix = clock.then(|| UnixTime::from_secs(common::NEW_YEAR + start + reset * every));
        let run = resume(&settings, session, Now { unix, uptime: seconds(start) }, vec![assigned()]);
        if run.sent.first().is_some_and(|sent| sent.at == seconds(start)) {
            return reset;
        }
        session = run.session;
    }
    panic!("it is silenced for ever");
}

#[test]
fn a_pause_ends_however_often_the_device_is_reset_meanwhile() {
    let settings = settings();
    let refusal = resume(&settings, Session::default(), at(0), vec![refused(401, 401_002)]);
    let pause = refusal.error().retry_after().expect("it says when").as_secs();
    // With a wall clock, the time between the resets counts.
    assert_eq!(resets_until_a_request(&refusal, true, 60), pause.div_ceil(60));
    // Without a wall clock, eight resets are enough.
    assert_eq!(resets_until_a_request(&refusal, false, 60), 9);
}

#[test]
fn a_wall_clock_that_jumps_back_between_two_boots_makes_no_pause_longer() {
    let settings = settings();
    let refusal = resume(&settings, Session::default(), at(0), vec![refused(401, 401_002)]);
    let pause = refusal.error().retry_after().expect("it says when");
    let saved = refusal.session.save(seconds(0));
    let in_1970 = Now { unix: Some(UnixTime::from_secs(5)), uptime: seconds(0) };
    let early = resume(&settings, Session::restore(saved, seconds(0)), in_1970, vec![assigned()]);
    assert_eq!(early.error().retry_after(), Some(pause));
}

#[test]
fn a_device_that_comes_back_from_flash_is_not_spread_again() {
    let policy = azure_iot_dps::RetryPolicy::DEFAULT.first_spread(seconds(300));
    let settings = settings().retry(policy);
    let first = resume(&settings, Session::default(), at(0), vec![assigned()]);
    assert!(matches!(first.events[0], Event::Waiting { reason: WaitReason::FirstSpread, .. }), "{:?}", first.events);
    let restored = Session::restore(first.session.save(first.ended_at), seconds(0));
    assert_eq!(resume(&settings, restored, at(0), vec![assigned()]).sent[0].at, seconds(0));
}

#[test]
fn a_board_whose_clock_reads_1970_until_it_is_set_neither_loses_nor_shortens_a_pause() {
    let settings = settings();
    let refusal = resume(&settings, Session::default(), at(0), vec![refused(401, 401_002)]);
    let pause = refusal.error().retry_after().expect("it says when");
    let through_flash = |session: &Session, uptime: u64| {
        let json = serde_json::to_string(&session.save(seconds(uptime))).expect("serializes");
        Session::restore(serde_json::from_str(&json).expect("reads what it wrote"), seconds(0))
    };
    let in_1970 = |uptime: u64| Now { unix: Some(UnixTime::from_secs(uptime)), uptime: seconds(uptime) };
    let mut session = through_flash(&refusal.session, 0);
    // Two boots of a minute each, in which the clock is not set.
    for left in [pause, pause - seconds(60)] {
        let early = resume(&settings, session, in_1970(0), vec![assigned()]);
        assert_eq!(early.error().retry_after(), Some(left));
        session = through_flash(&early.session, 60);
    }
    // In the third boot it is set, ten minutes after the refusal. These ten minutes count.
    let ten_minutes_later = Now { uptime: seconds(0), ..at(600) };
    let early = resume(&settings, session, ten_minutes_later, vec![assigned()]);
    let left = early.error().retry_after().expect("it says when");
    assert!(left >= pause - seconds(600) && left <= pause - seconds(120), "{left:?} of {pause:?}");
}

// Nothing honest is final the second time

#[test]
fn a_clock_that_jumps_twice_in_a_registration_is_corrected_twice_the_second_time_after_a_backoff() {
    let date = |date: &'static str| refused(401, 401_002).map(|answer| answer.with_header("Date", date));
    let script =
        [date("Thu, 01 Jan 2026 10:00:00 GMT"), assigning(), date("Fri, 02 Jan 2026 10:00:00 GMT"), assigned()];
    let run = drive(&settings(), script);
    let corrections = run.events.iter().filter(|event| matches!(event, Event::ClockCorrected { .. })).count();
    assert_eq!(corrections, 2);
    let gaps = run.gap_seconds();
    assert_eq!(gaps[0], 0, "the first correction at once: {gaps:?}");
    assert!((1..5).contains(&gaps[2]), "the second after a backoff: {gaps:?}");
    run.result.expect("assigned");
}

#[test]
fn a_service_whose_clock_runs_away_is_no_request_loop() {
    let settings = settings();
    let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
    let (mut now, mut requests) = (at(0), 0_u64);
    let error = loop {
        match step(&mut registration, &key(), now) {
            Ok(Step::Send(_)) => {
                requests += 1;
                assert!(requests < 1000, "a request loop");
                // Each answer is dated ten days after the last one.
                let date = UnixTime::from_secs(common::NEW_YEAR + requests * 864_000);
                let answer = refused(401, 401_002).map(|answer| answer.with_date(date));
                registration.receive(answer.map_err(Into::into), now);
            }
            Ok(Step::Wait(wait)) => now = at(now.uptime.as_secs() + wait.duration().as_secs() + 1),
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert!(requests < 20, "{requests} requests in 15 minutes");
    assert_eq!((error.status(), error.is_transient()), (Some(401), true), "the last failure is told: {error:?}");
}

#[test]
fn the_time_of_an_error_body_is_taken_where_there_is_no_date() {
    let body = r#"{"errorCode":401002,"message":"expired","timestampUtc":"2026-01-01T10:00:00.1573304Z"}"#;
    let run = drive(&settings(), [Ok(answer(401, body)), assigned()]);
    assert_eq!(run.sent[1].expires_at.as_secs(), common::NEW_YEAR + 36_000 + 3600);
    // A `Date` takes precedence.
    let dated = answer(401, body).with_header("Date", "Thu, 01 Jan 2026 20:00:00 GMT");
    let run = drive(&settings(), [Ok(dated), assigned()]);
    assert_eq!(run.sent[1].expires_at.as_secs(), common::NEW_YEAR + 72_000 + 3600);
    let junk = body.replace("2026-01-01T10:00:00.1573304Z", "yesterday");
    assert_eq!(drive(&settings(), [Ok(answer(401, &junk))]).error().status(), Some(401));
}

// What the error tells of it

#[test]
fn a_deadline_within_an_assignment_leaves_a_trace_in_the_error() {
    let with_id = assigning().map(|answer| answer.with_header("x-ms-request-id", "6a7b"));
    let run = drive(&settings(), [with_id]);
    let Error::DeadlineExceeded(deadline) = run.error() else { panic!("{:?}", run.error()) };
    let Some(Failure::Assigning(still)) = deadline.last() else { panic!("{deadline:?}") };
    assert_eq!((still.operation_id(), still.request_id()), (Some("5.3"), Some("6a7b")));
    assert_eq!((run.error().operation_id(), run.error().request_id()), (Some("5.3"), Some("6a7b")));
    let source = std::error::Error::source(run.error()).expect("the last failure").to_string();
    assert_eq!(source, "the service is still assigning the device (request ID 6a7b, operation ID 5.3)");
}

#[test]
fn a_failure_that_comes_after_it_is_the_last_one_until_the_service_answers_again() {
    let run = drive(&settings().deadline(seconds(4)), [assigning(), refused(503, 503_000)]);
    assert_eq!(run.error().status(), Some(503));
    let settings = settings().deadline(seconds(30));
    let script = vec![assigning(), refused(503, 503_000), assigning_after("60")];
    let run = resume(&settings, Session::default(), at(0), script);
    assert_eq!((run.error().status(), run.error().operation_id()), (None, Some("5.3")));
}

// A slow hook

#[test]
fn a_wait_hook_that_is_slower_than_a_request_may_be_makes_the_client_ask_once() {
    let clock = Virtual::default();
    let hook_clock = clock.clone();
    let sent = Arc::new(Mutex::new(Vec::new()));
    let limits = Arc::clone(&sent);
    let transport = FnTransport::new(move |request: &Request<'_>| {
        limits.lock().expect("not poisoned").push(request.time_limit());
        assigned().map_err(Into::into)
    });
    let told = Arc::new(Mutex::new(Vec::new()));
    let events = Arc::clone(&told);
    let hook = move |wait: &Wait| {
        assert_eq!(wait.reason(), WaitReason::Request);
        hook_clock.pass(seconds(100));
        ControlFlow::Continue(())
    };
    let client = ProvisioningClient::builder(scope(), id("dev-01"), key()).wait(hook);
    let client = client.observer(move |event| events.lock().expect("not poisoned").push(event));
    let assignment = client.build_with(transport, clock).register().expect("assigned");
    assert_eq!(assignment.requests(), 1);
    assert_eq!(*sent.lock().expect("not poisoned"), [seconds(70)], "its time counts from when it is handed out");
    let expected = [Event::Registering { request: 1 }, Event::Answered { status: 200 }, Event::Assigned];
    assert_eq!(*told.lock().expect("not poisoned"), expected);
}

#[test]
fn a_wait_hook_that_is_slower_than_the_deadline_sends_nothing() {
    let clock = Virtual::default();
    let hook_clock = clock.clone();
    let transport = FnTransport::new(|_| panic!("nothing is to be sent"));
    let hook = move |_: &Wait| {
        hook_clock.pass(seconds(1000));
        ControlFlow::Continue(())
    };
    let mut client = ProvisioningClient::builder(scope(), id("dev-01"), key()).wait(hook).build_with(transport, clock);
    assert!(matches!(client.register(), Err(Error::DeadlineExceeded(_))));
}
