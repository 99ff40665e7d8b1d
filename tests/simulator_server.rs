//! Tests the simulator on the network: exact requests of the official clients, faults on real
//! connections, and the hub.
#![cfg(all(feature = "bundled-roots", feature = "https", feature = "ring"))]
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod common;
#[path = "common/tls.rs"]
mod tls;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use azure_iot_dps::attestation::AttestationKind;
use azure_iot_dps::identity::{DeviceId, HostName, HubName};
use azure_iot_dps::key::Signer;
use azure_iot_dps::registration::{Registration, RegistrationSettings, RetryPolicy, Step};
use azure_iot_dps::sas::Resource;
use azure_iot_dps::time::{Now, UnixTime};
use azure_iot_dps::{
    Clock, DeviceKey, Endpoint, HttpsTransport, ProvisioningClient, RegistrationId, Roots, SasToken, SystemClock,
    Transport,
};
use azure_iot_dps_simulator::{EnrollmentGroup, IndividualEnrollment, Record, ServeError, Simulator, SimulatorServer};
use common::{NO_SECOND_TRY, id};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// A client that sends any bytes.
struct Raw(tls::Stream);

/// The parts of an answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

impl Raw {
    fn connect(server: &SimulatorServer) -> Self {
        Self(tls::connect_to_https(server))
    }

    fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).and_then(|()| self.0.flush()).expect("sends");
    }

    /// Returns all bytes until the connection is closed in any way.
    fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = self.0.read_to_end(&mut bytes);
        bytes
    }

    fn ask(&mut self, text: &str) -> Answer {
        self.send(text);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).expect("a head");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("UTF-8");
        let mut answer = Answer { status: head[9..12].parse().expect("a status"), head, body: Vec::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().expect("a length"));
        answer.body = vec![0; length];
        self.0.read_exact(&mut answer.body).expect("a body");
        answer
    }
}

const NAME: &str = "Dev_01.a:B-z";

/// Starts a service with one individual enrollment, which asks for no waits.
fn one_device() -> (Simulator, SimulatorServer) {
    let sim = Simulator::builder()
        .individual(IndividualEnrollment::new(id(NAME), common::enrolled_key()))
        .hub(HostName::new("localhost").expect("valid"))
        .assigning_polls(1)
        .retry_after(Duration::ZERO)
        .build();
    let server = sim.serve().expect("serves");
    (sim, server)
}

fn mac(message: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(common::key().sign(message.as_bytes()).expect("signs"))
}

fn escape(text: &str, lower_case: bool) -> String {
    let escaped = text.replace('/', "%2F").replace(':', "%3A").replace('+', "%2B").replace('=', "%3D");
    if lower_case {
        escaped.replace("%2F", "%2f").replace("%3A", "%3a").replace("%2B", "%2b").replace("%3D", "%3d")
    } else {
        escaped
    }
}

const FAR: u64 = 4_000_000_000;

/// Registers and polls with these requests. `{id}` is replaced by the operation ID.
fn provisions(register: &str, poll: &str) {
    let (_sim, server) = one_device();
    let mut raw = Raw::connect(&server);
    let answer = raw.ask(register);
    assert_eq!(answer.status, 202, "{answer:?}");
    let operation_id = answer.json()["operationId"].as_str().expect("text").to_owned();
    assert!(answer.header("Location").is_some_and(|location| location.contains(&operation_id)));
    let poll = poll.replace("{id}", &operation_id);
    assert_eq!(raw.ask(&poll).json()["status"], "assigning");
    let answer = raw.ask(&poll);
    assert_eq!(
        (answer.status, &answer.json()["registrationState"]["assignedHub"]),
        (200, &"localhost".into()),
        "{answer:?}"
    );
    assert_eq!(server.connections(), 1, "kept alive");
}

const BODY: &str = r#"{"registrationId":"Dev_01.a:B-z"}"#;

// Node: the resource raw, the path raw, api-version 2019-03-31, a GET with a body.
#[test]
fn the_node_clients_requests_are_taken() {
    let sr = format!("0ne00002193/registrations/{NAME}");
    let sig = escape(&mac(&format!("{sr}\n{FAR}")), false);
    let token = format!("SharedAccessSignature sr={sr}&sig={sig}&skn=registration&se={FAR}");
    let head = format!("Host: localhost\r\nAccept: application/json\r\nAuthorization: {token}\r\n");
    let path = format!("/0ne00002193/registrations/{NAME}");
    provisions(
        &format!(
            "PUT {path}/register?api-version=2019-03-31 HTTP/1.1\r\n{head}Content-Type: application/json; charset=utf-8\r\n\
             Content-Length: {}\r\n\r\n{BODY}",
            BODY.len()
        ),
        &format!(
            "GET {path}/operations/{{id}}?api-version=2019-03-31 HTTP/1.1\r\n{head}Content-Type: application/json; charset=utf-8\r\n\
             Content-Length: 2\r\n\r\n{{}}"
        ),
    );
}

// C: everything escaped in lower case, `skn` empty, api-version 2021-06-01, a content type without a charset.
#[test]
fn the_c_clients_requests_are_taken() {
    let sr = escape(&format!("0ne00002193/registrations/{NAME}"), true);
    let sig = escape(&mac(&format!("{sr}\n{FAR}")), true);
    let token = format!("SharedAccessSignature sr={sr}&sig={sig}&se={FAR}&skn=");
    let head =
        format!("Host: localhost\r\nUserAgent: iot_prov_c\r\nAccept: application/json\r\nAuthorization: {token}\r\n");
    let path = format!("/0ne00002193/registrations/{}", escape(NAME, true));
    provisions(
        &format!(
            "PUT {path}/register?api-version=2021-06-01 HTTP/1.1\r\n{head}Content-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{BODY}",
            BODY.len()
        ),
        &format!("GET {path}/operations/{{id}}?api-version=2021-06-01 HTTP/1.1\r\n{head}Content-Length: 0\r\n\r\n"),
    );
}

/// Returns a token with percent-encoding in upper case and the fields in this order.
fn escaped_token(fields: &str) -> String {
    let sr = escape(&format!("0ne00002193/registrations/{NAME}"), false);
    let sig = escape(&mac(&format!("{sr}\n{FAR}")), false);
    let fields = fields.replace("{sr}", &sr).replace("{sig}", &sig).replace("{se}", &FAR.to_string());
    format!("SharedAccessSignature {fields}")
}

// Python (its HTTP form): `skn` last, the path escaped, no body and no length on a GET.
#[test]
fn the_python_clients_requests_are_taken() {
    let token = escaped_token("sr={sr}&sig={sig}&se={se}&skn=registration");
    let head = format!("Host: localhost\r\nAuthorization: {token}\r\n");
    let path = format!("/0ne00002193/registrations/{}", escape(NAME, false));
    provisions(
        &format!(
            "PUT {path}/register?api-version=2019-03-31 HTTP/1.1\r\n{head}Content-Type: application/json; charset=utf-8\r\n\
             Content-Length: {}\r\n\r\n{BODY}",
            BODY.len()
        ),
        &format!("GET {path}/operations/{{id}}?api-version=2019-03-31 HTTP/1.1\r\n{head}\r\n"),
    );
}

// C#: another order; its HTTP library may ask for a 100-continue before it sends the body.
#[test]
fn the_c_sharp_clients_requests_are_taken() {
    let token = escaped_token("skn=registration&se={se}&sr={sr}&sig={sig}");
    let head = format!("Host: localhost\r\nAccept: application/json\r\nAuthorization: {token}\r\n");
    let path = format!("/0ne00002193/registrations/{}", escape(NAME, false));
    let register = format!(
        "PUT {path}/register?api-version=2019-03-31 HTTP/1.1\r\n{head}Content-Type: application/json; charset=utf-8\r\n\
         Content-Length: {}\r\n",
        BODY.len()
    );
    provisions(
        &format!("{register}\r\n{BODY}"),
        &format!("GET {path}/operations/{{id}}?api-version=2019-03-31 HTTP/1.1\r\n{head}\r\n"),
    );
    let (_sim, server) = one_device();
    let mut raw = Raw::connect(&server);
    assert_eq!(raw.ask(&format!("{register}Expect: 100-continue\r\n\r\n")).status, 100);
    assert_eq!(raw.ask(BODY).status, 202);
}

#[test]
fn a_token_without_a_key_name_is_taken() {
    let (_sim, server) = one_device();
    let token = escaped_token("sr={sr}&sig={sig}&se={se}");
    let target = format!("/0ne00002193/registrations/{NAME}/register?api-version=2021-10-01");
    assert_eq!(Raw::connect(&server).ask(&request("PUT", &target, &token, BODY)).status, 202);
}

// Java: chunked, a payload, `skn` in the middle.
#[test]
fn the_java_clients_requests_are_taken() {
    let sr = escape(&format!("0ne00002193/registrations/{NAME}"), false);
    let sig = escape(&mac(&format!("{sr}\n{FAR}")), false);
    let token = format!("SharedAccessSignature sr={sr}&sig={sig}&skn=registration&se={FAR}");
    let head = format!("Host: localhost\r\nAuthorization: {token}\r\n");
    let path = format!("/0ne00002193/registrations/{NAME}");
    let body = BODY.replace('}', r#","payload":{"a":1}}"#);
    provisions(
        &format!(
            "PUT {path}/register?api-version=2019-03-31 HTTP/1.1\r\n{head}\
             Content-Type: application/json; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        ),
        &format!("GET {path}/operations/{{id}}?api-version=2019-03-31 HTTP/1.1\r\n{head}Content-Length: 0\r\n\r\n"),
    );
}

fn token(key: &DeviceKey, resource: Resource<'_>) -> String {
    SasToken::sign(resource, key, UnixTime::from_secs(FAR)).expect("signs").as_str().to_owned()
}

fn dps_token(sim: &Simulator, registration_id: &RegistrationId) -> String {
    let key = common::key_of(sim, registration_id);
    token(&key, Resource::registration(&sim.id_scope(), registration_id))
}

fn request(method: &str, target: &str, token: &str, body: &str) -> String {
    format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn register(sim: &Simulator, server: &SimulatorServer, name: &str) -> azure_iot_dps::Assignment {
    let key = common::key_of(sim, &id(name));
    let transport = HttpsTransport::builder().roots(Roots::pem(server.ca_pem().as_bytes()).expect("PEM")).build();
    let client =
        ProvisioningClient::builder(sim.id_scope(), id(name), key).endpoint(server.endpoint()).transport(transport);
    client.build().register().expect("assigned")
}

#[test]
fn the_registration_status_is_looked_up_without_registering() {
    let (sim, server) = one_device();
    let mut raw = Raw::connect(&server);
    let ask = request(
        "POST",
        &format!("/0ne00002193/registrations/{NAME}?api-version=2021-06-01"),
        &dps_token(&sim, &id(NAME)),
        BODY,
    );
    assert_eq!((raw.ask(&ask).status, raw.ask(&ask).json()["errorCode"].as_u64()), (404, Some(404_201)));
    register(&sim, &server, NAME);
    let answer = raw.ask(&ask);
    assert_eq!(
        (answer.status, &answer.json()["assignedHub"], &answer.json()["status"]),
        (200, &"localhost".into(), &"assigned".into())
    );
}

#[test]
fn a_signing_request_gets_a_certificate_by_the_test_authority_and_leaf_first() {
    use base64::Engine;
    let base64 = base64::engine::general_purpose::STANDARD;
    let (sim, server) = one_device();
    let csr = |name: &str| {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = rcgen::KeyPair::generate().expect("a key");
        base64.encode(params.serialize_request(&key).expect("a request").der())
    };
    let path = format!("/0ne00002193/registrations/{NAME}");
    let token = dps_token(&sim, &id(NAME));
    let mut raw = Raw::connect(&server);
    let mut ask = |csr: &str, version: &str| {
        let body = serde_json::json!({"registrationId": NAME, "csr": csr}).to_string();
        raw.ask(&request("PUT", &format!("{path}/register?api-version={version}"), &token, &body))
    };
    assert_eq!(ask("AAAA", "2026-11-01").status, 400);
    assert_eq!(ask(&csr("another"), "2026-11-01").status, 400);
    assert_eq!(ask(&csr(NAME), "2021-06-01").status, 400);
    // A draft that was withdrawn before its release.
    assert_eq!(ask(&csr(NAME), "2026-04-01").status, 400);
    let answer = ask(&csr(NAME), "2026-11-01");
    assert_eq!(answer.status, 202, "{answer:?}");
    let operation_id = answer.json()["operationId"].as_str().expect("text").to_owned();
    let poll = request("GET", &format!("{path}/operations/{operation_id}?api-version=2026-11-01"), &token, "");
    let _ = raw.ask(&poll);
    let answer = raw.ask(&poll).json();
    let chain = answer["registrationState"]["issuedCertificateChain"].as_array().expect("a chain");
    let chain: Vec<Vec<u8>> =
        chain.iter().map(|der| base64.decode(der.as_str().expect("text")).expect("base64")).collect();
    let ca = CertificateDer::from_pem_slice(server.ca_pem().as_bytes()).expect("PEM");
    assert_eq!((chain.len(), chain[1].as_slice()), (2, &*ca));
    let contains = |der: &[u8], name: &str| der.windows(name.len()).any(|window| window == name.as_bytes());
    assert!(contains(&chain[0], NAME) && contains(&chain[0], "azure-iot-dps simulator CA"));

    let look_up =
        |body: serde_json::Value| request("POST", &format!("{path}?api-version=2026-11-01"), &token, &body.to_string());
    let answer = raw.ask(&look_up(serde_json::json!({"registrationId": NAME}))).json();
    assert_eq!((&answer["status"], &answer["issuedCertificateChain"]), (&"assigned".into(), &serde_json::Value::Null));
    assert_eq!(raw.ask(&look_up(serde_json::json!({"registrationId": NAME, "csr": csr(NAME)}))).status, 400);
}

// The hub

fn hub_request(token: &str, device: &str) -> String {
    request("POST", &format!("/devices/{device}/messages/events?api-version=2020-03-13"), token, "{\"t\":21}")
}

#[test]
fn the_hub_takes_a_message_of_a_device_that_is_assigned_to_it() {
    let (sim, server) = one_device();
    register(&sim, &server, NAME);
    let (hub, device) = (HubName::new("localhost").expect("valid"), DeviceId::new(NAME));
    // A registration ID with an underscore and a colon is a device ID as well.
    let device = device.expect("valid");
    let key = common::key_of(&sim, &id(NAME));
    let mut watch = sim.watch();
    let mut raw = Raw::connect(&server);
    let answer = raw.ask(&hub_request(&token(&key, Resource::device(&hub, &device)), &escape(NAME, false)));
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    let records: Vec<Record> = std::iter::from_fn(|| watch.next(Duration::ZERO)).collect();
    assert!(
        records.iter().any(|record| matches!(record, Record::Telemetry { body, .. } if body == b"{\"t\":21}")),
        "{records:?}"
    );
}

#[test]
fn the_hub_answers_401_403_and_404_as_a_hub_does() {
    let sim = Simulator::builder()
        .individual(IndividualEnrollment::new(id("dev-01"), common::enrolled_key()))
        .hub(HostName::new("localhost").expect("valid"))
        .assigning_polls(0)
        .retry_after(Duration::ZERO)
        .hub_quota(1)
        .build();
    let server = sim.serve().expect("serves");
    let (hub, device) = (HubName::new("localhost").expect("valid"), DeviceId::new("dev-01").expect("valid"));
    let (key, other) = (common::key(), DeviceKey::from_bytes(&[9; 32]).expect("a key"));
    let good = token(&key, Resource::device(&hub, &device));
    let mut raw = Raw::connect(&server);
    let answer = raw.ask(&hub_request(&good, "dev-01"));
    assert_eq!((answer.status, answer.header("iothub-errorcode")), (404, Some("DeviceNotFound")));
    register(&sim, &server, "dev-01");
    let elsewhere = HubName::new("other.example").expect("valid");
    for bad in [
        "Bearer x".to_owned(),
        token(&other, Resource::device(&hub, &device)),
        token(&key, Resource::device(&elsewhere, &device)),
        token(&key, Resource::device(&hub, &device).with_key_name("registration")),
        SasToken::sign(Resource::device(&hub, &device), &key, UnixTime::from_secs(1))
            .expect("signs")
            .as_str()
            .to_owned(),
    ] {
        let answer = raw.ask(&hub_request(&bad, "dev-01"));
        assert_eq!(
            (answer.status, answer.header("iothub-errorcode")),
            (401, Some("IotHubUnauthorizedAccess")),
            "{bad}"
        );
    }
    assert_eq!(raw.ask(&hub_request(&good, "dev-01")).status, 204);
    let answer = raw.ask(&hub_request(&good, "dev-01"));
    assert_eq!((answer.status, answer.header("iothub-errorcode")), (403, Some("IotHubQuotaExceeded")));
    assert!(answer.json()["Message"].as_str().expect("text").contains("403002"));
}

// Faults on a real connection

#[test]
fn a_connection_is_cut_after_exactly_as_many_bytes_as_were_asked_for() {
    let (sim, server) = one_device();
    let register = request(
        "PUT",
        &format!("/0ne00002193/registrations/{NAME}/register?api-version=2021-06-01"),
        &dps_token(&sim, &id(NAME)),
        BODY,
    );
    for bytes in [0, 1, 12, 13, 100, 300] {
        sim.device(&id(NAME)).cut_after(bytes);
        let mut raw = Raw::connect(&server);
        raw.send(&register);
        let rest = raw.rest();
        assert_eq!(rest.len(), bytes, "{}", String::from_utf8_lossy(&rest));
        assert!(b"HTTP/1.1 202 Accepted\r\n".starts_with(&rest[..bytes.min(20)]));
    }
}

#[test]
fn a_connection_is_dropped_before_or_after_an_answer_and_garbage_is_sent_as_it_is() {
    let (sim, server) = one_device();
    let register = request(
        "PUT",
        &format!("/0ne00002193/registrations/{NAME}/register?api-version=2021-06-01"),
        &dps_token(&sim, &id(NAME)),
        BODY,
    );
    let device = sim.device(&id(NAME));
    device.drop_before_answer();
    device.garbage(b"\0no HTTP\0");
    device.drop_after_answer();
    let ask = || {
        let mut raw = Raw::connect(&server);
        raw.send(&register);
        raw.rest()
    };
    assert_eq!(ask(), b"");
    assert_eq!(ask(), b"\0no HTTP\0");
    let whole = String::from_utf8(ask()).expect("UTF-8");
    assert!(whole.starts_with("HTTP/1.1 202 Accepted\r\n") && whole.ends_with(r#""status":"assigning"}"#), "{whole}");
}

#[test]
fn a_client_on_a_real_connection_survives_every_fault() {
    let (sim, server) = one_device();
    let device = sim.device(&id(NAME));
    device.drop_before_answer();
    device.cut_after(100);
    device.garbage(b"\0\0");
    device.answer(503);
    device.answer_slowly(Duration::from_millis(50));
    device.drop_after_answer();
    // Drive it by hand, so that the test skips the waits.
    let mut devices = driven(&sim, &server, NAME.to_owned());
    let Driven { settings, key, transport, .. } = &mut devices;
    let mut registration = Registration::new(settings, AttestationKind::SymmetricKey);
    let mut uptime = Duration::ZERO;
    let unix = Some(UnixTime::from_secs(std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs()));
    let mut outcomes = Vec::new();
    let assignment = loop {
        match common::step(&mut registration, key, Now { unix, uptime }).expect("goes on") {
            Step::Sign(_) | Step::Event(_) => unreachable!("it was signed"),
            Step::Send(request) => {
                let answer = transport.send(&request);
                outcomes.push(answer.as_ref().map(azure_iot_dps::protocol::Response::status).ok());
                registration.receive(answer, Now { unix, uptime });
            }
            Step::Wait(pause) => uptime += pause.duration(),
            Step::Done(assignment) => break assignment,
        }
    };
    assert_eq!(assignment.device_id().as_str(), NAME);
    assert_eq!(outcomes, [None, None, None, Some(503), Some(202), Some(202), Some(200)]);
}

#[test]
fn a_cut_behind_the_end_of_an_answer_ends_the_connection_with_it_and_touches_no_later_one() {
    let (sim, server) = one_device();
    let target = format!("/0ne00002193/registrations/{NAME}/register?api-version=2021-06-01");
    let register = request("PUT", &target, &dps_token(&sim, &id(NAME)), BODY);
    sim.device(&id(NAME)).cut_after(100_000);
    let mut raw = Raw::connect(&server);
    raw.send(&register);
    assert!(String::from_utf8(raw.rest()).expect("UTF-8").ends_with(r#""status":"assigning"}"#));
    assert_eq!(Raw::connect(&server).ask(&register).status, 202);
}

#[test]
fn a_date_that_is_off_goes_over_the_wire_once() {
    let (sim, server) = one_device();
    let target = format!("/0ne00002193/registrations/{NAME}/register?api-version=2021-06-01");
    let register = request("PUT", &target, &dps_token(&sim, &id(NAME)), BODY);
    sim.device(&id(NAME)).date_off_by(-86_400 * 400);
    sim.device(&id(NAME)).answer(401).header("Date", "Thu, 01 Jan 2026 00:00:00 GMT");
    let mut raw = Raw::connect(&server);
    let year = |answer: &Answer| {
        answer.header("Date").and_then(|date| date.split(' ').nth(3)?.parse::<u64>().ok()).expect("a year")
    };
    let (off, scripted, right) = (raw.ask(&register), raw.ask(&register), raw.ask(&register));
    assert!(year(&off) < year(&right));
    assert_eq!((scripted.status, scripted.header("Date")), (401, Some("Thu, 01 Jan 2026 00:00:00 GMT")));
    assert!(
        [&off, &scripted, &right].iter().all(|answer| answer.head.to_lowercase().matches("\r\ndate: ").count() == 1)
    );
}

// Many at once, and addresses

/// One of many devices, driven by hand so that all of them register at the same time.
struct Driven {
    name: String,
    settings: RegistrationSettings,
    key: DeviceKey,
    transport: HttpsTransport,
}

fn driven(sim: &Simulator, server: &SimulatorServer, name: String) -> Driven {
    let settings = RegistrationSettings::new(sim.id_scope(), id(&name)).endpoint(server.endpoint());
    let key = common::key_of(sim, &id(&name));
    let transport = HttpsTransport::builder().roots(Roots::pem(server.ca_pem().as_bytes()).expect("PEM")).build();
    Driven { name, settings, key, transport }
}

/// Lets each device send one request in turn, on its own open connection, until all are assigned.
fn drive_all(devices: &mut [Driven]) {
    let unix = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    let now = Now { unix: Some(UnixTime::from_secs(unix)), uptime: Duration::ZERO };
    let mut under_way: Vec<_> = devices
        .iter_mut()
        .map(|Driven { name, settings, key, transport }| {
            (&*name, Registration::new(settings, AttestationKind::SymmetricKey), key, transport)
        })
        .collect();
    while !under_way.is_empty() {
        under_way.retain_mut(|(name, registration, key, transport)| {
            match common::step(registration, &**key, now).expect("goes on") {
                Step::Sign(_) | Step::Event(_) => unreachable!("it was signed"),
                Step::Send(request) => {
                    let answer = transport.send(&request);
                    registration.receive(answer, now);
                    true
                }
                Step::Wait(pause) => panic!("nobody asks to wait: {pause:?}"),
                Step::Done(assignment) => {
                    assert_eq!(assignment.device_id().as_str(), name.as_str());
                    false
                }
            }
        });
    }
}

#[test]
fn two_hundred_devices_at_once_are_none_lost_and_none_mixed_up() {
    let group = EnrollmentGroup::new("line-7", common::enrolled_key());
    let sim = Simulator::builder().group(group).assigning_polls(1).retry_after(Duration::ZERO).build();
    let server = sim.serve().expect("serves");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (sim, server) = (&sim, &server);
            scope.spawn(move || {
                let mut devices: Vec<Driven> =
                    (0..25).map(|number| driven(sim, server, format!("dev-{thread}-{number}"))).collect();
                drive_all(&mut devices);
            });
        }
    });
    assert_eq!((sim.devices().len(), server.connections()), (200, 200));
}

#[test]
fn a_server_that_is_dropped_waits_for_nobody_and_leaves_its_port() {
    let (sim, server) = one_device();
    let port = server.endpoint().port().expect("a port");
    // A client with an idle connection, one within its handshake, and one that waits for a slow answer.
    let mut idle = Raw::connect(&server);
    assert_eq!(idle.ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 404);
    let half = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connects");
    sim.device(&id(NAME)).answer_slowly(Duration::from_secs(3600));
    let mut slow = Raw::connect(&server);
    let target = format!("/0ne00002193/registrations/{NAME}?api-version=2021-06-01");
    slow.send(&request("POST", &target, &dps_token(&sim, &id(NAME)), BODY));
    drop(server);
    assert!(idle.rest().is_empty() && slow.rest().is_empty());
    drop(half);
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect_err("nobody listens");
}

#[test]
fn the_servers_certificate_is_one_that_strict_clients_take() {
    let (_sim, server) = one_device();
    let mut raw = Raw::connect(&server);
    raw.ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let leaf = raw.0.conn.peer_certificates().expect("a chain")[0].to_vec();
    // Object identifiers of RFC 5280: authority key identifier, key usage, extended key usage, server authentication.
    for oid in [&[0x55, 0x1d, 0x23][..], &[0x55, 0x1d, 0x0f], &[0x55, 0x1d, 0x25], &[0x2b, 6, 1, 5, 5, 7, 3, 1]] {
        assert!(leaf.windows(oid.len()).any(|window| window == oid), "{oid:?}");
    }
}

#[test]
fn it_listens_on_loopback_only_unless_it_is_told_by_name_not_to() {
    let sim = Simulator::builder().build();
    let anywhere: SocketAddr = (Ipv4Addr::UNSPECIFIED, 0).into();
    assert!(
        matches!(sim.server().address(anywhere).start(), Err(ServeError::NotLoopback { address }) if address == anywhere)
    );
    let server = sim.server().address("127.0.0.1:0".parse().expect("an address")).start().expect("serves");
    assert_ne!(server.endpoint().port().expect("a port"), 0);
    let taken = format!("127.0.0.1:{}", server.endpoint().port().expect("a port")).parse().expect("an address");
    assert!(matches!(sim.server().address(taken).start(), Err(ServeError::Listen { address, .. }) if address == taken));
}

// The program

struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns the path of the program, which `cargo test` builds for the tests of its own package.
fn program() -> std::path::PathBuf {
    let test = std::env::current_exe().expect("a path");
    let folder = test.parent().and_then(|deps| deps.parent()).expect("a folder");
    let program = folder.join(format!("dps-simulator{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "{} is not built: `cargo test` without a test's name builds it", program.display());
    program
}

#[test]
fn the_program_says_when_it_is_ready_writes_its_authority_and_tells_what_happens() {
    let ca_file = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("dps_simulator_ca.pem");
    let _ = std::fs::remove_file(&ca_file);
    let mut command = Command::new(program());
    command.args(["--listen", "127.0.0.1:0", "--mqtt-listen", "127.0.0.1:0", "--retry-after", "0", "--ca-out"]);
    command.arg(&ca_file);
    let mut program = Program(command.stdout(Stdio::piped()).spawn().expect("runs"));
    let mut lines = BufReader::new(program.0.stdout.take().expect("piped")).lines().map(|line| line.expect("a line"));
    let before: Vec<String> = lines.by_ref().take(3).collect();
    assert!(before.iter().all(|line| !line.contains("://")), "{before:?}");
    assert_eq!((before[0].as_str(), before[1].starts_with("group demo, key ")), ("ID scope 0ne00002193", true));
    let key = before[2].strip_prefix("device my-device, key ").expect("a device's key").to_owned();
    assert!(lines.next().is_some_and(|line| line.starts_with("listening on mqtts://localhost:")));
    let ready = lines.next().expect("a line");
    let endpoint = ready.strip_prefix("listening on https://").expect("a URL").parse().expect("an endpoint");

    let roots = Roots::pem(&std::fs::read(&ca_file).expect("is there")).expect("whole");
    let key = DeviceKey::from_base64(&key).expect("a key");
    let scope = common::scope();
    let client = ProvisioningClient::builder(scope, id("my-device"), key).endpoint(endpoint);
    let mut client = client.transport(HttpsTransport::builder().roots(roots).build()).build();
    assert_eq!(client.register().expect("assigned").hub().as_str(), "localhost");
    let happened: Vec<String> = lines.by_ref().take(4).collect();
    assert!(happened[0].contains("Z register my-device ") && happened[0].ends_with("-> 202"), "{happened:?}");
    assert!(
        happened.iter().any(|line| line.ends_with("my-device is assigned to localhost as my-device")),
        "{happened:?}"
    );
}

#[test]
fn errors_of_the_service_can_come_in_chunks_and_without_the_header_that_repeats_their_code() {
    let sim = Simulator::builder()
        .individual(IndividualEnrollment::new(id(NAME), common::enrolled_key()))
        .bare_errors(true)
        .build();
    let server = sim.serve().expect("serves");
    let wrong = DeviceKey::from_bytes(&[9; 32]).expect("a key");
    let target = format!("/0ne00002193/registrations/{NAME}/register?api-version=2021-06-01");
    let token = token(&wrong, Resource::registration(&sim.id_scope(), &id(NAME)));
    let mut raw = Raw::connect(&server);
    raw.send(&request("PUT", &target, &token, BODY).replace("Host:", "Connection: close\r\nHost:"));
    let answer = String::from_utf8(raw.rest()).expect("text").to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 401 ") && answer.contains("\r\ntransfer-encoding: chunked\r\n"), "{answer}");
    assert!(!answer.contains("content-length") && !answer.contains("x-ms-error-code"), "{answer}");
    assert!(answer.ends_with("\r\n0\r\n\r\n") && answer.contains(r#""errorcode":401002"#), "{answer}");
    let roots = Roots::pem(server.ca_pem().as_bytes()).expect("PEM");
    let error = ProvisioningClient::builder(sim.id_scope(), id(NAME), wrong)
        .endpoint(server.endpoint())
        .transport(HttpsTransport::builder().roots(roots).build())
        .build()
        .register()
        .expect_err("refused");
    assert_eq!((error.status(), error.error_code()), (Some(401), Some(401_002)));
}

#[test]
fn the_program_spells_out_what_goes_wrong_and_throttles() {
    let ca_file = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("dps_simulator_faults_ca.pem");
    let mut command = Command::new(program());
    command.args([
        "--listen",
        "127.0.0.1:0",
        "--mqtt-listen",
        "127.0.0.1:0",
        "--retry-after",
        "0",
        "--assigning-polls",
        "0",
    ]);
    command.args(["--throttle", "3", "--echo-payload", "--fault", "my-device=429*2", "--fault", "my-device=drop"]);
    command.args(["--fault", "my-device=failed", "--ca-out"]).arg(&ca_file);
    let mut program = Program(command.stdout(Stdio::piped()).spawn().expect("runs"));
    let lines = BufReader::new(program.0.stdout.take().expect("piped")).lines().map(|line| line.expect("a line"));
    let mut lines = lines.filter(|line| !line.starts_with("group") && !line.contains("mqtts://"));
    let key = lines.find_map(|line| line.strip_prefix("device my-device, key ").map(String::from)).expect("a key");
    let ready = lines.next().expect("a line");
    let endpoint: Endpoint = ready.strip_prefix("listening on https://").expect("a URL").parse().expect("an endpoint");
    let pem = std::fs::read(&ca_file).expect("the authority's file");
    let key = DeviceKey::from_base64(&key).expect("a key");
    let register = |payload: &str, retry: RetryPolicy| {
        let transport = HttpsTransport::builder().roots(Roots::pem(&pem).expect("PEM")).build();
        let client = ProvisioningClient::builder(common::scope(), id("my-device"), key.clone());
        let client = client.endpoint(endpoint.clone()).retry(retry);
        client.payload_json(payload).expect("JSON").build_with(transport, Skipping::default()).register()
    };
    let failed = register("{}", RetryPolicy::DEFAULT).expect_err("as --fault has it");
    assert_eq!((failed.error_code(), failed.message()), (Some(400_207), Some("Set by --fault.")));
    let echoed = register(r#"{"a":1}"#, RetryPolicy::DEFAULT).expect("assigned");
    assert_eq!(echoed.payload_json(), Some(r#"{"a":1}"#));
    let statuses = lines.by_ref().filter(|line| line.contains("register my-device")).take(5);
    let statuses: Vec<String> = statuses.map(|line| line.rsplit("-> ").next().unwrap_or_default().to_owned()).collect();
    assert_eq!(statuses, ["429", "429", "not answered", "200", "202"]);
    for _ in 0..2 {
        register("{}", RetryPolicy::DEFAULT).expect("assigned");
    }
    assert_eq!(register("{}", NO_SECOND_TRY).expect_err("three a minute").status(), Some(429));
}

/// The system's clock, which skips waits.
struct Skipping(SystemClock, Duration);

impl Default for Skipping {
    fn default() -> Self {
        Self(SystemClock::new(), Duration::ZERO)
    }
}

impl Clock for Skipping {
    fn now(&mut self) -> Now {
        let Now { unix, uptime } = self.0.now();
        Now { unix, uptime: uptime + self.1 }
    }

    fn sleep(&mut self, pause: Duration) {
        self.1 += pause;
    }
}
