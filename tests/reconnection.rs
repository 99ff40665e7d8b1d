//! Tests the advices of `Reconnection` for every behavior of a hub.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use azure_iot_dps::hub::{Advice, HubFailure, Reconnection, ReconnectionState};
use azure_iot_dps::registration::RetryPolicy;
use azure_iot_dps::time::{Now, UnixTime};
use common::{at, id, seconds};

const SILENT: HubFailure = HubFailure::UNREACHABLE;

fn reconnection() -> Reconnection {
    Reconnection::new(id("dev-01"))
}

fn retry(advice: Advice) -> Duration {
    match advice {
        Advice::Retry { after } => after,
        _ => panic!("it was to try again, not {advice:?}"),
    }
}

/// An advice to ask the service, and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ask {
    at: u64,
    registers: bool,
}

/// Returns the advices to ask the service, for a hub that fails every attempt like this.
///
/// Each attempt takes `took` seconds.
fn asks(mut reconnection: Reconnection, until: u64, took: u64, hub: impl Fn(u64) -> HubFailure) -> Vec<Ask> {
    let (mut now, mut asks) = (Duration::ZERO, Vec::new());
    while now < seconds(until) {
        match reconnection.failed(hub(now.as_secs()), Now { unix: None, uptime: now }) {
            Advice::Retry { after } => {
                assert!(!after.is_zero() && after <= seconds(3600 + 240), "{after:?}");
                now += after;
            }
            advice => asks.push(Ask { at: now.as_secs(), registers: advice == Advice::Register }),
        }
        now += seconds(took);
    }
    asks
}

fn registrations(asks: &[Ask]) -> Vec<u64> {
    asks.iter().filter(|ask| ask.registers).map(|ask| ask.at).collect()
}

// Refusals

#[test]
fn a_hub_that_refuses_the_device_is_a_reason_to_ask_within_two_minutes() {
    let connack = [4, 5].map(HubFailure::connack);
    let http = [401, 403, 404].map(HubFailure::http);
    let nameless = ["", "0", "NoSuchName"].map(|name| HubFailure::http(403).with_code_name(name));
    let codes = [HubFailure::http(403).with_code(403_001), HubFailure::http(404).with_code(404_103)];
    for failure in connack.into_iter().chain(http).chain(codes).chain(nameless) {
        let asks = asks(reconnection(), 130, 1, |_| failure);
        assert!(asks.len() >= 2 && asks[0].at <= 125, "{failure:?}: {asks:?}");
        assert_eq!([asks[0].registers, asks[1].registers], [false, true], "by a lookup first: {asks:?}");
    }
}

#[test]
fn a_refusal_of_a_device_that_is_not_to_be_spread_is_a_reason_to_ask_at_once() {
    let mut reconnection = reconnection().fleet_spread(Duration::ZERO);
    assert_eq!(reconnection.failed(HubFailure::http(401), at(0)), Advice::LookUp);
    assert_eq!(reconnection.failed(HubFailure::http(401), at(0)), Advice::Register);
    assert!(retry(reconnection.failed(HubFailure::http(401), at(1))) < seconds(5), "the hub may not know it yet");
}

#[test]
fn a_fleet_that_is_refused_all_at_once_spreads_over_as_long_as_it_is_told_to() {
    let first = |number: u32, spread: u64| {
        let reconnection = Reconnection::new(id(&format!("dev-{number}"))).fleet_spread(seconds(spread));
        asks(reconnection, spread + 300, 0, |_| HubFailure::http(401))[0].at
    };
    for spread in [120, 1500] {
        let moments: Vec<u64> = (0..200).map(|number| first(number, spread)).collect();
        let tenths = (0..10).map(|tenth| moments.iter().filter(|at| **at * 10 / (spread + 1) == tenth).count());
        assert!(tenths.clone().all(|count| (5..=40).contains(&count)), "{:?}", tenths.collect::<Vec<_>>());
    }
    let hour = Reconnection::new(id("dev-01")).fleet_spread(Duration::MAX);
    assert!(!asks(hour, 3601, 0, |_| HubFailure::http(401)).is_empty(), "more than an hour counts as an hour");
}

#[test]
fn a_refusal_that_is_over_before_the_device_asks_is_forgotten() {
    let mut reconnection = reconnection();
    let wait = retry(reconnection.failed(HubFailure::http(401), at(0)));
    reconnection.connected(Now { uptime: wait, ..at(0) });
    for hour in 1..100 {
        // Each refusal counts as the first one.
        let _ = retry(reconnection.failed(HubFailure::http(401), at(hour * 3600)));
        reconnection.connected(at(hour * 3600 + 5));
    }
}

#[test]
fn a_refusal_that_a_registration_does_not_mend_brings_the_next_one_later_and_later() {
    let asks = asks(reconnection(), 24 * 3600, 1, |_| HubFailure::http(401));
    assert!(asks.chunks(2).all(|pair| pair.iter().map(|ask| ask.registers).eq([false, true])), "{asks:?}");
    let registrations = registrations(&asks);
    for (number, pair) in registrations.windows(2).enumerate() {
        let least = 60 * 2_u64.pow(u32::try_from(number).expect("few")).min(60);
        let most = least + 120.max(least / 4) + 3;
        assert!((least..=most).contains(&(pair[1] - pair[0])), "{registrations:?}");
    }
    assert!(registrations.len() > 20, "{registrations:?}");
}

#[test]
fn an_hour_without_a_refusal_begins_with_a_minute_again() {
    let mut reconnection = reconnection().fleet_spread(Duration::ZERO);
    let refused = HubFailure::connack(5);
    let mut ask = |now: u64| [(); 2].map(|()| reconnection.failed(refused, at(now)));
    assert_eq!(ask(0), [Advice::LookUp, Advice::Register]);
    assert!(matches!(ask(1), [Advice::Retry { .. }, Advice::Retry { .. }]));
    assert_eq!(ask(80), [Advice::LookUp, Advice::Register], "the minute is over");
    assert!(matches!(ask(160), [Advice::Retry { .. }, Advice::Retry { .. }]), "it is two now");
    assert_eq!(ask(8000), [Advice::LookUp, Advice::Register]);
    assert_eq!(ask(8080), [Advice::LookUp, Advice::Register], "a minute again");
}

#[test]
fn a_hub_that_flaps_between_taking_and_refusing_a_device_makes_for_no_storm_of_registrations() {
    let mut reconnection = reconnection().fleet_spread(Duration::ZERO);
    let mut registrations = 0;
    for second in 0..3600 {
        reconnection.connected(at(second));
        registrations += u32::from(reconnection.failed(HubFailure::http(401), at(second)) == Advice::Register);
        registrations += u32::from(reconnection.failed(HubFailure::http(401), at(second)) == Advice::Register);
    }
    assert!((4..=6).contains(&registrations), "{registrations} in an hour");
}

// Limits and load

#[test]
fn a_limit_that_is_met_is_waited_for_up_to_an_hour_and_never_a_reason_to_ask() {
    for failure in [
        HubFailure::http(403).with_code(403_002),
        HubFailure::http(403).with_code_name("403002"),
        HubFailure::http(403).with_code_name("IoTHubQuotaExceeded"),
        HubFailure::http(403).with_code_name("DeviceMaximumQueueDepthExceeded"),
        HubFailure::http(403).with_code(403_006),
        HubFailure::http(403).with_code(403_010),
    ] {
        for name in ["dev-01", "dev-02", "dev-03", "dev-04", "dev-05"] {
            let mut reconnection = Reconnection::new(id(name));
            let mut now = 0;
            let waits: Vec<u64> = (0..50)
                .map(|_| {
                    let wait = retry(reconnection.failed(failure, at(now))).as_secs();
                    now += wait;
                    wait
                })
                .collect();
            assert!((60..120).contains(&waits[0]) && (120..240).contains(&waits[1]), "{waits:?}");
            assert!(waits[10..].iter().all(|wait| (1800..=3600).contains(wait)), "{waits:?}");
        }
    }
}

#[test]
fn a_limit_shows_that_the_hub_knows_the_device_and_ends_the_patience() {
    let hub = |now: u64| if now % 1500 < 300 { HubFailure::http(403).with_code(403_002) } else { SILENT };
    assert_eq!(asks(reconnection(), 24 * 3600, 20, hub), []);
}

#[test]
fn a_busy_hub_is_tried_again_with_backoff() {
    let failures = [408, 429, 500, 503, 504].map(HubFailure::http);
    for failure in failures.into_iter().chain([1, 2, 3, 0, 255].map(HubFailure::connack)).chain([SILENT]) {
        let mut reconnection = reconnection();
        let ranges = [(1, 5), (5, 10), (10, 20), (20, 40), (40, 80), (80, 160), (120, 240), (120, 240)];
        for (low, high) in ranges {
            let wait = retry(reconnection.failed(failure, at(0))).as_secs();
            assert!((low..high).contains(&wait), "{failure:?}: {wait} is not within {low} to {high}");
        }
    }
}

#[test]
fn another_policy_makes_for_other_waits() {
    let policy = RetryPolicy::DEFAULT.first_wait(seconds(40)).max_wait(seconds(600));
    let mut reconnection = reconnection().retry(policy);
    let waits: Vec<u64> = (0..8).map(|_| retry(reconnection.failed(SILENT, at(0))).as_secs()).collect();
    assert!((40..80).contains(&waits[1]) && (300..600).contains(&waits[7]), "{waits:?}");
}

#[test]
fn a_retry_after_is_a_floor_and_more_than_an_hour_counts_as_an_hour() {
    let failure = |delay| HubFailure::http(429).with_retry_after(seconds(delay));
    assert!((60..65).contains(&retry(reconnection().failed(failure(60), at(0))).as_secs()));
    assert!((3600..3605).contains(&retry(reconnection().failed(failure(u64::MAX), at(0))).as_secs()));
    let refused = HubFailure::http(401).with_retry_after(seconds(300));
    assert!(retry(reconnection().failed(refused, at(0))) >= seconds(300), "of a refusal, too");
    let limit = HubFailure::http(403).with_code(403_002).with_retry_after(seconds(900));
    assert!(retry(reconnection().failed(limit, at(0))) >= seconds(900), "and of a limit");
}

// Half an hour without a success

#[test]
fn a_hub_that_is_out_of_reach_or_answers_anything_but_a_success_is_asked_about_after_half_an_hour_and_then_hourly() {
    type Hub = fn(u64) -> HubFailure;
    let hubs: [(&str, Hub); 6] = [
        ("silence", |_| SILENT),
        ("a site's proxy answers for a deleted hub", |_| HubFailure::http(502)),
        ("one 503 in seven", |now| if now % 7 == 0 { HubFailure::http(503) } else { SILENT }),
        ("throttled for ever", |_| HubFailure::http(429)),
        ("a captive portal", |_| HubFailure::http(302)),
        ("server unavailable", |_| HubFailure::connack(3)),
    ];
    for (what, hub) in hubs {
        for name in ["dev-01", "dev-02", "dev-03"] {
            let asks = asks(Reconnection::new(id(name)), 24 * 3600, 20, hub);
            assert!(asks.chunks(2).all(|pair| !pair[0].registers), "a lookup comes first: {what}: {asks:?}");
            let registrations = registrations(&asks);
            assert!((1800..=2300).contains(&registrations[0]), "{what}: {registrations:?}");
            let gaps: Vec<u64> = registrations.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert!(gaps.iter().all(|gap| (3600..=4560).contains(gap)), "{what}: {gaps:?}");
            assert!(gaps.len() >= 18, "{what}: {gaps:?}");
        }
    }
}

#[test]
fn two_devices_do_not_ask_at_the_same_moment() {
    let first = |name: &str| asks(Reconnection::new(id(name)), 3600, 20, |_| SILENT)[0].at;
    let moments: BTreeSet<u64> = (0..20).map(|number| first(&format!("dev-{number}"))).collect();
    assert!(moments.len() > 10, "{moments:?}");
}

#[test]
fn one_success_ends_the_half_hour() {
    let mut reconnection = reconnection();
    for minute in 0..600 {
        if minute % 20 == 0 {
            reconnection.connected(at(minute * 60));
        }
        let _ = retry(reconnection.failed(SILENT, at(minute * 60)));
    }
}

#[test]
fn a_hub_that_takes_the_device_after_a_lookup_is_looked_up_first_the_next_time_too() {
    let mut reconnection = reconnection();
    let _ = retry(reconnection.failed(SILENT, at(0)));
    assert_eq!(reconnection.failed(SILENT, at(2400)), Advice::LookUp);
    reconnection.connected(at(2410));
    let _ = retry(reconnection.failed(SILENT, at(2500)));
    assert_eq!(reconnection.failed(SILENT, at(4900)), Advice::LookUp);
}

// Losses

#[test]
fn a_hub_that_accepts_and_drops_at_once_is_tried_ever_more_seldom() {
    let mut reconnection = reconnection();
    let mut now = Duration::ZERO;
    let mut connected = 0;
    while now < seconds(3600) {
        let reading = Now { unix: None, uptime: now };
        reconnection.connected(reading);
        connected += 1;
        now += retry(reconnection.lost(reading));
    }
    assert!((15..=40).contains(&connected), "{connected} times in an hour");
}

#[test]
fn the_backoff_is_forgiven_after_two_minutes_of_success_and_no_sooner() {
    let wait_after = |held: u64| {
        let mut reconnection = reconnection();
        for _ in 0..8 {
            let _ = retry(reconnection.failed(SILENT, at(0)));
        }
        reconnection.connected(at(10));
        // Each acknowledged message is reported again.
        reconnection.connected(at(10 + held));
        retry(reconnection.failed(SILENT, at(10 + held))).as_secs()
    };
    assert!((120..240).contains(&wait_after(0)) && (120..240).contains(&wait_after(119)));
    assert!((1..5).contains(&wait_after(120)) && (1..5).contains(&wait_after(86_400)));
}

#[test]
fn a_fleet_that_loses_its_hub_does_not_come_back_all_at_once() {
    let waits = |spread: Option<u64>| -> Vec<u64> {
        let wait = |number: u32| {
            let mut reconnection = Reconnection::new(id(&format!("dev-{number}")));
            if let Some(spread) = spread {
                reconnection = reconnection.fleet_spread(seconds(spread));
            }
            reconnection.connected(at(0));
            retry(reconnection.lost(at(7200))).as_secs()
        };
        (0..200).map(wait).collect()
    };
    let default = waits(None);
    assert!(default.iter().all(|wait| (1..17).contains(wait)), "{default:?}");
    assert!(default.iter().collect::<BTreeSet<_>>().len() >= 10, "{default:?}");
    let wide = waits(Some(1500));
    let busiest = (0..16).map(|slot| wide.iter().filter(|wait| **wait / 10 == slot).count()).max();
    assert!(busiest <= Some(30), "in ten seconds of 155: {busiest:?} of 200");
}

#[test]
fn losses_alone_never_ask_the_service() {
    let mut reconnection = reconnection();
    for minute in 0..600 {
        reconnection.connected(at(minute * 60));
        let _ = retry(reconnection.lost(at(minute * 60 + 30)));
    }
}

// What is kept, and clocks

#[test]
fn a_device_that_never_stays_up_for_half_an_hour_asks_all_the_same_if_it_keeps_the_state() {
    let mut state = ReconnectionState::default();
    let mut asked = Vec::new();
    for boot in 0..60 {
        // Awake for five minutes with five attempts. The state goes through flash.
        let json = serde_json::to_string(&state).expect("JSON");
        let state_of_flash = serde_json::from_str(&json).expect("the same");
        assert_eq!(state, state_of_flash);
        let mut reconnection = Reconnection::restore(id("dev-01"), state_of_flash, seconds(3));
        for minute in 0..5 {
            let advice = reconnection.failed(SILENT, at(3 + minute * 60));
            if !matches!(advice, Advice::Retry { .. }) {
                asked.push((boot, advice == Advice::Register));
            }
        }
        state = reconnection.state(seconds(3 + 5 * 60));
    }
    assert!((6..=8).contains(&asked[0].0), "{asked:?}");
    assert!(asked.chunks(2).all(|pair| pair.iter().map(|it| it.1).eq([false, true])), "{asked:?}");
    assert!(asked.chunks(2).collect::<Vec<_>>().windows(2).all(|pair| pair[1][1].0 - pair[0][1].0 >= 12), "{asked:?}");
}

#[test]
fn a_device_that_reboots_whenever_it_is_refused_does_not_register_at_every_boot_if_it_keeps_the_state() {
    let mut state = ReconnectionState::default();
    let mut registrations = 0;
    for _ in 0..360 {
        let mut reconnection = Reconnection::restore(id("dev-01"), state, seconds(1));
        registrations += u32::from(reconnection.failed(HubFailure::http(401), at(2)) == Advice::Register);
        state = reconnection.state(seconds(11));
    }
    assert!((3..=6).contains(&registrations), "{registrations} in an hour of boots");
}

#[test]
fn whatever_was_kept_puts_nothing_off_for_longer_than_three_hours_and_is_used_up() {
    let ages = r#"{"secs":18446744073709551615,"nanos":0}"#;
    let counts = r#"{"failures":4294967295,"limits":4294967295,"refusals":4294967295,"looked_up":true}"#;
    let left = format!(r#"{{"refused":{ages},"forgiven":{ages},"patience":{ages},"asked":{ages}}}"#);
    let damaged: ReconnectionState =
        serde_json::from_str(&format!(r#"{{"counts":{counts},"left":{left}}}"#)).expect("reads");
    for failure in [SILENT, HubFailure::http(401), HubFailure::http(502)] {
        let first = asks(Reconnection::restore(id("dev-01"), damaged, seconds(0)), 4 * 3600, 20, |_| failure);
        assert!(first[0].at <= 3 * 3600 + 300, "{failure:?}: {first:?}");
    }
}

#[test]
fn an_uptime_that_wraps_makes_nothing_longer_than_it_was() {
    let wrap = u64::from(u32::MAX) / 1000;
    let mut reconnection = reconnection();
    let mut asked = None;
    for second in 0..6000 {
        let uptime = (wrap - 1000 + second) % wrap;
        if second % 30 == 0 && reconnection.failed(SILENT, at(uptime)) == Advice::LookUp {
            asked = Some(second);
            break;
        }
    }
    assert!((1800..=2300).contains(&asked.expect("it asks")), "{asked:?}");
}

#[test]
fn a_clock_that_jumps_or_starts_over_brings_no_panic() {
    let mut reconnection = reconnection();
    let failures = [SILENT, HubFailure::http(401), HubFailure::http(503).with_retry_after(Duration::MAX)];
    for uptime in [Duration::MAX, Duration::ZERO, Duration::MAX, seconds(9)] {
        for failure in failures {
            let now = Now { unix: Some(UnixTime::from_secs(u64::MAX)), uptime };
            reconnection.connected(now);
            for _ in 0..100 {
                let _ = reconnection.failed(failure, now);
                let _ = reconnection.lost(now);
            }
        }
    }
}
