//! Tests problems of real networks that pass within one registration.
#![cfg(all(feature = "https", feature = "ring"))]
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod common;
#[path = "common/over.rs"]
mod over;
#[path = "common/peer.rs"]
mod peer;

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use azure_iot_dps::error::{Failure, TransportErrorKind};
use azure_iot_dps::time::Now;
use azure_iot_dps::transport::{PemProblem, RootsError};
use azure_iot_dps::{
    Clock, Endpoint, Error, Event, HttpsTransport, ProvisioningClient, ProvisioningClientBuilder, Roots, Transport,
};
use azure_iot_dps_simulator::{Simulator, SimulatorServer};
use common::{NO_SECOND_TRY, id, in_time, key, scope, seconds};
use over::{Over, over};
use peer::{Peer, http, say};

/// The system's clock, which skips waits.
struct Skipping {
    clock: azure_iot_dps::SystemClock,
    skipped: Duration,
}

impl Clock for Skipping {
    fn now(&mut self) -> Now {
        let Now { unix, uptime } = self.clock.now();
        Now { unix: unix.map(|unix| unix.saturating_add(self.skipped)), uptime: uptime + self.skipped }
    }

    fn sleep(&mut self, pause: Duration) {
        self.skipped += pause;
    }
}

fn skipping() -> Skipping {
    Skipping { clock: azure_iot_dps::SystemClock::new(), skipped: Duration::ZERO }
}

/// The reported kinds of failed requests.
#[derive(Clone, Default)]
struct Failures(Arc<Mutex<Vec<TransportErrorKind>>>);

impl Failures {
    fn observe(&self, builder: ProvisioningClientBuilder) -> ProvisioningClientBuilder {
        let failures = Arc::clone(&self.0);
        builder.observer(move |event| {
            if let Event::Unanswered { kind } = event {
                failures.lock().expect("not poisoned").push(kind);
            }
        })
    }

    fn seen(&self) -> Vec<TransportErrorKind> {
        self.0.lock().expect("not poisoned").clone()
    }
}

fn service() -> (Simulator, SimulatorServer) {
    let sim = Simulator::builder().assigning_polls(1).retry_after(Duration::ZERO).build();
    let server = sim.serve().expect("serves");
    (sim, server)
}

/// Creates a client of this service, whose transport resolves names with `resolve`.
fn client(
    sim: &Simulator,
    roots: Roots,
    resolve: impl Fn() -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
) -> ProvisioningClientBuilder {
    let port = if over() == Over::Https { 443 } else { 8883 };
    let resolver = move |host: &str, asked: u16| {
        assert_eq!((host, asked), ("localhost", port));
        resolve()
    };
    let transport: Box<dyn Transport + Send> = match over() {
        Over::Https => Box::new(HttpsTransport::builder().roots(roots).resolver(resolver).build()),
        #[cfg(feature = "mqtt")]
        Over::Mqtt => Box::new(azure_iot_dps::MqttTransport::builder().roots(roots).resolver(resolver).build()),
        #[cfg(not(feature = "mqtt"))]
        Over::Mqtt => unreachable!("there is no such test then"),
    };
    let key = common::key_of(sim, &id("dev-01"));
    ProvisioningClient::builder(sim.id_scope(), id("dev-01"), key)
        .endpoint("localhost".parse().expect("valid"))
        .transport(transport)
        .clock(skipping())
}

/// Returns the address of the service for the protocol of the test.
fn service_address(server: &SimulatorServer) -> SocketAddr {
    match over() {
        Over::Https => address(&server.endpoint()),
        Over::Mqtt => address(&server.mqtt_endpoint().expect("serves MQTT")),
    }
}

fn address(endpoint: &Endpoint) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], endpoint.port().expect("a port")))
}

fn roots(pem: &str) -> Roots {
    Roots::pem(pem.as_bytes()).expect("PEM")
}

/// Resolves the first names to `faults` in turn, and all later ones to the service.
fn at_first(
    faults: Vec<io::Result<Vec<SocketAddr>>>,
    service: SocketAddr,
) -> impl Fn() -> io::Result<Vec<SocketAddr>> + Send + Sync {
    let faults = Mutex::new(faults.into_iter());
    move || faults.lock().expect("not poisoned").next().unwrap_or_else(|| Ok(vec![service]))
}

fn a_name_that_does_not_resolve_yet_is_looked_up_again_until_it_does() {
    let (sim, server) = service();
    let fault = || Err(io::Error::other("failed to lookup address information: Temporary failure in name resolution"));
    let faults = vec![fault(), fault(), Ok(Vec::new()), Err(io::ErrorKind::PermissionDenied.into())];
    let failures = Failures::default();
    let client = client(&sim, roots(server.ca_pem()), at_first(faults, service_address(&server)));
    failures.observe(client).build().register().expect("assigned in the end");
    assert_eq!(failures.seen(), [TransportErrorKind::NameNotResolved; 4]);
}

/// Returns an address that neither accepts nor refuses connections because its queue is full, and
/// the sockets that fill it.
fn nowhere() -> (SocketAddr, TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind("[::1]:0").or_else(|_| TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("an address");
    let connect = || TcpStream::connect_timeout(&address, seconds(1)).ok();
    let queue: Vec<TcpStream> = std::iter::from_fn(connect).take(10_000).collect();
    assert!(queue.len() < 10_000, "the queue has no end");
    (address, listener, queue)
}

fn ipv6_that_leads_nowhere_leaves_time_for_ipv4() {
    let (sim, server) = service();
    let (nowhere, _listener, _queue) = nowhere();
    let addresses = vec![nowhere, service_address(&server)];
    // Each address gets a share of the time that is left, less than the 30 s for connecting.
    assert!(in_time(|deadline| {
        let addresses = addresses.clone();
        let client = client(&sim, roots(server.ca_pem()), move || Ok(addresses.clone()));
        client.deadline(seconds(deadline)).clock(azure_iot_dps::SystemClock::new()).build().register().is_ok()
    }));
}

fn a_network_that_leads_nowhere_at_all_is_tried_again_until_it_leads_somewhere() {
    let (sim, server) = service();
    // A port where nothing listens, and a network without a route.
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("an address");
    let faults = vec![Ok(vec![closed]), Ok(vec![closed, closed])];
    let failures = Failures::default();
    let client = client(&sim, roots(server.ca_pem()), at_first(faults, service_address(&server)));
    failures.observe(client).build().register().expect("assigned in the end");
    assert_eq!(failures.seen(), [TransportErrorKind::CannotConnect; 2]);
}

#[test]
fn a_clock_that_is_not_set_yet_is_told_as_what_it_is_and_forgiven_once_it_is_set() {
    let (sim, server) = service();
    // For a device in 1970 every certificate is from the future. Here the certificate is from the future,
    // and the clock is right.
    let future = Peer::with_validity(
        |leaf| leaf.not_before = rcgen::date_time_ymd(2100, 1, 1),
        |_, stream| say(stream, http("200 OK", "", common::ASSIGNED).as_bytes()),
    );
    let faults = vec![Ok(vec![address(&future.endpoint())]), Ok(vec![address(&future.endpoint())])];
    let failures = Failures::default();
    let both = format!("{}{}", server.ca_pem(), future.ca_pem());
    let client = client(&sim, roots(&both), at_first(faults, address(&server.endpoint())));
    failures.observe(client).build().register().expect("assigned in the end");
    assert_eq!(failures.seen(), [TransportErrorKind::ClockNotSet; 2]);
    assert!(future.requests().is_empty(), "the token went to a peer that could not prove who it is");
}

#[test]
fn a_captive_portal_is_waited_out_whether_it_can_do_tls_or_not() {
    let (sim, server) = service();
    let login = |stream: &mut peer::Stream, status: &str| {
        say(stream, http(status, "Location: https://portal.example/login\r\n", "<html>Log in</html>").as_bytes())
    };
    let impostor = Peer::new(move |_, stream| login(stream, "200 OK"));
    let gateway = Peer::new(move |it, stream| login(stream, if it.number == 0 { "302 Found" } else { "200 OK" }));
    let plain = TcpListener::bind("127.0.0.1:0").expect("a port");
    let plain_address = plain.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in plain.incoming().flatten() {
            let _ =
                io::Write::write_all(&mut stream, b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\n\r\n");
        }
    });
    let gateway_address = address(&gateway.endpoint());
    let faults = [address(&impostor.endpoint()), plain_address, gateway_address, gateway_address];
    let faults = faults.map(|address| Ok(vec![address])).into();
    let failures = Failures::default();
    // The gateway can intercept TLS like a company's proxy, because its certificate authority is trusted.
    let both = format!("{}{}", server.ca_pem(), gateway.ca_pem());
    let client = client(&sim, roots(&both), at_first(faults, address(&server.endpoint())));
    failures.observe(client).build().register().expect("assigned in the end");
    assert_eq!(failures.seen(), [TransportErrorKind::CertificateNotTrusted, TransportErrorKind::Tls]);
    assert!(impostor.requests().is_empty(), "the token went to a peer that could not prove who it is");
    // A kept connection would lead to the gateway forever.
    assert_eq!((gateway.requests().len(), gateway.handshakes().len()), (2, 2));
}

// One connection

/// Starts a peer that answers `assigning` twice, with this `Retry-After` in seconds, then
/// `assigned`.
///
/// `after_first` decides whether the connection is closed after the first answer.
fn patient(retry_after: &'static str, after_first: ControlFlow<()>) -> Peer {
    Peer::new(move |it, stream| {
        let json = "Content-Type: application/json; charset=utf-8\r\n";
        let headers = format!("{json}Retry-After: {retry_after}\r\n");
        let assigning = r#"{"operationId":"5.3","status":"assigning"}"#;
        let sent = match it.number {
            0 | 1 => say(stream, http("202 Accepted", &headers, assigning).as_bytes()),
            _ => say(stream, http("200 OK", json, common::ASSIGNED).as_bytes()),
        };
        if it.number == 0 { after_first } else { sent }
    })
}

fn register(peer: &Peer, lookups: &Arc<AtomicUsize>) -> (u32, usize) {
    let (counted, address) = (Arc::clone(lookups), address(&peer.endpoint()));
    let transport = HttpsTransport::builder().roots(peer.roots()).resolver(move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(vec![address])
    });
    let client =
        ProvisioningClient::builder(scope(), id("dev-01"), key()).endpoint("localhost".parse().expect("valid"));
    let mut client = client.build_with(transport.build(), skipping());
    let assignment = client.register().expect("assigned");
    (assignment.requests(), peer.handshakes().len())
}

#[test]
fn one_connection_and_one_look_up_serve_a_registration_that_waits_3_to_60_s_between_polls() {
    for retry_after in ["3", "60"] {
        let lookups = Arc::new(AtomicUsize::new(0));
        assert_eq!(register(&patient(retry_after, ControlFlow::Continue(())), &lookups), (3, 1), "{retry_after} s");
        assert_eq!(lookups.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn a_connection_that_the_service_closed_meanwhile_is_opened_anew_without_a_failed_request() {
    let lookups = Arc::new(AtomicUsize::new(0));
    assert_eq!(register(&patient("3", ControlFlow::Break(())), &lookups), (3, 2));
}

/// Returns an answer in chunks, as the service sends it.
fn chunked(status: &str, headers: &str, body: &str) -> String {
    let (first, second) = body.split_at(body.len() / 2);
    let chunks = [first, second, ""].map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len()));
    format!("HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n{headers}\r\n{}", chunks.concat())
}

#[test]
fn answers_in_chunks_are_read_whole_and_leave_the_connection_as_it_was() {
    let peer = Peer::new(|it, stream| {
        let headers = "Content-Type: application/json; charset=utf-8\r\nRetry-After: 3\r\n";
        let assigning = r#"{"operationId":"5.3","status":"assigning"}"#;
        let (status, body) = if it.number < 2 { ("202 Accepted", assigning) } else { ("200 OK", common::ASSIGNED) };
        say(stream, chunked(status, headers, body).as_bytes())
    });
    assert_eq!(register(&peer, &Arc::default()), (3, 1));
}

#[test]
fn a_look_up_that_fails_while_there_is_a_connection_or_an_address_is_no_reason_to_give_up() {
    let (sim, server) = service();
    let there = address(&server.endpoint());
    let lookups = AtomicUsize::new(0);
    let client = client(&sim, roots(server.ca_pem()), move || match lookups.fetch_add(1, Ordering::SeqCst) {
        0 => Ok(vec![there]),
        _ => Err(io::ErrorKind::TimedOut.into()),
    });
    let mut client = client.build();
    client.register().expect("assigned");
    client.register().expect("assigned");
    assert_eq!(server.connections(), 1);
}

#[test]
fn answers_without_a_body_do_not_cost_the_connection_and_pages_of_somebody_else_do() {
    for (refusal, connections) in [
        ("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n".to_owned(), 1),
        (http("503 Service Unavailable", "Content-Type: text/html\r\n", "<html>"), 4),
        ("HTTP/1.1 302 Found\r\nLocation: https://portal.example/\r\nContent-Length: 0\r\n\r\n".to_owned(), 4),
    ] {
        let peer = Peer::new(move |it, stream| match it.number {
            0..3 => say(stream, refusal.as_bytes()),
            _ => say(stream, http("200 OK", "Content-Type: application/json\r\n", common::ASSIGNED).as_bytes()),
        });
        assert_eq!(register(&peer, &Arc::default()), (4, connections));
    }
}

#[test]
fn a_machine_that_answers_503_again_and_again_is_left_for_the_one_that_took_its_place() {
    let (sim, server) = service();
    let json = "Content-Type: application/json\r\n";
    let troubled = Peer::saying(http("503 Service Unavailable", json, r#"{"errorCode":503001}"#));
    let both = format!("{}{}", server.ca_pem(), troubled.ca_pem());
    let there = address(&troubled.endpoint());
    let client = client(&sim, roots(&both), at_first([Ok(vec![there])].into(), address(&server.endpoint())));
    client.build().register().expect("assigned");
    troubled.wait_for_ends(1);
    // One such answer costs neither the connection nor a name lookup. A second one does.
    assert_eq!((troubled.requests().len(), troubled.handshakes().len()), (2, 1));
}

#[test]
fn requests_ask_for_no_compression_and_an_answer_that_is_compressed_all_the_same_is_named_as_that() {
    let headers = "Content-Type: application/json\r\nContent-Encoding: gzip\r\n";
    let peer = Peer::saying(http("200 OK", headers, "\u{1f}\u{8b}"));
    let builder = ProvisioningClient::builder(scope(), id("dev-01"), key()).endpoint(peer.endpoint());
    let error = builder.retry(NO_SECOND_TRY).build_with(peer.transport(), skipping()).register().expect_err("foreign");
    let Error::DeadlineExceeded(late) = &error else { panic!("{error:?}") };
    let Some(Failure::UnexpectedAnswer(answer)) = late.last() else { panic!("{error:?}") };
    assert_eq!(answer.content_encoding(), Some("gzip"));
    assert!(answer.to_string().contains("of application/json, encoded as gzip"), "{answer}");
    let request = peer.requests().remove(0).to_ascii_lowercase();
    assert_eq!(request.matches("accept-encoding: identity\r\n").count(), 1, "{request}");
    assert_eq!(request.matches("accept-encoding").count(), 1, "{request}");
}

// Handles

#[test]
fn a_request_under_way_can_be_ended_though_the_roots_were_replaced_meanwhile() {
    let peer = Peer::new(|_, stream| {
        // Stay silent until the client disconnects.
        let _ = io::Read::read(stream, &mut [0]);
        ControlFlow::Break(())
    });
    let transport = peer.transport();
    let (closer, handle) = (transport.shutdown_handle(), transport.roots_handle());
    let failures = Failures::default();
    let client =
        ProvisioningClient::builder(scope(), id("dev-01"), key()).endpoint(peer.endpoint()).transport(transport);
    // The registration ends at the first wait. If the request were not ended, it would end at its time limit.
    let client = client.wait(|pause| match pause.duration() {
        Duration::ZERO => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    });
    let mut client = failures.observe(client).build();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while peer.requests().is_empty() {
                std::thread::yield_now();
            }
            handle.replace(peer.roots());
            closer.shutdown();
        });
        assert!(matches!(client.register(), Err(Error::Cancelled)));
    });
    assert_eq!(failures.seen(), [TransportErrorKind::AnswerBroken]);
}

// Roots

/// The default roots of any set of features do not trust a test's peer, and do not panic.
#[test]
fn the_default_transport_works_with_every_choice_of_features() {
    let peer = Peer::saying("");
    let client = ProvisioningClient::builder(scope(), id("dev-01"), key()).endpoint(peer.endpoint());
    let mut client = client.transport(HttpsTransport::new()).retry(NO_SECOND_TRY).clock(skipping()).build();
    let error = client.register().expect_err("not trusted");
    let kind = error.transport().map(azure_iot_dps::error::TransportError::kind);
    // A platform without certificate authorities has a different error.
    let expected = [TransportErrorKind::CertificateNotTrusted, TransportErrorKind::Tls];
    assert!(kind.is_some_and(|kind| expected.contains(&kind)), "{error:?}");
    assert!(peer.requests().is_empty());
}

fn file(name: &str, content: &[u8]) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("network");
    fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join(name);
    fs::write(&file, content).expect("writes");
    file
}

/// Returns the DER of a PEM file with one certificate.
fn der(pem: &str) -> Vec<u8> {
    use base64::Engine;
    let lines: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    base64::engine::general_purpose::STANDARD.decode(lines).expect("base64")
}

#[test]
fn a_rotation_of_roots_is_got_through_by_the_same_process_and_within_the_same_registration() {
    let [(old_sim, old), (new_sim, new)] = [service(), service()];
    let path = file("rotation.pem", old.ca_pem().as_bytes());
    let now_at = Arc::new(Mutex::new(address(&old.endpoint())));
    let leads_to = Arc::clone(&now_at);
    let transport = HttpsTransport::builder()
        .roots(Roots::file(&path).expect("roots"))
        .resolver(move |_, _| Ok(vec![*leads_to.lock().expect("not poisoned")]))
        .build();
    let handle = transport.roots_handle();
    let failures = Failures::default();
    let key = common::key_of(&old_sim, &id("dev-01"));
    let reload = path.clone();
    let client = ProvisioningClient::builder(old_sim.id_scope(), id("dev-01"), key)
        .endpoint("localhost".parse().expect("valid"))
        .transport(transport)
        .clock(skipping())
        .wait(move |pause| {
            use azure_iot_dps::registration::WaitReason;
            // As firmware does, read the file again if the server is not trusted.
            let kind = TransportErrorKind::CertificateNotTrusted;
            if pause.reason() == (WaitReason::Unanswered { kind }) {
                handle.replace(Roots::file(&reload).expect("roots"));
            }
            ControlFlow::Continue(())
        });
    let mut client = failures.observe(client).build();
    client.register().expect("assigned under the old root");

    // The service shows a certificate of the new root, and then an update replaces the file.
    *now_at.lock().expect("not poisoned") = address(&new.endpoint());
    drop(old);
    fs::write(&path, new.ca_pem()).expect("writes");
    client.register().expect("assigned under the new root");
    assert_eq!(failures.seen(), [TransportErrorKind::CertificateNotTrusted]);
    assert!(!new_sim.records().is_empty());

    // The old root is gone.
    let impostor = old_sim.serve().expect("serves");
    *now_at.lock().expect("not poisoned") = address(&impostor.endpoint());
    drop(new);
    let mut client = ProvisioningClient::builder(scope(), id("dev-01"), common::key())
        .endpoint(impostor.endpoint())
        .transport(HttpsTransport::builder().roots(Roots::file(&path).expect("roots")).build())
        .retry(NO_SECOND_TRY)
        .clock(skipping())
        .build();
    let error = client.register().expect_err("another root");
    assert_eq!(
        error.transport().map(azure_iot_dps::error::TransportError::kind),
        Some(TransportErrorKind::CertificateNotTrusted)
    );
}

#[test]
fn roots_replaced_under_a_living_connection_count_from_the_next_request_on() {
    let (sim, server) = service();
    let transport = HttpsTransport::builder().roots(roots(server.ca_pem())).build();
    let handle = transport.roots_handle();
    let key = common::key_of(&sim, &id("dev-01"));
    let client = ProvisioningClient::builder(sim.id_scope(), id("dev-01"), key).endpoint(server.endpoint());
    let failures = Failures::default();
    let mut client = failures.observe(client.transport(transport).clock(skipping())).build();
    client.register().expect("assigned");
    handle.replace(roots(Peer::saying("").ca_pem()));
    client.register().expect_err("not trusted any more");
    assert_eq!(failures.seen()[0], TransportErrorKind::CertificateNotTrusted);
    handle.replace(roots(server.ca_pem()));
    client.register().expect("assigned again");
}

/// Returns the error in the content of a file.
fn content_of(error: &RootsError) -> &RootsError {
    match error {
        RootsError::Content { source, .. } => source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn roots_are_read_from_files_of_pem_and_der_and_a_file_without_one_is_an_error() {
    let (sim, server) = service();
    let pem = server.ca_pem();
    let other = Peer::saying("").ca_pem().to_owned();
    for (name, content) in [
        ("one.pem", pem.as_bytes().to_vec()),
        ("two.pem", format!("# old\n{other}# new\n{pem}").into_bytes()),
        ("one.der", der(pem)),
    ] {
        let roots = Roots::file(file(name, &content)).expect(name);
        let there = address(&server.endpoint());
        let client = client(&sim, roots, move || Ok(vec![there]));
        client.build().register().expect(name);
    }
    let mut damaged = der(pem);
    damaged.truncate(100);
    for (name, content) in [("empty.pem", &b""[..]), ("text.pem", b"no root"), ("zeros.pem", &[0; 100])] {
        let path = file(name, content);
        let error = Roots::file(&path).expect_err(name);
        assert!(matches!(content_of(&error), RootsError::NoCertificate), "{name}: {error:?}");
        assert_eq!(error.to_string(), format!("the root certificate file {} cannot be used", path.display()));
    }
    let error = Roots::file(file("cut.der", &damaged)).expect_err("cut");
    assert!(matches!(content_of(&error), RootsError::Certificate { number: 1, .. }), "{error:?}");
    assert!(matches!(Roots::der(b""), Err(RootsError::NoCertificate)));
    let error = Roots::file("/nowhere/roots.pem").expect_err("not there");
    assert_eq!(error.to_string(), "the root certificate file /nowhere/roots.pem cannot be read");
}

#[test]
fn a_file_with_two_roots_is_read_whole_or_not_at_all() {
    let (sim, server) = service();
    let (right, other) = (server.ca_pem().trim().to_owned(), Peer::saying("").ca_pem().trim().to_owned());
    let spaced = format!("{other}\n{right}\n").replace('\n', "\n   ");
    for (name, content) in [
        ("glued.pem", format!("{other}{right}")),
        ("marked.pem", format!("\u{feff}{right}\n{other}")),
        ("indented.pem", format!("   {spaced}")),
        ("zero.pem", format!("0: the old root\n{other}\n1: the new root\n{right}\n")),
    ] {
        let roots = Roots::file(file(name, content.as_bytes())).expect(name);
        assert_eq!(roots.certificates().count(), 2, "{name}");
        let there = address(&server.endpoint());
        client(&sim, roots, move || Ok(vec![there])).build().register().expect(name);
    }
    let trusted = format!("{right}\n{}", other.replace("CERTIFICATE", "TRUSTED CERTIFICATE"));
    let error = Roots::file(file("trusted.pem", trusted.as_bytes())).expect_err("it may say the contrary");
    assert!(matches!(content_of(&error), RootsError::Pem { problem: PemProblem::Trusted, .. }), "{error:?}");
    let two = [der(&right), der(&other)].concat();
    let error = Roots::file(file("two.der", &two)).expect_err("half of it");
    assert!(matches!(content_of(&error), RootsError::Certificate { number: 1, .. }), "{error:?}");
    let cut = format!("{other}\n{}", right.replace("-----BEGIN", "----BEGIN"));
    let line = other.lines().count() + 1;
    let error = Roots::file(file("hyphens.pem", cut.as_bytes())).expect_err("half of it");
    assert!(
        matches!(content_of(&error), RootsError::Pem { line: at, problem: PemProblem::Marker } if *at == line),
        "{error:?}: {line}"
    );
}

/// The child process of the next test, which sets the file of the system's roots.
#[cfg(all(feature = "platform-verifier", target_os = "linux"))]
#[test]
fn a_child_trusts_whom_its_platform_trusts() {
    let Ok(port) = std::env::var("DPS_TEST_PORT_OF_CHILD") else { return };
    let transport = HttpsTransport::builder().roots(Roots::platform()).build();
    let key = common::key_of(&Simulator::builder().build(), &id("dev-01"));
    let client = ProvisioningClient::builder(scope(), id("dev-01"), key).transport(transport).retry(NO_SECOND_TRY);
    let endpoint = format!("localhost:{port}").parse().expect("valid");
    let result = client.endpoint(endpoint).clock(skipping()).build().register();
    let kind = result.as_ref().err().and_then(Error::transport).map(azure_iot_dps::error::TransportError::kind);
    println!("result: {} {kind:?}", result.is_ok());
}

#[cfg(all(feature = "platform-verifier", target_os = "linux"))]
#[test]
fn the_platforms_verifier_trusts_whom_the_platform_trusts_and_nobody_else() {
    let (_sim, server) = service();
    let other = Peer::saying("");
    for (pem, expected) in [(server.ca_pem(), "true None"), (other.ca_pem(), "false Some(CertificateNotTrusted)")] {
        let mut child = std::process::Command::new(std::env::current_exe().expect("a path"));
        child.args(["a_child_trusts_whom_its_platform_trusts", "--exact", "--nocapture"]);
        child.env("DPS_TEST_PORT_OF_CHILD", server.endpoint().port().expect("a port").to_string());
        child.env("SSL_CERT_FILE", file("platform.pem", pem.as_bytes())).env_remove("SSL_CERT_DIR");
        let output = child.output().expect("runs");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(text.contains(&format!("result: {expected}")), "{text}");
    }
}

over_both! {
    a_name_that_does_not_resolve_yet_is_looked_up_again_until_it_does,
    ipv6_that_leads_nowhere_leaves_time_for_ipv4,
    a_network_that_leads_nowhere_at_all_is_tried_again_until_it_leads_somewhere,
}
