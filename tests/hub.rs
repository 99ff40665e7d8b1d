//! After the assignment: what a device shows to its hub, and what it does when the hub is gone.
#![cfg(feature = "simulator")]
#![allow(clippy::expect_used, clippy::panic, clippy::unchecked_time_subtraction, reason = "a test may panic")]

mod common;

use std::borrow::Cow;
use std::time::Duration;

use azure_iot_dps::attestation::KeySlot;
use azure_iot_dps::error::StoreError;
use azure_iot_dps::hub::{Advice, AssignmentStore, HubFailure, Reconnection};
use azure_iot_dps::identity::{HostName, HubName};
use azure_iot_dps::key::{Signer, SignerError};
use azure_iot_dps::simulator::{
    Allocation, Asked, EnrollmentGroup, IndividualEnrollment, Record, Simulator, SimulatorClock,
};
use azure_iot_dps::time::UnixTime;
use azure_iot_dps::{
    Assignment, Attestation, Clock, DeviceKey, GroupKey, HubCredentials, ProvisioningClient, SasToken,
};
use common::{NEW_YEAR, at, id, seconds};

fn host(name: &str) -> HostName {
    HostName::new(name).expect("valid")
}

fn assignment() -> Assignment {
    common::drive(&common::settings(), [common::assigned()]).result.expect("assigned")
}

fn time(after_new_year: u64) -> UnixTime {
    UnixTime::from_secs(NEW_YEAR + after_new_year)
}

// Credentials

#[test]
fn the_token_is_for_the_device_at_its_hub_and_has_no_key_name() {
    let mut credentials = HubCredentials::new(&assignment(), common::key()).expect("the primary key");
    let token = credentials.token(time(0)).expect("signs");
    assert_eq!(token.resource_uri(), "my-hub.azure-devices.net/devices/dev-01");
    assert_eq!((token.key_name(), token.expires_at()), (None, time(3600)));
    assert!(token.verify(&common::key()));
}

#[test]
fn a_token_is_kept_until_a_sixth_of_its_life_is_left() {
    let mut credentials = HubCredentials::new(&assignment(), common::key()).expect("the primary key");
    assert!(credentials.needs_renewal(time(0)));
    let mut expiry = |now| credentials.token(time(now)).expect("signs").expires_at();
    assert_eq!([expiry(0), expiry(3000), expiry(3001)], [time(3600), time(3600), time(6601)]);
    assert!(!credentials.needs_renewal(time(3001)) && credentials.needs_renewal(time(9000)));
}

#[test]
fn a_clock_that_is_put_forward_or_back_makes_for_a_fresh_token() {
    let mut credentials = HubCredentials::new(&assignment(), common::key()).expect("the primary key");
    let mut expiry = |now| credentials.token(UnixTime::from_secs(now)).expect("signs").expires_at().as_secs();
    assert_eq!(expiry(0), 3600, "a clock that has not been set");
    assert_eq!(expiry(NEW_YEAR), NEW_YEAR + 3600, "has been set");
    assert_eq!(expiry(NEW_YEAR - 60), NEW_YEAR + 3600, "a clock that is adjusted by a little");
    assert_eq!(expiry(NEW_YEAR - 61), NEW_YEAR - 61 + 3600, "a token from the future lives too long");
    assert_eq!(expiry(u64::MAX), u64::MAX);
}

#[test]
fn the_life_of_a_token_can_be_chosen_but_not_below_5_minutes() {
    let credentials = |life| {
        HubCredentials::new(&assignment(), common::key()).expect("the primary key").token_lifetime(seconds(life))
    };
    for (life, expected) in [(0, 300), (86_400, 86_400)] {
        assert_eq!(credentials(life).token(time(0)).expect("signs").expires_at(), time(expected));
    }
}

#[test]
fn an_mqtt_client_gets_host_port_client_id_user_name_and_password() {
    let mut credentials = HubCredentials::new(&assignment(), common::key()).expect("the primary key");
    let login = credentials.mqtt(time(0)).expect("signs");
    assert_eq!((login.host(), login.port()), ("my-hub.azure-devices.net", 8883));
    assert_eq!(login.client_id(), "dev-01");
    assert_eq!(login.user_name(), "my-hub.azure-devices.net/dev-01/?api-version=2021-04-12");
    let password = SasToken::parse(login.password()).expect("a token");
    assert!(password.verify(&common::key()) && password.expires_at() == time(3600));
}

#[test]
fn the_connection_string_is_there_where_the_key_is_in_memory() {
    let expected = format!("HostName=my-hub.azure-devices.net;DeviceId=dev-01;SharedAccessKey={}", common::KEY);
    let (assignment, key) = (assignment(), common::key());
    assert_eq!(HubCredentials::new(&assignment, &key).expect("the primary key").connection_string().as_str(), expected);
    assert_eq!(HubCredentials::new(&assignment, key).expect("the primary key").connection_string().as_str(), expected);
}

#[test]
fn no_debug_text_of_credentials_shows_a_secret() {
    let mut credentials = HubCredentials::new(&assignment(), common::key()).expect("the primary key");
    let signature =
        credentials.token(time(0)).expect("signs").as_str().split_once("sig=").expect("signed").1[..16].to_owned();
    let texts = [
        format!("{credentials:?} {credentials:#?}"),
        format!("{:?}", credentials.mqtt(time(0)).expect("signs")),
        format!("{:?}", credentials.connection_string()),
    ];
    for text in texts {
        assert!(!text.contains(&signature) && !text.contains(&common::KEY[..8]), "{text}");
    }
}

#[test]
fn a_secure_element_signs_for_the_hub_and_its_failure_is_told() {
    struct Broken;
    impl Signer for Broken {
        fn sign(&self, _: &[u8]) -> Result<[u8; 32], SignerError> {
            Err(SignerError::new("no answer on I2C"))
        }
    }
    assert!(HubCredentials::new(&assignment(), Broken).expect("the primary key").token(time(0)).is_err());
    assert!(HubCredentials::new(&assignment(), Broken).expect("the primary key").mqtt(time(0)).is_err());
    let boxed: Box<dyn Signer> = Box::new(common::key());
    assert!(
        HubCredentials::new(&assignment(), boxed)
            .expect("the primary key")
            .token(time(0))
            .expect("signs")
            .verify(&common::key())
    );
}

// Reconnect or reprovision: the rules

fn reconnection() -> Reconnection {
    Reconnection::new(id("dev-01"))
}

fn retry(advice: Advice) -> Duration {
    match advice {
        Advice::Retry { after } => after,
        Advice::Register => panic!("it was to try again"),
    }
}

#[test]
fn a_hub_that_answers_401_or_404_or_connack_4_or_5_or_403_without_a_quota_means_register() {
    let connack = [4, 5].map(HubFailure::connack);
    let http = [401, 403, 404].map(HubFailure::http);
    let nameless = ["", "0", "NoSuchName"].map(|name| HubFailure::http(403).with_code_name(name));
    let codes = [HubFailure::http(403).with_code(403_001), HubFailure::http(404).with_code(404_103)];
    for failure in connack.into_iter().chain(http).chain(codes).chain(nameless) {
        assert_eq!(reconnection().failed(failure, at(7)), Advice::Register, "{failure:?}");
    }
}

#[test]
fn a_limit_that_is_met_is_waited_for_up_to_an_hour_and_never_a_reason_to_register() {
    for failure in [
        HubFailure::http(403).with_code(403_002),
        HubFailure::http(403).with_code_name("403002"),
        HubFailure::http(403).with_code_name("IoTHubQuotaExceeded"),
        HubFailure::http(403).with_code_name("DeviceMaximumQueueDepthExceeded"),
        HubFailure::http(403).with_code(403_006),
        HubFailure::http(403).with_code(403_010),
    ] {
        let mut reconnection = reconnection();
        let mut now = 0;
        let waits: Vec<u64> = (0..50)
            .map(|_| {
                let wait = retry(reconnection.failed(failure, at(now))).as_secs();
                now += wait;
                wait
            })
            .collect();
        assert!((60..120).contains(&waits[0]) && (60..=240).contains(&waits[1]), "{waits:?}");
        assert!(waits[10..].iter().all(|wait| (1800..=3600).contains(wait)), "{waits:?}");
    }
}

#[test]
fn a_busy_hub_is_tried_again_with_backoff_for_ever() {
    let failures = [408, 429, 500, 503, 504].map(HubFailure::http);
    for failure in failures.into_iter().chain([1, 2, 3, 0, 255].map(HubFailure::connack)) {
        let mut reconnection = reconnection();
        let waits: Vec<u64> =
            (0..2000).map(|number| retry(reconnection.failed(failure, at(number * 240))).as_secs()).collect();
        assert!((1..5).contains(&waits[0]) && (5..10).contains(&waits[1]), "{failure:?}: {:?}", &waits[..9]);
        assert!(waits[9..].iter().all(|wait| (120..240).contains(wait)));
    }
}

#[test]
fn a_retry_after_is_a_floor_and_more_than_an_hour_counts_as_an_hour() {
    let failure = |delay| HubFailure::http(429).with_retry_after(seconds(delay));
    assert!((60..65).contains(&retry(reconnection().failed(failure(60), at(0))).as_secs()));
    assert!((3600..3605).contains(&retry(reconnection().failed(failure(u64::MAX), at(0))).as_secs()));
}

#[test]
fn a_status_that_neither_waiting_nor_registering_mends_is_no_reason_to_register() {
    for status in [200, 302, 400, 405, 413, 418, 0, u16::MAX] {
        let _ = retry(reconnection().failed(HubFailure::http(status), at(0)));
    }
}

/// When a device registers whose hub never answers, in seconds since it was first out of reach.
fn registrations_while_unreachable(name: &str, from: u64, until: u64) -> Vec<u64> {
    let mut reconnection = Reconnection::new(id(name));
    let mut now = Duration::from_secs(from);
    let mut registrations = Vec::new();
    while now.as_secs() < from + until {
        let reading = azure_iot_dps::time::Now { unix: None, uptime: now };
        match reconnection.failed(HubFailure::UNREACHABLE, reading) {
            Advice::Retry { after } => {
                assert!(!after.is_zero() && after <= seconds(240), "{after:?}");
                now += after;
            }
            Advice::Register => {
                registrations.push(now.as_secs() - from);
                now += seconds(20);
            }
        }
    }
    registrations
}

#[test]
fn a_hub_out_of_reach_is_tried_for_30_minutes_then_the_device_registers_and_then_at_most_hourly() {
    for name in ["dev-01", "dev-02", "dev-03"] {
        let registrations = registrations_while_unreachable(name, 7, 24 * 3600);
        assert!((1800..=2250).contains(&registrations[0]), "{registrations:?}");
        let gaps: Vec<u64> = registrations.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| (3600..=4520).contains(gap)), "{gaps:?}");
        assert!(gaps.len() >= 18, "{gaps:?}");
    }
}

#[test]
fn two_devices_do_not_register_at_the_same_moment() {
    let first = |name: &str| registrations_while_unreachable(name, 7, 3600)[0];
    let moments: std::collections::BTreeSet<u64> = (0..20).map(|number| first(&format!("dev-{number}"))).collect();
    assert!(moments.len() > 10, "{moments:?}");
}

#[test]
fn a_hub_that_answers_in_between_ends_the_30_minutes() {
    for sign_of_life in [HubFailure::http(503), HubFailure::connack(3), HubFailure::http(400)] {
        let mut reconnection = reconnection();
        for minute in 0..600 {
            let failure = if minute % 20 == 0 { sign_of_life } else { HubFailure::UNREACHABLE };
            let _ = retry(reconnection.failed(failure, at(minute * 60)));
        }
    }
    let mut reconnection = reconnection();
    for minute in 0..600 {
        if minute % 20 == 0 {
            reconnection.connected();
        }
        let _ = retry(reconnection.failed(HubFailure::UNREACHABLE, at(minute * 60)));
    }
}

#[test]
fn a_refusal_that_a_registration_does_not_mend_brings_the_next_one_later_and_later() {
    let mut reconnection = reconnection();
    let (mut now, mut registrations) = (seconds(0), Vec::new());
    while now < seconds(24 * 3600) {
        match reconnection.failed(HubFailure::http(401), azure_iot_dps::time::Now { unix: None, uptime: now }) {
            Advice::Retry { after } => {
                assert!(!after.is_zero() && after < seconds(240), "{after:?}");
                now += after;
            }
            Advice::Register => {
                registrations.push(now.as_secs());
                now += seconds(1);
            }
        }
    }
    assert_eq!(registrations[0], 0);
    for (number, pair) in registrations.windows(2).enumerate() {
        let least = 60 * 2_u64.pow(u32::try_from(number).expect("few")).min(60);
        assert!((least..=least * 5 / 4 + 1).contains(&(pair[1] - pair[0])), "{registrations:?}");
    }
    assert!(registrations.len() > 20, "{registrations:?}");
}

#[test]
fn a_hub_that_flaps_between_taking_and_refusing_a_device_makes_for_no_storm_of_registrations() {
    let mut reconnection = reconnection();
    let mut registrations = 0;
    for second in 0..3600 {
        reconnection.connected();
        registrations += u32::from(reconnection.failed(HubFailure::http(401), at(second)) == Advice::Register);
    }
    assert!((4..=6).contains(&registrations), "{registrations} in an hour");
}

#[test]
fn a_refusal_is_a_reason_to_register_at_once_where_the_last_one_is_a_while_ago() {
    let mut reconnection = reconnection();
    let refused = HubFailure::connack(5);
    assert_eq!(reconnection.failed(refused, at(0)), Advice::Register);
    assert!(retry(reconnection.failed(refused, at(1))) < seconds(5), "the hub may not know the device yet");
    reconnection.connected();
    assert_eq!(reconnection.failed(refused, at(80)), Advice::Register);
    // An hour without a refusal, and it begins with a minute again.
    reconnection.connected();
    assert_eq!(reconnection.failed(refused, at(8000)), Advice::Register);
    assert_eq!(reconnection.failed(refused, at(8080)), Advice::Register);
}

#[test]
fn silence_is_a_reason_to_register_at_most_hourly_even_if_the_hub_answers_in_between() {
    let mut reconnection = reconnection();
    let mut registrations = Vec::new();
    for minute in 0..600 {
        let failure = if minute % 40 == 0 { HubFailure::http(503) } else { HubFailure::UNREACHABLE };
        if reconnection.failed(failure, at(minute * 60)) == Advice::Register {
            registrations.push(minute);
        }
    }
    assert!(registrations.len() > 3, "{registrations:?}");
    assert!(registrations.windows(2).all(|pair| pair[1] - pair[0] >= 60), "{registrations:?}");
}

#[test]
fn a_device_that_never_stays_up_for_half_an_hour_registers_all_the_same_if_it_keeps_the_state() {
    let mut state = azure_iot_dps::hub::ReconnectionState::default();
    let mut registrations = Vec::new();
    for boot in 0..60 {
        // Five minutes awake, five times tried; what is kept goes through flash.
        let json = serde_json::to_string(&state).expect("JSON");
        let state_of_flash = serde_json::from_str(&json).expect("the same");
        let mut reconnection = Reconnection::restore(id("dev-01"), state_of_flash, seconds(3));
        for minute in 0..5 {
            if reconnection.failed(HubFailure::UNREACHABLE, at(3 + minute * 60)) == Advice::Register {
                registrations.push(boot);
            }
        }
        state = reconnection.state(seconds(3 + 5 * 60));
    }
    assert!((6..=8).contains(&registrations[0]), "{registrations:?}");
    assert!(registrations.windows(2).all(|pair| pair[1] - pair[0] >= 12), "{registrations:?}");
}

#[test]
fn a_device_that_reboots_whenever_it_is_refused_does_not_register_at_every_boot_if_it_keeps_the_state() {
    let mut state = azure_iot_dps::hub::ReconnectionState::default();
    let mut registrations = 0;
    for _ in 0..360 {
        let mut reconnection = Reconnection::restore(id("dev-01"), state, seconds(1));
        registrations += u32::from(reconnection.failed(HubFailure::http(401), at(2)) == Advice::Register);
        state = reconnection.state(seconds(11));
    }
    assert!((4..=6).contains(&registrations), "{registrations} in an hour of boots");
}

#[test]
fn a_clock_that_jumps_or_starts_over_brings_no_panic() {
    let mut reconnection = reconnection();
    let failures =
        [HubFailure::UNREACHABLE, HubFailure::http(401), HubFailure::http(503).with_retry_after(Duration::MAX)];
    for uptime in [Duration::MAX, Duration::ZERO, Duration::MAX, seconds(9)] {
        for failure in failures {
            let now = azure_iot_dps::time::Now { unix: Some(UnixTime::from_secs(u64::MAX)), uptime };
            for _ in 0..100 {
                let _ = reconnection.failed(failure, now);
            }
        }
    }
}

// The same against the simulator's DPS and hub, in virtual time

/// A store in memory.
#[derive(Default)]
struct Memory(Vec<u8>);

impl AssignmentStore for Memory {
    fn load(&mut self) -> Result<Cow<'_, [u8]>, StoreError> {
        Ok((&self.0).into())
    }

    fn save(&mut self, record: &[u8]) -> Result<(), StoreError> {
        self.0 = record.into();
        Ok(())
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        self.0.clear();
        Ok(())
    }
}

/// A device that boots from its store and sends messages to its hub, in virtual time.
struct Device {
    sim: Simulator,
    clock: SimulatorClock,
    client: ProvisioningClient,
    keys: [DeviceKey; 2],
    store: Memory,
    reconnection: Reconnection,
    /// Hubs that do not answer any more.
    deleted: Vec<HubName>,
    /// How often it was advised to register.
    registrations: usize,
}

impl Device {
    fn new(sim: &Simulator, keys: [DeviceKey; 2], store: Memory) -> Self {
        let attestation = Attestation::symmetric_keys(keys[0].clone(), keys[1].clone());
        let client = ProvisioningClient::builder(sim.id_scope(), id("dev-01"), attestation)
            .build_with(sim.transport(), sim.clock());
        let (sim, clock) = (sim.clone(), sim.clock());
        Self { sim, clock, client, keys, store, reconnection: reconnection(), deleted: Vec::new(), registrations: 0 }
    }

    fn of_group(sim: &Simulator) -> Self {
        let key = sim.device_key(&id("dev-01")).expect("an enrollment");
        Self::new(sim, [key.clone(), key], Memory::default())
    }

    fn send(&mut self, assignment: &Assignment) -> Result<(), HubFailure> {
        if self.deleted.contains(assignment.hub()) {
            return Err(HubFailure::UNREACHABLE);
        }
        let [first, second] = &self.keys;
        let mut credentials = HubCredentials::with_keys(assignment, first, second).expect("two keys");
        let time = assignment.time_at(self.clock.now()).expect("a clock");
        let token = credentials.token(time).expect("signs");
        let target = format!("/devices/{}/messages/events?api-version=2020-03-13", assignment.device_id());
        let answer = self.sim.request("POST", &target, &[("Authorization", token.as_str())], b"21 degrees");
        match answer.ok_or(HubFailure::UNREACHABLE)? {
            answer if answer.status() == 204 => Ok(()),
            // The simulator's hub has one kind of 403.
            answer if answer.status() == 403 => Err(HubFailure::http(403).with_code_name("IotHubQuotaExceeded")),
            answer => Err(HubFailure::http(answer.status())),
        }
    }

    /// Boots, and goes on until the hub has taken a message or this time has passed; the hub that it did not get through to.
    fn run(&mut self, limit: Duration) -> Result<Assignment, HubName> {
        let ends_at = self.clock.elapsed() + limit;
        let mut assignment = self.client.load_or_register(&mut self.store).expect("assigned");
        while self.clock.elapsed() < ends_at {
            let Err(failure) = self.send(&assignment) else {
                self.reconnection.connected();
                return Ok(assignment);
            };
            match self.reconnection.failed(failure, self.clock.now()) {
                Advice::Retry { after } => self.clock.advance(after),
                Advice::Register => {
                    self.registrations += 1;
                    assignment = self.client.register_and_store(&mut self.store).unwrap_or(assignment);
                }
            }
        }
        Err(assignment.hub().clone())
    }
}

fn group() -> EnrollmentGroup {
    EnrollmentGroup::new("line-7", &GroupKey::from_bytes(&[1; 64]).expect("a key"))
}

/// How often a device was asked to register, by the service's own count.
fn register_requests(sim: &Simulator) -> usize {
    sim.records()
        .iter()
        .filter(|record| matches!(record, Record::Request { asked: Asked::Register { .. }, .. }))
        .count()
}

#[test]
fn a_second_boot_goes_straight_to_the_hub() {
    let sim = Simulator::builder().group(group()).build();
    let mut device = Device::of_group(&sim);
    device.run(seconds(60)).expect("connected");
    let requests = sim.records().len();
    let store = std::mem::take(&mut device.store);
    let key = sim.device_key(&id("dev-01")).expect("an enrollment");
    let mut rebooted = Device::new(&sim, [key.clone(), key], store);
    rebooted.run(seconds(60)).expect("connected");
    assert_eq!((register_requests(&sim), rebooted.registrations), (1, 0));
    // A message: the request and the telemetry.
    assert_eq!(sim.records().len(), requests + 2);
}

/// A simulator whose allocation goes to `a.example` once and then to `b.example`.
fn two_hubs() -> Simulator {
    let first = std::sync::atomic::AtomicBool::new(true);
    let hub = move || if first.swap(false, std::sync::atomic::Ordering::SeqCst) { "a.example" } else { "b.example" };
    let builder = Simulator::builder().group(group()).hub(host("a.example")).hub(host("b.example"));
    builder.allocation(move |_| Allocation::hub(host(hub()))).build()
}

#[test]
fn a_deleted_hub_is_given_up_after_30_minutes_for_the_one_that_took_its_place() {
    let sim = two_hubs();
    let mut device = Device::of_group(&sim);
    assert_eq!(device.run(seconds(60)).expect("connected").hub().as_str(), "a.example");
    device.deleted.push(host("a.example").into());
    let before = sim.clock().elapsed();
    assert_eq!(device.run(seconds(7200)).expect("connected").hub().as_str(), "b.example");
    let took = (sim.clock().elapsed() - before).as_secs();
    assert!((1800..2300).contains(&took), "{took}");
    assert_eq!(device.registrations, 1);
    // And the next boot knows.
    assert_eq!(device.run(seconds(60)).expect("connected").hub().as_str(), "b.example");
}

#[test]
fn a_deleted_hub_that_nothing_takes_the_place_of_makes_a_device_register_once_an_hour() {
    let sim = Simulator::builder().group(group()).hub(host("a.example")).build();
    let mut device = Device::of_group(&sim);
    device.run(seconds(60)).expect("connected");
    device.deleted.push(host("a.example").into());
    device.run(seconds(24 * 3600)).expect_err("there is no hub");
    assert!((19..=24).contains(&device.registrations), "{}", device.registrations);
    device.deleted.clear();
    device.run(seconds(3600)).expect("connected");
}

#[test]
fn a_hub_out_of_reach_for_20_minutes_costs_no_registration() {
    let sim = Simulator::builder().group(group()).build();
    let mut device = Device::of_group(&sim);
    let hub = device.run(seconds(60)).expect("connected").hub().clone();
    device.deleted.push(hub);
    device.run(seconds(20 * 60)).expect_err("the network is down");
    device.deleted.clear();
    device.run(seconds(300)).expect("connected");
    assert_eq!((device.registrations, register_requests(&sim)), (0, 1));
}

#[test]
fn a_device_that_was_moved_to_another_hub_registers_at_the_first_refusal() {
    let sim = two_hubs();
    let mut device = Device::of_group(&sim);
    device.run(seconds(60)).expect("connected");
    // Somebody else moves it: a tool of the operator, with the same key.
    let mut tool = Device::of_group(&sim);
    assert_eq!(tool.run(seconds(60)).expect("connected").hub().as_str(), "b.example");
    let before = sim.clock().elapsed();
    assert_eq!(device.run(seconds(7200)).expect("connected").hub().as_str(), "b.example");
    assert!(sim.clock().elapsed() - before < seconds(30), "no half hour is lost");
    assert_eq!(device.registrations, 1);
}

#[test]
fn a_device_that_its_hub_does_not_know_registers_once() {
    // The store is from a service that has forgotten everything since.
    let mut device = Device::of_group(&Simulator::builder().group(group()).build());
    device.run(seconds(60)).expect("connected");
    let sim = Simulator::builder().group(group()).build();
    let store = std::mem::take(&mut device.store);
    let mut device = Device::new(&sim, device.keys, store);
    device.run(seconds(60)).expect("connected");
    assert_eq!((device.registrations, register_requests(&sim)), (1, 1));
}

#[test]
fn a_quota_that_is_used_up_makes_a_device_wait_and_not_register() {
    let sim = Simulator::builder().group(group()).hub_quota(1).build();
    let mut device = Device::of_group(&sim);
    device.run(seconds(60)).expect("connected");
    device.run(seconds(24 * 3600)).expect_err("the quota is used up");
    assert_eq!((device.registrations, register_requests(&sim)), (0, 1));
    assert!(sim.records().len() < 60, "{} requests in a day", sim.records().len());
}

#[test]
fn a_busy_hub_makes_a_device_wait_and_not_register() {
    let sim = Simulator::builder().group(group()).build();
    let mut device = Device::of_group(&sim);
    device.run(seconds(60)).expect("connected");
    sim.device(&id("dev-01")).answer(429).times(3);
    sim.device(&id("dev-01")).answer(503).times(5);
    device.run(seconds(3600)).expect("connected");
    assert_eq!((device.registrations, register_requests(&sim)), (0, 1));
}

#[test]
fn a_key_that_was_rolled_is_refused_by_the_hub_and_found_by_the_registration() {
    let [old, new, second] = [[1; 32], [2; 32], [3; 32]].map(|bytes| DeviceKey::from_bytes(&bytes).expect("a key"));
    let enrolled = |primary: &DeviceKey| {
        let individual = IndividualEnrollment::new(id("dev-01"), primary.clone()).secondary_key(second.clone());
        Simulator::builder().individual(individual).build()
    };
    let mut device = Device::new(&enrolled(&old), [old.clone(), second.clone()], Memory::default());
    assert_eq!(device.run(seconds(60)).expect("connected").key_used(), Some(KeySlot::Primary));

    let sim = enrolled(&new);
    // The hub knows the device with its new keys.
    Device::new(&sim, [new.clone(), second.clone()], Memory::default()).run(seconds(60)).expect("connected");
    let mut device = Device::new(&sim, device.keys, device.store);
    assert_eq!(device.run(seconds(60)).expect("connected").key_used(), Some(KeySlot::Secondary));
    assert_eq!(device.registrations, 1);
    // The store remembers which key it is, for the hub and for the next registration.
    let mut rebooted = Device::new(&sim, device.keys, device.store);
    assert_eq!(rebooted.run(seconds(60)).expect("connected").key_used(), Some(KeySlot::Secondary));
    assert_eq!(rebooted.registrations, 0);
    let refusals =
        || sim.records().iter().filter(|record| matches!(record, Record::Request { status: Some(401), .. })).count();
    let before = refusals();
    rebooted.client.register_and_store(&mut rebooted.store).expect("assigned");
    assert_eq!(refusals(), before, "the key that was rolled is not tried first again");
}

#[test]
fn the_time_that_a_registration_was_taught_serves_the_hub_too() {
    let run = common::Drive {
        settings: &common::settings(),
        signer: &common::key(),
        session: azure_iot_dps::registration::Session::default(),
        start: azure_iot_dps::time::Now { unix: None, uptime: seconds(5) },
        latency: Duration::ZERO,
    };
    let refused =
        common::refused(401, 401_002).map(|answer| answer.with_header("Date", "Thu, 01 Jan 2026 00:00:00 GMT"));
    let assignment = run.run([refused, common::assigned()]).result.expect("assigned");
    let now = |uptime, unix| azure_iot_dps::time::Now { unix, uptime: seconds(uptime) };
    assert_eq!(assignment.time_at(now(65, None)), Some(time(60)));
    assert_eq!(assignment.time_at(now(65, Some(time(90)))), Some(time(90)), "a clock that was set since is right");
    assert_eq!(self::assignment().time_at(now(65, None)), None);
}
