//! Tests MQTT over WebSocket with real TLS on loopback: frames, the selection of the port, and
//! wrong peers.
#![cfg(all(feature = "mqtt-websocket", feature = "proxy", feature = "ring"))]
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod common;
#[path = "common/mqtt_peer.rs"]
mod mqtt_peer;
#[path = "common/peer.rs"]
mod peer;
#[path = "common/proxy.rs"]
mod proxy;
#[path = "common/websocket_peer.rs"]
mod websocket_peer;

use std::error::Error as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use azure_iot_dps::error::{TransportError, TransportErrorKind as Kind};
use azure_iot_dps::registration::RegistrationSettings;
use azure_iot_dps::transport::{MqttRoute, MqttTransportBuilder};
use azure_iot_dps::{Assignment, Error, MqttTransport, ProvisioningClient, Proxy, Transport};
use common::{Virtual, ask, id, in_time, key, scope, seconds, settings};
use mqtt_peer::{answer, answering, assigned, puback};
use peer::{Peer, Stream};
use rumqttc::mqttbytes::v4::Packet;
use websocket_peer::{Control, accept_key, by, frame, send, send_raw, transport, websocket_peer};

fn register_over(transport: impl Transport + Send + 'static) -> Result<Assignment, Error> {
    let client = ProvisioningClient::builder(scope(), id("dev-01"), key()).endpoint(at(1)).deadline(seconds(600));
    client.build_with(transport, Virtual::default()).register()
}

fn at(port: u16) -> azure_iot_dps::Endpoint {
    format!("localhost:{port}").parse().expect("valid")
}

/// Returns settings with an endpoint where MQTT over TLS cannot connect.
fn nowhere() -> RegistrationSettings {
    settings().endpoint(at(1))
}

/// Returns the text of an error and its causes.
fn told(error: &TransportError) -> String {
    let causes = std::iter::successors(error.source(), |error: &&dyn std::error::Error| (**error).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

// The frames

// The codes of close frames. Source: RFC 6455, section 7.4.1.
const NORMAL: u16 = 1000;
const PROTOCOL_ERROR: u16 = 1002;
const UNSUPPORTED: u16 = 1003;

#[test]
fn a_registration_asks_for_mqtt_within_websocket_and_takes_leave() {
    let (peer, seen) = websocket_peer(|_, _, _| None);
    register_over(transport(&peer)).expect("assigned");
    peer.wait_for_ends(1);
    let seen = seen.lock().expect("not poisoned");
    let [handshake] = &seen.handshakes[..] else { panic!("{:?}", seen.handshakes) };
    let host = format!("\r\nhost: localhost:{}\r\n", peer.port);
    for part in [
        "get /$iothub/websocket http/1.1\r\n",
        "\r\nsec-websocket-protocol: mqtt\r\n",
        "\r\nsec-websocket-version: 13\r\n",
        &host,
    ] {
        assert!(handshake.contains(part), "{handshake}");
    }
    assert!(!handshake.contains("extensions") && !handshake.contains("sig"), "{handshake}");
    assert_eq!(seen.packets.last(), Some(&Packet::Disconnect));
    assert_eq!(seen.control, [Control::Close(Some((NORMAL, String::new())))]);
}

#[test]
fn answers_may_come_in_frames_of_one_byte_and_many_in_one() {
    for part in [1, 2, 3, 10_000] {
        let (peer, _) = websocket_peer(move |packet, answer, socket| {
            // A message in many frames, with empty ones and pings in between.
            let mut bytes = frame(0x02, b"");
            for part in answer.chunks(part) {
                bytes.extend(frame(0x00, part));
                bytes.extend(frame(0x89, b""));
            }
            bytes.extend(frame(0x80, b""));
            (*packet != Packet::Disconnect).then(|| send_raw(socket, &bytes))
        });
        register_over(transport(&peer)).expect("assigned");
    }
    // The acknowledgement and the first half of the answer are in one message, the rest in another.
    let (peer, _) = websocket_peer(|packet, _, socket| match packet {
        Packet::Publish(publish) => {
            let bytes = [puback(publish), assigned(publish)].concat();
            let (first, second) = bytes.split_at(bytes.len() / 2);
            send(socket, first).is_continue().then(|| send(socket, second))
        }
        _ => None,
    });
    register_over(transport(&peer)).expect("assigned");
}

#[test]
fn a_ping_is_answered_with_what_it_holds() {
    let (peer, seen) = websocket_peer(|packet, answer, socket| {
        let pings = matches!(packet, Packet::Publish(_));
        pings.then(|| send_raw(socket, &[frame(0x89, b"still there?"), frame(0x82, answer)].concat()))
    });
    register_over(transport(&peer)).expect("assigned");
    peer.wait_for_ends(1);
    let seen = seen.lock().expect("not poisoned");
    assert_eq!(seen.control.first(), Some(&Control::Pong(b"still there?".into())));
}

#[test]
fn a_large_answer_gets_through_and_one_without_end_does_not() {
    let (peer, _) = websocket_peer(|packet, _, socket| match packet {
        Packet::Publish(publish) => {
            let filled = format!(r#"{{"status":"assigned","registrationState":{{"x":"{}"}}}}"#, "x".repeat(60_000));
            let bytes = [puback(publish), answer(publish, 200, "", filled)].concat();
            Some(send(socket, &bytes))
        }
        _ => None,
    });
    assert_eq!(ask(&mut transport(&peer), &nowhere()).expect("an answer"), 200);
    // A frame that claims a length of 2^62 bytes.
    let (peer, _) = websocket_peer(|packet, _, socket| {
        matches!(packet, Packet::Publish(_)).then(|| {
            let mut bytes = vec![0x82, 127, 0x40, 0, 0, 0, 0, 0, 0, 0, 0x32, 0xff, 0xff, 0xff, 0x7f];
            bytes.resize(200_000, b'x');
            send_raw(socket, &bytes)
        })
    });
    let error = ask(&mut transport(&peer), &nowhere()).expect_err("too large");
    assert_eq!(error.kind(), Kind::AnswerTooLarge, "{error:?}");
}

#[test]
fn what_breaks_the_rules_of_websocket_ends_the_connection_and_is_told() {
    for (name, bytes, code) in [
        ("text", frame(0x81, b"hello"), UNSUPPORTED),
        ("masked", vec![0x82, 0x81, 1, 2, 3, 4, 5], PROTOCOL_ERROR),
        ("compressed", frame(0xc2, b"x"), PROTOCOL_ERROR),
        ("an unknown opcode", frame(0x83, b""), PROTOCOL_ERROR),
        ("an unknown control", frame(0x8f, b""), PROTOCOL_ERROR),
        ("a ping in parts", frame(0x09, b""), PROTOCOL_ERROR),
        ("a long ping", frame(0x89, &[b'x'; 126]), PROTOCOL_ERROR),
        ("a message that goes on without a beginning", frame(0x80, b"x"), PROTOCOL_ERROR),
        ("a message within a message", [frame(0x02, b""), frame(0x82, b"")].concat(), PROTOCOL_ERROR),
        ("half of a close code", frame(0x88, &[3]), PROTOCOL_ERROR),
        ("a close code that is never sent", frame(0x88, &[0x03, 0xee]), PROTOCOL_ERROR),
        ("an impossible length", vec![0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 0], PROTOCOL_ERROR),
    ] {
        let (peer, seen) = websocket_peer(move |packet, _, socket| {
            matches!(packet, Packet::Publish(_)).then(|| send_raw(socket, &bytes))
        });
        let error = ask(&mut transport(&peer), &nowhere()).expect_err(name);
        assert_eq!(error.kind(), Kind::AnswerBroken, "{name}: {error:?}");
        peer.wait_for_ends(1);
        let seen = seen.lock().expect("not poisoned");
        assert!(
            matches!(&seen.control[..], [Control::Close(Some((told, _)))] if *told == code),
            "{name}: {:?}",
            seen.control
        );
    }
}

// Close frames

#[test]
fn a_close_frame_is_told_with_its_code_and_reason_but_without_the_token() {
    for (content, expected) in [
        (&b""[..], "the server closed the WebSocket with no code"),
        (b"\x03\xf0", "the server closed the WebSocket with code 1008"),
        (b"\x03\xf0not\r\nwelcome", "the server closed the WebSocket with code 1008: not  welcome"),
    ] {
        let (peer, seen) = websocket_peer(move |packet, _, socket| {
            matches!(packet, Packet::Connect(_)).then(|| send_raw(socket, &frame(0x88, content)))
        });
        let error = ask(&mut transport(&peer), &nowhere()).expect_err("closed");
        assert_eq!(error.kind(), Kind::AnswerBroken);
        assert!(told(&error).ends_with(expected), "{}", told(&error));
        peer.wait_for_ends(1);
        // The close frame is answered, and nothing follows.
        assert!(matches!(seen.lock().expect("not poisoned").control[..], [Control::Close(_)]));
    }
    let (peer, _) = websocket_peer(|packet, _, socket| match packet {
        Packet::Connect(connect) => {
            let password = &connect.login.as_ref().expect("a login").password;
            let signature = password.split("sig=").nth(1).and_then(|rest| rest.split('&').next()).expect("a signature");
            let reason = [b"\x03\xf0refused: ", signature.as_bytes()].concat();
            Some(send_raw(socket, &frame(0x88, &reason)))
        }
        _ => None,
    });
    let error = ask(&mut transport(&peer), &nowhere()).expect_err("closed");
    assert!(told(&error).ends_with("refused: <hidden>"), "{}", told(&error));
    assert!(format!("{error:?}").contains("<hidden>"), "{error:?}");
}

#[test]
fn a_close_frame_behind_a_packet_that_asks_for_another_one_is_told_all_the_same() {
    let (peer, _) = websocket_peer(|packet, answer, socket| {
        let bytes = [frame(0x82, answer), frame(0x88, b"\x03\xf0no")].concat();
        matches!(packet, Packet::Connect(_)).then(|| send_raw(socket, &bytes))
    });
    let error = ask(&mut transport(&peer), &nowhere()).expect_err("closed");
    assert!(told(&error).ends_with("the server closed the WebSocket with code 1008: no"), "{}", told(&error));
}

#[test]
fn an_answer_counts_whatever_comes_behind_it() {
    for behind in [frame(0x81, b"text"), frame(0x88, b"\x03\xe8"), frame(0x89, b"ping"), frame(0x82, b"")] {
        let (peer, _) = websocket_peer(move |packet, answer, socket| {
            matches!(packet, Packet::Publish(_)).then(|| {
                let _ = send_raw(socket, &[frame(0x82, answer), behind.clone()].concat());
                ControlFlow::Break(())
            })
        });
        assert_eq!(ask(&mut transport(&peer), &nowhere()).expect("an answer"), 200);
    }
}

#[test]
fn a_connection_that_was_closed_between_two_polls_is_opened_anew_without_a_failed_request() {
    let (peer, seen) = websocket_peer(|packet, _, socket| match packet {
        Packet::Publish(publish) if publish.topic.starts_with("$dps/registrations/PUT/") => {
            let assigning = r#"{"operationId":"5.3","status":"assigning"}"#;
            let answer = [puback(publish), answer(publish, 202, "&retry-after=3", assigning)].concat();
            Some(send_raw(socket, &[frame(0x82, &answer), frame(0x88, b"\x03\xe9idle")].concat()))
        }
        _ => None,
    });
    let assignment = register_over(transport(&peer)).expect("assigned");
    assert_eq!((assignment.requests(), seen.lock().expect("not poisoned").handshakes.len()), (2, 2));
}

// The handshake

/// Returns the error after this answer to the handshake.
fn answered(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> TransportError {
    let peer = Peer::new(move |exchange, stream| {
        let key = exchange.text.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("a key");
        let _ = stream.write_all(answer(&accept_key(key)).as_bytes()).and_then(|()| stream.flush());
        ControlFlow::Break(())
    });
    ask(&mut transport(&peer), &nowhere()).expect_err("no WebSocket")
}

#[test]
fn a_server_that_refuses_websocket_or_does_not_know_it_is_told_apart() {
    for status in ["400 Bad Request", "404 Not Found", "426 Upgrade Required", "503 Service Unavailable", "302 Found"] {
        let error = answered(move |_| format!("HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\nno!"));
        assert_eq!(error.kind(), Kind::CannotConnect, "{status}");
        let expected = format!("the server refuses WebSocket: it answered {}", &status[..3]);
        assert!(told(&error).ends_with(&expected), "{}", told(&error));
    }
    let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    let accept = move |key: &str| format!("{head}Sec-WebSocket-Accept: {key}\r\n");
    let of_mqtt = "Sec-WebSocket-Protocol: mqtt\r\n";
    let deflate = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    for (name, error) in [
        ("no sub-protocol", answered(move |key| format!("{}\r\n", accept(key)))),
        ("another one", answered(move |key| format!("{}Sec-WebSocket-Protocol: AMQPWSB10\r\n\r\n", accept(key)))),
        ("another key", answered(move |_| format!("{}{of_mqtt}\r\n", accept("aGVsbG8=")))),
        ("no key", answered(move |_| format!("{head}{of_mqtt}\r\n"))),
        ("an extension", answered(move |key| format!("{}{of_mqtt}{deflate}\r\n", accept(key)))),
        ("no HTTP", answered(|_| "220 mail.example ESMTP\r\n\r\n".into())),
        ("no end", answered(move |key| accept(key))),
    ] {
        assert_eq!(error.kind(), Kind::AnswerBroken, "{name}: {error:?}");
    }
    let error = answered(move |key| format!("{}X: {}\r\n\r\n", accept(key), "x".repeat(100_000)));
    assert_eq!(error.kind(), Kind::AnswerBroken);
    assert!(told(&error).ends_with("the head of the answer is too large"), "{}", told(&error));
}

#[test]
fn a_handshake_in_records_of_one_byte_with_a_frame_behind_it_loses_nothing() {
    let peer = Peer::serving(
        |_| {},
        |stream: &mut Stream, _| {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read_exact(&mut byte).is_err() {
                    return;
                }
                head.extend(byte);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("a key");
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nconnection: upgrade\r\n\
                 sec-websocket-accept: {}\r\nsec-websocket-protocol: mqtt\r\n\r\n",
                accept_key(key)
            );
            for byte in answer.as_bytes() {
                let _ = stream.write_all(&[*byte]).and_then(|()| stream.flush());
            }
            let _ = stream.write_all(&frame(0x88, b"\x03\xf4gone")).and_then(|()| stream.flush());
            let _ = stream.read_to_end(&mut Vec::new());
        },
    );
    let error = ask(&mut transport(&peer), &nowhere()).expect_err("closed");
    assert!(told(&error).ends_with("the server closed the WebSocket with code 1012: gone"), "{}", told(&error));
}

#[test]
fn a_request_ends_with_its_time_where_the_server_is_silent_or_does_nothing_but_ping() {
    let silent = Peer::new(|_, stream| {
        let _ = stream.read(&mut [0]);
        ControlFlow::Break(())
    });
    let (pinging, _) = websocket_peer(|packet, _, socket| {
        matches!(packet, Packet::Connect(_)).then(|| {
            while send_raw(socket, &frame(0x89, b"ping")).is_continue() {}
            ControlFlow::Break(())
        })
    });
    for peer in [&silent, &pinging] {
        let error = ask(&mut transport(peer), &nowhere().deadline(seconds(1))).expect_err("nothing comes");
        assert_eq!(error.kind(), Kind::TimedOut, "{error:?}");
    }
}

// The way

/// Returns a transport that redirects the endpoint's port and port 443, and records which it
/// connects to.
fn leading(
    route: impl Into<Option<MqttRoute>>,
    peer: &Peer,
    tls: u16,
    websocket: u16,
) -> (MqttTransport, Arc<Mutex<Vec<u16>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let resolver = move |_: &str, port| {
        log.lock().expect("not poisoned").push(port);
        Ok(vec![SocketAddr::from(([127, 0, 0, 1], if port == 443 { websocket } else { tls }))])
    };
    let builder = MqttTransport::builder().roots(peer.roots()).resolver(resolver);
    (route.into().into_iter().fold(builder, MqttTransportBuilder::route).build(), asked)
}

fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("an address").port()
}

/// Accepts connections, and sends nothing.
fn silent_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || listener.incoming().flatten().collect::<Vec<_>>());
    port
}

#[test]
fn only_tls_is_tried_unless_told_otherwise_and_websocket_goes_to_443() {
    let (peer, _) = websocket_peer(|_, _, _| None);
    let (mut transport, asked) = leading(None, &peer, closed_port(), peer.port);
    assert_eq!(ask(&mut transport, &settings()).expect_err("closed").kind(), Kind::CannotConnect);
    assert_eq!(*asked.lock().expect("not poisoned"), [8883]);
    let (mut transport, asked) = leading(MqttRoute::WebSocket, &peer, closed_port(), peer.port);
    // The endpoint's port is that of MQTT over TLS.
    let gateway = settings().endpoint("localhost:8884".parse().expect("valid"));
    for (settings, port) in [(nowhere(), 443), (gateway, 443)] {
        assert_eq!(ask(&mut transport, &settings).expect("an answer"), 200);
        assert_eq!(asked.lock().expect("not poisoned").last(), Some(&port));
    }
}

/// Returns an endpoint with the name in the peers' certificates, and this port.
fn auto_settings() -> RegistrationSettings {
    settings().endpoint(at(8883))
}

/// Makes three requests to a service whose port for TLS is this one and leads nowhere.
fn fall_back(tls: u16, settings: &RegistrationSettings) -> Result<(), TransportError> {
    let (peer, seen) = websocket_peer(|packet, answer, socket| {
        // Closes the connection after each answer, so that the next request needs a new one.
        matches!(packet, Packet::Publish(_)).then(|| {
            let _ = send(socket, answer);
            ControlFlow::Break(())
        })
    });
    let (mut transport, asked) = leading(MqttRoute::Auto, &peer, tls, peer.port);
    for number in 1..4 {
        assert_eq!(ask(&mut transport, settings)?, 200);
        assert_eq!(seen.lock().expect("not poisoned").packets.iter().filter(|it| is_publish(it)).count(), number);
    }
    let asked = asked.lock().expect("not poisoned");
    assert_eq!(asked.iter().filter(|port| **port == 8883).count(), 1, "{asked:?}");
    assert_eq!(asked[0], 8883);
    Ok(())
}

#[test]
fn auto_falls_back_to_websocket_within_one_request_and_remembers_it() {
    fall_back(closed_port(), &auto_settings()).expect("answers");
    assert!(in_time(|limit| fall_back(silent_port(), &auto_settings().deadline(seconds(limit))).is_ok()));
}

fn is_publish(packet: &Packet) -> bool {
    matches!(packet, Packet::Publish(_))
}

#[test]
fn auto_stays_with_tls_where_that_works() {
    let peer = answering(assigned);
    let (mut transport, asked) = leading(MqttRoute::Auto, &peer, peer.port, closed_port());
    assert_eq!(ask(&mut transport, &auto_settings()).expect("an answer"), 200);
    assert_eq!(*asked.lock().expect("not poisoned"), [8883]);
}

#[test]
fn auto_goes_back_to_tls_where_websocket_cannot_be_reached_any_more() {
    let (peer, seen) = websocket_peer(|_, _, _| None);
    let plain = answering(assigned);
    let roots = azure_iot_dps::Roots::pem([peer.ca_pem(), plain.ca_pem()].concat().as_bytes()).expect("PEM");
    let tls_is_open = Arc::new(Mutex::new(false));
    let (is_open, websocket, tls, closed) = (Arc::clone(&tls_is_open), peer.port, plain.port, closed_port());
    let resolver = move |_: &str, port| {
        let tls = if *is_open.lock().expect("not poisoned") { tls } else { closed };
        Ok(vec![SocketAddr::from(([127, 0, 0, 1], if port == 443 { websocket } else { tls }))])
    };
    let mut transport = MqttTransport::builder().roots(roots).route(MqttRoute::Auto).resolver(resolver).build();
    // Another token needs another connection.
    let mut ask_with = |lifetime| ask(&mut transport, &auto_settings().token_lifetime(seconds(lifetime)));
    assert_eq!(ask_with(3600).expect("over WebSocket"), 200);
    seen.lock().expect("not poisoned").is_gone = true;
    ask_with(3700).expect_err("neither is there");
    *tls_is_open.lock().expect("not poisoned") = true;
    assert_eq!(ask_with(3800).expect("over TLS"), 200);
    // The transport remembers this too.
    *tls_is_open.lock().expect("not poisoned") = false;
    seen.lock().expect("not poisoned").is_gone = false;
    assert_eq!(ask_with(3900).expect("over TLS"), 200);
    assert_eq!((plain.requests().len(), seen.lock().expect("not poisoned").handshakes.len()), (2, 1));
}

#[test]
fn auto_does_not_fall_back_where_another_port_cannot_help() {
    let (websocket, _) = websocket_peer(|_, _, _| None);
    // Another authority's certificate.
    let stranger = answering(assigned);
    let (mut transport, asked) = leading(MqttRoute::Auto, &websocket, stranger.port, websocket.port);
    assert_eq!(ask(&mut transport, &auto_settings()).expect_err("not trusted").kind(), Kind::CertificateNotTrusted);
    assert_eq!(*asked.lock().expect("not poisoned"), [8883]);
    let no_name = |_: &str, _| Err(std::io::Error::other("no such name"));
    let builder = MqttTransport::builder().roots(websocket.roots()).route(MqttRoute::Auto).resolver(no_name);
    let error = ask(&mut builder.build(), &auto_settings()).expect_err("no name");
    assert_eq!((error.kind(), told(&error).contains("WebSocket")), (Kind::NameNotResolved, false));
}

#[test]
fn auto_tells_of_both_ways_where_both_fail() {
    let (peer, _) = websocket_peer(|_, _, _| None);
    let (mut transport, asked) = leading(MqttRoute::Auto, &peer, closed_port(), closed_port());
    let error = ask(&mut transport, &auto_settings()).expect_err("closed");
    assert_eq!(error.kind(), Kind::CannotConnect);
    let told = told(&error);
    // The system's error is the cause of each.
    let tls = "no connection could be made: MQTT over TLS failed (no connection could be made: ";
    assert!(told.starts_with(tls) && told.contains("), and so did MQTT over WebSocket: "), "{told}");
    assert_eq!(*asked.lock().expect("not poisoned"), [8883, 443]);
}

#[test]
fn auto_gets_through_a_proxy_that_lets_nothing_but_443_pass_in_one_registration() {
    let (peer, _) = websocket_peer(|_, _, _| None);
    let allowed = format!("localhost:{}", peer.port);
    let (port, log) = proxy::proxy_that(move |target| {
        if target == allowed {
            "HTTP/1.1 200 OK\r\n\r\n"
        } else {
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
        }
    });
    let proxy = Proxy::new(&format!("http://ada:s3cret@127.0.0.1:{port}")).expect("valid");
    let builder = MqttTransport::builder().roots(peer.roots()).proxy(proxy).route(MqttRoute::Auto);
    let assignment = register_over(builder.websocket_port(peer.port).build()).expect("assigned");
    assert_eq!(assignment.requests(), 1);
    let log = log.lock().expect("not poisoned");
    let targets: Vec<_> = log.iter().filter_map(|head| head.split(' ').nth(1)).collect();
    assert_eq!(targets, ["localhost:1", &format!("localhost:{}", peer.port)]);
    assert!(log.iter().all(|head| head.contains("Proxy-Authorization: Basic ") && !head.contains("sig=")), "{log:?}");
}

#[test]
fn auto_asks_a_proxy_once_that_refuses_the_user_name() {
    let (port, log) = proxy::proxy("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
    let proxy = Proxy::new(&format!("http://ada:s3cret@127.0.0.1:{port}")).expect("valid");
    let mut transport = MqttTransport::builder().proxy(proxy).route(MqttRoute::Auto).build();
    let error = ask(&mut transport, &nowhere()).expect_err("refused");
    assert_eq!(error.kind(), Kind::ProxyRefused);
    assert_eq!(told(&error), "the proxy refused the connection: the proxy refuses the user name and password (407)");
    assert_eq!(log.lock().expect("not poisoned").len(), 1);
}

#[test]
fn auto_has_time_for_tls_where_websocket_has_become_silent() {
    assert!(in_time(|limit| goes_back(limit).is_ok()));
}

/// Makes three requests, the first one over WebSocket and the last one over TLS, within this limit in
/// seconds each.
fn goes_back(limit: u64) -> Result<(), TransportError> {
    let (peer, seen) = websocket_peer(|_, _, _| None);
    let plain = answering(assigned);
    let roots = azure_iot_dps::Roots::pem([peer.ca_pem(), plain.ca_pem()].concat().as_bytes()).expect("PEM");
    let (websocket, tls, closed) = (peer.port, plain.port, closed_port());
    let worked = Arc::new(Mutex::new(false));
    let has_worked = Arc::clone(&worked);
    let resolver = move |_: &str, port| {
        let tls = if *has_worked.lock().expect("not poisoned") { tls } else { closed };
        Ok(vec![SocketAddr::from(([127, 0, 0, 1], if port == 443 { websocket } else { tls }))])
    };
    let mut transport = MqttTransport::builder().roots(roots).route(MqttRoute::Auto).resolver(resolver).build();
    let settings = auto_settings().deadline(seconds(limit));
    let mut ask_with = |lifetime| ask(&mut transport, &settings.clone().token_lifetime(seconds(lifetime)));
    assert_eq!(ask_with(3600)?, 200);
    *worked.lock().expect("not poisoned") = true;
    seen.lock().expect("not poisoned").is_silent = true;
    let _ = ask_with(3700);
    assert_eq!(ask_with(3800)?, 200);
    assert!(!plain.requests().is_empty());
    Ok(())
}

#[test]
fn a_route_of_its_own_port_is_asked_for_at_that_port() {
    let (peer, seen) = websocket_peer(|_, _, _| None);
    for route in [MqttRoute::WebSocket, MqttRoute::Auto] {
        register_over(by(route, peer.port, peer.roots())).expect("assigned");
    }
    assert_eq!(seen.lock().expect("not poisoned").handshakes.len(), 2);
}
