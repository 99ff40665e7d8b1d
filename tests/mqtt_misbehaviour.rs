//! Tests wrong behavior of MQTT peers over real TLS: each case ends in an assignment or a typed
//! error.
#![cfg(all(feature = "mqtt", feature = "ring"))]
#![allow(clippy::expect_used, clippy::panic, clippy::too_many_lines, reason = "a test may panic, and a table be long")]

mod common;
#[path = "common/mqtt_peer.rs"]
mod mqtt_peer;
#[path = "common/peer.rs"]
mod peer;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use azure_iot_dps::attestation::AttestationKind;
use azure_iot_dps::error::{TransportError, TransportErrorKind as Kind};
use azure_iot_dps::registration::{Registration, Step};
use azure_iot_dps::time::Now;
use azure_iot_dps::{Assignment, Clock, Error, ProvisioningClient, Transport};
use common::{id, key, scope, seconds};
use mqtt_peer::{Arrived, answer, assigned, connack, encode, message, mqtt_peer, puback, rid, transport};
use peer::{Peer, Stream, say};
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{ConnectReturnCode, Packet, Publish, SubAck, SubscribeReasonCode, UnsubAck};

/// A deadline in the middle of the fifth wait, so that the last request of the device has 40 s, whatever
/// the machine does meanwhile.
const DEADLINE: Duration = Duration::from_secs(100);

/// A clock that advances only while a registration waits, so that retries take no real time.
struct Virtual(Duration);

impl Clock for Virtual {
    fn now(&mut self) -> Now {
        common::at(self.0.as_secs())
    }

    fn sleep(&mut self, pause: Duration) {
        self.0 += pause.max(seconds(1));
    }
}

fn register(peer: &Peer, deadline: Duration) -> Result<Assignment, Error> {
    let client = ProvisioningClient::builder(scope(), id("dev-01"), key()).endpoint(peer.endpoint()).deadline(deadline);
    client.build_with(transport(peer), Virtual(Duration::ZERO)).register()
}

/// The first packet that the peer answers wrongly.
#[derive(Clone, Copy, PartialEq)]
enum Instead {
    Connect,
    Subscribe,
    Publish,
}

/// The expected effect.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    /// The wrong bytes are ignored.
    Unharmed,
    /// The request fails with this kind, and the next one succeeds.
    Again(Kind),
    /// The connection is lost without an error, and the request is sent again over a new one at
    /// once.
    Resent,
    /// The answer is not valid, and the next request succeeds.
    Foreign,
}

use Instead::{Connect, Subscribe};
use Then::{Again, Foreign, Resent, Unharmed};

type Sent = fn(&Publish) -> Vec<u8>;

/// The wrong bytes for the first of these packets, whether the connection is closed after them, and
/// the expected effect.
///
/// If the connection stays open, an assignment follows the bytes.
struct Case {
    name: &'static str,
    instead: Instead,
    bytes: Sent,
    close: bool,
    then: Then,
}

const fn case(name: &'static str, instead: Instead, bytes: Sent, close: bool, then: Then) -> Case {
    Case { name, instead, bytes, close, then }
}

const BROKEN: Then = Again(Kind::AnswerBroken);
const REFUSED: Then = Again(Kind::ConnectionRefused);

fn cases() -> Vec<Case> {
    let mut cases = vec![
        case(
            "a protocol level that is not taken",
            Connect,
            |_| connack(ConnectReturnCode::RefusedProtocolVersion),
            true,
            REFUSED,
        ),
        case("a client ID that is not taken", Connect, |_| connack(ConnectReturnCode::BadClientId), true, REFUSED),
        case("an unavailable server", Connect, |_| connack(ConnectReturnCode::ServiceUnavailable), true, REFUSED),
        case("a return code that there is not", Connect, |_| b"\x20\x02\x00\x2a".to_vec(), true, REFUSED),
        case("a CONNACK with flags that there are not", Connect, |_| b"\x20\x02\x02\x00".to_vec(), true, BROKEN),
        case("a CONNACK that is too short", Connect, |_| b"\x20\x01\x00".to_vec(), true, BROKEN),
        case("a SUBACK before the CONNACK", Connect, |_| b"\x90\x03\x00\x01\x01".to_vec(), true, BROKEN),
        case("a message before the CONNACK", Connect, assigned, true, BROKEN),
        case("two CONNACKs", Connect, |_| b"\x20\x02\x00\x00\x20\x02\x00\x00".to_vec(), false, BROKEN),
        case("no MQTT at all", Connect, |_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), true, BROKEN),
        case("a length of five bytes", Connect, |_| b"\x20\x80\x80\x80\x80\x01".to_vec(), true, BROKEN),
        case("nothing at all", Connect, |_| Vec::new(), true, BROKEN),
        case("a subscription that is refused", Subscribe, |_| b"\x90\x03\x00\x01\x80".to_vec(), false, REFUSED),
        case("a SUBACK of two subscriptions", Subscribe, |_| b"\x90\x04\x00\x01\x01\x01".to_vec(), false, BROKEN),
        case("a SUBACK at QoS 3", Subscribe, |_| b"\x90\x03\x00\x01\x03".to_vec(), false, BROKEN),
        case("a SUBACK of nothing", Subscribe, |_| b"\x90\x02\x00\x01".to_vec(), false, BROKEN),
        case(
            "a SUBACK of another subscription first",
            Subscribe,
            |_| b"\x90\x03\x00\x09\x80\x90\x03\x00\x01\x01".to_vec(),
            false,
            Unharmed,
        ),
        case("a farewell in the place of a SUBACK", Subscribe, |_| b"\xe0\x00".to_vec(), true, BROKEN),
    ];
    cases.extend(instead_of_an_answer());
    cases
}

/// Returns the cases of bytes before or instead of the answer.
fn instead_of_an_answer() -> Vec<Case> {
    const AT: Instead = Instead::Publish;
    vec![
        case("an acknowledgement and nothing else", AT, puback, true, Resent),
        case("nothing at all", AT, |_| Vec::new(), true, Resent),
        case("a part of an answer", AT, |publish| assigned(publish)[..100].to_vec(), true, Resent),
        case(
            "an answer to another request",
            AT,
            |_| message("$dps/registrations/res/401/?$rid=77", "{}"),
            false,
            Unharmed,
        ),
        case(
            "an answer without a number",
            AT,
            |_| message("$dps/registrations/res/401/?retry-after=3", "{}"),
            false,
            Unharmed,
        ),
        case(
            "an answer with a number that is none",
            AT,
            |_| message("$dps/registrations/res/401/?$rid=+1", "{}"),
            false,
            Unharmed,
        ),
        case("an answer without parameters", AT, |_| message("$dps/registrations/res/401/", "{}"), false, Unharmed),
        case(
            "an answer without a status",
            AT,
            |publish| message(&format!("$dps/registrations/res/?$rid={}", rid(publish)), "{}"),
            false,
            Unharmed,
        ),
        case("a status that is none", AT, |publish| answer(publish, 99, "", "{}"), false, Unharmed),
        case("a status of four digits", AT, |publish| answer(publish, 2000, "", "{}"), false, Unharmed),
        case("a strange topic", AT, |_| message("devices/dev-01/messages/devicebound/", "hello"), false, Unharmed),
        case(
            "a message at QoS 2",
            AT,
            |_| encode(Packet::Publish(Publish { pkid: 7, ..Publish::new("a", QoS::ExactlyOnce, "") })),
            false,
            BROKEN,
        ),
        case("a CONNACK that nobody asked for", AT, |_| connack(ConnectReturnCode::Success), false, BROKEN),
        case("a farewell", AT, |_| b"\xe0\x00".to_vec(), true, BROKEN),
        case("packets of QoS 2", AT, |_| b"\x50\x02\x00\x02".to_vec(), false, BROKEN),
        case("a packet type that there is not", AT, |_| b"\xf0\x00".to_vec(), false, BROKEN),
        case("a length of five bytes", AT, |_| b"\x32\xff\xff\xff\xff\x01".to_vec(), false, BROKEN),
        case("a length beyond the bound", AT, |_| b"\x32\xff\xff\xff\x7f".to_vec(), false, Again(Kind::AnswerTooLarge)),
        case("a topic that is not UTF-8", AT, |_| b"\x30\x03\x00\x01\xff".to_vec(), false, BROKEN),
        case("a topic that is longer than its packet", AT, |_| b"\x30\x03\x00\x09a".to_vec(), false, BROKEN),
        case("a topic filter for a topic", AT, |_| b"\x30\x03\x00\x01#".to_vec(), false, Unharmed),
        case("a ping's answer that nobody asked for", AT, |_| b"\xd0\x00".to_vec(), false, Unharmed),
        case("an UNSUBACK that nobody asked for", AT, |_| encode(Packet::UnsubAck(UnsubAck::new(3))), false, Unharmed),
        case("an acknowledgement of something else", AT, |_| b"\x40\x02\x12\x34".to_vec(), false, Unharmed),
        case("an acknowledgement of nothing", AT, |_| b"\x40\x02\x00\x00".to_vec(), false, BROKEN),
        case(
            "a second SUBACK that refuses",
            AT,
            |_| encode(Packet::SubAck(SubAck::new(1, vec![SubscribeReasonCode::Failure]))),
            false,
            Unharmed,
        ),
        case("two answers in one", AT, |publish| assigned(publish).repeat(2), false, Unharmed),
        case(
            "an answer before its acknowledgement",
            AT,
            |publish| [assigned(publish), puback(publish)].concat(),
            false,
            Unharmed,
        ),
        case(
            "an answer at QoS 0, kept and sent again",
            AT,
            |publish| {
                let topic = format!("$dps/registrations/res/200/?$rid={}", rid(publish));
                encode(Packet::Publish(Publish {
                    retain: true,
                    ..Publish::new(topic, QoS::AtMostOnce, common::ASSIGNED)
                }))
            },
            false,
            Unharmed,
        ),
        case(
            "a delay that is no number",
            AT,
            |publish| answer(publish, 200, "&retry-after=soon", common::ASSIGNED),
            false,
            Unharmed,
        ),
        case(
            "a delay that is negative",
            AT,
            |publish| answer(publish, 200, "&retry-after=-3", common::ASSIGNED),
            false,
            Unharmed,
        ),
        case("a body that is not JSON", AT, |publish| answer(publish, 200, "", "<html>"), false, Foreign),
        case(
            "a body that is not UTF-8",
            AT,
            |publish| answer(publish, 200, "", b"{\"status\":\"\xff\"}".to_vec()),
            false,
            Foreign,
        ),
        case("no body", AT, |publish| answer(publish, 200, "", ""), false, Foreign),
        case(
            "JSON 30,000 levels deep",
            AT,
            |publish| answer(publish, 200, "", [vec![b'['; 30_000], vec![b']'; 30_000]].concat()),
            false,
            Foreign,
        ),
        case(
            "a status and nothing else",
            AT,
            |publish| answer(publish, 200, "", r#"{"status":"assigned"}"#),
            false,
            Foreign,
        ),
        case("a gateway's error", AT, |publish| answer(publish, 502, "", "<html>"), false, Foreign),
    ]
}

/// Starts a peer that misbehaves the first time, or every time.
fn wrong(case: &Case, always: bool) -> Peer {
    let Case { instead, bytes, close, .. } = *case;
    mqtt_peer(move |arrived: &Arrived<'_>, stream: &mut Stream| {
        let nobody = Publish::new("a/?$rid=1", QoS::AtMostOnce, "");
        let (kind, publish) = match arrived.packet {
            Packet::Connect(_) => (Connect, &nobody),
            Packet::Subscribe(_) => (Subscribe, &nobody),
            Packet::Publish(publish) => (Instead::Publish, publish),
            _ => return None,
        };
        let first = arrived.messages == 0 && (arrived.connection == 0 || kind == Instead::Publish);
        if kind != instead || !(first || always) {
            return None;
        }
        let mut sent = bytes(publish);
        if kind == Instead::Publish && !close {
            sent.extend([puback(publish), assigned(publish)].concat());
        }
        let goes_on = say(stream, &sent);
        Some(if close { ControlFlow::Break(()) } else { goes_on })
    })
}

#[test]
fn whatever_a_peer_does_wrong_is_survived_and_the_device_is_assigned_after_all() {
    let cases = cases();
    assert!(cases.len() > 50);
    for case in cases {
        let peer = wrong(&case, false);
        let assignment = register(&peer, seconds(900)).unwrap_or_else(|error| panic!("{}: {error:?}", case.name));
        let (requests, connections) = match case.then {
            Unharmed => (1, 1),
            Resent => (1, 2),
            Again(_) => (2, 2),
            Foreign => (2, 1),
        };
        assert_eq!((assignment.requests(), peer.handshakes().len()), (requests, connections), "{}", case.name);
        assert!(peer.requests().iter().all(|request| request.starts_with("$dps/registrations/PUT/")), "{}", case.name);
    }
}

#[test]
fn what_goes_on_being_wrong_ends_at_the_deadline_with_the_reason() {
    for case in cases() {
        let expected = match case.then {
            Unharmed => continue,
            Again(kind) => Some(kind),
            Resent => Some(Kind::AnswerBroken),
            Foreign => None,
        };
        let peer = wrong(&case, true);
        let error = register(&peer, DEADLINE).expect_err(case.name);
        assert!(error.is_transient() && error.retry_after().is_some(), "{}: {error:?}", case.name);
        assert_eq!(error.transport().map(TransportError::kind), expected, "{}: {error:?}", case.name);
    }
}

#[test]
fn credentials_that_are_refused_are_a_401() {
    for code in [ConnectReturnCode::BadUserNamePassword, ConnectReturnCode::NotAuthorized] {
        let peer = mqtt_peer(move |arrived, stream| match arrived.packet {
            Packet::Connect(_) => {
                let _ = say(stream, &connack(code));
                Some(ControlFlow::Break(()))
            }
            _ => None,
        });
        let error = register(&peer, seconds(900)).expect_err("refused");
        assert!(matches!(&error, Error::Service(service) if service.status() == 401), "{error:?}");
        assert!(error.retry_after() >= Some(seconds(30 * 60)), "{error:?}");
        assert_eq!(peer.handshakes().len(), 1, "it is final");
    }
}

#[test]
fn an_answer_in_single_bytes_is_read_like_any_other() {
    let peer = mqtt_peer(|arrived, stream| match arrived.packet {
        Packet::Publish(publish) => {
            let bytes = [puback(publish), assigned(publish)].concat();
            bytes.iter().try_for_each(|byte| say(stream, &[*byte])).into()
        }
        _ => None,
    });
    assert_eq!(register(&peer, seconds(900)).expect("assigned").requests(), 1);
}

#[test]
fn a_delay_of_any_size_does_not_outlast_the_deadline() {
    let peer = mqtt_peer::answering(|publish| {
        answer(publish, 429, "&retry-after=99999999999999999999999", r#"{"errorCode":429001}"#)
    });
    let error = register(&peer, seconds(900)).expect_err("throttled");
    assert!(matches!(error, Error::DeadlineExceeded(_)), "{error:?}");
    assert_eq!(peer.requests().len(), 1);
}

#[test]
fn a_connection_that_dies_after_any_byte_of_what_a_peer_says_is_a_failure_that_passes() {
    const CONNACK: usize = 4;
    const SUBACK: usize = 5;
    let publish = Publish { pkid: 2, ..Publish::new("a/?$rid=1", QoS::AtLeastOnce, "") };
    let whole = CONNACK + SUBACK + puback(&publish).len() + assigned(&publish).len();
    let cut_at = Arc::new(AtomicUsize::new(0));
    let peer = cut_after(Arc::clone(&cut_at));
    let settings = common::settings().endpoint(peer.endpoint());
    let key = key();
    for cut in 0..=whole {
        cut_at.store(cut, Ordering::SeqCst);
        let mut transport = transport(&peer);
        let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
        let Ok(Step::Send(request)) = common::step(&mut registration, &key, common::at(0)) else {
            panic!("the first step sends")
        };
        let answer = transport.send(&request);
        assert_eq!(answer.is_ok(), cut == whole, "{cut} of {whole} bytes: {answer:?}");
        registration.receive(answer, common::at(0));
        let next = common::step(&mut registration, &key, common::at(0)).expect("a failure that passes");
        assert_eq!(matches!(next, Step::Done(_)), cut == whole, "{cut} of {whole} bytes");
    }
}

/// Starts a peer that sends this number of bytes on each connection, then closes it.
fn cut_after(bytes: Arc<AtomicUsize>) -> Peer {
    mqtt_peer(move |arrived, stream| {
        let (before, packet) = match arrived.packet {
            Packet::Connect(_) => (0, connack(ConnectReturnCode::Success)),
            Packet::Subscribe(_) => (4, b"\x90\x03\x00\x01\x01".to_vec()),
            Packet::Publish(publish) => (9, [puback(publish), assigned(publish)].concat()),
            _ => return None,
        };
        let left = bytes.load(Ordering::SeqCst).saturating_sub(before);
        let part = packet.get(..left).unwrap_or(&packet);
        let goes_on = say(stream, part);
        Some(if part.len() < packet.len() { ControlFlow::Break(()) } else { goes_on })
    })
}

#[test]
fn a_peer_that_drips_or_says_nothing_ends_at_the_deadline() {
    for drip in [false, true] {
        let peer = mqtt_peer(move |arrived, stream| {
            let Packet::Publish(publish) = arrived.packet else { return None };
            for byte in assigned(publish) {
                if drip && say(stream, &[byte]).is_break() {
                    break;
                }
                std::thread::park_timeout(Duration::from_millis(300));
                if !drip && stream.sock.peek(&mut [0]).is_ok_and(|length| length == 0) {
                    break;
                }
            }
            Some(ControlFlow::Break(()))
        });
        let error = register(&peer, seconds(1)).expect_err("too slow");
        assert_eq!(error.transport().map(TransportError::kind), Some(Kind::TimedOut), "{error:?}");
    }
}
