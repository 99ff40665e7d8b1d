//! Tests the simulator's MQTT over real TLS: many devices, hostile ones, and unsolicited messages.
#![cfg(all(feature = "bundled-roots", feature = "mqtt", feature = "ring"))]
#![allow(clippy::expect_used, clippy::needless_pass_by_value, clippy::panic, reason = "a test may")]

mod common;
#[path = "common/mqtt_client.rs"]
mod mqtt_client;
#[path = "common/tls.rs"]
mod tls;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use azure_iot_dps::hub::HubCredentials;
use azure_iot_dps::identity::DeviceId;
use azure_iot_dps::{Clock, MqttTransport, ProvisioningClient, ProvisioningClientBuilder, Roots, SystemClock};
use azure_iot_dps_simulator::{Record, Simulator, SimulatorServer};
use common::id;
use mqtt_client::{ConnectReturnCode, Granted, Link, MESSAGE, Packet, QoS};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

fn service() -> (Simulator, SimulatorServer) {
    let sim = Simulator::builder().assigning_polls(1).retry_after(Duration::ZERO).build();
    let server = sim.serve().expect("serves");
    (sim, server)
}

fn port(server: &SimulatorServer) -> u16 {
    server.mqtt_endpoint().and_then(|endpoint| endpoint.port()).expect("serves MQTT")
}

fn client(sim: &Simulator, server: &SimulatorServer, name: &str) -> ProvisioningClient {
    builder(sim, server, name).build()
}

fn builder(sim: &Simulator, server: &SimulatorServer, name: &str) -> ProvisioningClientBuilder {
    let key = common::key_of(sim, &id(name));
    let roots = Roots::pem(server.ca_pem().as_bytes()).expect("PEM");
    ProvisioningClient::builder(sim.id_scope(), id(name), key)
        .endpoint(server.mqtt_endpoint().expect("serves MQTT"))
        .transport(MqttTransport::builder().roots(roots).build())
}

type Client = mqtt_client::Client<tls::Stream>;

impl Link for tls::Stream {
    fn write(&mut self, bytes: &[u8]) {
        self.write_all(bytes).expect("is sent");
    }

    /// Returns `None` if the server has closed the connection.
    fn read(&mut self) -> Option<Vec<u8>> {
        let mut chunk = [0; 4096];
        match Read::read(self, &mut chunk) {
            Ok(0) => None,
            // The server closed the connection with unread bytes.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Ok(length) => Some(chunk[..length].to_vec()),
            Err(error) => panic!("neither bytes nor the end: {error}"),
        }
    }

    fn is_closed(&mut self) -> bool {
        Link::read(self).is_none()
    }
}

fn open(server: &SimulatorServer) -> Client {
    Client::new(tls::connect(server, port(server)))
}

/// Connects a device to the hub.
fn device(sim: &Simulator, server: &SimulatorServer, name: &str) -> Client {
    let assignment = client(sim, server, name).register().expect("assigned");
    let key = common::key_of(sim, &id(name));
    let mut credentials = HubCredentials::new(&assignment, key).expect("a key");
    let login = credentials.mqtt(SystemClock::new().now().unix.expect("a clock")).expect("signs");
    let mut client = open(server);
    let password = login.password().expect("a token");
    let code = client.connect(login.client_id(), login.user_name(), password, 60);
    assert_eq!(code, ConnectReturnCode::ConnectionAccepted);
    client
}

#[test]
fn two_hundred_devices_at_once_are_none_lost_and_none_mixed_up() {
    let (sim, server) = service();
    std::thread::scope(|scope| {
        for number in 0..200 {
            let (sim, server) = (&sim, &server);
            scope.spawn(move || {
                let name = format!("dev-{number}");
                let assignment = client(sim, server, &name).register().expect("assigned");
                assert_eq!(assignment.device_id().as_str(), name);
            });
        }
    });
    assert_eq!((sim.devices().len(), server.connections()), (200, 200));
}

#[test]
fn a_message_from_the_cloud_reaches_a_device_that_waits_for_it() {
    let (sim, server) = service();
    let mut device = device(&sim, &server, "dev-01");
    let granted = device.subscribe("devices/dev-01/messages/devicebound/#", QoS::Level1);
    assert_eq!(granted, Granted::AtLeastOnce);
    assert!(sim.send_to_device(&DeviceId::new("dev-01").expect("valid"), b"open the door"));
    assert_eq!(device.message().payload, b"open the door");
    device.publish("devices/dev-01/messages/events/", QoS::Level1, "it is open");
    assert_eq!(device.receive(), Some(Packet::PubAck(MESSAGE)));
    let records = sim.records();
    assert!(
        records.iter().any(|record| matches!(record, Record::Telemetry { body, .. } if body == b"it is open")),
        "{records:?}"
    );
}

#[test]
fn a_second_connection_of_the_same_device_ends_the_first_at_once() {
    let (sim, server) = service();
    let mut first = device(&sim, &server, "dev-01");
    let mut second = device(&sim, &server, "dev-01");
    assert!(first.receive().is_none());
    assert!(second.ping());
}

#[test]
fn a_server_that_is_dropped_waits_for_nobody_and_leaves_its_port() {
    let (sim, server) = service();
    let mut idle = device(&sim, &server, "dev-01");
    let half = TcpStream::connect((Ipv4Addr::LOCALHOST, port(&server))).expect("connects");
    let mut begun = open(&server);
    begun.send(b"\x10\x7f\x00\x04MQTT");
    // A device that waits for an answer that never arrives.
    sim.device(&id("dev-01")).silence();
    idle.publish("devices/dev-01/messages/events/", QoS::Level0, "x");
    let left = port(&server);
    drop((server, half));
    assert!(idle.receive().is_none() && begun.receive().is_none());
    TcpStream::connect((Ipv4Addr::LOCALHOST, left)).expect_err("nobody listens");
}

#[test]
fn bytes_that_are_no_mqtt_and_packets_beyond_the_bound_end_the_connection_and_nothing_else() {
    let (sim, server) = service();
    for bytes in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x10\xff\xff\xff\x7f", b"\x10\xff\xff\xff\xff", b"\x30\x03\x00\x01a"]
    {
        let mut client = open(&server);
        client.send(bytes);
        assert!(client.receive().is_none(), "{bytes:?}");
    }
    client(&sim, &server, "dev-01").register().expect("assigned");
}

#[test]
fn a_signing_request_and_a_payload_of_90_kb_go_over_mqtt_and_the_chain_comes_back() {
    let (sim, server) = service();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "dev-01");
    let key = rcgen::KeyPair::generate().expect("a key");
    let csr = params.serialize_request(&key).expect("a request");
    let client = builder(&sim, &server, "dev-01").certificate_signing_request(csr.der()).expect("DER");
    let assignment = client.payload(&"x".repeat(90 * 1024)).expect("JSON").build().register().expect("assigned");
    let ca = CertificateDer::from_pem_slice(server.ca_pem().as_bytes()).expect("PEM");
    let chain: Vec<&[u8]> = assignment.certificates().collect();
    assert_eq!((chain.len(), chain[1]), (2, &*ca));
    assert!(chain[0].windows(6).any(|window| window == b"dev-01"));
}
