//! Tests what a refusal means for later calls: the pause before the next call, what ends the pause,
//! and the blamed cause.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::unnecessary_wraps,
    reason = "a test may panic, and a script is made of results"
)]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use azure_iot_dps::attestation::{Attestation, AttestationKind, KeySlot};
use azure_iot_dps::error::{ClockFault, Failure, TransportErrorKind};
use azure_iot_dps::protocol::{Request, Response};
use azure_iot_dps::registration::{
    Registration, RegistrationSettings, RetryPolicy, SavedSession, Session, Step, WaitReason,
};
use azure_iot_dps::time::{Now, UnixTime};
use azure_iot_dps::transport::FnTransport;
use azure_iot_dps::{Assignment, DeviceKey, Error, Event, ProvisioningClient, SasToken};
use common::{
    ASSIGNED, Answer, Drive, NEW_YEAR, Run, Virtual, answer, assigned, assigning, assigning_after, at, drive, id, key,
    refused, scope, seconds, settings, step, step_with,
};

fn resume(settings: &RegistrationSettings, session: Session, start: Now, script: Vec<Answer>) -> Run {
    Drive { settings, signer: &key(), session, start, latency: Duration::ZERO }.run(script)
}

fn other_key() -> DeviceKey {
    DeviceKey::from_bytes(&[9; 32]).expect("a key")
}

/// Returns the answer of a registration that failed with this code.
fn failed(code: u32) -> Answer {
    let state = format!(r#"{{"status":"failed","errorCode":{code},"errorMessage":"So it is"}}"#);
    Ok(answer(200, &format!(r#"{{"operationId":"5.3","status":"failed","registrationState":{state}}}"#)))
}

fn minutes(error: &Error) -> f64 {
    error.retry_after().expect("it says when").as_secs_f64() / 60.0
}

/// Creates a service that refuses all requests with this status and code, and counts them.
fn refusing(status: u16, code: u32) -> (FnTransport<impl FnMut(&Request<'_>) -> TransportResult>, Arc<Mutex<usize>>) {
    let count = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&count);
    let transport = FnTransport::new(move |_: &Request<'_>| {
        *counted.lock().expect("not poisoned") += 1;
        refused(status, code).map_err(Into::into)
    });
    (transport, count)
}

type TransportResult = Result<Response<'static>, azure_iot_dps::error::TransportError>;

// A final refusal is paced

#[test]
fn a_thousand_calls_after_a_refusal_are_one_request_and_each_says_how_much_time_remains() {
    let (transport, requests) = refusing(404, 404_201);
    let clock = Virtual::default();
    let mut client = ProvisioningClient::builder(scope(), id("dev-01"), key()).build_with(transport, clock.clone());
    let first = client.register().expect_err("refused");
    assert!((60.0..=75.0).contains(&minutes(&first)), "{first}");
    for _ in 0..1000 {
        clock.pass(seconds(1));
        let error = client.register().expect_err("too early");
        let Error::TooEarly(early) = &error else { panic!("{error:?}") };
        assert_eq!((early.status(), early.error_code()), (Some(404), Some(404_201)));
    }
    let last = client.register().expect_err("too early");
    assert_eq!(last.retry_after(), first.retry_after().unwrap().checked_sub(seconds(1000)));
    assert!(
        last.to_string().starts_with("paused after a refusal by the service (status 404, error code 404201), try"),
        "{last}"
    );
    assert_eq!(*requests.lock().unwrap(), 1);
}

#[test]
fn pauses_double_with_each_refusal_up_to_four_hours_and_an_assignment_ends_the_row() {
    let settings = settings();
    let (mut session, mut now, mut pauses) = (Session::default(), 0, Vec::new());
    for _ in 0..6 {
        let run = resume(&settings, session, at(now), vec![refused(401, 401_002)]);
        assert_eq!(run.sent.len(), 1);
        pauses.push(minutes(run.error()));
        now += run.error().retry_after().unwrap().as_secs() + 1;
        session = run.session;
    }
    let ranges = [(30., 37.5), (60., 75.), (120., 150.), (192., 240.), (192., 240.), (192., 240.)];
    for (pause, (low, high)) in pauses.iter().zip(ranges) {
        assert!(*pause >= low && *pause <= high, "{pauses:?}");
    }
    let run = resume(&settings, session, at(now), vec![assigned()]);
    run.result.as_ref().expect("assigned");
    let run = resume(&settings, run.session, at(now), vec![refused(401, 401_002)]);
    assert!(minutes(run.error()) <= 37.5);
}

#[test]
fn pauses_go_on_doubling_across_reboots() {
    let settings = settings();
    let first = drive(&settings, [refused(404, 404_201)]);
    let pause = first.error().retry_after().unwrap();
    let json = serde_json::to_string(&first.session.save(pause)).expect("serializes");
    let restored = Session::restore(serde_json::from_str(&json).expect("reads what it wrote"), seconds(3));
    let second = resume(&settings, restored, at(3), vec![refused(404, 404_201)]);
    assert!((120.0..=150.0).contains(&minutes(second.error())), "{:?}", second.error());
}

#[test]
fn every_refusal_that_somebody_has_to_repair_is_paced_by_the_hour_and_a_wrong_key_by_half_of_it() {
    let unusable = ASSIGNED.replace("my-hub.azure-devices.net", "no hub");
    for (what, script, (low, high)) in [
        ("bad request", vec![refused(400, 400_012)], (60., 75.)),
        ("wrong key", vec![refused(401, 401_002)], (30., 37.5)),
        ("refused without a word", vec![Ok(Response::unauthorized())], (30., 37.5)),
        ("forbidden", vec![refused(403, 403_000)], (60., 75.)),
        ("no enrollment", vec![refused(404, 404_201)], (60., 75.)),
        ("disabled", vec![assigning(), Ok(answer(200, r#"{"status":"disabled"}"#))], (60., 75.)),
        ("failed without a code", vec![assigning(), Ok(answer(200, r#"{"status":"failed"}"#))], (60., 75.)),
        ("failed for good", vec![assigning(), failed(404_201)], (60., 75.)),
        ("failed, unauthorized", vec![assigning(), failed(401_002)], (30., 37.5)),
        ("unusable", vec![assigning(), Ok(answer(200, &unusable))], (60., 75.)),
    ] {
        let run = drive(&settings(), script);
        let pause = minutes(run.error());
        assert!(!run.error().is_transient() && pause >= low && pause <= high, "{what}: {:?}", run.error());
        let early = resume(&settings(), run.session, at(60), vec![assigned()]);
        assert!(matches!(early.error(), Error::TooEarly(_)) && early.sent.is_empty(), "{what}: {:?}", early.error());
    }
}

#[test]
fn a_fleet_that_was_refused_together_does_not_come_back_together() {
    let pauses: Vec<u64> = (0..100)
        .map(|number| {
            let settings = RegistrationSettings::new(scope(), id(&format!("dev-{number}")));
            drive(&settings, [refused(401, 401_002)]).error().retry_after().unwrap().as_secs()
        })
        .collect();
    let busiest = (0..75).map(|slot| pauses.iter().filter(|pause| (**pause - 1800) / 6 == slot).count()).max();
    assert!(busiest.unwrap() <= 8, "in six seconds of seven and a half minutes: {busiest:?} of 100");
}

#[test]
fn a_pause_belongs_to_endpoint_scope_device_and_key() {
    let settings = settings();
    let session = drive(&settings, [refused(401, 401_002)]).session;
    let others = [
        ("an endpoint", settings.clone().endpoint("dps.example".parse().expect("valid"))),
        ("a scope", RegistrationSettings::new("0ne00000000".parse().expect("valid"), id("dev-01"))),
        ("a device", RegistrationSettings::new(scope(), id("dev-02"))),
    ];
    for (what, other) in &others {
        let run = resume(other, session.clone(), at(1), vec![Ok(answer(202, r#"{"operationId":"5.3"}"#)), assigned()]);
        assert_eq!(run.sent.len(), 2, "{what}");
    }
    let payload = settings.clone().payload_json("1").expect("JSON");
    assert!(resume(&payload, session.clone(), at(1), vec![assigned()]).sent.is_empty(), "a payload changes nothing");
    for change in [Session::forget_credentials, Session::forget_refusal] {
        let mut session = session.clone();
        change(&mut session);
        resume(&settings, session, at(1), vec![assigned()]).result.expect("assigned");
    }
}

#[test]
fn a_key_that_is_replaced_ends_the_pause_across_a_reboot_too() {
    let client = |of_device: DeviceKey| {
        let transport = FnTransport::new(|request: &Request<'_>| {
            let token = SasToken::parse(request.token().expect("a token").as_str()).expect("a token");
            let answer = if token.verify(&key()) { assigned() } else { refused(401, 401_002) };
            answer.map_err(Into::into)
        });
        ProvisioningClient::builder(scope(), id("dev-01"), of_device).build_with(transport, Virtual::default())
    };
    let mut wrong = client(other_key());
    assert_eq!(wrong.register().expect_err("refused").status(), Some(401));
    let json = serde_json::to_string(&wrong.save_session()).expect("serializes");
    let saved = || serde_json::from_str::<SavedSession>(&json).expect("reads what it wrote");
    assert!(saved().wait() >= seconds(1800));

    let mut same = client(other_key());
    same.restore_session(saved());
    let error = same.register().expect_err("the pause goes on");
    assert!(matches!(error, Error::TooEarly(_)) && error.retry_after().unwrap() >= seconds(1790), "{error:?}");

    let mut repaired = client(key());
    repaired.restore_session(saved());
    repaired.register().expect("another key has nothing to wait for");

    wrong.set_attestation(key());
    wrong.register().expect("nor has one that is replaced on a living client");
    for text in [&common::KEY[..12], "CQkJCQkJCQkJ"] {
        assert!(!json.contains(text), "no key in it: {json}");
    }
}

#[test]
fn an_enrollment_that_was_repaired_can_be_used_at_once_by_somebody_who_stands_by() {
    let (transport, requests) = refusing(404, 404_201);
    let mut client =
        ProvisioningClient::builder(scope(), id("dev-01"), key()).build_with(transport, Virtual::default());
    for expected in 1..=3 {
        assert_eq!(client.register().expect_err("refused").status(), Some(404));
        client.register().expect_err("too early");
        assert_eq!(*requests.lock().unwrap(), expected);
        client.forget_refusal();
    }
}

#[test]
fn a_pause_from_flash_holds_a_device_up_once_and_for_no_longer_than_four_hours() {
    let settings = settings();
    let saved = drive(&settings, [refused(401, 401_002)]).session.save(seconds(0));
    let json = serde_json::to_string(&saved).expect("serializes");
    let wait = saved.wait().as_secs().to_string();
    let damaged = json.replace(&wait, &u64::MAX.to_string());
    assert_ne!(damaged, json);
    let mut session = Session::restore(serde_json::from_str(&damaged).expect("reads"), seconds(0));
    let mut now = 0;
    for uptime in [0, 3600, 14_399] {
        let run = resume(&settings, session, at(uptime), vec![assigned()]);
        assert_eq!(run.error().retry_after(), Some(seconds(14_400 - uptime)));
        (session, now) = (run.session, uptime);
    }
    resume(&settings, session, at(now + 1), vec![assigned()]).result.expect("assigned");
}

#[test]
fn a_lookup_that_the_service_does_not_have_holds_no_registration_up() {
    let settings = settings();
    for (lookup, held) in [
        (refused(405, 405_000), false),
        (refused(400, 400_012), false),
        (Ok(answer(200, r#"{"status":"failed","errorCode":500000}"#)), false),
        (Ok(answer(200, r#"{"status":"disabled"}"#)), false),
        (refused(401, 401_002), true),
    ] {
        let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey).status_lookup();
        assert!(matches!(step(&mut registration, &key(), at(0)), Ok(Step::Send(_))));
        registration.receive(lookup.map_err(Into::into), at(0));
        let error = common::act(&mut registration, at(0)).expect_err("final at once");
        assert!(error.retry_after().is_some(), "{error:?}");
        let run = resume(&settings, registration.into_session(), at(0), vec![assigned()]);
        assert_eq!(run.sent.is_empty(), held, "{error:?}");
    }
}

// What a failed registration says counts, not where it stands

#[test]
fn a_registration_that_failed_for_the_services_load_is_tried_again_as_the_same_status_is() {
    for code in [408_001, 412_001, 429_001, 500_000, 503_001, 599_999] {
        let run = drive(&settings(), [assigning(), failed(code), assigning(), failed(code), assigned()]);
        let methods: Vec<_> = run.sent.iter().map(|sent| sent.method).collect();
        assert_eq!(methods, ["PUT", "GET", "PUT", "GET", "PUT"], "{code}: a failed operation is over");
        let reason = WaitReason::Refused { status: u16::try_from(code / 1000).unwrap() };
        let waits = run.events.iter().filter_map(|event| match event {
            Event::Waiting { duration, reason: why } if *why == reason => Some(duration.as_secs()),
            _ => None,
        });
        let waits: Vec<u64> = waits.collect();
        assert!((5..10).contains(&waits[0]) && (10..20).contains(&waits[1]), "growing: {waits:?}");
        run.result.expect("assigned");
    }
}

#[test]
fn a_registration_that_fails_until_the_deadline_says_so() {
    let mut script = Vec::new();
    for _ in 0..100 {
        script.extend([assigning(), failed(503_001)]);
    }
    let run = resume(&settings(), Session::default(), at(0), script);
    let Error::DeadlineExceeded(error) = run.error() else { panic!("{:?}", run.error()) };
    let Some(Failure::Service(last)) = error.last() else { panic!("{error:?}") };
    assert_eq!((last.error_code(), last.is_transient()), (Some(503_001), true));
    let registrations = run.sent.iter().filter(|sent| sent.method == "PUT").count();
    assert!(registrations <= 10, "each is billed: {registrations}");
}

#[test]
fn an_allocation_that_fails_is_final_for_this_call_but_transient_in_kind_with_growing_pauses() {
    let settings = settings();
    for code in [400_207, 400_208, 400_209] {
        for last in [failed(code), refused(400, code)] {
            let (mut session, mut now, mut pauses) = (Session::default(), 0, Vec::new());
            for _ in 0..8 {
                let run = resume(&settings, session, at(now), vec![assigning(), last.clone()]);
                assert!(run.error().is_transient(), "{:?}", run.error());
                assert_eq!((run.sent.len(), run.error().error_code()), (2, Some(code)));
                pauses.push(minutes(run.error()));
                now = run.ended_at.as_secs() + run.error().retry_after().unwrap().as_secs() + 1;
                session = run.session;
            }
            for (pause, upper) in pauses.iter().zip([2., 4., 8., 16., 32., 60., 60., 60.]) {
                assert!(*pause >= upper / 2. && *pause <= upper, "{pauses:?}");
            }
            // An earlier call waits if its deadline permits it.
            let early = resume(&settings.clone().deadline(seconds(7200)), session, at(now - 60), vec![assigned()]);
            assert!(early.sent[0].at > seconds(now - 60));
            early.result.expect("assigned");
        }
    }
}

// A 401 that the clock is to blame for

#[test]
fn a_device_without_a_clock_that_is_told_no_time_may_try_again_in_minutes_or_when_its_clock_is_set() {
    let settings = settings();
    let blind = |uptime| Now { unix: None, uptime: seconds(uptime) };
    let refusal = || Ok(answer(401, r#"{"errorCode":401002,"message":"Unauthorized"}"#));
    let run = resume(&settings, Session::default(), blind(0), vec![refusal()]);
    let Error::Service(error) = run.error() else { panic!("{:?}", run.error()) };
    assert_eq!((error.clock_fault(), error.is_transient()), (Some(ClockFault::NotSet), true));
    assert!(error.to_string().contains("clock was not set when it signed the token"), "{error}");
    assert!((1.0..=2.0).contains(&minutes(run.error())), "{error:?}");
    // Still without one: it waits.
    let early = resume(&settings, run.session.clone(), blind(1), vec![assigned()]);
    assert!(early.sent[0].at > seconds(60));
    // With one: it goes on at once.
    let set = resume(&settings, run.session, at(10), vec![assigned()]);
    assert_eq!(set.sent[0].at, seconds(10));
    set.result.expect("assigned");
}

#[test]
fn a_clock_from_before_this_crate_existed_is_not_set_either() {
    let settings = settings();
    let refusal = || Ok(answer(401, r#"{"errorCode":401002,"message":"Unauthorized"}"#));
    let in_2000 = Now { unix: Some(UnixTime::from_secs(946_684_800)), uptime: seconds(0) };
    let run = resume(&settings, Session::default(), in_2000, vec![refusal()]);
    let Error::Service(error) = run.error() else { panic!("{:?}", run.error()) };
    assert_eq!((error.clock_fault(), error.is_transient()), (Some(ClockFault::NotSet), true));
    let run = resume(&settings, Session::default(), at(0), vec![refusal()]);
    assert!(!run.error().is_transient(), "a clock that may be right: the key is to blame");
}

#[test]
fn a_clock_that_may_not_be_corrected_is_named_with_the_services_time() {
    let late = refused(401, 401_002).map(|answer| answer.with_header("Date", "Thu, 01 Jan 2026 10:00:00 GMT"));
    let run = drive(&settings().clock_correction(false), [late]);
    let Error::Service(error) = run.error() else { panic!("{:?}", run.error()) };
    let service_time = UnixTime::from_secs(NEW_YEAR + 36_000);
    assert_eq!((error.clock_fault(), error.is_transient()), (Some(ClockFault::Wrong { service_time }), true));
    assert!(
        error
            .to_string()
            .contains("clock was wrong when it signed the token, the service's time is 2026-01-01T10:00:00Z"),
        "{error}"
    );
    assert!(minutes(run.error()) <= 2.0);
}

#[test]
fn the_second_key_is_tried_where_the_clock_cannot_be_shown_to_be_at_fault() {
    let settings = settings();
    let keys = Attestation::symmetric_keys(other_key(), key());
    let blind = Now { unix: None, uptime: seconds(0) };
    let refusal = || Ok(answer(401, r#"{"errorCode":401002,"message":"Unauthorized"}"#));
    let ask = |registration: &mut Registration<'_>, answer: Answer| {
        let step = step_with(registration, |key, message| keys.sign(key, message), blind);
        assert!(matches!(step, Ok(Step::Send(_))), "{step:?}");
        registration.receive(answer.map_err(Into::into), blind);
    };
    let mut registration = Registration::new(&settings, keys.kind());
    ask(&mut registration, refusal());
    ask(&mut registration, assigned());
    let done = step_with(&mut registration, |key, message| keys.sign(key, message), blind);
    let Ok(Step::Done(assignment)) = done else { panic!("{done:?}") };
    assert_eq!(assignment.key_used(), Some(KeySlot::Secondary));

    let mut registration = Registration::new(&settings, keys.kind());
    ask(&mut registration, refusal());
    ask(&mut registration, refusal());
    let error = common::act(&mut registration, blind).expect_err("neither");
    assert!(error.is_transient() && minutes(&error) <= 2.0, "it may still be the clock: {error:?}");
}

// A floor holds across calls

#[test]
fn a_retry_after_beyond_the_deadline_is_kept_by_the_calls_that_follow() {
    let settings = settings().deadline(seconds(60));
    let busy = || refused(429, 429_001).map(|answer| answer.with_header("Retry-After", "300"));
    let first = drive(&settings, [busy()]);
    let mut session = first.session;
    for uptime in [61, 123, 189] {
        let run = resume(&settings, session, at(uptime), vec![assigned()]);
        assert!(run.sent.is_empty(), "at {uptime} s");
        assert!(run.error().retry_after().unwrap() >= seconds(300 - uptime));
        session = run.session;
    }
    resume(&settings, session, at(306), vec![assigned()]).result.expect("assigned");

    let first = drive(&settings, [assigning_after("300")]);
    let poll = resume(&settings, first.session, at(61), vec![assigned()]);
    assert!(poll.sent.is_empty() && poll.error().retry_after() == Some(seconds(239)), "a poll's, too");
}

// The first spread

#[test]
fn a_retry_after_of_a_refusal_is_a_floor_with_jitter_on_top_and_holds_as_the_error_says() {
    let pauses: Vec<Duration> = (0..20)
        .map(|number| {
            let settings = RegistrationSettings::new(scope(), id(&format!("dev-{number}")));
            let busy = refused(400, 400_207).map(|answer| answer.with_header("Retry-After", "3600"));
            let run = drive(&settings, [busy]);
            let pause = run.error().retry_after().unwrap();
            let early = resume(&settings, run.session, at(1), vec![assigned()]);
            assert_eq!(early.error().retry_after(), pause.checked_sub(seconds(1)), "a call in between changes nothing");
            pause
        })
        .collect();
    assert!(pauses.iter().all(|pause| *pause >= seconds(3600)), "{pauses:?}");
    assert!(pauses.iter().collect::<std::collections::BTreeSet<_>>().len() > 15, "{pauses:?}");
}

#[test]
fn devices_that_look_their_assignment_up_first_are_spread_too() {
    let policy = RetryPolicy::DEFAULT.first_spread(seconds(300));
    let delays: Vec<u64> = (0..100)
        .map(|number| {
            let settings = RegistrationSettings::new(scope(), id(&format!("dev-{number}"))).retry(policy);
            let mut lookup = Registration::new(&settings, AttestationKind::SymmetricKey).status_lookup();
            match common::act(&mut lookup, at(0)).expect("goes on") {
                Step::Wait(wait) => wait.duration().as_secs(),
                _ => 0,
            }
        })
        .collect();
    let busiest = (0..10).map(|slot| delays.iter().filter(|delay| **delay / 30 == slot).count()).max();
    assert!(busiest.unwrap() <= 25, "within half a minute: {delays:?}");
}

#[test]
fn the_registration_that_follows_a_lookup_is_not_spread_a_second_time() {
    let settings = settings().retry(RetryPolicy::DEFAULT.first_spread(seconds(300)));
    let mut lookup = Registration::new(&settings, AttestationKind::SymmetricKey).status_lookup();
    let Ok(Step::Wait(wait)) = common::act(&mut lookup, at(0)) else { panic!("it is spread") };
    let after = Now { uptime: wait.duration(), ..at(0) };
    assert!(matches!(step(&mut lookup, &key(), after), Ok(Step::Send(_))));
    lookup.receive(refused(404, 404_201).map_err(Into::into), after);
    common::act(&mut lookup, after).expect_err("none");
    let mut registration = Registration::resume(&settings, AttestationKind::SymmetricKey, lookup.into_session());
    assert!(matches!(step(&mut registration, &key(), after), Ok(Step::Send(_))), "at once");
}

// Lookups

#[test]
fn a_lookup_that_is_answered_with_nothing_tells_that_there_is_no_assignment() {
    for (status, body) in [(200, "null"), (200, " null\r\n"), (204, ""), (404, r#"{"errorCode":404201}"#)] {
        let settings = settings();
        let mut lookup = Registration::new(&settings, AttestationKind::SymmetricKey).status_lookup();
        assert!(matches!(step(&mut lookup, &key(), at(0)), Ok(Step::Send(_))));
        lookup.receive(Ok(answer(status, body)), at(0));
        let error = common::act(&mut lookup, at(0)).expect_err("none");
        assert!(matches!(error, Error::NotAssigned), "{status} {body:?}: {error:?}");
    }
    // Of a registration it tells nothing: somebody else answered.
    let run = drive(&settings(), [Ok(answer(200, "null")), Ok(answer(204, "")), assigned()]);
    assert_eq!(run.sent.len(), 3);
}

// An uptime that jumps

#[test]
fn an_uptime_that_wraps_in_a_wait_makes_it_no_longer_than_it_was() {
    let settings = settings();
    let wrap = u64::from(u32::MAX) / 1000;
    let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
    assert!(matches!(step(&mut registration, &key(), at(wrap - 2)), Ok(Step::Send(_))));
    registration.receive(assigning_after("10").map_err(Into::into), at(wrap - 2));
    assert!(matches!(common::act(&mut registration, at(wrap)), Ok(Step::Wait(wait)) if wait.duration() == seconds(8)));
    // After 49.7 days, a 32-bit counter of milliseconds wraps.
    assert!(matches!(common::act(&mut registration, at(0)), Ok(Step::Wait(wait)) if wait.duration() == seconds(8)));
    assert!(matches!(common::act(&mut registration, at(5)), Ok(Step::Wait(wait)) if wait.duration() == seconds(3)));
    // A jump back costs at most the time since the last reading.
    assert!(matches!(common::act(&mut registration, at(4)), Ok(Step::Wait(wait)) if wait.duration() == seconds(3)));
    assert!(matches!(step(&mut registration, &key(), at(7)), Ok(Step::Send(_))));
}

#[test]
fn an_uptime_that_wraps_keeps_the_deadline() {
    let settings = settings().deadline(seconds(60));
    let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
    let wrap = u64::from(u32::MAX) / 1000;
    let uptimes = (wrap - 10..wrap).chain(0..200);
    let mut looked = 0;
    let ended = uptimes.map(at).find_map(|now| {
        looked += 1;
        match step(&mut registration, &key(), now) {
            Ok(Step::Send(_)) => {
                registration.receive(assigning().map_err(Into::into), now);
                None
            }
            Ok(_) => None,
            Err(error) => Some(error),
        }
    });
    assert!(matches!(ended, Some(Error::DeadlineExceeded(_))), "{ended:?}");
    assert!((58..=62).contains(&looked), "a look per second: {looked}");
}

#[test]
fn what_a_session_holds_is_no_longer_after_the_uptime_wrapped() {
    let settings = settings();
    let late = u64::from(u32::MAX) / 1000;
    let refusal = resume(&settings, Session::default(), at(late), vec![refused(401, 401_002)]);
    let pause = refusal.error().retry_after().unwrap();
    let early = resume(&settings, refusal.session, at(0), vec![assigned()]);
    assert_eq!(early.error().retry_after(), Some(pause));
    resume(&settings, early.session, Now { uptime: pause, ..at(0) }, vec![assigned()]).result.expect("assigned");
}

// The time that every answer tells

fn dated(answer: Answer, date: &'static str) -> Answer {
    answer.map(|answer| answer.with_header("Date", date))
}

fn correction_of(assignment: &Assignment) -> Option<i64> {
    assignment.clock_correction().and_then(|it| it.offset_seconds())
}

#[test]
fn a_clock_that_is_58_minutes_behind_is_found_out_though_the_service_lets_the_device_in() {
    let date = "Thu, 01 Jan 2026 00:58:00 GMT";
    let run =
        drive(&settings(), [dated(assigning_after("3"), date), dated(assigned(), "Thu, 01 Jan 2026 00:58:03 GMT")]);
    let told = run.events.iter().filter(|event| matches!(event, Event::ClockCorrected { .. })).count();
    assert_eq!(told, 1, "{:?}", run.events);
    assert_eq!(
        run.sent[1].expires_at,
        UnixTime::from_secs(NEW_YEAR + 58 * 60 + 3 + 3600),
        "signed by the service's time"
    );
    let assignment = run.result.expect("assigned");
    assert_eq!(correction_of(&assignment), Some(58 * 60));
    let now = at(10);
    assert_eq!(assignment.time_at(now), Some(UnixTime::from_secs(NEW_YEAR + 58 * 60 + 10)), "for the hub's token");
}

#[test]
fn a_single_answer_is_enough_to_tell_the_time_in_the_assignment() {
    let assignment = drive(&settings(), [dated(assigned(), "Wed, 31 Dec 2025 22:00:00 GMT")]).result.expect("assigned");
    assert_eq!(correction_of(&assignment), Some(-7200));
    // A device with a certificate and without a clock learns the time too.
    let settings = settings();
    let mut registration = Registration::new(&settings, AttestationKind::X509);
    let blind = Now { unix: None, uptime: seconds(5) };
    assert!(matches!(common::act(&mut registration, blind), Ok(Step::Send(_))));
    let answer = dated(assigned(), "Thu, 01 Jan 2026 00:00:00 GMT");
    registration.receive(answer.map_err(Into::into), blind);
    let Ok(Step::Done(assignment)) = common::act(&mut registration, blind) else { panic!("it is assigned") };
    assert_eq!(assignment.time_at(Now { unix: None, uptime: seconds(65) }), Some(UnixTime::from_secs(NEW_YEAR + 60)));
}

#[test]
fn what_a_request_takes_is_not_taken_for_a_wrong_clock_and_a_minute_does_not_count() {
    let settings = settings();
    let correction = |date: &'static str, latency: u64| {
        let drive = Drive {
            settings: &settings,
            signer: &key(),
            session: Session::default(),
            start: at(0),
            latency: seconds(latency),
        };
        correction_of(&drive.run([dated(assigned(), date)]).result.expect("assigned"))
    };
    assert_eq!(correction("Thu, 01 Jan 2026 00:00:00 GMT", 60), None);
    assert_eq!(correction("Thu, 01 Jan 2026 00:00:59 GMT", 0), None);
    assert_eq!(correction("Thu, 01 Jan 2026 00:01:00 GMT", 0), Some(60));
    assert_eq!(correction("Wed, 31 Dec 2025 23:59:01 GMT", 0), None);
    assert_eq!(correction("Wed, 31 Dec 2025 23:59:00 GMT", 0), Some(-60));
    assert_eq!(correction("Thu, 01 Jan 2026 00:02:29 GMT", 30), Some(119));
}

#[test]
fn only_the_service_tells_the_time_and_only_to_who_wants_it() {
    let year_9999 = "Fri, 31 Dec 9999 23:59:59 GMT";
    let foreign = dated(common::html(200), year_9999);
    assert_eq!(correction_of(&drive(&settings(), [foreign, assigned()]).result.expect("assigned")), None);
    let off = settings().clock_correction(false);
    assert_eq!(correction_of(&drive(&off, [dated(assigned(), year_9999)]).result.expect("assigned")), None);
    let unanswered = drive(&settings(), [Err(TransportErrorKind::TimedOut), assigned()]);
    assert_eq!(correction_of(&unanswered.result.expect("assigned")), None);
}

#[test]
fn a_session_that_is_restored_keeps_what_the_client_knows_about_the_time() {
    let requests = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&requests);
    let transport = FnTransport::new(move |request: &Request<'_>| {
        *counted.lock().expect("not poisoned") += 1;
        let token = SasToken::parse(request.token().expect("a token").as_str()).expect("a token");
        // By the service's clock it is ten hours later.
        let late = token.is_expired_at(UnixTime::from_secs(NEW_YEAR + 36_000));
        let answer = if late { refused(401, 401_002) } else { assigned() };
        dated(answer, "Thu, 01 Jan 2026 10:00:00 GMT").map_err(Into::into)
    });
    let client = ProvisioningClient::builder(scope(), id("dev-01"), key());
    let mut client = client.build_with(transport, Virtual::default());
    client.register().expect("assigned by the service's time");
    assert_eq!(*requests.lock().unwrap(), 2);
    let saved = client.save_session();
    client.restore_session(saved);
    client.register().expect("assigned");
    assert_eq!(*requests.lock().unwrap(), 3, "the time is not asked for again");
}
