//! Tests the simulator's WebSocket over real TLS with an independent client.
#![cfg(feature = "std")]
#![allow(clippy::expect_used, clippy::panic, reason = "a test may")]

mod common;
#[path = "common/mqtt_client.rs"]
mod mqtt_client;
#[path = "common/tls.rs"]
mod tls;

use std::io::Write;
use std::time::Duration;

use azure_iot_dps::hub::HubCredentials;
use azure_iot_dps::{Clock, ProvisioningClient, SystemClock};
use azure_iot_dps_simulator::{Record, Simulator, SimulatorServer};
use common::id;
use mqtt_client::{ConnectReturnCode, Packet, QoS, pingreq};
use tls::Stream;
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::Response;
use tungstenite::http::HeaderValue;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::{Error, HandshakeError, Message, WebSocket};

/// A client, and the bytes that it has not read yet.
struct Socket {
    socket: WebSocket<Stream>,
    bytes: Vec<u8>,
}

impl Socket {
    fn send(&mut self, message: Message) {
        self.socket.send(message).expect("is sent");
    }

    fn receive(&mut self) -> Packet {
        loop {
            if let Some(packet) = mqtt_client::received(&mut self.bytes) {
                return packet;
            }
            let Message::Binary(content) = self.socket.read().expect("a message") else { panic!("no packet") };
            self.bytes.extend_from_slice(&content);
        }
    }
}

/// Starts a simulator that accepts MQTT only over WebSocket.
fn service() -> (Simulator, SimulatorServer) {
    let sim = Simulator::builder().assigning_polls(1).retry_after(Duration::ZERO).build();
    let server = sim.server().mqtt_address(None).start().expect("serves");
    assert_eq!(server.mqtt_endpoint(), None);
    (sim, server)
}

/// Requests WebSocket at this path with these headers.
fn ask(
    server: &SimulatorServer,
    path: &str,
    headers: &[(&'static str, &'static str)],
) -> Result<(WebSocket<Stream>, Response), Error> {
    let mut request = format!("wss://localhost{path}").into_client_request().expect("a request");
    for (name, value) in headers {
        request.headers_mut().insert(*name, HeaderValue::from_static(value));
    }
    tungstenite::client(request, tls::connect_to_https(server)).map_err(|error| match error {
        HandshakeError::Failure(error) => error,
        HandshakeError::Interrupted(_) => panic!("it did not end"),
    })
}

fn open(server: &SimulatorServer) -> Socket {
    let (socket, _) = ask(server, "/$iothub/websocket", &[("Sec-WebSocket-Protocol", "mqtt")]).expect("WebSocket");
    Socket { socket, bytes: Vec::new() }
}

/// Returns the CONNECT of a device to its hub.
fn login(sim: &Simulator, name: &str) -> Vec<u8> {
    let key = common::key_of(sim, &id(name));
    let client = ProvisioningClient::builder(sim.id_scope(), id(name), key.clone());
    let assignment = client.build_with(sim.transport(), sim.clock()).register().expect("assigned");
    let mut credentials = HubCredentials::new(&assignment, key).expect("a key");
    let login = credentials.mqtt(SystemClock::new().now().unix.expect("a clock")).expect("signs");
    mqtt_client::connect(login.client_id(), login.user_name(), login.password().expect("a token"), 60)
}

fn telemetry(packet_id: u16, body: &str) -> Vec<u8> {
    mqtt_client::publish(packet_id, "devices/dev-01/messages/events/", QoS::Level1, body)
}

const ACCEPTED: Packet = Packet::ConnAck { code: ConnectReturnCode::ConnectionAccepted, session_present: false };

fn bodies(sim: &Simulator) -> Vec<String> {
    let body = |record| match record {
        Record::Telemetry { body, .. } => Some(String::from_utf8(body).expect("text")),
        _ => None,
    };
    sim.records().into_iter().filter_map(body).collect()
}

#[test]
fn websocket_is_taken_at_any_path_for_mqtt_however_it_is_spelt_and_without_extensions() {
    let (_sim, server) = service();
    for path in ["/$iothub/websocket", "/", "/mqtt", "/$iothub/websocket?iothub-no-client-cert=true"] {
        for (asked, taken) in [("mqtt", "mqtt"), ("MQTT", "MQTT"), ("AMQPWSB10, mqtt", "mqtt")] {
            let deflate = ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits");
            let (_, answer) = ask(&server, path, &[("Sec-WebSocket-Protocol", asked), deflate]).expect(path);
            assert_eq!(answer.headers()["Sec-WebSocket-Protocol"], taken, "{path}");
            assert!(!answer.headers().contains_key("Sec-WebSocket-Extensions"), "{path}");
        }
    }
}

#[test]
fn what_is_not_mqtt_or_not_websocket_is_refused_in_http() {
    let (_sim, server) = service();
    for (headers, status) in [
        (&[("Sec-WebSocket-Protocol", "AMQPWSB10")][..], 400),
        (&[("Sec-WebSocket-Protocol", "mqttv5")], 400),
        (&[], 400),
        (&[("Sec-WebSocket-Protocol", "mqtt"), ("Sec-WebSocket-Version", "8")], 426),
        (&[("Sec-WebSocket-Protocol", "mqtt"), ("Connection", "close")], 400),
        (&[("Sec-WebSocket-Protocol", "mqtt"), ("Sec-WebSocket-Key", "c2hvcnQ=")], 400),
        // Neither WebSocket nor a path of the HTTP service.
        (&[("Sec-WebSocket-Protocol", "mqtt"), ("Upgrade", "h2c")], 404),
    ] {
        match ask(&server, "/$iothub/websocket", headers) {
            Err(Error::Http(answer)) => {
                assert_eq!(answer.status(), status, "{headers:?}");
                assert_eq!(answer.headers().get("Sec-WebSocket-Version").is_some(), status == 426);
            }
            other => panic!("{headers:?}: {other:?}"),
        }
    }
}

#[test]
fn a_packet_may_come_in_many_frames_and_many_packets_in_one() {
    let (sim, server) = service();
    let login = login(&sim, "dev-01");
    for part in [1, 2] {
        // Messages of one or two bytes, as the Python client sends them.
        let mut socket = open(&server);
        for part in login.chunks(part) {
            socket.send(Message::binary(part.to_vec()));
        }
        assert_eq!(socket.receive(), ACCEPTED);
        // One message in frames of one or two bytes.
        let packet = telemetry(1, "in parts");
        let last = packet.len().div_ceil(part) - 1;
        for (number, part) in packet.chunks(part).enumerate() {
            let data = if number == 0 { Data::Binary } else { Data::Continue };
            let frame = Frame::message(part.to_vec(), OpCode::Data(data), number == last);
            socket.send(Message::Frame(frame));
        }
        assert_eq!(socket.receive(), Packet::PubAck(1));
        // Three packets in one message.
        let three = [telemetry(2, "a"), telemetry(3, "b"), pingreq()].concat();
        socket.send(Message::binary(three));
        assert_eq!(socket.receive(), Packet::PubAck(2));
        assert_eq!(socket.receive(), Packet::PubAck(3));
        assert_eq!(socket.receive(), Packet::PingResp);
    }
    assert_eq!(bodies(&sim), ["in parts", "a", "b", "in parts", "a", "b"]);
}

#[test]
fn a_ping_is_answered_and_a_close_frame_too_behind_what_came_with_it() {
    let (sim, server) = service();
    let mut socket = open(&server);
    socket.send(Message::Ping("still there?".into()));
    assert_eq!(socket.socket.read().expect("a pong"), Message::Pong("still there?".into()));
    socket.send(Message::binary(login(&sim, "dev-01")));
    assert_eq!(socket.receive(), ACCEPTED);
    // Both in one record of TLS.
    socket.socket.write(Message::binary(telemetry(1, "the last"))).expect("is queued");
    socket.socket.close(Some(CloseFrame { code: CloseCode::Away, reason: "off".into() })).expect("is queued");
    socket.socket.flush().expect("is sent");
    let mut heard = Vec::new();
    while let Ok(message) = socket.socket.read() {
        heard.push(message);
    }
    assert!(
        matches!(&heard[..], [Message::Binary(_), Message::Close(Some(close))] if close.code == CloseCode::Away),
        "{heard:?}"
    );
    assert_eq!(bodies(&sim), ["the last"]);
}

#[test]
fn what_breaks_the_rules_is_told_by_the_code_of_the_close_frame() {
    let (_sim, server) = service();
    for (bytes, code) in [
        // Text, with a mask of zeros; a binary frame without one; MQTT that is none.
        (&[0x81, 0x81, 0, 0, 0, 0, b'x'][..], CloseCode::Unsupported),
        (&[0x82, 0x01, 0x10], CloseCode::Protocol),
        (&[0x82, 0x82, 0, 0, 0, 0, 0xff, 0x00], CloseCode::Normal),
        // A close code that is never sent, a reason that is not UTF-8, and a code of one byte.
        (&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xed], CloseCode::Protocol),
        (&[0x88, 0x83, 0, 0, 0, 0, 0x03, 0xe8, 0xff], CloseCode::Protocol),
        (&[0x88, 0x81, 0, 0, 0, 0, 0x03], CloseCode::Protocol),
        // A frame of 2 MiB, and a continuation of nothing.
        (&[0x82, 0xff, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0], CloseCode::Size),
        (&[0x80, 0x81, 0, 0, 0, 0, 0x10], CloseCode::Protocol),
    ] {
        let mut socket = open(&server);
        socket.socket.get_mut().write_all(bytes).expect("is sent");
        match socket.socket.read() {
            Ok(Message::Close(Some(close))) => assert_eq!(close.code, code, "{bytes:02x?}"),
            other => panic!("{bytes:02x?}: {other:?}"),
        }
    }
}

#[test]
fn a_server_that_is_dropped_says_so_to_those_that_are_connected() {
    let (sim, server) = service();
    let mut socket = open(&server);
    socket.send(Message::binary(login(&sim, "dev-01")));
    assert_eq!(socket.receive(), ACCEPTED);
    drop(server);
    assert!(matches!(socket.socket.read(), Ok(Message::Close(Some(close))) if close.code == CloseCode::Away));
}

#[cfg(feature = "mqtt-websocket")]
#[test]
fn fifty_devices_register_through_websocket_at_once() {
    use azure_iot_dps::transport::MqttRoute;
    use azure_iot_dps::{MqttTransport, Roots};
    let (sim, server) = service();
    std::thread::scope(|scope| {
        for number in 0..50 {
            let (sim, server) = (&sim, &server);
            scope.spawn(move || {
                let name = format!("dev-{number}");
                let roots = Roots::pem(server.ca_pem().as_bytes()).expect("PEM");
                let transport = MqttTransport::builder().roots(roots).route(MqttRoute::WebSocket);
                let transport = transport.websocket_port(server.endpoint().port().expect("a port")).build();
                let key = common::key_of(sim, &id(&name));
                let client = ProvisioningClient::builder(sim.id_scope(), id(&name), key);
                let mut client = client.endpoint(server.endpoint()).transport(transport).build();
                let assignment = client.register().expect("assigned");
                assert_eq!((assignment.device_id().as_str(), assignment.requests()), (&*name, 3));
            });
        }
    });
    assert_eq!((sim.devices().len(), server.connections()), (50, 50));
}
