//! Provisions a device, sends telemetry to its hub with rumqttc, and receives cloud-to-device
//! messages.
//!
//! With nothing set it uses a simulated service and hub inside the process. With the variables of
//! the official samples (see `register`) it uses the real ones. The guide's chapter `rumqttc` shows
//! the device itself.

#[allow(unreachable_pub, reason = "as in a program's library")]
#[rustfmt::skip]
#[path = "../../src/guide/rumqttc.rs"]
mod device;
#[allow(unreachable_pub, reason = "as in a program's library")]
#[rustfmt::skip]
#[path = "../../src/hub/rumqttc.rs"]
mod options;
mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use azure_iot_dps::SystemClock;
use clap::Parser;
use device::{Application, Device, Finished};
use options::options;
use support::Result;
use support::device::DeviceArguments;
use support::progress::{show_events, show_wait};

/// Provisions a device and exchanges messages with its hub over MQTT.
///
/// The device's key comes from `PROVISIONING_SYMMETRIC_KEY` or --key-file, never from an argument,
/// because process lists show arguments. With nothing set, the program starts a simulated
/// service and hub inside the process and uses them.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    device: DeviceArguments,
    /// The number of messages to send, one per second
    #[arg(long, value_name = "N", default_value_t = 3)]
    count: u32,
    /// The number of cloud-to-device messages to wait for [default: 1 from a simulated hub,
    /// otherwise 0]
    #[arg(long, value_name = "N")]
    receive: Option<u32>,
    /// Keep the assignment in this file, so that the next run does not register
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
}

/// An application that sends a temperature each second, and prints the messages that it receives.
struct Thermometer {
    to_send: u32,
    to_receive: u32,
    sent: u32,
}

impl Application for Thermometer {
    fn message(&mut self) -> std::result::Result<Option<String>, Finished> {
        if self.sent == self.to_send {
            return if self.to_receive == 0 { Err(Finished) } else { Ok(None) };
        }
        self.sent = self.sent.saturating_add(1);
        println!("sent message {} of {}", self.sent, self.to_send);
        Ok(Some(format!(r#"{{"temperature":21.5,"message":{}}}"#, self.sent)))
    }

    fn received(&mut self, payload: &[u8]) {
        self.to_receive = self.to_receive.saturating_sub(1);
        println!("received {}", String::from_utf8_lossy(payload));
    }

    fn progress(&mut self, what: &str) {
        eprintln!("{what}");
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let device = arguments.device.device()?;
    let mut client = device.client()?;
    let mut application = Thermometer { to_send: arguments.count, to_receive: 0, sent: 0 };
    application.to_receive = arguments.receive.unwrap_or_else(|| u32::from(device.send_to_device("hello, device")));
    client = client.observer(show_events()).wait(show_wait);
    let mut running = Device {
        client: client.build(),
        store: support::store::open(arguments.store.as_deref()),
        clock: SystemClock::new(),
        key: device.key()?.clone(),
        tls: options::tls(&device.roots)?,
        gateway: device.hub_mqtt_gateway().cloned(),
    };
    running.run(&mut application)
}

fn main() -> ExitCode {
    support::exit(run(&Arguments::parse()))
}
