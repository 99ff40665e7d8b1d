//! Tests how many bytes a registration sends and receives, because mobile networks charge for them.
#![cfg(all(feature = "https", feature = "mqtt", feature = "ring"))]
#![allow(clippy::expect_used, reason = "a test may panic")]

mod common;
#[path = "common/mqtt_peer.rs"]
mod mqtt_peer;
#[path = "common/peer.rs"]
mod peer;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use azure_iot_dps::time::Now;
use azure_iot_dps::{Clock, HttpsTransport, MqttTransport, ProvisioningClient};
use common::{id, key, scope};
use peer::{Peer, say};

/// Forwards bytes to a port, and counts the bytes in both directions.
fn relay(to: u16) -> (u16, [Arc<AtomicUsize>; 2]) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let counts = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let [sent, received] = counts.clone();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(("127.0.0.1", to)).expect("connects");
            let ends = (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
            copy(client, server, Arc::clone(&sent));
            copy(ends.1, ends.0, Arc::clone(&received));
        }
    });
    (port, counts)
}

fn copy(mut from: TcpStream, mut to: TcpStream, count: Arc<AtomicUsize>) {
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut chunk) {
            count.fetch_add(length, Ordering::SeqCst);
            if to.write_all(&chunk[..length]).is_err() {
                return;
            }
        }
    });
}

/// A clock that always shows the same time, because the length of a token depends on it.
struct Stopped;

impl Clock for Stopped {
    fn now(&mut self) -> Now {
        common::at(0)
    }

    fn sleep(&mut self, _: Duration) {}
}

const NAME: &str = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6";
const ASSIGNING: &str =
    r#"{"operationId":"5.316aac5bdc130deb.b1e02da8-c3a0-4ff2-a121-7ea7a6b7f550","status":"assigning"}"#;

/// Returns an answer with the headers of the service. Source: Microsoft, "How to use symmetric keys
/// over HTTPS with DPS".
fn answer(status: &str, more: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: application/json; charset=utf-8\r\n\
         Transfer-Encoding: chunked\r\n{more}x-ms-request-id: 6a7b0c1d-0000-4000-8000-000000000000\r\n\
         Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
    )
}

/// The chapter `guide::performance` states these numbers. Change them there too. A real service has longer certificates
/// and names.
#[test]
fn a_registration_sends_no_more_than_it_must() {
    let location =
        format!("Location: https://global.azure-devices-provisioning.net/0ne00002193/registrations/{NAME}\r\n");
    let answers = [
        answer("202 Accepted", &format!("{location}Retry-After: 0\r\n"), ASSIGNING),
        answer("202 Accepted", "Retry-After: 0\r\n", ASSIGNING),
        answer("200 OK", "", common::ASSIGNED),
    ];
    let answered: usize = answers.iter().map(String::len).sum();
    let peer = Peer::new(move |it, stream| say(stream, answers[it.number].as_bytes()));
    let (port, [sent, received]) = relay(peer.port);
    let transport = HttpsTransport::builder()
        .roots(peer.roots())
        .resolver(move |_, _| Ok(vec![([127, 0, 0, 1], port).into()]))
        .build();
    let client = ProvisioningClient::builder(scope(), id(NAME), key()).endpoint("localhost".parse().expect("valid"));
    let assignment = client.build_with(transport, Stopped).register().expect("assigned");
    assert_eq!((assignment.requests(), peer.handshakes().len()), (3, 1));

    let requests: usize = peer.requests().iter().map(String::len).sum();
    let (sent, received) = (sent.load(Ordering::SeqCst), received.load(Ordering::SeqCst));
    println!("above TLS: {requests} bytes sent, {answered} received");
    println!("below TLS: {sent} bytes sent, {received} received");
    // Two thirds of a request are the token and the names, which the protocol needs. 27 bytes prevent
    // compression by gateways.
    assert!(requests <= 1_520, "{requests} bytes in three requests: {:#?}", peer.requests());
    // A handshake of TLS 1.3, and for each request a record of 22 bytes more than it holds.
    assert!(sent <= requests + 420, "{sent} bytes for {requests}");
    assert!(received <= answered + 1_000, "{received} bytes for {answered}");
}

/// The chapter `guide::performance` states these numbers. Change them there too.
#[test]
fn a_registration_over_mqtt_sends_about_half_of_that() {
    let answered = Arc::new(AtomicUsize::new("CONN".len() + "SUBAC".len()));
    let (number, count) = (AtomicUsize::new(0), Arc::clone(&answered));
    let peer = mqtt_peer::answering(move |publish| {
        let answer = match number.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => mqtt_peer::answer(publish, 202, "&retry-after=0", ASSIGNING),
            _ => mqtt_peer::assigned(publish),
        };
        count.fetch_add(mqtt_peer::puback(publish).len() + answer.len(), Ordering::SeqCst);
        answer
    });
    let (port, [sent, received]) = relay(peer.port);
    let transport = MqttTransport::builder()
        .roots(peer.roots())
        .resolver(move |_, _| Ok(vec![([127, 0, 0, 1], port).into()]))
        .build();
    let client = ProvisioningClient::builder(scope(), id(NAME), key()).endpoint("localhost".parse().expect("valid"));
    let assignment = client.build_with(transport, Stopped).register().expect("assigned");
    assert_eq!((assignment.requests(), peer.handshakes().len()), (3, 1));

    let (requests, answered) = (peer.bytes(), answered.load(Ordering::SeqCst));
    let (sent, received) = (sent.load(Ordering::SeqCst), received.load(Ordering::SeqCst));
    println!("above TLS: {requests} bytes sent, {answered} received");
    println!("below TLS: {sent} bytes sent, {received} received");
    assert!((600..=800).contains(&requests), "{requests} bytes");
    assert!(answered <= 1_000, "{answered} bytes");
    // A handshake of TLS 1.3, and for each of eight packets a record of 22 bytes more than it holds.
    assert!(sent <= requests + 560, "{sent} bytes for {requests}");
    assert!(received <= answered + 1_100, "{received} bytes for {answered}");
}
