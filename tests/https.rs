//! Tests registrations over real TLS on loopback, and the errors of a wrong key, ID scope, root or
//! peer.
#![cfg(all(feature = "bundled-roots", feature = "https", feature = "proxy", feature = "ring",))]
#![allow(clippy::expect_used, clippy::panic, clippy::unchecked_time_subtraction, reason = "a test may panic")]

mod common;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use azure_iot_dps::attestation::AttestationKind;
use azure_iot_dps::error::TransportErrorKind;
use azure_iot_dps::registration::{Registration, Step};
use azure_iot_dps::transport::RootsError;
use azure_iot_dps::{
    Assignment, DeviceKey, Endpoint, Error, HttpsTransport, IdScope, ProvisioningClient, ProvisioningClientBuilder,
    Proxy, Roots, Transport,
};
use azure_iot_dps_simulator::{Simulator, SimulatorServer};
use common::{NO_SECOND_TRY, id, seconds};

/// Creates a service that asks for no waits.
fn prompt() -> Simulator {
    Simulator::builder().assigning_polls(1).retry_after(Duration::ZERO).build()
}

fn trusting(server: &SimulatorServer) -> HttpsTransport {
    HttpsTransport::builder().roots(Roots::pem(server.ca_pem().as_bytes()).expect("PEM")).build()
}

fn builder(sim: &Simulator, endpoint: Endpoint) -> ProvisioningClientBuilder {
    let registration_id = id("dev-01");
    let key = common::key_of(sim, &registration_id);
    ProvisioningClient::builder(sim.id_scope(), registration_id, key).endpoint(endpoint)
}

fn register(sim: &Simulator, server: &SimulatorServer) -> Result<Assignment, Error> {
    builder(sim, server.endpoint()).transport(trusting(server)).build().register()
}

/// Returns the failure of one request to the endpoint.
fn failure(endpoint: Endpoint, mut transport: HttpsTransport) -> TransportErrorKind {
    let (settings, key) = (common::settings().endpoint(endpoint), common::key());
    let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
    let Ok(Step::Send(request)) = common::step(&mut registration, &key, common::at(0)) else {
        panic!("the first step sends")
    };
    transport.send(&request).expect_err("cannot work").kind()
}

/// Returns a port where nothing listens: that of the obsolete TCP port multiplexer (RFC 1078).
fn nobody() -> u16 {
    1
}

fn localhost(port: u16) -> Endpoint {
    format!("localhost:{port}").parse().expect("valid")
}

#[test]
fn a_device_is_assigned_over_tls_by_a_service_that_checked_its_token() {
    let sim = prompt();
    let server = sim.serve().expect("serves");
    let assignment = register(&sim, &server).expect("assigned");
    assert_eq!(assignment.hub().as_str(), "simulated-hub.azure-devices.net");
    assert_eq!(assignment.device_id().as_str(), "dev-01");
}

#[test]
fn one_connection_serves_a_whole_registration_and_the_next_one() {
    let sim = prompt();
    let server = sim.serve().expect("serves");
    let mut client = builder(&sim, server.endpoint()).transport(trusting(&server)).build();
    client.register().expect("assigned");
    client.register().expect("assigned again");
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_wrong_key_gives_401_with_its_code_and_tracking_id() {
    let sim = prompt();
    let server = sim.serve().expect("serves");
    let client = ProvisioningClient::builder(sim.id_scope(), id("dev-01"), common::key()).endpoint(server.endpoint());
    let error = client.transport(trusting(&server)).build().register().expect_err("refused");
    assert_eq!((error.status(), error.error_code()), (Some(401), Some(401_002)));
    assert!(error.tracking_id().is_some());
    assert!(error.to_string().contains("401002") && error.to_string().contains(error.tracking_id().expect("is there")));
}

#[test]
fn a_wrong_scope_gives_404() {
    let sim = prompt();
    let server = sim.serve().expect("serves");
    let (registration_id, scope) = (id("dev-01"), IdScope::new("0ne99999999").expect("valid"));
    let key = common::key_of(&sim, &registration_id);
    let client = ProvisioningClient::builder(scope, registration_id, key).endpoint(server.endpoint());
    let error = client.transport(trusting(&server)).build().register().expect_err("refused");
    assert_eq!(error.status(), Some(404));
}

#[test]
fn the_servers_certificate_is_good_for_its_names_and_no_others() {
    let sim = prompt();
    let server = sim.serve().expect("serves");
    let port = server.endpoint().port().expect("a port");
    let by_address = format!("127.0.0.1:{port}").parse().expect("valid");
    builder(&sim, by_address).transport(trusting(&server)).build().register().expect("assigned");
    let other_name = format!("127.0.0.2:{port}").parse().expect("valid");
    let kind = failure(other_name, trusting(&server));
    // 127.0.0.2 is this machine on Linux. On other systems nothing answers there.
    assert!(matches!(kind, TransportErrorKind::CertificateNotTrusted | TransportErrorKind::CannotConnect), "{kind}");
}

#[test]
fn a_certificate_authority_that_is_not_trusted_is_told_apart() {
    let sim = prompt();
    let (server, other) = (sim.serve().expect("serves"), sim.serve().expect("serves"));
    assert_eq!(failure(server.endpoint(), trusting(&other)), TransportErrorKind::CertificateNotTrusted);
    let bundled = HttpsTransport::new();
    assert_eq!(failure(server.endpoint(), bundled), TransportErrorKind::CertificateNotTrusted);
}

#[test]
fn own_roots_extend_the_bundled_ones() {
    let sim = prompt();
    let server = sim.serve().expect("serves");
    let roots = Roots::pem(server.ca_pem().as_bytes()).expect("PEM").and_bundled();
    assert!(roots.certificates().count() > 100, "{roots:?}");
    let transport = HttpsTransport::builder().roots(roots).build();
    builder(&sim, server.endpoint()).transport(transport).build().register().expect("assigned");
}

#[test]
fn roots_from_a_file_without_a_certificate_are_an_error() {
    for pem in ["", "no PEM", "-----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----\n"] {
        assert!(matches!(Roots::pem(pem.as_bytes()), Err(RootsError::NoCertificate)), "{pem}");
    }
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(Roots::pem(damaged.as_bytes()), Err(RootsError::Certificate { number: 1, .. })));
    let cut = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    assert!(Roots::pem(cut.as_bytes()).is_err());
}

#[test]
fn a_peer_that_refuses_the_connection_is_told_apart() {
    assert_eq!(failure(localhost(nobody()), HttpsTransport::new()), TransportErrorKind::CannotConnect);
}

/// Starts a peer that answers each connection with these bytes and closes it.
fn peer(answer: &'static [u8]) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten().take(3) {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer);
        }
    });
    localhost(port)
}

#[test]
fn a_peer_that_speaks_no_tls_is_told_apart() {
    let kind = failure(peer(b"HTTP/1.1 200 OK\r\n\r\n"), HttpsTransport::new());
    assert_eq!(kind, TransportErrorKind::Tls);
}

#[test]
fn a_peer_that_hangs_up_is_told_apart() {
    assert_eq!(failure(peer(b""), HttpsTransport::new()), TransportErrorKind::AnswerBroken);
}

#[test]
fn a_peer_that_says_nothing_does_not_outlast_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint: Endpoint =
        format!("localhost:{}", listener.local_addr().expect("an address").port()).parse().expect("valid");
    let client = builder(&prompt(), endpoint).deadline(seconds(1));
    let error = client.build().register().expect_err("nobody answers");
    assert!(matches!(&error, Error::DeadlineExceeded(_)), "{error:?}");
    assert!(error.is_transient());
}

#[test]
fn a_proxy_that_is_not_there_is_no_reason_to_go_without_it() {
    let sim = prompt();
    let server = sim.serve().expect("serves");
    let proxy = Proxy::new(&format!("http://127.0.0.1:{}", nobody())).expect("valid");
    let roots = Roots::pem(server.ca_pem().as_bytes()).expect("PEM");
    let transport = HttpsTransport::builder().roots(roots).proxy(proxy).build();
    assert_eq!(failure(server.endpoint(), transport), TransportErrorKind::Proxy);
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_register_while_the_service_is_gone_ends_at_the_deadline_and_may_be_tried_again() {
    let sim = prompt();
    let server = sim.serve().expect("serves");
    let (endpoint, transport) = (server.endpoint(), trusting(&server));
    let mut client = builder(&sim, endpoint).transport(transport).retry(NO_SECOND_TRY).build();
    client.register().expect("assigned");
    drop(server);
    let error = client.register().expect_err("the service is gone");
    assert!(error.is_transient(), "{error:?}");
}

#[test]
fn a_server_that_is_dropped_leaves_no_port_behind() {
    let sim = prompt();
    let server = sim.serve().expect("serves");
    let address = ("127.0.0.1", server.endpoint().port().expect("a port"));
    std::net::TcpStream::connect(address).expect("somebody listens");
    drop(server);
    std::net::TcpStream::connect(address).expect_err("nobody listens");
}

#[test]
fn many_devices_at_once_each_get_their_own_name() {
    let sim = prompt();
    let server = sim.serve().expect("serves");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (sim, server) = (&sim, &server);
            scope.spawn(move || {
                for number in 0..5 {
                    let registration_id = id(&format!("dev-{thread}-{number}"));
                    let key: DeviceKey = common::key_of(sim, &registration_id);
                    let client = ProvisioningClient::builder(sim.id_scope(), registration_id.clone(), key)
                        .endpoint(server.endpoint());
                    let assignment = client.transport(trusting(server)).build().register().expect("assigned");
                    assert_eq!(assignment.device_id().as_str(), registration_id.as_str());
                }
            });
        }
    });
}
