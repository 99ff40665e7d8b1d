//! Tests a fleet that boots in the same second with the service's limit, in virtual time.
//!
//! `STORM_DEVICES`, `STORM_LIMIT` (registrations per minute) and `STORM_DEADLINE` (seconds until
//! all must be assigned) change the test. Run with `--nocapture` to see the numbers.
#![allow(clippy::expect_used, clippy::panic, clippy::unchecked_time_subtraction, reason = "a test may panic")]

mod common;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use azure_iot_dps::Error;
use azure_iot_dps::attestation::AttestationKind;
use azure_iot_dps::protocol::Response;
use azure_iot_dps::registration::{Registration, RegistrationSettings, Session, Step};
use azure_iot_dps::time::{Now, UnixTime};
use common::{NEW_YEAR, id, key, scope};

/// A service with a token bucket, which is full at the start and refilled evenly.
struct Service {
    limit: f64,
    left: f64,
    at: Duration,
    retry_after: Option<&'static str>,
    refused: u64,
}

impl Service {
    fn register(&mut self, now: Duration) -> Response<'static> {
        self.left = (self.left + (now - self.at).as_secs_f64() / 60.0 * self.limit).min(self.limit);
        self.at = now;
        if self.left < 1.0 {
            self.refused += 1;
            let body = r#"{"errorCode":429001,"trackingId":"1","message":"Too many requests"}"#;
            let response = Response::new(429, body.as_bytes());
            return self
                .retry_after
                .into_iter()
                .fold(response, |response, value| response.with_header("Retry-After", value));
        }
        self.left -= 1.0;
        Response::new(202, &br#"{"operationId":"5.3","status":"assigning"}"#[..]).with_header("Retry-After", "3")
    }
}

struct Outcome {
    slowest: Duration,
    refused_each: f64,
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn now(uptime: Duration) -> Now {
    Now { unix: Some(UnixTime::from_secs(NEW_YEAR + uptime.as_secs())), uptime }
}

/// Boots all devices, and lets each call `register` again when its error says so, until it has a
/// hub.
fn storm(devices: u64, limit: u64, retry_after: Option<&'static str>) -> Outcome {
    #[expect(clippy::cast_precision_loss, reason = "far below")]
    let mut service = Service { limit: limit as f64, left: limit as f64, at: Duration::ZERO, retry_after, refused: 0 };
    let key = key();
    let settings: Vec<RegistrationSettings> =
        (0..devices).map(|number| RegistrationSettings::new(scope(), id(&format!("dev-{number}")))).collect();
    let mut fleet: Vec<Registration<'_>> =
        settings.iter().map(|settings| Registration::new(settings, AttestationKind::SymmetricKey)).collect();
    // All boot within the same second.
    let mut agenda: BinaryHeap<Reverse<(Duration, usize)>> = (0..fleet.len())
        .map(|device| Reverse((Duration::from_micros(device as u64 * 1_000_000 / devices), device)))
        .collect();
    let mut slowest = Duration::ZERO;
    while let Some(Reverse((at, device))) = agenda.pop() {
        let registration = &mut fleet[device];
        let later = match common::step(registration, &key, now(at)) {
            Ok(Step::Send(request)) => {
                let answer = if request.body().is_some() {
                    service.register(at)
                } else {
                    Response::new(200, common::ASSIGNED.as_bytes())
                };
                registration.receive(Ok(answer), now(at));
                Some(at)
            }
            Ok(Step::Sign(_) | Step::Event(_)) => unreachable!("it was signed"),
            Ok(Step::Wait(pause)) => Some(at + pause.duration()),
            Ok(Step::Done(_)) => {
                slowest = slowest.max(at);
                None
            }
            Err(error) => Some(at + again(&mut fleet[device], &settings[device], &error)),
        };
        agenda.extend(later.map(|later| Reverse((later, device))));
    }
    #[expect(clippy::cast_precision_loss, reason = "far below")]
    Outcome { slowest, refused_each: service.refused as f64 / devices as f64 }
}

/// Starts a new registration that continues the old one, as a boot loop does. Returns the wait that
/// the error names.
fn again<'a>(registration: &mut Registration<'a>, settings: &'a RegistrationSettings, error: &Error) -> Duration {
    assert!(error.is_transient(), "{error:?}");
    let session: Session = registration.session().clone();
    *registration = Registration::resume(settings, AttestationKind::SymmetricKey, session);
    error.retry_after().unwrap_or_default()
}

/// Boots the same fleet with a fixed retry, as a client without backoff does.
fn naive(devices: u64, limit: u64) -> Outcome {
    #[expect(clippy::cast_precision_loss, reason = "far below")]
    let mut service =
        Service { limit: limit as f64, left: limit as f64, at: Duration::ZERO, retry_after: None, refused: 0 };
    let mut agenda: BinaryHeap<Reverse<(Duration, u64)>> =
        (0..devices).map(|device| Reverse((Duration::from_micros(device * 1_000_000 / devices), device))).collect();
    let mut slowest = Duration::ZERO;
    while let Some(Reverse((at, device))) = agenda.pop() {
        if service.register(at).status() == 202 {
            slowest = slowest.max(at);
        } else {
            agenda.push(Reverse((at + Duration::from_secs(2), device)));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "far below")]
    Outcome { slowest, refused_each: service.refused as f64 / devices as f64 }
}

#[test]
fn a_fleet_of_ten_thousand_is_assigned_within_a_quarter_of_an_hour_and_does_not_batter_the_service() {
    let (devices, limit) = (variable("STORM_DEVICES", 10_000), variable("STORM_LIMIT", 1000));
    let deadline = Duration::from_secs(variable("STORM_DEADLINE", 15 * 60));
    let mut refused = Vec::new();
    for (name, retry_after) in [("without Retry-After", None), ("with Retry-After: 3", Some("3"))] {
        let Outcome { slowest, refused_each } = storm(devices, limit, retry_after);
        println!(
            "{devices} devices, {name}: all assigned after {:.0} s, {refused_each:.2} refusals each",
            slowest.as_secs_f64()
        );
        assert!(slowest <= deadline, "{name}: {slowest:?}");
        refused.push(refused_each);
    }
    let naive = naive(devices, limit);
    println!(
        "a fixed 2 s: all let in after {:.0} s, {:.2} refusals each",
        naive.slowest.as_secs_f64(),
        naive.refused_each
    );
    if (devices, limit) == (10_000, 1000) {
        assert!(refused.iter().all(|each| *each <= 7.0), "{refused:?}");
        assert!(naive.refused_each > 100.0, "{}", naive.refused_each);
    }
}
