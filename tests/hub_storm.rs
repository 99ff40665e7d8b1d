//! Tests the load on the provisioning service when a hub restarts, drops, refuses or stops
//! answering a whole fleet, in virtual time.
//!
//! Run with `--nocapture` to see the numbers. `STORM_DEVICES` sets the size of the fleet,
//! `STORM_SPREAD` its spread in seconds.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unchecked_time_subtraction,
    clippy::cast_precision_loss,
    reason = "a test may panic, and its numbers are small"
)]

mod common;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use azure_iot_dps::attestation::AttestationKind;
use azure_iot_dps::hub::{Advice, HubFailure, Reconnection};
use azure_iot_dps::registration::{Registration, RegistrationSettings, RetryPolicy, Session, Step};
use azure_iot_dps::time::{Now, UnixTime};
use common::{NEW_YEAR, answer, id, key, scope, seconds};

/// The registrations per minute that the fleet may use: half of the service's 1,000.
const HALF_THE_LIMIT: usize = 500;
const MINUTE: Duration = Duration::from_secs(60);

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn devices() -> usize {
    usize::try_from(variable("STORM_DEVICES", 10_000)).expect("few")
}

/// Returns the spread that the documentation recommends: a minute for every 500 devices, with a
/// margin.
fn fleet_spread() -> Duration {
    seconds(variable("STORM_SPREAD", 25 * 60))
}

fn now(uptime: Duration) -> Now {
    Now { unix: Some(UnixTime::from_secs(NEW_YEAR + uptime.as_secs())), uptime }
}

/// Returns the highest number of these moments within any window of this length.
fn peak(moments: &mut [Duration], window: Duration) -> usize {
    moments.sort_unstable();
    // The window that ends with this moment begins no earlier than the one before it.
    let mut start = 0;
    let within = |(end, at): (usize, &Duration)| {
        while moments[start] + window <= *at {
            start += 1;
        }
        end + 1 - start
    };
    moments.iter().enumerate().map(within).max().unwrap_or_default()
}

/// The hub's reaction to a device that connects at `now` after the storm began. `asked` is whether
/// the device has registered since then.
type Hub = fn(now: Duration, asked: bool) -> Result<Held, HubFailure>;

enum Held {
    ForGood,
    For(Duration),
}

#[derive(Default)]
struct Storm {
    connects: Vec<Duration>,
    lookups: Vec<Duration>,
    registrations: Vec<Duration>,
    /// The time when the last device was connected permanently.
    over: Duration,
    /// The number of devices that are not connected at the end.
    out: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Do {
    Connect,
    Lose,
}

/// Simulates a fleet that was connected for hours and loses its hub within a second.
fn storm(name: &str, until: Duration, hub: Hub) -> Storm {
    let devices = devices();
    let began = seconds(7200);
    let mut fleet: Vec<(Reconnection, bool)> = (0..devices)
        .map(|number| {
            let mut reconnection = Reconnection::new(id(&format!("dev-{number}"))).fleet_spread(fleet_spread());
            reconnection.connected(now(Duration::ZERO));
            (reconnection, false)
        })
        .collect();
    let at = |device: usize| {
        began + MINUTE * u32::try_from(device).expect("few") / 60 / u32::try_from(devices).expect("few")
    };
    let mut agenda: BinaryHeap<Reverse<(Duration, usize, Do)>> =
        (0..devices).map(|device| Reverse((at(device), device, Do::Lose))).collect();
    let mut storm = Storm { out: devices, ..Storm::default() };
    while let Some(Reverse((at, device, what))) = agenda.pop().filter(|Reverse((at, ..))| *at < began + until) {
        let (reconnection, asked) = &mut fleet[device];
        let advice = match what {
            Do::Lose => reconnection.lost(now(at)),
            Do::Connect => {
                storm.connects.push(at);
                match hub(at - began, *asked) {
                    Ok(held) => {
                        reconnection.connected(now(at));
                        match held {
                            Held::For(held) => agenda.push(Reverse((at + held, device, Do::Lose))),
                            Held::ForGood => (storm.over, storm.out) = (at - began, storm.out - 1),
                        }
                        continue;
                    }
                    Err(failure) => reconnection.failed(failure, now(at)),
                }
            }
        };
        let again = match advice {
            Advice::Retry { after } => after,
            Advice::LookUp => {
                storm.lookups.push(at);
                seconds(1)
            }
            Advice::Register => {
                storm.registrations.push(at);
                *asked = true;
                seconds(4)
            }
            other => panic!("{other:?}"),
        };
        agenda.push(Reverse((at + again, device, Do::Connect)));
    }
    let Storm { connects, lookups, registrations, over, out } = &mut storm;
    println!(
        "{devices} devices, {name}: all but {} connected after {:.0} s, {} lookups (peak {} a minute), {} registrations \
         (peak {} a minute), {:.1} connects each (peak {} a second)",
        out,
        over.as_secs_f64(),
        lookups.len(),
        peak(lookups, MINUTE),
        registrations.len(),
        peak(registrations, MINUTE),
        connects.len() as f64 / devices as f64,
        peak(connects, seconds(1)),
    );
    storm
}

#[test]
fn a_hub_that_restarts_brings_no_request_to_the_service_and_its_devices_one_after_the_other() {
    let mut storm = storm("a hub that restarts", seconds(3600), |now, _| {
        if now < MINUTE { Err(HubFailure::UNREACHABLE) } else { Ok(Held::ForGood) }
    });
    assert_eq!((storm.out, storm.lookups.len(), storm.registrations.len()), (0, 0, 0));
    assert!(peak(&mut storm.connects, seconds(1)) <= devices() / 25, "{}", peak(&mut storm.connects, seconds(1)));
    assert!(storm.over < seconds(600), "{:?}", storm.over);
}

#[test]
fn a_hub_that_accepts_and_drops_at_once_is_battered_by_nobody() {
    let storm = storm("a hub that accepts and drops at once for ten minutes", seconds(3600), |now, _| {
        Ok(if now < MINUTE * 10 { Held::For(Duration::ZERO) } else { Held::ForGood })
    });
    assert_eq!((storm.out, storm.lookups.len(), storm.registrations.len()), (0, 0, 0));
    assert!(storm.connects.len() <= devices() * 10, "{}", storm.connects.len());
}

#[test]
fn a_hub_that_refuses_its_whole_fleet_at_once_leaves_half_of_the_services_limit_to_others() {
    let mut storm =
        storm(
            "a refusal of all",
            seconds(3600),
            |_, asked| {
                if asked { Ok(Held::ForGood) } else { Err(HubFailure::http(401)) }
            },
        );
    assert_eq!((storm.out, storm.registrations.len()), (0, devices()));
    for what in [&mut storm.registrations, &mut storm.lookups] {
        assert!(peak(what, MINUTE) <= HALF_THE_LIMIT, "{}", peak(what, MINUTE));
    }
}

#[test]
fn a_hub_that_falls_silent_or_answers_errors_for_hours_leaves_half_of_the_services_limit_to_others() {
    let hubs: [(&str, Hub); 2] = [
        (
            "silence for six hours",
            |now, _| if now < MINUTE * 360 { Err(HubFailure::UNREACHABLE) } else { Ok(Held::ForGood) },
        ),
        ("502 for six hours", |now, _| if now < MINUTE * 360 { Err(HubFailure::http(502)) } else { Ok(Held::ForGood) }),
    ];
    for (name, hub) in hubs {
        let mut storm = storm(name, seconds(7 * 3600), hub);
        assert_eq!(storm.out, 0);
        assert!(storm.registrations.len() >= devices() * 4, "{}", storm.registrations.len());
        for what in [&mut storm.registrations, &mut storm.lookups] {
            assert!(peak(what, MINUTE) <= HALF_THE_LIMIT, "{name}: {}", peak(what, MINUTE));
        }
    }
}

#[test]
fn a_fleet_whose_enrollment_is_disabled_for_a_day_leaves_half_of_the_services_limit_to_others() {
    let policy = RetryPolicy::DEFAULT.first_spread(fleet_spread());
    let settings: Vec<RegistrationSettings> = (0..devices())
        .map(|number| RegistrationSettings::new(scope(), id(&format!("dev-{number}"))).retry(policy))
        .collect();
    let key = key();
    let new = |device: usize, session| Registration::resume(&settings[device], AttestationKind::SymmetricKey, session);
    let mut fleet: Vec<Registration<'_>> = (0..devices()).map(|device| new(device, Session::default())).collect();
    let mut agenda: BinaryHeap<Reverse<(Duration, usize)>> =
        (0..devices()).map(|device| Reverse((Duration::ZERO, device))).collect();
    let mut requests = Vec::new();
    while let Some(Reverse((at, device))) = agenda.pop().filter(|Reverse((at, _))| *at < seconds(86_400)) {
        let error = match common::step(&mut fleet[device], &key, now(at)) {
            Ok(Step::Wait(wait)) => {
                agenda.push(Reverse((at + wait.duration(), device)));
                continue;
            }
            Ok(Step::Send(_)) => {
                requests.push(at);
                let disabled = answer(200, r#"{"operationId":"5.3","status":"disabled"}"#);
                fleet[device].receive(Ok(disabled), now(at));
                common::act(&mut fleet[device], now(at)).expect_err("disabled")
            }
            Ok(_) => panic!("it is never assigned"),
            Err(error) => error,
        };
        // A boot loop under a supervisor, which waits as the error says.
        let wait = error.retry_after().expect("it says when");
        fleet[device] = new(device, fleet[device].session().clone());
        agenda.push(Reverse((at + wait, device)));
    }
    let each = requests.len() / devices();
    println!(
        "{} devices, disabled for a day: {each} requests each (peak {} a minute)",
        devices(),
        peak(&mut requests, MINUTE)
    );
    assert!((5..=10).contains(&each), "{each}");
    assert!(peak(&mut requests, MINUTE) <= HALF_THE_LIMIT, "{}", peak(&mut requests, MINUTE));
}
