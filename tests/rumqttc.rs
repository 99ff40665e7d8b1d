//! The guide's device with rumqttc, against the simulated hub over real TLS. Both have the same
//! codec, so a witness with another one stands between them.
#![cfg(all(feature = "bundled-roots", feature = "https", feature = "ring"))]
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod common;
#[allow(unreachable_pub, reason = "as in a program's library")]
#[rustfmt::skip]
#[path = "../src/guide/rumqttc.rs"]
mod guide;
#[path = "common/mqtt_client.rs"]
mod mqtt_client;
#[allow(unreachable_pub, reason = "as in a program's library")]
#[rustfmt::skip]
#[path = "../src/hub/rumqttc.rs"]
mod options;
#[path = "common/peer.rs"]
mod peer;
#[path = "common/tls.rs"]
mod tls;
#[path = "common/witness.rs"]
mod witness;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use azure_iot_dps::hub::HubFailure;
use azure_iot_dps::identity::HostName;
use azure_iot_dps::time::Now;
use azure_iot_dps::{Clock, HttpsTransport, ProvisioningClient, Roots, SystemClock};
use azure_iot_dps_simulator::{Allocation, Asked, Record, Simulator, SimulatorBuilder};
use common::{Memory, id, seconds};
use guide::{Application, Device, Finished, failure};
use options::options;
use rumqttc::{ConnectReturnCode, ConnectionError, StateError, TlsError};
use rustls::AlertDescription;
use witness::Witness;

#[test]
fn every_error_of_rumqttc_has_its_failure() {
    let alert = |alert| rustls::Error::AlertReceived(alert);
    let wrapped = |error: rustls::Error| io::Error::new(io::ErrorKind::InvalidData, error);
    let refused = AlertDescription::CertificateUnknown;
    for (error, expected) in [
        (ConnectionError::ConnectionRefused(ConnectReturnCode::RefusedProtocolVersion), HubFailure::connack(1)),
        (ConnectionError::ConnectionRefused(ConnectReturnCode::BadClientId), HubFailure::connack(2)),
        (ConnectionError::ConnectionRefused(ConnectReturnCode::ServiceUnavailable), HubFailure::connack(3)),
        (ConnectionError::ConnectionRefused(ConnectReturnCode::BadUserNamePassword), HubFailure::connack(4)),
        (ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized), HubFailure::connack(5)),
        (ConnectionError::Tls(TlsError::TLS(alert(refused))), HubFailure::CERTIFICATE_REFUSED),
        (ConnectionError::Tls(TlsError::Io(wrapped(alert(refused)))), HubFailure::CERTIFICATE_REFUSED),
        (ConnectionError::Io(wrapped(alert(refused))), HubFailure::CERTIFICATE_REFUSED),
        (ConnectionError::MqttState(StateError::Io(wrapped(alert(refused)))), HubFailure::CERTIFICATE_REFUSED),
        (ConnectionError::Io(wrapped(alert(AlertDescription::InternalError))), HubFailure::UNREACHABLE),
        (ConnectionError::Io(io::ErrorKind::ConnectionRefused.into()), HubFailure::UNREACHABLE),
        (ConnectionError::MqttState(StateError::ConnectionAborted), HubFailure::UNREACHABLE),
        (ConnectionError::NetworkTimeout, HubFailure::UNREACHABLE),
        (ConnectionError::FlushTimeout, HubFailure::UNREACHABLE),
        (ConnectionError::RequestsDone, HubFailure::UNREACHABLE),
    ] {
        assert_eq!(failure(&error), expected, "{error:?}");
    }
}

/// The system's clock, put forward by every wait and on demand.
#[derive(Clone, Default)]
struct Forward(Arc<AtomicU64>);

impl Forward {
    fn put(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_nanos()).expect("short"), Ordering::SeqCst);
    }
}

impl Clock for Forward {
    fn now(&mut self) -> Now {
        let ahead = Duration::from_nanos(self.0.load(Ordering::SeqCst));
        let Now { unix, uptime } = SystemClock::new().now();
        Now { unix: unix.map(|unix| unix.saturating_add(ahead)), uptime: uptime + ahead }
    }

    fn sleep(&mut self, duration: Duration) {
        self.put(duration);
    }
}

type Hook = Box<dyn FnMut(usize)>;

/// Sends this many messages, calls the hook before each of them, and waits for this many.
struct Script {
    messages: usize,
    sent: usize,
    before: Hook,
    to_receive: usize,
    received: Vec<Vec<u8>>,
    progress: Vec<String>,
}

impl Application for Script {
    fn message(&mut self) -> Result<Option<String>, Finished> {
        if self.sent == self.messages {
            return if self.received.len() < self.to_receive { Ok(None) } else { Err(Finished) };
        }
        (self.before)(self.sent);
        self.sent += 1;
        Ok(Some(format!("{}", self.sent)))
    }

    fn received(&mut self, payload: &[u8]) {
        self.received.push(payload.to_vec());
    }

    fn progress(&mut self, what: &str) {
        self.progress.push(what.to_owned());
    }
}

/// Runs the guide's device to the end of its script.
fn run(builder: SimulatorBuilder, script: impl FnOnce(&Simulator, Forward) -> Script) -> (Simulator, Script) {
    let sim = builder.assigning_polls(0).retry_after(Duration::ZERO).build();
    let server = sim.serve().expect("serves");
    let witness = Witness::before(&server);
    let roots = Roots::pem([server.ca_pem(), witness.ca_pem()].concat().as_bytes()).expect("PEM");
    let key = common::key_of(&sim, &id("dev-01"));
    let clock = Forward::default();
    let client = ProvisioningClient::builder(sim.id_scope(), id("dev-01"), key.clone())
        .endpoint(server.endpoint())
        .transport(HttpsTransport::builder().roots(roots.clone()).build())
        .clock(clock.clone())
        .build();
    let mut script = script(&sim, clock.clone());
    let mut device = Device {
        client,
        store: Memory::default(),
        clock,
        key,
        tls: options::tls(&roots).expect("a configuration"),
        gateway: Some(witness.endpoint()),
    };
    device.run(&mut script).expect("finishes");
    witness.agrees();
    (sim, script)
}

fn script(messages: usize, before: impl FnMut(usize) + 'static) -> Script {
    let (received, progress) = (Vec::new(), Vec::new());
    Script { messages, sent: 0, before: Box::new(before), to_receive: 0, received, progress }
}

fn telemetry(sim: &Simulator) -> Vec<String> {
    let bodies = sim.records().into_iter().filter_map(|record| match record {
        Record::Telemetry { body, .. } => Some(String::from_utf8_lossy(&body).into_owned()),
        _ => None,
    });
    bodies.collect()
}

fn count(sim: &Simulator, is: impl Fn(&Asked) -> bool) -> usize {
    sim.records().iter().filter(|record| matches!(record, Record::Request { asked, .. } if is(asked))).count()
}

#[test]
fn a_device_sends_and_receives_messages_through_rumqttc() {
    let (sim, script) = run(Simulator::builder(), |sim, _| {
        assert!(sim.send_to_device(&"dev-01".parse().expect("valid"), b"open the door"));
        Script { to_receive: 1, ..script(3, |_| {}) }
    });
    assert_eq!(telemetry(&sim), ["1", "2", "3"]);
    assert_eq!(script.received, [b"open the door"]);
}

#[test]
fn a_device_connects_anew_before_its_token_expires() {
    let (sim, script) = run(Simulator::builder(), |_, clock| {
        script(3, move |sent| {
            if sent == 1 {
                clock.put(seconds(3300)); // of an hour, of which a sixth is left at 3000
            }
        })
    });
    assert_eq!(telemetry(&sim), ["1", "2", "3"]);
    assert_eq!(count(&sim, |asked| matches!(asked, Asked::Connect { .. })), 2, "{:?}", script.progress);
    assert_eq!(count(&sim, |asked| matches!(asked, Asked::Register { .. })), 1);
    assert!(script.progress.iter().any(|what| what == "the token expires soon"), "{:?}", script.progress);
}

#[test]
fn a_device_that_its_hub_refuses_finds_the_hub_that_it_was_moved_to() {
    let host = |name: &str| HostName::new(name).expect("valid");
    let moved = Arc::new(AtomicBool::new(false));
    let is_moved = Arc::clone(&moved);
    let builder = Simulator::builder().hub(host("a.example")).hub(host("b.example")).allocation(move |_| {
        Allocation::hub(host(if is_moved.load(Ordering::SeqCst) { "b.example" } else { "a.example" }))
    });
    let (sim, script) = run(builder, |sim, clock| {
        let sim = Mutex::new(sim.clone());
        script(3, move |sent| {
            if sent == 1 {
                // A tool of the operator registers the device again, and the old hub forgets it.
                moved.store(true, Ordering::SeqCst);
                let sim = sim.lock().expect("not poisoned");
                let key = common::key_of(&sim, &id("dev-01"));
                let tool = ProvisioningClient::builder(sim.id_scope(), id("dev-01"), key);
                tool.build_with(sim.transport(), sim.clock()).register().expect("moved");
                clock.put(seconds(3300));
            }
        })
    });
    let progress = script.progress.join("\n");
    assert!(progress.contains("LookUp") && progress.contains("connecting to b.example"), "{progress}");
    // The second one was under way to the old hub.
    let telemetry = telemetry(&sim);
    assert!(telemetry.starts_with(&["1".into()]) && telemetry.ends_with(&["3".into()]), "{telemetry:?}");
}
