//! Tests wrong answers over real TLS: the client survives each, and misinterprets none.
#![cfg(all(feature = "https", feature = "ring"))]
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod common;
#[cfg(feature = "mqtt")]
#[path = "common/mqtt_peer.rs"]
mod mqtt_peer;
#[path = "common/peer.rs"]
mod peer;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use azure_iot_dps::attestation::AttestationKind;
use azure_iot_dps::error::TransportErrorKind;
use azure_iot_dps::registration::{Registration, Step};
use azure_iot_dps::time::Now;
use azure_iot_dps::{Assignment, Clock, Error, HttpsTransport, ProvisioningClient, Transport};
use common::{id, key, scope, seconds};
use peer::{Peer, http, say};

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
        // Whole seconds, as `at` has them.
        self.0 += pause.max(seconds(1));
    }
}

fn register(peer: &Peer, deadline: Duration) -> Result<Assignment, Error> {
    let client = ProvisioningClient::builder(scope(), id("dev-01"), key()).endpoint(peer.endpoint()).deadline(deadline);
    client.build_with(peer.transport(), Virtual(Duration::ZERO)).register()
}

/// Returns an answer with this body.
fn json(body: &str) -> Vec<u8> {
    http("200 OK", "Content-Type: application/json\r\n", body).into_bytes()
}

/// Returns an assignment to this hub.
fn hub(hub: &str) -> Vec<u8> {
    json(&common::ASSIGNED.replace("my-hub.azure-devices.net", hub))
}

fn assigned() -> String {
    http("200 OK", "", common::ASSIGNED)
}

/// Returns answers with wrong content, for any transport: name, status, type and body.
fn bodies() -> Vec<(&'static str, u16, &'static str, Vec<u8>)> {
    const JSON: &str = "application/json";
    const HTML: &str = "text/html";
    let deep = format!(r#"{{"status":"assigned","registrationState":{}{}}}"#, "[".repeat(60_000), "]".repeat(60_000));
    vec![
        ("an empty body", 200, JSON, Vec::new()),
        ("a body of HTML", 200, HTML, b"<html>Log in</html>".to_vec()),
        ("JSON that is cut", 200, JSON, common::ASSIGNED.as_bytes()[..100].to_vec()),
        ("a body that is not UTF-8", 200, JSON, b"{\"status\":\"\xff\"}".to_vec()),
        ("JSON 60,000 levels deep", 200, JSON, deep.into_bytes()),
        ("a redirect", 307, HTML, Vec::new()),
        ("a gateway's 502", 502, HTML, b"<html>".to_vec()),
        ("a portal's 403", 403, HTML, b"blocked by policy".to_vec()),
        ("nulls everywhere", 200, JSON, br#"{"operationId":null,"status":null,"registrationState":null}"#.to_vec()),
        ("a status and nothing else", 200, JSON, br#"{"status":"assigned"}"#.to_vec()),
        ("an operation ID that is none", 200, JSON, br#"{"operationId":"..","status":"assigning"}"#.to_vec()),
    ]
}

/// Returns wrong first answers, and whether the connection is closed after them.
fn misbehaviours() -> Vec<(&'static str, Vec<u8>, bool)> {
    let carried = bodies().into_iter().map(|(name, status, content_type, body)| {
        let head = format!("HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n", body.len());
        (name, [head.as_bytes(), b"Location: https://evil.example/\r\n\r\n", &body].concat(), false)
    });
    let of_http = [
        ("no content", b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(), false),
        ("a length that promises too much", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{}".to_vec(), true),
        ("a length that is no number", b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n{}".to_vec(), true),
        ("a body without end", [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b' '; 400_000]].concat(), true),
        (
            "chunks without end",
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(), b"1\r\n \r\n".repeat(200_000)].concat(),
            true,
        ),
        ("headers without end", [b"HTTP/1.1 200 OK\r\n".to_vec(), b"X-A: b\r\n".repeat(20_000)].concat(), true),
        ("no HTTP at all", b"220 mail.example ESMTP\r\n".to_vec(), true),
        ("nothing at all", Vec::new(), true),
    ];
    carried.chain(of_http).collect()
}

#[test]
fn whatever_comes_instead_of_an_answer_is_survived_and_the_device_is_assigned_after_all() {
    for (name, bytes, close) in misbehaviours() {
        let peer = Peer::new(move |exchange, stream| {
            if exchange.number == 0 {
                let sent = say(stream, &bytes);
                return if close { ControlFlow::Break(()) } else { sent };
            }
            say(stream, assigned().as_bytes())
        });
        let assignment = register(&peer, seconds(900)).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!((assignment.hub().as_str(), assignment.requests()), ("my-hub.azure-devices.net", 2), "{name}");
        assert!(
            peer.requests()
                .iter()
                .all(|request| request.starts_with("PUT /0ne00002193/registrations/dev-01/register?")),
            "{name}"
        );
    }
}

/// Starts an MQTT peer that sends this answer, to the first request or always, and otherwise an
/// assignment.
#[cfg(feature = "mqtt")]
fn mqtt_peer_saying(status: u16, body: Vec<u8>, always: bool) -> Peer {
    let number = std::sync::atomic::AtomicUsize::new(0);
    mqtt_peer::answering(move |publish| {
        let first = number.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        if first || always {
            mqtt_peer::answer(publish, status, "", body.clone())
        } else {
            mqtt_peer::assigned(publish)
        }
    })
}

#[cfg(feature = "mqtt")]
fn register_over_mqtt(peer: &Peer, deadline: Duration) -> Result<Assignment, Error> {
    let client = ProvisioningClient::builder(scope(), id("dev-01"), key()).endpoint(peer.endpoint()).deadline(deadline);
    client.build_with(mqtt_peer::transport(peer), Virtual(Duration::ZERO)).register()
}

#[cfg(feature = "mqtt")]
#[test]
fn what_an_answer_says_wrong_is_survived_over_mqtt_as_it_is_over_https() {
    for (name, status, _, body) in bodies() {
        let peer = mqtt_peer_saying(status, body.clone(), false);
        let assignment = register_over_mqtt(&peer, seconds(900)).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!((assignment.hub().as_str(), assignment.requests()), ("my-hub.azure-devices.net", 2), "{name}");
        let peer = mqtt_peer_saying(status, body, true);
        let error = register_over_mqtt(&peer, DEADLINE).expect_err(name);
        assert!(error.is_transient() && error.retry_after().is_some(), "{name}: {error:?}");
        let Error::DeadlineExceeded(error) = &error else { panic!("{name}: {error:?}") };
        assert!(error.last().is_some(), "{name}");
    }
}

#[cfg(feature = "mqtt")]
#[test]
fn an_assignment_that_cannot_be_used_is_final_over_mqtt_too() {
    for hub in ["https://evil.example/x", "a.example\\r\\nHost: b", ""] {
        let body = common::ASSIGNED.replace("my-hub.azure-devices.net", hub);
        let peer = mqtt_peer_saying(200, body.into_bytes(), true);
        let error = register_over_mqtt(&peer, seconds(900)).expect_err(hub);
        let Error::UnexpectedAnswer(answer) = &error else { panic!("{hub}: {error:?}") };
        assert_eq!((answer.field(), error.is_transient(), peer.requests().len()), (Some("assignedHub"), false, 1));
    }
}

#[cfg(feature = "mqtt")]
#[test]
fn an_operation_id_with_a_topic_in_it_stays_in_its_place() {
    let number = std::sync::atomic::AtomicUsize::new(0);
    let peer = mqtt_peer::answering(move |publish| match number.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => mqtt_peer::answer(publish, 202, "", r#"{"operationId":"../+/#&$rid=9\r\n","status":"assigning"}"#),
        _ => mqtt_peer::assigned(publish),
    });
    register_over_mqtt(&peer, seconds(60)).expect("assigned");
    let topic =
        "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId=..%2F%2B%2F%23%26%24rid%3D9%0D%0A ";
    assert_eq!(peer.requests()[1], topic);
}

/// The service sends these on purpose, but a device cannot use them.
#[test]
fn an_assignment_that_cannot_be_used_is_final_and_names_the_field() {
    for (name, bytes, field) in [
        ("a hub that is no host name", hub("https://evil.example/x"), "assignedHub"),
        ("a hub with a line break", hub("a.example\\r\\nHost: b"), "assignedHub"),
        ("a hub that is empty", hub(""), "assignedHub"),
    ] {
        let peer = Peer::new(move |_, stream| say(stream, &bytes));
        let error = register(&peer, seconds(900)).expect_err(name);
        let Error::UnexpectedAnswer(answer) = &error else { panic!("{name}: {error:?}") };
        assert_eq!((answer.field(), error.is_transient()), (Some(field), false), "{name}");
        assert_eq!(peer.requests().len(), 1, "{name}");
    }
}

#[test]
fn an_answer_that_never_changes_ends_at_the_deadline_with_the_reason() {
    for (name, bytes, close) in misbehaviours() {
        let peer = Peer::new(move |_, stream| {
            let sent = say(stream, &bytes);
            if close { ControlFlow::Break(()) } else { sent }
        });
        let error = register(&peer, DEADLINE).expect_err(name);
        assert!(error.is_transient() && error.retry_after().is_some(), "{name}: {error:?}");
        let Error::DeadlineExceeded(error) = &error else { panic!("{name}: {error:?}") };
        assert!(error.last().is_some(), "{name}");
    }
}

#[test]
fn an_operation_id_with_a_path_in_it_stays_in_its_place() {
    let peer = Peer::new(|exchange, stream| {
        let evil = http("202 Accepted", "", r#"{"operationId":"../../../x?y=z\r\nHost: evil","status":"assigning"}"#);
        say(stream, if exchange.number == 0 { evil } else { assigned() }.as_bytes())
    });
    register(&peer, seconds(60)).expect("assigned");
    let target = "GET /0ne00002193/registrations/dev-01/operations/..%2F..%2F..%2Fx%3Fy%3Dz%0D%0AHost%3A%20evil?api-version=2021-06-01 ";
    assert!(peer.requests()[1].starts_with(target), "{}", peer.requests()[1]);
}

#[test]
fn a_connection_that_dies_after_any_byte_of_the_answer_is_a_failure_that_passes() {
    let whole = assigned();
    let length = whole.len();
    let bytes = whole.into_bytes();
    let peer = Peer::new(move |exchange, stream| {
        let _ = say(stream, &bytes[..exchange.number.min(bytes.len())]);
        ControlFlow::Break(())
    });
    let settings = common::settings().endpoint(peer.endpoint());
    let key = key();
    for cut in 0..=length {
        let mut transport = peer.transport();
        let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
        let Ok(Step::Send(request)) = common::step(&mut registration, &key, common::at(0)) else {
            panic!("the first step sends")
        };
        let answer = transport.send(&request);
        assert_eq!(answer.is_ok(), cut == length, "{cut} of {length} bytes");
        registration.receive(answer, common::at(0));
        let next = common::step(&mut registration, &key, common::at(0)).expect("a failure that passes");
        assert_eq!(matches!(next, Step::Done(_)), cut == length, "{cut} of {length} bytes");
    }
}

#[test]
fn a_peer_that_drips_or_says_nothing_ends_at_the_deadline() {
    for drip in [false, true] {
        let peer = Peer::new(move |_, stream| {
            let answer = assigned();
            for byte in answer.as_bytes() {
                if drip && say(stream, &[*byte]).is_break() {
                    break;
                }
                std::thread::park_timeout(Duration::from_millis(300));
                if !drip && stream.sock.peek(&mut [0]).is_ok_and(|length| length == 0) {
                    break;
                }
            }
            ControlFlow::Break(())
        });
        let error = register(&peer, seconds(1)).expect_err("too slow");
        assert_eq!(
            error.transport().map(azure_iot_dps::error::TransportError::kind),
            Some(TransportErrorKind::TimedOut),
            "{error:?}"
        );
    }
}

#[test]
fn a_request_under_way_is_ended_from_another_thread_and_a_later_register_works_again() {
    let peer = Peer::new(|exchange, stream| {
        if exchange.number == 0 {
            // Stay silent until the client disconnects.
            let _ = std::io::Read::read(stream, &mut [0]);
            return ControlFlow::Break(());
        }
        say(stream, assigned().as_bytes())
    });
    let transport: HttpsTransport = peer.transport();
    let closer = transport.shutdown_handle();
    let stop = Arc::new(Mutex::new(true));
    let asked = Arc::clone(&stop);
    let client =
        ProvisioningClient::builder(scope(), id("dev-01"), key()).endpoint(peer.endpoint()).transport(transport);
    let hook = move |pause: &azure_iot_dps::registration::Wait| {
        if !pause.duration().is_zero() && *asked.lock().expect("not poisoned") {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let mut client = client.clock(Virtual(Duration::ZERO)).wait(hook).build();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while peer.requests().is_empty() {
                std::thread::yield_now();
            }
            closer.shutdown();
        });
        assert!(matches!(client.register(), Err(Error::Cancelled)));
    });
    assert_eq!(peer.requests().len(), 1, "not sent again");
    *stop.lock().expect("not poisoned") = false;
    client.register().expect("assigned");
}
