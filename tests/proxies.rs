//! Tests proxies over HTTPS and MQTT: the meaning of each answer of a proxy, and the error that
//! names the cause.
#![cfg(all(feature = "https", feature = "mqtt", feature = "proxy", feature = "ring"))]
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod common;
#[path = "common/peer.rs"]
mod peer;
#[path = "common/proxy.rs"]
mod proxy;

use std::error::Error as _;
use std::net::TcpListener;
use std::ops::ControlFlow;

use azure_iot_dps::error::TransportErrorKind as Kind;
use azure_iot_dps::{Error, HttpsTransport, MqttTransport, ProvisioningClient, Proxy, Roots, Transport};
use common::{Virtual, ask, id, key, scope, seconds, settings};
use peer::Peer;

/// Returns both transports through this proxy.
fn both(proxy: &Proxy, roots: &Roots) -> [(&'static str, Box<dyn Transport + Send>); 2] {
    let (roots, proxy) = (|| roots.clone(), || proxy.clone());
    [
        ("HTTPS", Box::new(HttpsTransport::builder().roots(roots()).proxy(proxy()).build())),
        ("MQTT", Box::new(MqttTransport::builder().roots(roots()).proxy(proxy()).build())),
    ]
}

/// Returns the error of a registration with a deadline of 10 minutes over this transport.
fn failure(transport: Box<dyn Transport + Send>) -> Error {
    let client = ProvisioningClient::builder(scope(), id("dev-01"), key());
    let client = client.endpoint("localhost:1".parse().expect("valid")).deadline(seconds(600));
    client.build_with(transport, Virtual::default()).register().expect_err("no way through")
}

fn at(port: u16, credentials: &str) -> Proxy {
    Proxy::new(&format!("http://{credentials}127.0.0.1:{port}")).expect("valid")
}

fn cause(error: &Error) -> String {
    let cause = error.source().and_then(|error| error.source().map(ToString::to_string));
    cause.or_else(|| error.source().map(ToString::to_string)).unwrap_or_default()
}

#[test]
fn what_a_proxy_refuses_ends_the_registration_at_once_with_a_sentence_and_a_time_to_come_back() {
    let refused = "the proxy refuses to connect to localhost:1 (403)";
    let basic = "Proxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM, Basic realm=\"x\"\r\n";
    for (status, headers, credentials, expected) in [
        ("407 Proxy Authentication Required", "", "", "the proxy requires a user name and password (407)"),
        ("407 Proxy Authentication Required", basic, "", "the proxy requires a user name and password (407)"),
        (
            "407 Proxy Authentication Required",
            basic,
            "ada:s3cret@",
            "the proxy refuses the user name and password (407)",
        ),
        (
            "407 Proxy Authentication Required",
            "Proxy-Authenticate: Negotiate\r\n",
            "ada:s3cret@",
            "the proxy requires an authentication scheme other than Basic, the only supported one (407)",
        ),
        ("401 Unauthorized", "", "ada:s3cret@", "the proxy refuses the user name and password (401)"),
        ("403 Forbidden", "", "", refused),
        ("405 Method Not Allowed", "", "", "the proxy refuses to connect to localhost:1 (405)"),
        ("302 Found", "", "", "the proxy refuses to connect to localhost:1 (302)"),
    ] {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n{headers}\r\n");
        let (port, log) = proxy::proxy(answer.leak());
        for (name, transport) in both(&at(port, credentials), &Roots::default()) {
            log.lock().expect("not poisoned").clear();
            let error = failure(transport);
            let Error::Transport(transport) = &error else { panic!("{name}, {status}: {error:?}") };
            assert_eq!(transport.kind(), Kind::ProxyRefused, "{name}, {status}");
            assert_eq!(cause(&error), expected, "{name}, {status}");
            assert!(!error.is_transient() && error.retry_after() >= Some(seconds(60)), "{name}, {status}: {error:?}");
            assert!(error.remedy().contains("proxy"), "{name}: {}", error.remedy());
            assert!(!format!("{error:?}").contains("s3cret"), "{name}: {error:?}");
            assert_eq!(log.lock().expect("not poisoned").len(), 1, "{name}, {status}: asked once");
        }
    }
}

#[test]
fn what_a_proxy_may_be_able_to_do_later_is_tried_again_until_the_deadline() {
    for status in
        ["502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout", "500 Unable to connect", "429 Slow"]
    {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        let (port, log) = proxy::proxy(answer.leak());
        for (name, transport) in both(&at(port, ""), &Roots::default()) {
            log.lock().expect("not poisoned").clear();
            let error = failure(transport);
            assert!(matches!(error, Error::DeadlineExceeded(_)), "{name}, {status}: {error:?}");
            assert!(log.lock().expect("not poisoned").len() > 3, "{name}, {status}");
        }
    }
}

#[test]
fn a_proxy_whose_certificate_is_not_trusted_is_blamed_and_not_the_service() {
    let peer = Peer::new(|_, _| ControlFlow::Break(()));
    let proxy = Proxy::new(&format!("https://localhost:{}", peer.port)).expect("valid");
    for (name, mut transport) in both(&proxy, &Roots::default()) {
        let error =
            ask(&mut *transport, &settings().endpoint("localhost:1".parse().expect("valid"))).expect_err("not trusted");
        assert_eq!(error.kind(), Kind::Proxy, "{name}: {error:?}");
        assert!(format!("{error:?}").contains("UnknownIssuer"), "{name}: {error:?}");
    }
    for (name, mut transport) in both(&proxy, &peer.roots()) {
        let error =
            ask(&mut *transport, &settings().endpoint("localhost:1".parse().expect("valid"))).expect_err("no answer");
        assert_eq!(error.kind(), Kind::Proxy, "{name}: {error:?}");
    }
}

#[test]
fn a_service_that_is_exempt_is_reached_without_the_proxy_and_its_failure_not_blamed_on_it() {
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("an address").port();
    let (port, log) = proxy::proxy("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
    let settings = settings().endpoint(format!("localhost:{closed}").parse().expect("valid"));
    for (list, kind) in [
        ("localhost", Kind::CannotConnect),
        (&format!("localhost:{closed}"), Kind::CannotConnect),
        ("*", Kind::CannotConnect),
        ("localhost:1", Kind::Proxy),
        ("", Kind::Proxy),
    ] {
        for (name, mut transport) in both(&at(port, "").no_proxy(list), &Roots::default()) {
            log.lock().expect("not poisoned").clear();
            assert_eq!(ask(&mut *transport, &settings).expect_err("nobody there").kind(), kind, "{name}, {list}");
            assert_eq!(log.lock().expect("not poisoned").len(), usize::from(kind == Kind::Proxy), "{name}, {list}");
        }
    }
}

#[test]
fn what_a_proxy_says_before_its_answer_is_passed_over() {
    let answer = "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 403 Forbidden\r\n\r\n";
    let (port, _) = proxy::proxy(answer);
    for (name, transport) in both(&at(port, ""), &Roots::default()) {
        assert_eq!(cause(&failure(transport)), "the proxy refuses to connect to localhost:1 (403)", "{name}");
    }
}
