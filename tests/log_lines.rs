//! Tests that no secret reaches the `log` crate, not even from the libraries below, down to the
//! level `trace` (for ureq, down to `debug`).
#![cfg(all(feature = "bundled-roots", feature = "https", feature = "ring"))]
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod common;

use std::sync::Mutex;

use azure_iot_dps::attestation::AttestationKind;
use azure_iot_dps::registration::{Registration, Step};
use azure_iot_dps::{HttpsTransport, ProvisioningClient, Roots, Transport};
use azure_iot_dps_simulator::Simulator;
use log::{Level, LevelFilter, Log, Metadata, Record};

struct Lines(Mutex<Vec<String>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // This crate cannot control what ureq logs of its requests at the level `trace`.
        if record.level() <= Level::Debug || !record.target().starts_with("ureq") {
            self.0.lock().expect("not poisoned").push(format!("{} {}", record.target(), record.args()));
        }
    }

    fn flush(&self) {}
}

#[test]
fn a_registration_over_tls_logs_neither_key_nor_signature() {
    log::set_logger(&LINES).expect("the first");
    log::set_max_level(LevelFilter::Trace);
    let sim = Simulator::builder().assigning_polls(0).retry_after(std::time::Duration::ZERO).build();
    let server = sim.serve().expect("serves");
    let key = common::key_of(&sim, &common::id("dev-01"));
    let transport = || HttpsTransport::builder().roots(Roots::pem(server.ca_pem().as_bytes()).expect("PEM")).build();

    // Send one request manually, so that its signature is known.
    let settings = common::settings().endpoint(server.endpoint());
    let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
    let Ok(Step::Send(request)) = common::step(&mut registration, &key, common::at(0)) else {
        panic!("the first step sends")
    };
    let (_, rest) = request.token().expect("a token").as_str().split_once("sig=").expect("a signature");
    let signature = rest.split('&').next().expect("a signature").to_owned();
    let _ = transport().send(&request).expect("an answer");

    let base64 = key.to_base64();
    let client = || ProvisioningClient::builder(sim.id_scope(), common::id("dev-01"), key.clone());
    client().endpoint(server.endpoint()).transport(transport()).build().register().expect("assigned");
    #[cfg(feature = "mqtt")]
    {
        let roots = Roots::pem(server.ca_pem().as_bytes()).expect("PEM");
        let mut transport = azure_iot_dps::MqttTransport::builder().roots(roots).build();
        let endpoint = server.mqtt_endpoint().expect("serves MQTT");
        // Send the same token over MQTT.
        let settings = common::settings().endpoint(endpoint.clone());
        let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
        let Ok(Step::Send(request)) = common::step(&mut registration, &key, common::at(0)) else {
            panic!("the first step sends")
        };
        assert!(request.token().expect("a token").as_str().contains(&signature));
        let _ = transport.send(&request).expect("an answer");
        client().endpoint(endpoint).transport(transport).build().register().expect("assigned");
    }

    #[cfg(feature = "mqtt-websocket")]
    {
        let roots = Roots::pem(server.ca_pem().as_bytes()).expect("PEM");
        let transport = azure_iot_dps::MqttTransport::builder().roots(roots);
        let transport = transport.route(azure_iot_dps::transport::MqttRoute::WebSocket);
        let mut transport = transport.websocket_port(server.endpoint().port().expect("a port")).build();
        // Send it over WebSocket too.
        let _ = transport.send(&request).expect("an answer");
        let lines = LINES.0.lock().expect("not poisoned");
        assert!(lines.iter().any(|line| line.starts_with("tungstenite")), "nothing was looked at");
    }

    let lines = LINES.0.lock().expect("not poisoned");
    assert!(lines.iter().any(|line| line.contains("ureq")), "nothing was logged: nothing was looked at");
    if cfg!(feature = "log") {
        assert!(lines.iter().any(|line| line == "azure_iot_dps dev-01: assigned"), "{lines:?}");
    }
    for line in lines.iter() {
        // WebSocket's library would show it as hexadecimal numbers.
        let signature_bytes: Vec<_> = signature.bytes().map(|byte| format!("{byte:02x}")).collect();
        for secret in [signature.as_str(), base64.as_str(), &signature_bytes.concat()] {
            let leaks =
                secret.as_bytes().windows(10).any(|piece| line.as_bytes().windows(10).any(|window| window == piece));
            assert!(!leaks, "{line}");
        }
        assert!(!line.contains("sig="), "{line}");
    }
}
