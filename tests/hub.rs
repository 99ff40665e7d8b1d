//! Tests what follows an assignment: the credentials for the hub, and what a device does if the hub
//! is gone.
#![allow(clippy::expect_used, clippy::panic, clippy::unchecked_time_subtraction, reason = "a test may panic")]

mod common;

use std::borrow::Cow;
use std::time::Duration;

use azure_iot_dps::attestation::KeySlot;
use azure_iot_dps::error::{StoreError, TransportError, TransportErrorKind};
use azure_iot_dps::hub::{Advice, AssignmentStore, HubFailure, Reconnection, X509Credentials};
use azure_iot_dps::identity::{HostName, HubName, ModuleId};
use azure_iot_dps::key::{Signer, SignerError};
use azure_iot_dps::protocol::{Operation, Request, Response};
use azure_iot_dps::time::UnixTime;
use azure_iot_dps::transport::FnTransport;
use azure_iot_dps::{Assignment, Attestation, Clock, DeviceKey, HubCredentials, ProvisioningClient, SasToken};
use azure_iot_dps_simulator::{
    Allocation, Asked, EnrollmentGroup, IndividualEnrollment, Record, Simulator, SimulatorClock, SymmetricKey,
};
use common::{Memory, NEW_YEAR, id, seconds};
use sha2::{Digest, Sha256};

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
    let password = SasToken::parse(login.password().expect("a token")).expect("a token");
    assert!(password.verify(&common::key()) && password.expires_at() == time(3600));
}

#[test]
fn a_user_name_carries_the_model_id_and_other_properties_percent_encoded() {
    let mut credentials = HubCredentials::new(&assignment(), common::key()).expect("the primary key");
    let login = credentials.mqtt(time(0)).expect("signs");
    let login = login.with_model_id("dtmi:com:example:Thermostat;1").with_property("DeviceClientType", "a/b c&d");
    assert_eq!(
        login.user_name(),
        "my-hub.azure-devices.net/dev-01/?api-version=2021-04-12&model-id=dtmi%3Acom%3Aexample%3AThermostat%3B1\
         &DeviceClientType=a%2Fb%20c%26d"
    );
}

#[test]
fn a_module_has_its_own_client_id_user_name_token_and_connection_string() {
    let module = || ModuleId::new("sensor$1").expect("valid");
    let mut credentials = HubCredentials::for_module(&assignment(), module(), common::key());
    assert_eq!(credentials.module_id(), Some(&module()));
    let token = credentials.token(time(0)).expect("signs");
    assert_eq!(token.resource_uri(), "my-hub.azure-devices.net/devices/dev-01/modules/sensor$1");
    assert!(token.verify(&common::key()));
    let login = credentials.mqtt(time(0)).expect("signs");
    assert_eq!(login.client_id(), "dev-01/sensor$1");
    assert_eq!(login.user_name(), "my-hub.azure-devices.net/dev-01/sensor$1/?api-version=2021-04-12");
    let expected =
        format!("HostName=my-hub.azure-devices.net;DeviceId=dev-01;ModuleId=sensor$1;SharedAccessKey={}", common::KEY);
    assert_eq!(credentials.connection_string().as_str(), expected);

    let credentials = X509Credentials::for_module(&assignment(), module());
    assert_eq!((credentials.mqtt().client_id(), credentials.mqtt().password()), ("dev-01/sensor$1", None));
    assert_eq!(
        credentials.connection_string(),
        "HostName=my-hub.azure-devices.net;DeviceId=dev-01;ModuleId=sensor$1;x509=true"
    );
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

// Reconnect or ask the service, against the simulator's DPS and hub, in virtual time

fn reconnection() -> Reconnection {
    Reconnection::new(id("dev-01"))
}

/// A device that boots from its store and sends messages to its hub, in virtual time.
struct Device {
    sim: Simulator,
    clock: SimulatorClock,
    client: ProvisioningClient,
    keys: [DeviceKey; 2],
    store: Memory,
    reconnection: Reconnection,
    /// The hubs that no longer answer.
    deleted: Vec<HubName>,
    /// The numbers of advices to look up and to register.
    lookups: usize,
    registrations: usize,
}

impl Device {
    fn new(sim: &Simulator, keys: [DeviceKey; 2], store: Memory) -> Self {
        let attestation = Attestation::symmetric_keys(keys[0].clone(), keys[1].clone());
        let client = ProvisioningClient::builder(sim.id_scope(), id("dev-01"), attestation)
            .build_with(sim.transport(), sim.clock());
        let (sim, clock) = (sim.clone(), sim.clock());
        Self {
            sim,
            clock,
            client,
            keys,
            store,
            reconnection: reconnection(),
            deleted: Vec::new(),
            lookups: 0,
            registrations: 0,
        }
    }

    fn of_group(sim: &Simulator) -> Self {
        let key = common::key_of(sim, &id("dev-01"));
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
            // The simulator's hub has only one kind of 403.
            answer if answer.status() == 403 => Err(HubFailure::http(403).with_code_name("IotHubQuotaExceeded")),
            answer => Err(HubFailure::http(answer.status())),
        }
    }

    /// Boots, and continues until the hub has accepted a message or the limit has passed. The error
    /// is the hub that accepted no message.
    fn run(&mut self, limit: Duration) -> Result<Assignment, HubName> {
        let ends_at = self.clock.elapsed() + limit;
        let mut assignment = self.client.load_or_register(&mut self.store).expect("assigned");
        while self.clock.elapsed() < ends_at {
            let Err(failure) = self.send(&assignment) else {
                self.reconnection.connected(self.clock.now());
                return Ok(assignment);
            };
            match self.reconnection.failed(failure, self.clock.now()) {
                Advice::Retry { after } => self.clock.advance(after),
                Advice::LookUp => {
                    self.lookups += 1;
                    assignment = self.client.look_up_or_register(&mut self.store).unwrap_or(assignment);
                }
                Advice::Register => {
                    self.registrations += 1;
                    assignment = self.client.register_and_store(&mut self.store).unwrap_or(assignment);
                }
                other => panic!("{other:?}"),
            }
        }
        Err(assignment.hub().clone())
    }
}

fn group() -> EnrollmentGroup {
    EnrollmentGroup::new("line-7", SymmetricKey::from_bytes(&[1; 64]).expect("a key"))
}

/// Returns the number of register requests that the service counted.
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
    let key = common::key_of(&sim, &id("dev-01"));
    let mut rebooted = Device::new(&sim, [key.clone(), key], store);
    rebooted.run(seconds(60)).expect("connected");
    assert_eq!((register_requests(&sim), rebooted.registrations), (1, 0));
    // A message: the request and the telemetry.
    assert_eq!(sim.records().len(), requests + 2);
}

/// Creates a simulator that assigns `a.example` once, then `b.example`.
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
    assert_eq!((device.lookups, device.registrations), (1, 1));
    // The next boot uses the new assignment.
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
fn a_device_that_was_moved_to_another_hub_learns_it_by_a_lookup_that_costs_nothing() {
    let sim = two_hubs();
    let mut device = Device::of_group(&sim);
    device.run(seconds(60)).expect("connected");
    // A tool of the operator moves the device, with the same key.
    let mut tool = Device::of_group(&sim);
    assert_eq!(tool.run(seconds(60)).expect("connected").hub().as_str(), "b.example");
    let before = sim.clock().elapsed();
    assert_eq!(device.run(seconds(7200)).expect("connected").hub().as_str(), "b.example");
    assert!(sim.clock().elapsed() - before < seconds(130), "no half hour is lost");
    assert_eq!((device.lookups, device.registrations), (1, 0));
    let store = std::mem::take(&mut device.store);
    let mut rebooted = Device::new(&sim, device.keys, store);
    assert_eq!(rebooted.run(seconds(60)).expect("connected").hub().as_str(), "b.example", "the next boot knows");
    assert_eq!((rebooted.lookups, rebooted.registrations), (0, 0));
}

#[test]
fn a_device_that_its_hub_does_not_know_registers_once() {
    // The store is from a service that has lost all its data.
    let mut device = Device::of_group(&Simulator::builder().group(group()).build());
    device.run(seconds(60)).expect("connected");
    let sim = Simulator::builder().group(group()).build();
    let store = std::mem::take(&mut device.store);
    let mut device = Device::new(&sim, device.keys, store);
    device.run(seconds(300)).expect("connected");
    // There is nothing to look up, so that the advice to look up registers.
    assert_eq!((device.lookups, device.registrations, register_requests(&sim)), (1, 0, 1));
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
        let [primary, second] =
            [primary, &second].map(|key| SymmetricKey::from_base64(key.to_base64().as_str()).expect("a key"));
        let individual = IndividualEnrollment::new(id("dev-01"), primary).secondary_key(second);
        Simulator::builder().individual(individual).build()
    };
    let mut device = Device::new(&enrolled(&old), [old.clone(), second.clone()], Memory::default());
    assert_eq!(device.run(seconds(60)).expect("connected").key_used(), Some(KeySlot::Primary));

    let sim = enrolled(&new);
    // The hub knows the device with its new keys.
    Device::new(&sim, [new.clone(), second.clone()], Memory::default()).run(seconds(60)).expect("connected");
    let mut device = Device::new(&sim, device.keys, device.store);
    assert_eq!(device.run(seconds(300)).expect("connected").key_used(), Some(KeySlot::Secondary));
    assert_eq!((device.lookups, device.registrations), (1, 0), "a lookup finds the key, too");
    // The store keeps which key was accepted, for the hub and for the next registration.
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

// The advice to look up

/// Creates a client whose requests all get this answer.
fn answered_by(
    answer: impl FnMut(&Request<'_>) -> Result<Response<'static>, TransportError> + Send + 'static,
) -> ProvisioningClient {
    let sim = Simulator::builder().build();
    ProvisioningClient::builder(common::scope(), id("dev-01"), common::key())
        .build_with(FnTransport::new(answer), sim.clock())
}

/// A store that counts its writes.
#[derive(Default)]
struct Counted {
    memory: Memory,
    saves: usize,
}

impl AssignmentStore for Counted {
    fn load(&mut self) -> Result<Cow<'_, [u8]>, StoreError> {
        self.memory.load()
    }

    fn save(&mut self, record: &[u8]) -> Result<(), StoreError> {
        self.saves += 1;
        self.memory.save(record)
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        self.memory.clear()
    }
}

/// Returns the answer to a lookup with this hub, without an enclosing body.
fn looked_up(hub: &str) -> Response<'static> {
    common::answer(200, &format!(r#"{{"status":"assigned","assignedHub":"{hub}","deviceId":"dev-01"}}"#))
}

#[test]
fn a_lookup_writes_the_store_only_where_the_device_has_another_hub() {
    let hubs = ["a.example", "a.example", "b.example", "b.example"];
    let mut answers = hubs.into_iter().map(looked_up);
    let mut client = answered_by(move |_| Ok(answers.next().expect("an answer")));
    let mut store = Counted::default();
    for (hub, saves) in hubs.into_iter().zip([1, 1, 2, 2]) {
        assert_eq!(client.look_up_or_register(&mut store).expect("assigned").hub().as_str(), hub);
        assert_eq!(store.saves, saves, "{hub}");
    }
    assert_eq!(client.load_or_register(&mut store).expect("stored").hub().as_str(), "b.example");
}

#[test]
fn a_device_that_has_nothing_to_look_up_or_no_way_to_do_it_registers() {
    type Lookup = fn() -> Result<Response<'static>, TransportError>;
    let lookups: [Lookup; 3] = [
        || Ok(common::answer(404, r#"{"errorCode":404201}"#)),
        || Ok(common::answer(200, "null")),
        || Err(TransportErrorKind::Unsupported.into()),
    ];
    for lookup in lookups {
        let mut client = answered_by(move |request| match request.operation() {
            Operation::StatusLookup => lookup(),
            _ => common::assigned().map_err(Into::into),
        });
        let mut store = Memory::default();
        assert_eq!(
            client.look_up_or_register(&mut store).expect("assigned").hub().as_str(),
            "my-hub.azure-devices.net"
        );
        assert!(!store.0.is_empty());
    }
}

#[test]
fn a_lookup_that_fails_leaves_the_store_as_it_was_and_a_later_format_alone() {
    let mut store = Memory::default();
    answered_by(|_| Ok(looked_up("a.example"))).look_up_or_register(&mut store).expect("assigned");
    let before = store.0.clone();
    let mut refusing = answered_by(|_| common::refused(401, 401_002).map_err(Into::into));
    assert_eq!(refusing.look_up_or_register(&mut store).expect_err("refused").status(), Some(401));
    assert_eq!(store.0, before);

    let body = String::from_utf8(before)
        .expect("text")
        .split_once('\n')
        .expect("two lines")
        .1
        .replace(r#""format":1"#, r#""format":2"#);
    let checksum: String =
        Sha256::digest(&body).iter().take(8).fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    store.0 = format!("azure-iot-dps assignment {checksum} {}\n{body}", body.len()).into_bytes();
    let later = store.0.clone();
    let mut client = answered_by(|_| Ok(looked_up("b.example")));
    assert_eq!(client.look_up_or_register(&mut store).expect("assigned").hub().as_str(), "b.example");
    assert!(matches!(client.store_error(), Some(StoreError::LaterFormat { found: 2, known: 1 })));
    assert_eq!(store.0, later);
}

#[test]
fn the_certificates_of_a_registration_survive_a_lookup_that_does_not_tell_them() {
    let with_chain = common::ASSIGNED.replace(r#""etag""#, r#""issuedCertificateChain":["TQ==","Ug=="],"etag""#);
    let mut store = Memory::default();
    answered_by(move |_| Ok(common::answer(200, &with_chain))).register_and_store(&mut store).expect("assigned");
    for hub in ["my-hub.azure-devices.net", "b.example"] {
        let mut client = answered_by(move |_| Ok(looked_up(hub)));
        let found = client.look_up_or_register(&mut store).expect("assigned");
        assert_eq!(found.certificates().collect::<Vec<_>>(), [b"M", b"R"], "{hub}");
        let stored = client.load_or_register(&mut store).expect("stored");
        assert_eq!((stored.hub().as_str(), stored.certificates().len()), (hub, 2));
    }
}
