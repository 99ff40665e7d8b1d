//! Tests the simulator's service and hub over MQTT with an independent codec, in virtual time.
#![allow(
    clippy::expect_used,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::unchecked_time_subtraction,
    reason = "a test may"
)]

mod common;
#[path = "common/mqtt_client.rs"]
mod mqtt_client;

use std::time::Duration;

use azure_iot_dps::hub::HubCredentials;
use azure_iot_dps::identity::DeviceId;
use azure_iot_dps::sas::Resource;
use azure_iot_dps::time::UnixTime;
use azure_iot_dps::{Clock, DeviceKey, ProvisioningClient, SasToken};
use azure_iot_dps_simulator::{Asked, Limits, Record, Simulator, SimulatorMqtt};
use common::{id, seconds};
use mqtt_client::{ConnectReturnCode, Granted, Link, MESSAGE, Packet, QoS};

const HUB: &str = "simulated-hub.azure-devices.net";
const DEVICE_BOUND: &str = "devices/dev-01/messages/devicebound/#";
const TELEMETRY: &str = "devices/dev-01/messages/events/";

type Client = mqtt_client::Client<SimulatorMqtt>;

impl Link for SimulatorMqtt {
    fn write(&mut self, bytes: &[u8]) {
        self.write(bytes);
    }

    /// Waits a second.
    fn read(&mut self) -> Option<Vec<u8>> {
        self.read(seconds(1)).filter(|bytes| !bytes.is_empty())
    }

    fn is_closed(&mut self) -> bool {
        self.read(seconds(1)).is_some_and(|bytes| bytes.is_empty())
    }
}

fn open(sim: &Simulator) -> Client {
    Client::new(sim.mqtt())
}

/// Returns a simulator with an assigned device, and the device's key.
fn assigned() -> (Simulator, DeviceKey) {
    let sim = Simulator::builder().assigning_polls(0).build();
    let key = common::key_of(&sim, &id("dev-01"));
    let client = ProvisioningClient::builder(sim.id_scope(), id("dev-01"), key.clone());
    client.build_with(sim.mqtt_transport(), sim.clock()).register().expect("assigned");
    (sim, key)
}

fn token(sim: &Simulator, key: &DeviceKey, resource: &str, lifetime: u64) -> String {
    let now = sim.clock().now().unix.expect("a clock");
    let expires_at = UnixTime::from_secs(now.as_secs() + lifetime);
    SasToken::sign(Resource::uri(resource), key, expires_at).expect("signs").as_str().to_owned()
}

fn hub_token(sim: &Simulator, key: &DeviceKey) -> String {
    token(sim, key, &format!("{HUB}/devices/dev-01"), 3600)
}

fn hub_user(device: &str) -> String {
    format!("{HUB}/{device}/?api-version=2021-04-12&DeviceClientType=x%2F1")
}

/// Returns a device that is connected to its hub.
fn connected(sim: &Simulator, key: &DeviceKey) -> Client {
    let mut client = open(sim);
    let code = client.connect("dev-01", &hub_user("dev-01"), &hub_token(sim, key), 60);
    assert_eq!(code, ConnectReturnCode::ConnectionAccepted);
    client
}

fn telemetry(sim: &Simulator) -> Vec<Vec<u8>> {
    let records = sim.records().into_iter();
    records.filter_map(|record| if let Record::Telemetry { body, .. } = record { Some(body) } else { None }).collect()
}

fn asked(sim: &Simulator) -> Vec<(Asked, Option<u16>)> {
    let records = sim.records().into_iter();
    records
        .filter_map(
            |record| if let Record::Request { asked, status, .. } = record { Some((asked, status)) } else { None },
        )
        .collect()
}

// The service

fn scope_user(version: &str) -> String {
    format!("0ne00002193/registrations/dev-01/api-version={version}&ClientVersion=a%2Fb")
}

const REGISTER: &str = "$dps/registrations/PUT/iotdps-register/?$rid=abc";
const ANSWERS: &str = "$dps/registrations/res/#";

/// Returns a device that is connected to the service.
fn at_service(sim: &Simulator, password: &str) -> Client {
    let mut client = open(sim);
    assert_eq!(client.connect("dev-01", &scope_user("2021-06-01"), password, 0), ConnectReturnCode::ConnectionAccepted);
    client
}

fn service_token(sim: &Simulator) -> String {
    let key = common::key_of(sim, &id("dev-01"));
    token(sim, &key, "0ne00002193/registrations/dev-01", 3600)
}

#[test]
fn the_service_acknowledges_a_request_before_it_answers_at_qos_1_and_repeats_its_number_as_sent() {
    let sim = Simulator::builder().build();
    // Official clients send the body empty, blank, or without the ID.
    for (body, rid, qos) in [
        ("", "abc", QoS::Level1),
        (" ", "1", QoS::Level0),
        (r#"{"payload":{"a":1}}"#, "", QoS::Level1),
        (r#"{"registrationId":"dev-01"}"#, "2f0c-7", QoS::Level1),
    ] {
        let mut client = at_service(&sim, &service_token(&sim));
        assert_eq!(client.subscribe(ANSWERS, QoS::Level2), Granted::AtLeastOnce);
        client.publish(&REGISTER.replace("abc", rid), qos, body);
        if qos == QoS::Level1 {
            assert_eq!(client.receive(), Some(Packet::PubAck(MESSAGE)), "{body}");
        }
        let answer = client.message();
        assert_eq!(answer.topic, format!("$dps/registrations/res/202/?$rid={rid}&retry-after=3"), "{body}");
        assert!(answer.packet_id.is_some(), "QoS 1");
        client.acknowledge(&answer);
    }
}

#[test]
fn a_token_that_is_wrong_is_answered_on_the_topic_and_not_by_the_connack() {
    let sim = Simulator::builder().build();
    let mut client = at_service(&sim, "nonsense");
    client.subscribe(ANSWERS, QoS::Level1);
    client.publish(REGISTER, QoS::Level0, "");
    let answer = client.message();
    assert_eq!(answer.topic, "$dps/registrations/res/401/?$rid=abc");
    assert!(answer.payload.starts_with(br#"{"errorCode":401002,"#), "{answer:?}");
}

#[test]
fn registrations_and_polls_are_throttled_on_the_topic_each_by_their_own_limit() {
    let limits = Limits::NONE.registrations_per_minute(1).polls_per_10_s(1).retry_after(seconds(7));
    let sim = Simulator::builder().limits(limits).build();
    let mut client = at_service(&sim, &service_token(&sim));
    client.subscribe(ANSWERS, QoS::Level1);
    let mut statuses = Vec::new();
    let mut operation_id = String::new();
    for number in 0..4 {
        let topic = if number < 2 {
            REGISTER.to_owned()
        } else {
            format!("$dps/registrations/GET/iotdps-get-operationstatus/?$rid=1&operationId={operation_id}")
        };
        client.publish(&topic, QoS::Level0, "");
        let answer = client.message();
        if number == 0 {
            let body: serde_json::Value = serde_json::from_slice(&answer.payload).expect("JSON");
            operation_id = body["operationId"].as_str().expect("text").replace('.', "%2E");
        }
        let (status, parameters) = answer.topic["$dps/registrations/res/".len()..].split_once("/?").expect("both");
        statuses.push((status.to_owned(), parameters.contains("retry-after=7")));
    }
    let expected = [("202", false), ("429", true), ("202", false), ("429", true)];
    assert_eq!(statuses, expected.map(|(status, throttled)| (status.to_owned(), throttled)));
}

#[test]
fn who_does_not_subscribe_hears_nothing_and_who_publishes_elsewhere_is_cut_off() {
    let sim = Simulator::builder().build();
    let mut client = at_service(&sim, &service_token(&sim));
    assert_eq!(client.subscribe("#", QoS::Level1), Granted::Refused);
    client.publish(REGISTER, QoS::Level1, "");
    assert_eq!(client.receive(), Some(Packet::PubAck(MESSAGE)));
    assert!(client.receive().is_none() && !client.is_closed());

    client.subscribe(ANSWERS, QoS::Level1);
    client.unsubscribe(ANSWERS);
    client.publish(REGISTER, QoS::Level0, "");
    assert!(client.receive().is_none() && !client.is_closed());

    for topic in ["$dps/registrations/POST/x/?$rid=1", "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=1", "a"]
    {
        let mut client = at_service(&sim, &service_token(&sim));
        client.publish(topic, QoS::Level0, "");
        assert!(client.is_closed(), "{topic}");
    }
}

#[test]
fn a_connection_that_is_no_devices_is_refused_with_its_code() {
    let sim = Simulator::builder().build();
    let refused = |client_id: &str, user_name: &str| {
        let mut client = open(&sim);
        let code = client.connect(client_id, user_name, "x", 60);
        assert!(client.is_closed(), "{user_name}");
        code
    };
    assert_eq!(refused("dev-02", &scope_user("2021-06-01")), ConnectReturnCode::IdentifierRejected);
    assert_eq!(refused("dev-01", "nobody"), ConnectReturnCode::NotAuthorized);
    let mut client = open(&sim);
    client.link.write(b"\x10\x0e\x00\x06MQIsdp\x03\x02\x00\x00\x00\x00");
    let refused = Packet::ConnAck { code: ConnectReturnCode::UnacceptableProtocolVersion, session_present: false };
    assert_eq!(client.receive(), Some(refused));
}

#[test]
fn what_goes_wrong_on_purpose_goes_wrong_over_mqtt_too() {
    let sim = Simulator::builder().build();
    let device = sim.device(&id("dev-01"));
    let ask = |sim: &Simulator| {
        let mut client = at_service(sim, &service_token(sim));
        client.subscribe(ANSWERS, QoS::Level1);
        client.publish(REGISTER, QoS::Level1, "");
        client
    };
    device.drop_before_answer();
    assert!(ask(&sim).is_closed());
    device.cut_after(30);
    let mut client = ask(&sim);
    let part = client.link.read(seconds(1)).expect("something");
    assert!(part.len() == 30 && client.is_closed());
    device.drop_after_answer();
    let mut client = ask(&sim);
    assert_eq!(client.receive(), Some(Packet::PubAck(MESSAGE)));
    assert!(matches!(client.receive(), Some(Packet::Publish(_))) && client.is_closed());
    device.answer_out_of_order();
    let mut client = ask(&sim);
    assert!(matches!(client.receive(), Some(Packet::Publish(_))));
    assert!(client.receive() == Some(Packet::PubAck(MESSAGE)) && !client.is_closed());
    device.garbage(b"HTTP/1.1 200 OK");
    let mut client = ask(&sim);
    assert_eq!(client.link.read(seconds(1)).as_deref(), Some(&b"HTTP/1.1 200 OK"[..]));
    assert!(client.is_closed());
    device.silence();
    let mut client = ask(&sim);
    assert!(client.receive().is_none() && !client.is_closed());
    client.send(&mqtt_client::pingreq());
    assert!(client.link.read(seconds(3600)).is_none(), "not even a ping is answered");
    device.answer_slowly(seconds(20));
    let before = sim.clock().elapsed();
    let mut client = ask(&sim);
    assert!(client.link.read(seconds(30)).is_some_and(|bytes| !bytes.is_empty()));
    assert_eq!(sim.clock().elapsed() - before, seconds(20));
    device.answer(503).header("Retry-After", "soon");
    let mut client = ask(&sim);
    assert_eq!(client.receive(), Some(Packet::PubAck(MESSAGE)));
    assert_eq!(client.message().topic, "$dps/registrations/res/503/?$rid=abc&retry-after=soon");
    assert_eq!(asked(&sim).iter().filter(|(_, status)| status.is_none()).count(), 3, "{:?}", asked(&sim));
}

// The hub

#[test]
fn the_hub_checks_who_connects() {
    let (sim, key) = assigned();
    let good = hub_token(&sim, &key);
    let connect =
        |client_id: &str, user_name: &str, password: &str| open(&sim).connect(client_id, user_name, password, 60);
    assert_eq!(connect("dev-01", &hub_user("dev-01"), &good), ConnectReturnCode::ConnectionAccepted);
    let refused = ConnectReturnCode::NotAuthorized;
    let of_dps = token(&sim, &key, "0ne00002193/registrations/dev-01", 3600);
    let expired = token(&sim, &key, &format!("{HUB}/devices/dev-01"), 0);
    let other = hub_token(&sim, &common::key());
    for password in ["", "nonsense", &of_dps, &expired, &other] {
        assert_eq!(connect("dev-01", &hub_user("dev-01"), password), refused, "{password}");
    }
    assert_eq!(connect("dev-02", &hub_user("dev-02"), &good), refused, "a device that it does not know");
    let elsewhere = hub_user("dev-01").replace(HUB, "another.azure-devices.net");
    assert_eq!(connect("dev-01", &elsewhere, &good), refused, "a device of another hub");
    assert_eq!(connect("dev-02", &hub_user("dev-01"), &good), ConnectReturnCode::IdentifierRejected);
    let attempts = asked(&sim).into_iter().filter(|(asked, _)| matches!(asked, Asked::Connect { .. }));
    let statuses: Vec<_> = attempts.filter_map(|(_, status)| status).collect();
    assert_eq!(statuses, [200, 401, 401, 401, 401, 401, 404, 404]);
}

#[test]
fn what_this_crate_says_of_a_hub_lets_a_device_in() {
    let sim = Simulator::builder().assigning_polls(0).build();
    let key = common::key_of(&sim, &id("dev-01"));
    let client = ProvisioningClient::builder(sim.id_scope(), id("dev-01"), key.clone());
    let assignment = client.build_with(sim.transport(), sim.clock()).register().expect("assigned");
    let mut credentials = HubCredentials::new(&assignment, key).expect("a key");
    let login = credentials.mqtt(sim.clock().now().unix.expect("a clock")).expect("signs");
    let mut client = open(&sim);
    let code = client.connect(login.client_id(), login.user_name(), login.password().expect("a token"), 60);
    assert_eq!(code, ConnectReturnCode::ConnectionAccepted);
}

#[test]
fn a_module_has_a_client_id_a_token_and_topics_of_its_own() {
    let (sim, key) = assigned();
    let user_name = format!("{HUB}/dev-01/mod-7/?api-version=2021-04-12");
    let connect = |resource: &str| {
        let mut client = open(&sim);
        (client.connect("dev-01/mod-7", &user_name, &token(&sim, &key, resource, 3600), 60), client)
    };
    assert_eq!(connect(&format!("{HUB}/devices/dev-01")).0, ConnectReturnCode::NotAuthorized);
    let (code, mut client) = connect(&format!("{HUB}/devices/dev-01/modules/mod-7"));
    assert_eq!(code, ConnectReturnCode::ConnectionAccepted);
    client.publish("devices/dev-01/modules/mod-7/messages/events/", QoS::Level1, "21 °C");
    assert_eq!(client.receive(), Some(Packet::PubAck(MESSAGE)));
    assert_eq!(telemetry(&sim), ["21 °C".as_bytes()]);
    client.publish(TELEMETRY, QoS::Level1, "as the device");
    assert!(client.is_closed());
}

#[test]
fn telemetry_is_taken_at_qos_0_and_1_and_counted_as_over_https() {
    let (sim, key) = assigned();
    let mut client = connected(&sim, &key);
    client.publish(TELEMETRY, QoS::Level0, "first");
    client.publish("devices/dev-01/messages/events/%24.ct=text&a=b", QoS::Level1, "second");
    assert_eq!(client.receive(), Some(Packet::PubAck(MESSAGE)));
    assert_eq!(telemetry(&sim), [&b"first"[..], b"second"]);
    assert!(client.ping());
    client.send(&mqtt_client::disconnect());
    assert!(client.is_closed());
    for (topic, qos) in [("devices/dev-02/messages/events/", QoS::Level0), (TELEMETRY, QoS::Level2)] {
        let mut client = connected(&sim, &key);
        client.publish(topic, qos, "no");
        assert!(client.is_closed(), "{topic}");
    }
    assert_eq!(telemetry(&sim).len(), 2);
}

#[test]
fn a_quota_that_is_used_up_and_a_message_that_is_too_large_end_the_connection() {
    let sim = Simulator::builder().assigning_polls(0).hub_quota(1).build();
    let key = common::key_of(&sim, &id("dev-01"));
    let client = ProvisioningClient::builder(sim.id_scope(), id("dev-01"), key.clone());
    client.build_with(sim.transport(), sim.clock()).register().expect("assigned");
    let mut client = connected(&sim, &key);
    client.publish(TELEMETRY, QoS::Level1, &"x".repeat(257 * 1024));
    assert!(client.is_closed());
    let mut client = connected(&sim, &key);
    client.publish(TELEMETRY, QoS::Level1, "one");
    assert_eq!(client.receive(), Some(Packet::PubAck(MESSAGE)));
    client.publish(TELEMETRY, QoS::Level1, "two");
    assert!(client.is_closed());
    assert_eq!(telemetry(&sim), [b"one"]);
}

#[test]
fn a_message_from_the_cloud_waits_for_the_device_and_is_delivered_until_it_is_acknowledged() {
    let (sim, key) = assigned();
    let device_id = DeviceId::new("dev-01").expect("valid");
    assert!(sim.send_to_device(&device_id, b"open the door"));
    let mut client = connected(&sim, &key);
    assert!(client.receive().is_none(), "it has not subscribed");
    assert_eq!(client.subscribe(DEVICE_BOUND, QoS::Level1), Granted::AtLeastOnce);
    let message = client.message();
    assert!(message.topic.starts_with("devices/dev-01/messages/devicebound/"), "{message:?}");
    assert_eq!((&message.payload[..], message.packet_id.is_some()), (&b"open the door"[..], true));
    drop(client);
    // The message was not acknowledged, so the next connection receives it again.
    let mut client = connected(&sim, &key);
    client.subscribe(DEVICE_BOUND, QoS::Level1);
    let message = client.message();
    client.acknowledge(&message);
    assert!(sim.send_to_device(&device_id, b"close it"));
    assert_eq!(&client.message().payload[..], b"close it", "while it is connected");
    drop(client);
    let mut client = connected(&sim, &key);
    client.subscribe(DEVICE_BOUND, QoS::Level0);
    assert_eq!(&client.message().payload[..], b"close it");
    let mut client = connected(&sim, &key);
    client.subscribe(DEVICE_BOUND, QoS::Level0);
    assert!(client.receive().is_none(), "at QoS 0 it is sent once");
}

#[test]
fn no_more_than_50_messages_wait_for_a_device() {
    let (sim, key) = assigned();
    let device_id = DeviceId::new("dev-01").expect("valid");
    let taken = (0..60).filter(|_| sim.send_to_device(&device_id, b"x")).count();
    assert_eq!(taken, 50);
    let mut client = connected(&sim, &key);
    client.subscribe(DEVICE_BOUND, QoS::Level1);
    let mut delivered = 0;
    while let Some(Packet::Publish(message)) = client.receive() {
        delivered += 1;
        client.acknowledge(&message);
    }
    assert_eq!(delivered, 50);
}

#[test]
fn a_message_from_the_cloud_is_had_over_http_too_and_is_gone_once_it_is_completed() {
    let (sim, key) = assigned();
    let authorization = hub_token(&sim, &key);
    let ask = |method: &str, path: &str| {
        let target = format!("/devices/dev-01/messages/{path}?api-version=2020-03-13");
        let answer = sim.request(method, &target, &[("Authorization", &authorization)], b"");
        let answer = answer.expect("an answer");
        (answer.status(), answer.body().to_vec())
    };
    assert_eq!(ask("GET", "devicebound"), (204, Vec::new()));
    assert!(sim.send_to_device(&DeviceId::new("dev-01").expect("valid"), b"open the door"));
    assert_eq!(ask("GET", "devicebound"), (200, b"open the door".to_vec()));
    assert_eq!(ask("GET", "devicebound").0, 204, "it is locked");
    sim.clock().advance(seconds(61));
    assert_eq!(ask("GET", "devicebound").0, 200, "and given out again");
    assert_eq!(ask("DELETE", "devicebound/nonsense").0, 412);
    assert_eq!((ask("POST", "events").0, ask("POST", "events/").0), (204, 204), "with a slash or without");
    assert_eq!(
        sim.request("GET", "/devices/dev-01/messages/devicebound?api-version=1", &[], b"").map(|it| it.status()),
        Some(401)
    );
}

#[test]
fn a_twin_is_empty_and_what_is_reported_is_taken() {
    let (sim, key) = assigned();
    let mut client = connected(&sim, &key);
    for filter in ["$iothub/twin/res/#", "$iothub/methods/POST/#", "$iothub/twin/PATCH/properties/desired/#"] {
        assert_eq!(client.subscribe(filter, QoS::Level0), Granted::AtMostOnce, "{filter}");
    }
    for filter in ["#", "devices/dev-02/messages/devicebound/#", "$SYS/#"] {
        assert_eq!(client.subscribe(filter, QoS::Level0), Granted::Refused, "{filter}");
    }
    client.publish("$iothub/twin/GET/?$rid=4", QoS::Level1, "");
    assert_eq!(client.receive(), Some(Packet::PubAck(MESSAGE)));
    let twin = client.message();
    assert_eq!(twin.topic, "$iothub/twin/res/200/?$rid=4");
    let twin: serde_json::Value = serde_json::from_slice(&twin.payload).expect("JSON");
    assert_eq!((&twin["desired"]["$version"], &twin["reported"]["$version"]), (&1.into(), &1.into()));
    client.publish("$iothub/twin/PATCH/properties/reported/?$rid=5", QoS::Level0, r#"{"a":1}"#);
    assert_eq!(client.message().topic, "$iothub/twin/res/204/?$rid=5&$version=2");
    client.publish("$iothub/methods/res/200/?$rid=6", QoS::Level0, "{}");
    assert!(client.receive().is_none() && !client.is_closed());
}

#[test]
fn a_second_connection_of_the_same_client_ends_the_first_and_a_token_ends_with_its_time() {
    let (sim, key) = assigned();
    let mut first = connected(&sim, &key);
    let mut second = connected(&sim, &key);
    assert!(first.is_closed() && !second.is_closed());
    let mut short = open(&sim);
    let token = token(&sim, &key, &format!("{HUB}/devices/dev-01"), 30);
    assert_eq!(short.connect("dev-01", &hub_user("dev-01"), &token, 0), ConnectReturnCode::ConnectionAccepted);
    assert!(short.link.read(seconds(20)).is_none());
    assert_eq!(short.link.read(seconds(20)).as_deref(), Some(&[][..]));
}

#[test]
fn who_is_silent_for_one_and_a_half_times_the_keep_alive_is_gone() {
    let (sim, key) = assigned();
    let mut client = connected(&sim, &key);
    for _ in 0..3 {
        assert!(client.link.read(seconds(80)).is_none());
        assert!(client.ping());
    }
    let before = sim.clock().elapsed();
    assert_eq!(client.link.read(seconds(600)).as_deref(), Some(&[][..]));
    assert_eq!(sim.clock().elapsed() - before, seconds(90));
}

// Hostile clients

#[test]
fn bytes_that_are_no_mqtt_are_too_many_or_come_too_slowly_end_the_connection() {
    let sim = Simulator::builder().build();
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x10\xff\xff\xff\xff",
        b"\x10\xff\xff\xff\x7f",
        b"\x30\x03\x00\x01a",
        b"\xc0\x00",
    ] {
        let mut client = open(&sim);
        client.link.write(bytes);
        assert!(client.is_closed(), "{bytes:?}");
    }
    let wait = |bytes: &[u8]| {
        let mut client = open(&sim);
        let before = sim.clock().elapsed();
        client.link.write(bytes);
        assert_eq!(client.link.read(Duration::MAX).as_deref(), Some(&[][..]));
        sim.clock().elapsed() - before
    };
    assert_eq!((wait(b""), wait(b"\x10\x7f\x00\x04MQTT")), (seconds(60), seconds(30)));
    let mut client = at_service(&sim, "x");
    let before = sim.clock().elapsed();
    client.link.write(b"\x30\x7f\x00\x01a");
    assert_eq!(client.link.read(Duration::MAX).as_deref(), Some(&[][..]));
    assert_eq!(sim.clock().elapsed() - before, seconds(30));
    let mut client = at_service(&sim, "x");
    client.link.write(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00");
    assert!(client.is_closed(), "a second CONNECT");
}

/// Returns the packet with this first byte instead of its own.
fn with_first(mut packet: Vec<u8>, first: u8) -> Vec<u8> {
    packet[0] = first;
    packet
}

/// Returns the short packet with these bytes behind it, and counts them in its length.
fn with_tail(mut packet: Vec<u8>, tail: &[u8]) -> Vec<u8> {
    packet[1] += u8::try_from(tail.len()).expect("short");
    packet.extend(tail);
    assert!(packet[1] < 128 && packet.len() == usize::from(packet[1]) + 2, "{packet:02x?}");
    packet
}

/// Checks that a device at its hub is cut off without an answer when it sends this packet.
fn is_cut_off(sim: &Simulator, key: &DeviceKey, packet: &[u8]) {
    let mut client = connected(sim, key);
    let before = sim.records().len();
    client.send(packet);
    assert!(client.is_closed(), "{packet:02x?}");
    assert_eq!(sim.records().len(), before, "{packet:02x?}");
}

/// Packets of a device with a message that it may acknowledge, and whether they are answered.
fn sound_packets() -> [(Vec<u8>, bool); 4] {
    [
        (mqtt_client::subscribe(7, DEVICE_BOUND, QoS::Level1), true),
        (mqtt_client::unsubscribe(7, DEVICE_BOUND), true),
        (mqtt_client::puback(7), false),
        (mqtt_client::pingreq(), true),
    ]
}

#[test]
fn a_packet_with_other_flags_than_its_own_is_not_answered_and_ends_the_connection() {
    let (sim, key) = assigned();
    for (packet, is_answered) in sound_packets() {
        let own = packet[0];
        for flags in 0..16 {
            let changed = with_first(packet.clone(), own & 0xf0 | flags);
            if changed != packet {
                is_cut_off(&sim, &key, &changed);
            }
        }
        let mut client = connected(&sim, &key);
        client.send(&packet);
        assert!(client.receive().is_some() == is_answered && !client.is_closed(), "{packet:02x?}");
    }
}

#[test]
fn a_packet_with_bytes_that_are_left_over_or_reserved_bits_is_not_answered_and_ends_the_connection() {
    let (sim, key) = assigned();
    for (packet, _) in sound_packets() {
        is_cut_off(&sim, &key, &with_tail(packet, b"x"));
    }
    let subscribe = mqtt_client::subscribe(7, DEVICE_BOUND, QoS::Level1);
    for qos in [3, 4, 0x81] {
        let mut changed = subscribe.clone();
        *changed.last_mut().expect("a QoS") = qos;
        is_cut_off(&sim, &key, &changed);
    }
}

#[test]
fn a_packet_id_of_0_and_a_subscription_to_nothing_are_not_answered_and_end_the_connection() {
    let (sim, key) = assigned();
    for packet in [
        mqtt_client::subscribe(0, DEVICE_BOUND, QoS::Level1),
        mqtt_client::unsubscribe(0, DEVICE_BOUND),
        mqtt_client::puback(0),
        mqtt_client::publish(0, TELEMETRY, QoS::Level1, "no"),
        b"\x82\x02\x00\x07".to_vec(),
        b"\xa2\x02\x00\x07".to_vec(),
        b"\x82\x05\x00\x07\x00\x00\x01".to_vec(),
        b"\xa2\x04\x00\x07\x00\x00".to_vec(),
        b"\x82\x06\x00\x07\x00\x01\0\x01".to_vec(),
        b"\xa2\x05\x00\x07\x00\x01\0".to_vec(),
        b"\x82\x0d\x00\x07\x00\x08devices#\x01".to_vec(),
        b"\x82\x0f\x00\x07\x00\x0adevices/#/\x01".to_vec(),
        b"\xa2\x0e\x00\x07\x00\x0adevices/++".to_vec(),
    ] {
        is_cut_off(&sim, &key, &packet);
    }
    assert!(telemetry(&sim).is_empty());
}

#[test]
fn a_message_to_no_topic_to_a_wildcard_or_with_a_qos_that_is_none_is_not_taken() {
    let (sim, key) = assigned();
    // `%` stands for a byte that a topic must not have.
    let topic = "devices/dev-01/messages/events/%";
    for first in [0x30, 0x32] {
        let message = |topic: &str| {
            let qos = if first == 0x30 { QoS::Level0 } else { QoS::Level1 };
            mqtt_client::publish(7, topic, qos, "no")
        };
        for byte in *b"+#\0" {
            let mut changed = message(topic);
            let place = changed.iter().position(|byte| *byte == b'%').expect("the mark");
            changed[place] = byte;
            is_cut_off(&sim, &key, &changed);
        }
        is_cut_off(&sim, &key, &with_first(message(TELEMETRY), first | 0x06));
    }
    is_cut_off(&sim, &key, b"\x30\x04\x00\x00no");
    is_cut_off(&sim, &key, b"\x32\x06\x00\x00\x00\x07no");
    // A message of QoS 0 is never sent again.
    is_cut_off(&sim, &key, &with_first(mqtt_client::publish(7, TELEMETRY, QoS::Level0, "no"), 0x38));
    // No string ends behind its packet.
    is_cut_off(&sim, &key, b"\x30\x05\x00\x09no!");
    assert!(telemetry(&sim).is_empty());
    let mut client = connected(&sim, &key);
    client.publish(topic, QoS::Level1, "yes");
    assert_eq!(client.receive(), Some(Packet::PubAck(MESSAGE)));
}

#[test]
fn a_message_that_is_acknowledged_in_a_wrong_way_is_delivered_again() {
    let (sim, key) = assigned();
    let device_id = DeviceId::new("dev-01").expect("valid");
    assert!(sim.send_to_device(&device_id, b"open the door"));
    let flags = |packet: Vec<u8>| with_first(packet, 0x42);
    let tail = |packet: Vec<u8>| with_tail(packet, &[0]);
    let acknowledge: [&dyn Fn(Vec<u8>) -> Vec<u8>; 2] = [&flags, &tail];
    for wrong in acknowledge {
        let mut client = connected(&sim, &key);
        client.subscribe(DEVICE_BOUND, QoS::Level1);
        let message = client.message();
        assert_eq!(message.payload, b"open the door");
        client.send(&wrong(mqtt_client::puback(message.packet_id.expect("QoS 1"))));
        assert!(client.is_closed());
    }
    let mut client = connected(&sim, &key);
    client.subscribe(DEVICE_BOUND, QoS::Level1);
    let message = client.message();
    client.acknowledge(&message);
    let mut client = connected(&sim, &key);
    client.subscribe(DEVICE_BOUND, QoS::Level1);
    assert!(client.receive().is_none(), "it was acknowledged at last");
}

#[test]
fn what_only_a_server_sends_ends_the_connection() {
    let (sim, key) = assigned();
    for packet in [
        &b"\x20\x02\x00\x00"[..],
        b"\x90\x03\x00\x07\x01",
        b"\xb0\x02\x00\x07",
        b"\xd0\x00",
        b"\x00\x00",
        b"\xf0\x00",
        // The steps of QoS 2, which there is not.
        b"\x50\x02\x00\x07",
        b"\x62\x02\x00\x07",
        b"\x70\x02\x00\x07",
    ] {
        is_cut_off(&sim, &key, packet);
    }
}

#[test]
fn a_connect_that_breaks_the_protocol_is_not_answered_and_connects_nobody() {
    /// The places of bytes in a short CONNECT.
    const NAME: usize = 7;
    const FLAGS: usize = 9;
    let sim = Simulator::builder().build();
    let sound = mqtt_client::connect("dev-01", &scope_user("2021-06-01"), "x", 0);
    let with = |place: usize, byte: u8| {
        let mut changed = sound.clone();
        changed[place] = byte;
        changed
    };
    let flags = sound[FLAGS];
    let refused = [
        with(FLAGS, flags | 0x01),
        // A password without a user name.
        b"\x10\x15\x00\x04MQTT\x04\x42\x00\x3c\x00\x06dev-01\x00\x01x".to_vec(),
        // The QoS and the retaining of a will that there is not.
        with(FLAGS, flags | 0x08),
        with(FLAGS, flags | 0x20),
        with(NAME, b'X'),
        with_tail(sound.clone(), b"x"),
    ];
    for connect in refused.into_iter().chain((1..16).map(|flags| with(0, 0x10 | flags))) {
        let mut client = open(&sim);
        client.send(&connect);
        assert!(client.is_closed(), "{connect:02x?}");
    }
    let mut client = open(&sim);
    client.send(&sound);
    let accepted = Packet::ConnAck { code: ConnectReturnCode::ConnectionAccepted, session_present: false };
    assert!(client.receive() == Some(accepted) && !client.is_closed());
}

#[test]
fn a_client_of_another_version_is_refused_with_its_code_and_connects_nobody() {
    let (sim, key) = assigned();
    let before = sim.records().len();
    let login = mqtt_client::connect("dev-01", &hub_user("dev-01"), &hub_token(&sim, &key), 60);
    let level = login.windows(4).position(|name| name == b"MQTT").expect("the name") + 4;
    for other in [3, 5, 6] {
        let mut connect = login.clone();
        connect[level] = other;
        let mut client = open(&sim);
        client.send(&connect);
        let refused = Packet::ConnAck { code: ConnectReturnCode::UnacceptableProtocolVersion, session_present: false };
        assert_eq!(client.receive(), Some(refused), "level {other}");
        assert!(client.is_closed(), "level {other}");
    }
    // A CONNECT of MQTT 5, which has properties.
    let mut client = open(&sim);
    client.send(b"\x10\x11\x00\x04MQTT\x05\x02\x00\x3c\x03\x21\x00\x0a\x00\x01a");
    let refused = Packet::ConnAck { code: ConnectReturnCode::UnacceptableProtocolVersion, session_present: false };
    assert!(client.receive() == Some(refused) && client.is_closed());
    assert_eq!(sim.records().len(), before);
}

#[test]
fn what_comes_before_a_packet_that_breaks_the_protocol_is_carried_out_and_what_comes_behind_it_is_not() {
    let (sim, key) = assigned();
    let mut client = connected(&sim, &key);
    let message = |packet_id, body| mqtt_client::publish(packet_id, TELEMETRY, QoS::Level1, body);
    client.send(&[message(1, "before"), with_first(mqtt_client::pingreq(), 0xc1), message(2, "behind")].concat());
    assert_eq!(client.receive(), Some(Packet::PubAck(1)));
    assert!(client.is_closed());
    assert_eq!(telemetry(&sim), [b"before"]);
}
