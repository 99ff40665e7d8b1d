//! Tests `HttpsTransport` with a TLS peer that can send anything: what is sent, accepted and
//! refused.
#![cfg(all(feature = "https", feature = "proxy", feature = "ring"))]
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod common;
#[path = "common/peer.rs"]
mod peer;
#[path = "common/proxy.rs"]
mod proxy;

use std::io::Write;
use std::net::TcpListener;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use azure_iot_dps::attestation::AttestationKind;
use azure_iot_dps::error::TransportError;
use azure_iot_dps::error::TransportErrorKind as Kind;
use azure_iot_dps::registration::{Registration, RegistrationSettings, Step};
use azure_iot_dps::time::UnixTime;
use azure_iot_dps::{Endpoint, HttpsTransport, Proxy, Transport};
use common::{key, seconds, settings};
use peer::{Peer, http, say};
use proxy::proxy;
use rustls::HandshakeKind;

/// The owned content of a response.
#[derive(Debug)]
struct Answered {
    status: u16,
    body: Vec<u8>,
    retry_after: Option<Duration>,
    date: Option<UnixTime>,
    request_id: Option<String>,
    content_type: Option<String>,
}

fn send_with(transport: &mut HttpsTransport, settings: &RegistrationSettings) -> Result<Answered, TransportError> {
    let key = key();
    let mut registration = Registration::new(settings, AttestationKind::SymmetricKey);
    let Ok(Step::Send(request)) = common::step(&mut registration, &key, common::at(0)) else {
        panic!("the first step sends")
    };
    let response = transport.send(&request)?;
    Ok(Answered {
        status: response.status(),
        body: response.body().to_vec(),
        retry_after: response.retry_after(),
        date: response.date(),
        request_id: response.request_id().map(str::to_owned),
        content_type: response.content_type().map(str::to_owned),
    })
}

fn send(transport: &mut HttpsTransport, endpoint: Endpoint) -> Result<Answered, TransportError> {
    send_with(transport, &settings().endpoint(endpoint))
}

/// Sends one request to this peer.
fn ask(peer: &Peer) -> Result<Answered, TransportError> {
    send(&mut peer.transport(), peer.endpoint())
}

fn assigning() -> String {
    http("202 Accepted", "Content-Type: application/json\r\n", r#"{"operationId":"5.3","status":"assigning"}"#)
}

#[test]
fn a_register_request_goes_over_the_wire_as_the_protocol_has_it() {
    let peer = Peer::saying(assigning());
    let settings = settings().endpoint(peer.endpoint()).product(&"acme/1.4".parse().expect("valid"));
    send_with(&mut peer.transport(), &settings).expect("an answer");
    let requests = peer.requests();
    let (head, body) = requests[0].split_once("\r\n\r\n").expect("a head");
    assert_eq!(body, r#"{"registrationId":"dev-01"}"#);
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some("PUT /0ne00002193/registrations/dev-01/register?api-version=2021-06-01 HTTP/1.1"));
    let headers: Vec<(String, &str)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect();
    let value = |name: &str| headers.iter().find(|(it, _)| it == name).map(|(_, value)| *value);
    assert_eq!(value("host"), Some(peer.endpoint().to_string().as_str()));
    assert_eq!(value("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(value("content-length"), Some("27"));
    assert_eq!(value("accept"), Some("application/json"));
    assert_eq!(value("accept-encoding"), Some("identity"));
    assert!(
        value("user-agent").is_some_and(|agent| agent.starts_with("azure-iot-dps/") && agent.ends_with(" acme/1.4"))
    );
    assert!(value("authorization").is_some_and(|token| token.starts_with("SharedAccessSignature sr=0ne00002193%2F")));
    assert_eq!(headers.len(), 7, "{headers:?}");
}

#[test]
fn the_headers_that_matter_reach_the_registration() {
    let headers =
        "Retry-After: 7\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nx-ms-request-id: 6a7b\r\nContent-Type: text/x\r\n";
    let answer = ask(&Peer::saying(http("429 Too Many Requests", headers, "slow down"))).expect("an answer");
    assert_eq!((answer.status, answer.body.as_slice()), (429, &b"slow down"[..]));
    assert_eq!((answer.retry_after, answer.date), (Some(seconds(7)), Some(UnixTime::from_secs(784_111_777))));
    assert_eq!((answer.request_id.as_deref(), answer.content_type.as_deref()), (Some("6a7b"), Some("text/x")));
}

#[test]
fn a_redirect_is_not_followed_and_the_token_goes_nowhere_else() {
    let other = Peer::saying(assigning());
    let location = format!("Location: https://{}/\r\n", other.endpoint());
    for status in
        ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"]
    {
        let answer = ask(&Peer::saying(http(status, &location, ""))).expect("an answer");
        assert_eq!(answer.status.to_string(), status[..3]);
    }
    assert!(other.requests().is_empty());
}

#[test]
fn a_body_is_taken_up_to_128_kib_and_not_a_byte_more() {
    let most = 128 * 1024;
    for (length, fits) in [(0, true), (1, true), (most - 1, true), (most, true), (most + 1, false), (10 * most, false)]
    {
        let body = "x".repeat(length);
        let plain = ask(&Peer::saying(http("200 OK", "", &body)));
        let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n");
        let chunked = if length == 0 { None } else { Some(ask(&Peer::saying(chunked))) };
        for answer in [Some(plain), chunked].into_iter().flatten() {
            match answer {
                Ok(answer) => assert!(fits && answer.body.len() == length, "{length}"),
                Err(error) => assert!(!fits && error.kind() == Kind::AnswerTooLarge, "{length}: {error:?}"),
            }
        }
    }
}

#[test]
fn a_head_is_taken_up_to_16_kib_and_a_larger_one_is_told_apart() {
    let with_head = |length: usize| http("200 OK", &format!("X-Filler: {}\r\n", "x".repeat(length)), "{}");
    ask(&Peer::saying(with_head(15 * 1024))).expect("an answer");
    for length in [17 * 1024, 20 * 1024, 200 * 1024] {
        let error = ask(&Peer::saying(with_head(length))).expect_err("too large");
        assert_eq!(error.kind(), Kind::AnswerTooLarge, "{length}: {error:?}");
    }
}

#[test]
fn what_is_not_http_is_told_apart() {
    for bytes in ["\r\n\r\n", "220 smtp.example ESMTP\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "\0\0\0\0\r\n\r\n"] {
        let bytes = bytes.as_bytes().to_vec();
        let peer = Peer::new(move |_, stream| {
            let _ = say(stream, &bytes);
            ControlFlow::Break(())
        });
        let error = ask(&peer).expect_err("no HTTP");
        assert_eq!(error.kind(), Kind::AnswerBroken, "{error:?}");
    }
}

#[test]
fn an_answer_that_breaks_off_is_never_taken_for_a_whole_one() {
    let whole = assigning();
    for length in (0..whole.len()).step_by(7) {
        let part = whole.as_bytes()[..length].to_vec();
        let peer = Peer::new(move |_, stream| {
            let _ = say(stream, &part);
            ControlFlow::Break(())
        });
        let error = ask(&peer).expect_err("broke off");
        assert_eq!(error.kind(), Kind::AnswerBroken, "{length}: {error:?}");
    }
}

#[test]
fn a_peer_that_drips_does_not_outlast_the_time_limit() {
    let peer = Peer::new(|_, stream| {
        let _ = say(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        while say(stream, b"x").is_continue() {
            std::thread::park_timeout(Duration::from_millis(100));
        }
        ControlFlow::Break(())
    });
    let error = send_with(&mut peer.transport(), &settings().endpoint(peer.endpoint()).deadline(seconds(1)))
        .expect_err("too slow");
    assert_eq!(error.kind(), Kind::TimedOut, "{error:?}");
}

#[test]
fn a_request_on_a_kept_connection_that_has_died_goes_out_once_more_on_a_new_one() {
    let answer = assigning();
    let peer = Peer::new(move |exchange, stream| {
        // Every connection dies as its second request arrives.
        if exchange.on_connection == 1 { ControlFlow::Break(()) } else { say(stream, answer.as_bytes()) }
    });
    let mut transport = peer.transport();
    for _ in 0..3 {
        assert_eq!(send(&mut transport, peer.endpoint()).expect("an answer").status, 202);
    }
    assert_eq!((peer.requests().len(), peer.handshakes().len()), (5, 3));
}

#[test]
fn a_first_request_that_is_not_answered_is_not_sent_twice() {
    let peer = Peer::new(|_, _| ControlFlow::Break(()));
    assert_eq!(ask(&peer).expect_err("no answer").kind(), Kind::AnswerBroken);
    assert_eq!(peer.requests().len(), 1);
}

#[test]
fn a_second_connection_resumes_the_first_ones_tls_session() {
    let answer = assigning();
    let peer = Peer::new(move |_, stream| {
        let _ = say(stream, answer.as_bytes());
        ControlFlow::Break(())
    });
    let mut transport = peer.transport();
    for _ in 0..3 {
        send(&mut transport, peer.endpoint()).expect("an answer");
    }
    assert_eq!(peer.handshakes(), [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed].map(Some));
}

#[test]
fn a_certificate_from_the_future_is_blamed_on_the_clock_and_an_old_one_is_not_trusted() {
    let answer = || move |_: &peer::Exchange<'_>, stream: &mut peer::Stream| say(stream, b"");
    let future = Peer::with_validity(|leaf| leaf.not_before = rcgen::date_time_ymd(4000, 1, 1), answer());
    assert_eq!(ask(&future).expect_err("too early").kind(), Kind::ClockNotSet);
    let past = Peer::with_validity(|leaf| leaf.not_after = rcgen::date_time_ymd(2000, 1, 1), answer());
    assert_eq!(ask(&past).expect_err("too late").kind(), Kind::CertificateNotTrusted);
}

#[test]
fn a_proxy_opens_a_tunnel_and_sees_its_own_password_but_not_the_token() {
    let peer = Peer::saying(assigning());
    let (port, log) = proxy("HTTP/1.1 200 Connection established\r\n\r\n");
    let proxy = Proxy::new(&format!("http://ada:s%40cret@127.0.0.1:{port}")).expect("valid");
    let mut transport = HttpsTransport::builder().roots(peer.roots()).proxy(proxy).build();
    assert_eq!(send(&mut transport, peer.endpoint()).expect("an answer").status, 202);
    let log = log.lock().expect("not poisoned");
    assert!(log[0].starts_with(&format!("CONNECT {} HTTP/1.1\r\n", peer.endpoint())), "{log:?}");
    assert!(log[0].to_ascii_lowercase().contains("proxy-authorization: basic yw"), "ada in base64: {log:?}");
    assert!(!log[0].contains("SharedAccessSignature"));
}

#[test]
fn a_proxy_that_wants_another_password_is_told_apart() {
    let (port, _) = proxy("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
    let proxy = Proxy::new(&format!("http://127.0.0.1:{port}")).expect("valid");
    let mut transport = HttpsTransport::builder().proxy(proxy).build();
    let error = send(&mut transport, "localhost:1".parse().expect("valid")).expect_err("refused");
    assert_eq!(error.kind(), Kind::ProxyRefused, "{error:?}");
}

#[test]
fn a_proxy_that_drips_does_not_outlast_the_time_limit_and_the_transport_works_again() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            // Without a limit, this slow answer would take two minutes.
            let head = b"HTTP/1.1 200 OK\r\nX-Filler: ".iter().chain([&b'x'; 400]);
            for byte in head {
                if client.write_all(&[*byte]).is_err() {
                    break;
                }
                count.fetch_add(1, Ordering::Relaxed);
                std::thread::park_timeout(Duration::from_millis(300));
            }
        }
    });
    let proxy = Proxy::new(&format!("http://127.0.0.1:{port}")).expect("valid");
    let mut transport = HttpsTransport::builder().proxy(proxy).build();
    let settings = settings().endpoint("localhost:1".parse().expect("valid")).deadline(seconds(1));
    for _ in 0..2 {
        let error = send_with(&mut transport, &settings).expect_err("too slow");
        assert_eq!(error.kind(), Kind::TimedOut, "{error:?}");
    }
    assert!(written.load(Ordering::Relaxed) < 100);
}
