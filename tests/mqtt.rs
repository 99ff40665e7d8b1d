//! Tests provisioning over MQTT, in virtual time: the MQTT view of a request, and the exchange of
//! bytes.
#![cfg(feature = "std")]
#![allow(
    clippy::expect_used,
    clippy::items_after_statements,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::unchecked_time_subtraction,
    reason = "a test may"
)]

mod common;

use std::time::Duration;

use azure_iot_dps::attestation::{Attestation, AttestationKind};
use azure_iot_dps::error::{TransportError, TransportErrorKind as Kind};
use azure_iot_dps::protocol::{Request, Response, mqtt};
use azure_iot_dps::registration::{Registration, RegistrationSettings, Step};
use azure_iot_dps::transport::mqtt::Exchange;
use azure_iot_dps::{Error, Event, ProvisioningClient, Transport};
use azure_iot_dps_simulator::{Record, Simulator};
use bytes::BytesMut;
use common::{at, id, key, scope, seconds, settings};
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{ConnAck, ConnectReturnCode, Packet, Publish, SubAck, SubscribeReasonCode};

/// Calls `work` with the first request of a registration.
fn with_request<T>(settings: &RegistrationSettings, work: impl FnOnce(&Request<'_>) -> T) -> T {
    let mut registration = Registration::new(settings, AttestationKind::SymmetricKey);
    let Ok(Step::Send(request)) = common::step(&mut registration, &key(), at(0)) else {
        panic!("the first step sends")
    };
    work(&request)
}

/// Calls `work` with a poll of this operation.
fn with_poll<T>(operation_id: &str, work: impl FnOnce(&Request<'_>) -> T) -> T {
    let settings = settings();
    let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
    assert!(matches!(common::step(&mut registration, &key(), at(0)), Ok(Step::Send(_))));
    let body = format!(r#"{{"operationId":"{operation_id}","status":"assigning"}}"#);
    registration.receive(Ok(common::answer(202, &body)), at(0));
    let Ok(Step::Send(request)) = common::step(&mut registration, &key(), at(2)) else { panic!("it polls") };
    work(&request)
}

fn encode(packet: Packet) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    packet.write(&mut bytes, usize::MAX).expect("writes");
    bytes.to_vec()
}

/// Writes all pending packets, and returns them.
fn written(exchange: &mut Exchange, now: Duration) -> Vec<Packet> {
    let mut bytes = BytesMut::from(exchange.output());
    exchange.written(bytes.len(), now);
    let mut packets = Vec::new();
    while !bytes.is_empty() {
        packets.push(Packet::read(&mut bytes, usize::MAX).expect("whole packets"));
    }
    packets
}

fn connack() -> Vec<u8> {
    encode(Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, false)))
}

fn suback() -> Vec<u8> {
    encode(Packet::SubAck(SubAck::new(1, vec![SubscribeReasonCode::Success(QoS::AtLeastOnce)])))
}

fn answer(topic: &str, body: &str) -> Vec<u8> {
    encode(Packet::Publish(Publish { pkid: 9, ..Publish::new(topic, QoS::AtLeastOnce, body) }))
}

/// Returns an exchange that has published its first request at time 0.
fn asking(request: &Request<'_>) -> Exchange {
    let mut exchange = Exchange::new(request).expect("begins");
    for bytes in [connack(), suback()] {
        written(&mut exchange, seconds(0));
        exchange.read(&bytes).expect("goes on");
    }
    written(&mut exchange, seconds(0));
    exchange
}

// The view

#[test]
fn a_request_has_the_names_and_topics_that_the_service_knows() {
    let settings = settings().product(&"acme/1.4 (lift 7)".parse().expect("valid"));
    with_request(&settings, |request| {
        let message = request.mqtt();
        assert_eq!((message.client_id(), message.port()), ("dev-01", 8883));
        let user_name = message.user_name().to_string();
        let start = "0ne00002193/registrations/dev-01/api-version=2021-06-01&ClientVersion=azure-iot-dps%2F";
        assert!(user_name.starts_with(start) && user_name.ends_with("acme%2F1.4%20%28lift%207%29"), "{user_name}");
        let password = message.password().expect("a token");
        assert!(password.starts_with("SharedAccessSignature sr=0ne00002193%2Fregistrations%2Fdev-01&sig="));
        let topic = message.topic(7).expect("a topic").to_string();
        assert_eq!(topic, "$dps/registrations/PUT/iotdps-register/?$rid=7");
        assert_eq!(message.payload(), br#"{"registrationId":"dev-01"}"#);
        let text = format!("{message:?} {:?}", message.user_name());
        assert!(!text.contains("sig=") && text.contains("dev-01"), "{text}");
    });
    with_poll("5.3/a b", |request| {
        let message = request.mqtt();
        let topic = message.topic(8).expect("a topic").to_string();
        let expected = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=8&operationId=5.3%2Fa%20b";
        assert_eq!((topic.as_str(), message.payload()), (expected, &b""[..]));
    });
    let elsewhere = common::settings().endpoint("localhost:18883".parse().expect("valid"));
    with_request(&elsewhere, |request| assert_eq!(request.mqtt().port(), 18_883));
}

#[test]
fn a_device_with_a_certificate_connects_without_a_password() {
    let settings = settings();
    let mut registration = Registration::new(&settings, AttestationKind::X509);
    let Ok(Step::Send(request)) = common::act(&mut registration, at(0)) else { panic!("nothing to sign") };
    assert_eq!(request.mqtt().password(), None);
    let mut exchange = Exchange::new(&request).expect("begins");
    let packets = written(&mut exchange, seconds(0));
    // User name and clean session only.
    assert!(matches!(&packets[..], [Packet::Connect(_)]));
    let mut again = Exchange::new(&request).expect("begins");
    let flags = again.output().windows(6).find(|window| window.starts_with(b"MQTT\x04")).expect("a CONNECT")[5];
    assert_eq!(flags, 0b1000_0010);
    written(&mut again, seconds(0));
}

#[test]
fn an_answer_is_read_out_of_its_topic_whatever_the_order_and_junk_is_nothing() {
    let read = |topic: &str| {
        let answer = mqtt::Answer::parse(topic, &b"{}"[..])?;
        let rid = answer.rid();
        let response = answer.into_response();
        Some((response.status(), rid, response.retry_after().map(|delay| delay.as_secs())))
    };
    for (topic, expected) in [
        ("$dps/registrations/res/202/?$rid=1&retry-after=3", Some((202, Some(1), Some(3)))),
        ("$dps/registrations/res/202/?retry-after=3&$rid=1", Some((202, Some(1), Some(3)))),
        ("$dps/registrations/res/401/?$rid=4294967295", Some((401, Some(u32::MAX), None))),
        ("$dps/registrations/res/200/?$rid=&retry-after=0", Some((200, None, Some(0)))),
        ("$dps/registrations/res/200/?$rid=-1&retry-after=-3", Some((200, None, None))),
        ("$dps/registrations/res/200/?$rid=4294967296&retry-after=soon&x", Some((200, None, None))),
        (
            "$dps/registrations/res/429/?$rid=2&Retry-After=99999999999999999999999",
            Some((429, Some(2), Some(u64::MAX))),
        ),
        ("$dps/registrations/res/200/?", Some((200, None, None))),
        ("$dps/registrations/res/200", None),
        ("$dps/registrations/res/200/", None),
        ("$dps/registrations/res/99/?$rid=1", None),
        ("$dps/registrations/res/600/?$rid=1", None),
        ("$dps/registrations/res/+20/?$rid=1", None),
        ("$dps/registrations/res/?$rid=1", None),
        ("$dps/registrations/PUT/iotdps-register/?$rid=1", None),
        ("", None),
    ] {
        assert_eq!(read(topic), expected, "{topic}");
    }
}

// The exchange

#[test]
fn an_exchange_says_what_the_protocol_wants_in_its_order_and_acknowledges_the_answer() {
    let settings = settings();
    with_request(&settings, |request| {
        let mut exchange = Exchange::new(request).expect("begins");
        let [Packet::Connect(connect)] = &written(&mut exchange, seconds(0))[..] else { panic!("it connects") };
        assert_eq!((connect.client_id.as_str(), connect.keep_alive, connect.clean_session), ("dev-01", 230, true));
        let login = connect.login.as_ref().expect("a login");
        assert_eq!(login.username, request.mqtt().user_name().to_string());
        assert_eq!(Some(login.password.as_str()), request.mqtt().password());
        assert!(exchange.output().is_empty(), "nothing before the CONNACK");

        exchange.read(&connack()).expect("goes on");
        let [Packet::Subscribe(subscribe)] = &written(&mut exchange, seconds(0))[..] else { panic!("it subscribes") };
        let filter = &subscribe.filters[0];
        assert_eq!((filter.path.as_str(), filter.qos), ("$dps/registrations/res/#", QoS::AtLeastOnce));

        exchange.read(&suback()).expect("goes on");
        let [Packet::Publish(publish)] = &written(&mut exchange, seconds(0))[..] else { panic!("it publishes") };
        assert_eq!(publish.topic, "$dps/registrations/PUT/iotdps-register/?$rid=1");
        assert_eq!((publish.qos, &publish.payload[..]), (QoS::AtLeastOnce, request.mqtt().payload()));
        assert!(exchange.take_answer().is_none());

        exchange.read(&answer("$dps/registrations/res/202/?$rid=1&retry-after=3", "{}")).expect("goes on");
        assert!(matches!(&written(&mut exchange, seconds(0))[..], [Packet::PubAck(ack)] if ack.pkid == 9));
        let response = exchange.take_answer().expect("an answer");
        assert_eq!((response.status(), response.body(), response.retry_after()), (202, &b"{}"[..], Some(seconds(3))));
        assert!(exchange.take_answer().is_none(), "it is taken once");
    });
}

#[test]
fn one_connection_carries_one_request_after_the_other_and_a_late_answer_to_an_earlier_one_is_passed_over() {
    let settings = settings();
    with_request(&settings, |request| {
        let mut exchange = asking(request);
        assert!(!exchange.carries(request, seconds(0)), "a request is under way");
        exchange.read(&answer("$dps/registrations/res/202/?$rid=1", "{}")).expect("goes on");
        assert_eq!(exchange.take_answer().expect("an answer").status(), 202);
        assert!(exchange.carries(request, seconds(60)));
        exchange.send(request).expect("begins");
        let packets = written(&mut exchange, seconds(60));
        assert!(
            matches!(&packets[..], [Packet::PubAck(_), Packet::Publish(publish)] if publish.topic.ends_with("$rid=2"))
        );
        exchange.read(&answer("$dps/registrations/res/500/?$rid=1", "{}")).expect("goes on");
        assert!(exchange.take_answer().is_none());
        exchange.read(&answer("$dps/registrations/res/200/?$rid=2", "{}")).expect("goes on");
        assert_eq!(exchange.take_answer().expect("an answer").status(), 200);
    });
}

#[test]
fn a_connection_carries_what_the_same_device_asks_with_the_same_token_and_nothing_else() {
    let settings = settings();
    let mut exchange = with_request(&settings, asking);
    exchange.read(&answer("$dps/registrations/res/202/?$rid=1", "{}")).expect("goes on");
    with_request(&settings, |request| assert!(exchange.carries(request, seconds(0))));
    let others = [
        common::settings().endpoint("localhost".parse().expect("valid")),
        common::settings().product(&"acme/1.4".parse().expect("valid")),
        common::settings().token_lifetime(seconds(7200)),
        RegistrationSettings::new(scope(), id("dev-02")),
    ];
    for other in others {
        with_request(&other, |request| assert!(!exchange.carries(request, seconds(0)), "{request:?}"));
    }
}

#[test]
fn an_idle_connection_is_good_for_the_keep_alive_and_for_longer_if_somebody_pings() {
    let settings = settings();
    with_request(&settings, |request| {
        let mut exchange = asking(request);
        exchange.read(&answer("$dps/registrations/res/202/?$rid=1", "{}")).expect("goes on");
        written(&mut exchange, seconds(0));
        assert!(exchange.carries(request, seconds(229)) && !exchange.carries(request, seconds(230)));

        assert_eq!(exchange.next_tick(), Some(seconds(200)));
        exchange.tick(seconds(199)).expect("nothing is due");
        assert!(exchange.output().is_empty());
        exchange.tick(seconds(200)).expect("pings");
        assert!(matches!(&written(&mut exchange, seconds(200))[..], [Packet::PingReq]));
        assert!(!exchange.carries(request, seconds(201)), "not before it is known to be alive");
        exchange.read(&encode(Packet::PingResp)).expect("goes on");
        assert!(exchange.carries(request, seconds(400)) && !exchange.carries(request, seconds(430)));

        exchange.tick(seconds(400)).expect("pings");
        assert_eq!(exchange.next_tick(), Some(seconds(430)));
        exchange.tick(seconds(429)).expect("is patient");
        assert_eq!(exchange.tick(seconds(430)).expect_err("no answer").kind(), Kind::TimedOut);
        assert_eq!((exchange.next_tick(), exchange.carries(request, seconds(430))), (None, false));
    });
}

#[test]
fn an_exchange_takes_leave_and_is_of_no_use_then() {
    let settings = settings();
    with_request(&settings, |request| {
        let mut exchange = asking(request);
        exchange.disconnect();
        assert!(matches!(&written(&mut exchange, seconds(0))[..], [Packet::Disconnect]));
        assert_eq!(exchange.send(request).expect_err("it is over").kind(), Kind::AnswerBroken);
        exchange.disconnect();
        assert!(exchange.output().is_empty(), "once");
    });
}

#[test]
fn an_operation_that_mqtt_does_not_have_is_refused_before_anything_is_said() {
    let settings = settings();
    let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey).status_lookup();
    let Ok(Step::Send(request)) = common::step(&mut registration, &key(), at(0)) else { panic!("it asks") };
    assert!(request.mqtt().topic(1).is_none());
    assert_eq!(Exchange::new(&request).expect_err("there is none").kind(), Kind::Unsupported);
}

#[test]
fn the_debug_text_of_an_exchange_and_its_errors_show_no_token() {
    let settings = settings();
    with_request(&settings, |request| {
        let exchange = Exchange::new(request).expect("begins");
        let mut other = asking(request);
        let error = other.read(request.mqtt().password().expect("a token").as_bytes()).expect_err("no packet");
        for text in [format!("{exchange:?}"), format!("{error:?}")] {
            assert!(!text.contains("sig=") && !text.contains("SharedAccess"), "{text}");
        }
    });
}

// Whole registrations

#[test]
fn a_device_registers_over_one_connection_with_a_payload_and_an_answer_of_the_largest_size() {
    let large = "x".repeat(90 * 1024);
    let answered = large.clone();
    let sim = Simulator::builder()
        .assigning_polls(2)
        .allocation(move |request| {
            let allocation = azure_iot_dps_simulator::Allocation::hub(request.hubs()[0].clone());
            allocation.payload(&answered).expect("JSON")
        })
        .build();
    let key = common::key_of(&sim, &id("dev-01"));
    let client = ProvisioningClient::builder(sim.id_scope(), id("dev-01"), key).payload(&large).expect("JSON");
    let assignment = client.build_with(sim.mqtt_transport(), sim.clock()).register().expect("assigned");
    assert_eq!(assignment.payload::<String>().expect("text").as_deref(), Some(large.as_str()));
    let asked: Vec<(usize, Option<u16>)> = sim
        .records()
        .iter()
        .filter_map(|record| match record {
            Record::Request { body, status, .. } => Some((body.len(), *status)),
            _ => None,
        })
        .collect();
    assert_eq!(asked[1..], [(0, Some(202)), (0, Some(202)), (0, Some(200))]);
    assert!(asked[0].0 > 90 * 1024);
}

#[test]
fn a_clock_that_is_wrong_is_corrected_by_the_time_in_the_error_for_mqtt_has_no_date() {
    let sim = Simulator::builder().build();
    let key = common::key_of(&sim, &id("dev-01"));
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let events = std::sync::Arc::clone(&told);
    struct Behind(azure_iot_dps_simulator::SimulatorClock);
    impl azure_iot_dps::Clock for Behind {
        fn now(&mut self) -> azure_iot_dps::time::Now {
            let now = self.0.now();
            let unix = now.unix.map(|unix| azure_iot_dps::time::UnixTime::from_secs(unix.as_secs() - 86_400));
            azure_iot_dps::time::Now { unix, ..now }
        }

        fn sleep(&mut self, pause: Duration) {
            self.0.sleep(pause);
        }
    }
    let client = ProvisioningClient::builder(sim.id_scope(), id("dev-01"), key)
        .observer(move |event: Event| events.lock().expect("not poisoned").push(format!("{event:?}")));
    client.build_with(sim.mqtt_transport(), Behind(sim.clock())).register().expect("assigned");
    let told = told.lock().expect("not poisoned");
    assert!(told.iter().any(|event| event.starts_with("ClockCorrected")), "{told:?}");
}

#[test]
fn a_look_up_is_refused_clearly_and_a_client_that_would_look_up_first_registers() {
    let sim = Simulator::builder().build();
    let key = common::key_of(&sim, &id("dev-01"));
    let client = ProvisioningClient::builder(sim.id_scope(), id("dev-01"), key);
    let mut client = client.build_with(sim.mqtt_transport(), sim.clock());
    let error = client.status_lookup().expect_err("MQTT has none");
    assert!(matches!(&error, Error::Transport(error) if error.kind() == Kind::Unsupported), "{error:?}");
    assert!(!error.is_transient() && error.remedy().contains("HTTPS"));
    assert!(sim.records().is_empty(), "nothing was asked");
    let mut store = common::Memory::default();
    client.look_up_or_register(&mut store).expect("assigned");
}

#[test]
fn a_transport_is_asked_anew_where_the_other_key_is_tried() {
    let sim = Simulator::builder().build();
    let good = common::key_of(&sim, &id("dev-01"));
    let keys = Attestation::symmetric_keys(key(), good);
    let client = ProvisioningClient::builder(sim.id_scope(), id("dev-01"), keys);
    let assignment = client.build_with(sim.mqtt_transport(), sim.clock()).register().expect("assigned");
    assert_eq!(assignment.key_used(), Some(azure_iot_dps::attestation::KeySlot::Secondary));
}

#[test]
fn connections_that_are_refused_by_a_code_are_what_the_code_says() {
    let outcome = |code: u8| {
        let sim = Simulator::builder().build();
        sim.device(&id("dev-01")).refuse_connection(code).times(1);
        let key = common::key_of(&sim, &id("dev-01"));
        let client = ProvisioningClient::builder(sim.id_scope(), id("dev-01"), key);
        client.build_with(sim.mqtt_transport(), sim.clock()).register()
    };
    outcome(3).expect("it passes");
    for code in [4, 5] {
        let error = outcome(code).expect_err("refused");
        assert_eq!((error.status(), error.error_code()), (Some(401), None), "{code}");
    }
}

/// A transport that drives the exchange step by step, as firmware does.
struct OverBytes(Simulator, Option<Exchange>);

impl Transport for OverBytes {
    fn send<'b>(&'b mut self, request: &Request<'_>) -> Result<Response<'b>, TransportError> {
        let exchange = self.1.insert(Exchange::new(request)?);
        let mut connection = self.0.mqtt();
        loop {
            // One byte at a time in both directions.
            for byte in exchange.output().to_vec() {
                connection.write(&[byte]);
                exchange.written(1, self.0.clock().elapsed());
            }
            if let Some(answer) = exchange.take_answer() {
                return Ok(answer);
            }
            for byte in connection.read(request.time_limit()).ok_or(Kind::TimedOut)? {
                exchange.read(&[byte])?;
            }
        }
    }
}

#[test]
fn single_bytes_both_ways_and_a_connection_for_each_request_are_enough() {
    let sim = Simulator::builder().assigning_polls(1).build();
    let key = common::key_of(&sim, &id("dev-01"));
    let client = ProvisioningClient::builder(sim.id_scope(), id("dev-01"), key);
    client.build_with(OverBytes(sim.clone(), None), sim.clock()).register().expect("assigned");
}
