//! Tests the MQTT transport over real TLS on loopback: its connections, limits and handles.
#![cfg(all(feature = "mqtt", feature = "proxy", feature = "ring"))]
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod common;
#[path = "common/mqtt_peer.rs"]
mod mqtt_peer;
#[path = "common/peer.rs"]
mod peer;
#[path = "common/proxy.rs"]
mod proxy;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use azure_iot_dps::error::{TransportError, TransportErrorKind as Kind};
use azure_iot_dps::registration::RegistrationSettings;
use azure_iot_dps::{Assignment, Error, MqttTransport, ProvisioningClient, Proxy, Transport};
use common::{Virtual, ask, id, key, scope, seconds, settings};
use mqtt_peer::{Arrived, answer, answering, assigned, mqtt_peer, transport};
use peer::{Peer, Stream, say};
use rumqttc::mqttbytes::v4::{Packet, Publish};

fn register_over(peer: &Peer, transport: impl Transport + Send + 'static) -> Result<Assignment, Error> {
    let client = ProvisioningClient::builder(scope(), id("dev-01"), key()).endpoint(peer.endpoint());
    client.build_with(transport, Virtual::default()).register()
}

/// Answers `assigning` twice, with this `retry-after` in seconds, then `assigned`.
fn patient(publish: &Publish, number: usize, retry_after: &str) -> Vec<u8> {
    let assigning = r#"{"operationId":"5.3","status":"assigning"}"#;
    match number {
        0 | 1 => answer(publish, 202, &format!("&retry-after={retry_after}"), assigning),
        _ => assigned(publish),
    }
}

// One connection

#[test]
fn one_connection_and_one_look_up_serve_a_registration_that_waits_3_to_60_s_between_polls() {
    for retry_after in ["3", "60"] {
        let number = AtomicUsize::new(0);
        let peer = answering(move |publish| patient(publish, number.fetch_add(1, Ordering::SeqCst), retry_after));
        let lookups = Arc::new(AtomicUsize::new(0));
        let (counted, port) = (Arc::clone(&lookups), peer.port);
        let transport = MqttTransport::builder().roots(peer.roots()).resolver(move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(vec![([127, 0, 0, 1], port).into()])
        });
        let assignment = register_over(&peer, transport.build()).expect("assigned");
        assert_eq!((assignment.requests(), peer.handshakes().len()), (3, 1), "{retry_after} s");
        assert_eq!(lookups.load(Ordering::SeqCst), 1);
    }
}

/// Starts a peer that closes the connection after its first answer, or without one.
fn hanging_up(answers_first: bool) -> Peer {
    mqtt_peer(move |arrived: &Arrived<'_>, stream: &mut Stream| {
        let Packet::Publish(publish) = arrived.packet else { return None };
        let bytes = patient(publish, arrived.messages, "3");
        match arrived.messages {
            0 if answers_first => {
                let _ = say(stream, &bytes);
                Some(ControlFlow::Break(()))
            }
            0 => Some(ControlFlow::Break(())),
            _ => Some(say(stream, &bytes)),
        }
    })
}

#[test]
fn a_connection_that_the_service_closed_meanwhile_is_opened_anew_without_a_failed_request() {
    let peer = hanging_up(true);
    let assignment = register_over(&peer, transport(&peer)).expect("assigned");
    assert_eq!((assignment.requests(), peer.handshakes().len()), (3, 2));
}

#[test]
fn a_request_that_was_lost_with_its_connection_is_sent_once_more_and_no_oftener() {
    let peer = hanging_up(false);
    assert_eq!(ask(&mut transport(&peer), &settings().endpoint(peer.endpoint())).expect("an answer"), 202);
    assert_eq!((peer.requests().len(), peer.handshakes().len()), (2, 2));
    let peer = mqtt_peer(|arrived, _| matches!(arrived.packet, Packet::Publish(_)).then_some(ControlFlow::Break(())));
    let error = ask(&mut transport(&peer), &settings().endpoint(peer.endpoint())).expect_err("it hangs up");
    assert_eq!((error.kind(), peer.requests().len()), (Kind::AnswerBroken, 2));
    let peer = mqtt_peer(|_, _| Some(ControlFlow::Break(())));
    let error = ask(&mut transport(&peer), &settings().endpoint(peer.endpoint())).expect_err("it hangs up");
    assert_eq!((error.kind(), peer.handshakes().len()), (Kind::AnswerBroken, 1), "nothing was lost");
}

#[test]
fn another_token_and_another_device_have_a_connection_of_their_own() {
    let peer = answering(|publish| patient(publish, 0, "3"));
    let mut transport = transport(&peer);
    let first = settings().endpoint(peer.endpoint());
    for (settings, connections) in [
        (first.clone(), 1),
        (first.clone(), 1),
        (first.clone().token_lifetime(seconds(7200)), 2),
        (RegistrationSettings::new(scope(), id("dev-02")).endpoint(peer.endpoint()), 3),
    ] {
        ask(&mut transport, &settings).expect("an answer");
        assert_eq!(peer.handshakes().len(), connections);
    }
}

#[test]
fn a_machine_that_answers_503_again_and_again_is_left() {
    let peer = answering(|publish| answer(publish, 503, "", r#"{"errorCode":503001}"#));
    let lookups = Arc::new(AtomicUsize::new(0));
    let (counted, port) = (Arc::clone(&lookups), peer.port);
    let transport = MqttTransport::builder().roots(peer.roots()).resolver(move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(vec![([127, 0, 0, 1], port).into()])
    });
    let mut transport = transport.build();
    for connections in [1, 1, 2, 3] {
        assert_eq!(ask(&mut transport, &settings().endpoint(peer.endpoint())).expect("an answer"), 503);
        assert_eq!((peer.handshakes().len(), lookups.load(Ordering::SeqCst)), (connections, connections));
    }
    // Unused connections are closed, although the handles of the transport could still use them.
    peer.wait_for_ends(2);
}

#[test]
fn a_device_says_good_bye_when_it_is_done() {
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&said);
    let (told, done) = std::sync::mpsc::channel();
    let told = Mutex::new(told);
    let peer = mqtt_peer(move |arrived, _| {
        heard.lock().expect("not poisoned").push(arrived.packet.clone());
        if *arrived.packet == Packet::Disconnect {
            told.lock().expect("not poisoned").send(()).expect("somebody waits");
        }
        None
    });
    register_over(&peer, transport(&peer)).expect("assigned");
    done.recv_timeout(seconds(60)).expect("it says good-bye");
    let said = said.lock().expect("not poisoned");
    let packets = [Packet::PingReq, Packet::Disconnect];
    assert!(
        matches!(&said[..], [Packet::Connect(_), Packet::Subscribe(_), Packet::Publish(_), Packet::PubAck(_), last] if packets[1] == *last),
        "{said:?}"
    );
}

// Limits

#[test]
fn a_request_ends_with_its_time_wherever_it_hangs() {
    let silent = mqtt_peer(|_, stream| {
        let _ = stream.read(&mut [0]);
        Some(ControlFlow::Break(()))
    });
    let answers_pings = mqtt_peer(|arrived, _| match arrived.packet {
        Packet::Publish(_) => Some(ControlFlow::Continue(())),
        _ => None,
    });
    // Accept the connection, and send no TLS.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("localhost:{}", listener.local_addr().expect("an address").port());
    for (peer, endpoint) in [(&silent, None), (&answers_pings, None), (&silent, Some(&endpoint))] {
        let endpoint = endpoint.map_or(peer.endpoint(), |endpoint| endpoint.parse().expect("valid"));
        let settings = settings().endpoint(endpoint).deadline(seconds(1));
        let error = ask(&mut transport(peer), &settings).expect_err("nothing comes");
        assert_eq!(error.kind(), Kind::TimedOut);
    }
}

#[test]
fn a_certificate_that_is_not_trusted_or_not_valid_yet_is_told_apart() {
    let peer = answering(assigned);
    let error = ask(&mut MqttTransport::new(), &settings().endpoint(peer.endpoint())).expect_err("another root");
    assert_eq!(error.kind(), Kind::CertificateNotTrusted);
    assert!(peer.requests().is_empty());
    let future = Peer::serving(
        |leaf| leaf.not_before = rcgen::date_time_ymd(2100, 1, 1),
        |stream, _| {
            let _ = stream.read(&mut [0]);
        },
    );
    let error = ask(&mut transport(&future), &settings().endpoint(future.endpoint())).expect_err("not valid yet");
    assert_eq!(error.kind(), Kind::ClockNotSet);
}

#[test]
fn a_status_look_up_is_refused_before_anything_is_connected() {
    let peer = answering(assigned);
    let client = ProvisioningClient::builder(scope(), id("dev-01"), key()).endpoint(peer.endpoint());
    let mut client = client.build_with(transport(&peer), Virtual::default());
    let error = client.status_lookup().expect_err("MQTT has none");
    assert_eq!(error.transport().map(TransportError::kind), Some(Kind::Unsupported));
    assert!(peer.handshakes().is_empty());
}

// Handles

#[test]
fn roots_replaced_under_a_living_connection_count_from_the_next_request_on() {
    let peer = answering(assigned);
    let mut transport = transport(&peer);
    let handle = transport.roots_handle();
    let settings = settings().endpoint(peer.endpoint());
    ask(&mut transport, &settings).expect("an answer");
    handle.replace(answering(assigned).roots());
    assert_eq!(ask(&mut transport, &settings).expect_err("not trusted").kind(), Kind::CertificateNotTrusted);
    handle.replace(peer.roots());
    ask(&mut transport, &settings).expect("an answer");
    assert_eq!(peer.requests().len(), 2);
}

#[test]
fn a_request_under_way_is_ended_from_another_thread_and_the_transport_works_again() {
    let peer = mqtt_peer(|arrived, stream| {
        if arrived.messages == 0 && matches!(arrived.packet, Packet::Publish(_)) {
            // Stay silent until the client disconnects.
            let _ = stream.read(&mut [0]);
            return Some(ControlFlow::Break(()));
        }
        None
    });
    let mut transport = transport(&peer);
    let closer = transport.shutdown_handle();
    let settings = settings().endpoint(peer.endpoint());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while peer.requests().is_empty() {
                std::thread::yield_now();
            }
            closer.shutdown();
        });
        let error = ask(&mut transport, &settings).expect_err("it was ended");
        assert_eq!(error.kind(), Kind::AnswerBroken);
    });
    assert_eq!(peer.requests().len(), 1, "not sent again");
    assert_eq!(ask(&mut transport, &settings).expect("an answer"), 200);
}

// A proxy

#[test]
fn a_proxy_opens_a_tunnel_and_sees_its_own_password_but_not_the_token() {
    let peer = answering(assigned);
    let (port, log) = proxy::proxy("HTTP/1.1 200 Connection established\r\n\r\n");
    let proxy = Proxy::new(&format!("http://ada:s%40cret@127.0.0.1:{port}")).expect("valid");
    let transport = MqttTransport::builder().roots(peer.roots()).proxy(proxy).build();
    register_over(&peer, transport).expect("assigned");
    let log = log.lock().expect("not poisoned");
    assert!(log[0].starts_with(&format!("CONNECT localhost:{} HTTP/1.1\r\n", peer.port)), "{log:?}");
    assert!(log[0].contains("Proxy-Authorization: Basic YWRhOnNAY3JldA==\r\n"), "{log:?}");
    assert!(!log[0].contains("sig="), "{log:?}");
}

#[test]
fn a_proxy_that_refuses_or_is_not_there_is_blamed_and_one_that_drips_does_not_outlast_the_limit() {
    let ask_through = |port: u16, settings: &RegistrationSettings| {
        let proxy = Proxy::new(&format!("http://127.0.0.1:{port}")).expect("valid");
        let mut transport = MqttTransport::builder().proxy(proxy).build();
        ask(&mut transport, settings).expect_err("no way through")
    };
    let (port, _) = proxy::proxy("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
    let error = ask_through(port, &settings());
    let source = std::error::Error::source(&error).map(ToString::to_string);
    assert_eq!(
        (error.kind(), source.as_deref()),
        (Kind::ProxyRefused, Some("the proxy requires a user name and password (407)"))
    );
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("an address").port();
    assert_eq!(ask_through(closed, &settings()).kind(), Kind::Proxy);

    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            while client.write_all(b"H").is_ok() {
                std::thread::park_timeout(Duration::from_millis(200));
            }
        }
    });
    assert_eq!(ask_through(port, &settings().deadline(seconds(1))).kind(), Kind::TimedOut);
}

// Secrets

#[test]
fn neither_the_debug_text_of_a_transport_nor_an_error_shows_the_token() {
    let peer = mqtt_peer(|arrived, stream| match arrived.packet {
        // Echo the request.
        Packet::Connect(connect) => {
            let password = &connect.login.as_ref().expect("a login").password;
            Some(say(stream, password.as_bytes()))
        }
        _ => None,
    });
    let mut transport = transport(&peer);
    let error = ask(&mut transport, &settings().endpoint(peer.endpoint())).expect_err("no packet");
    for text in [format!("{transport:?}"), format!("{error:?}"), format!("{:?}", MqttTransport::builder())] {
        assert!(!text.contains("sig") && !text.contains("SharedAccess"), "{text}");
    }
}
