//! Provisions a device, shows what happens on standard error, and prints the result.
//!
//! With nothing set it starts a simulated service inside the process (feature `simulator-server`) and provisions a device
//! against that, over TLS. With the variables of the official samples it provisions against a real scope:
//! `PROVISIONING_HOST` (default: the global endpoint), `PROVISIONING_IDSCOPE`, `PROVISIONING_REGISTRATION_ID`,
//! `PROVISIONING_SYMMETRIC_KEY`, and `PROVISIONING_CA_CERT` for a service with a certificate authority of its own.

mod support;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use support::Result;
use support::device::{DeviceArguments, TransportArguments};
use support::progress::{show_events, show_wait};
use support::report::{as_json, as_words};

/// Provisions a device with the Azure IoT Hub Device Provisioning Service.
///
/// The device's key comes from `PROVISIONING_SYMMETRIC_KEY` or --key-file, never from an argument: arguments show in
/// process lists. With nothing set, a simulated service is started inside the process and used.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    device: DeviceArguments,
    #[command(flatten)]
    transport: TransportArguments,
    /// What to tell a custom allocation policy
    #[arg(long, value_name = "JSON")]
    payload: Option<String>,
    /// How long the registration may take in all
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    deadline: u64,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    support::exit(provision(&Arguments::parse()).and_then(|text| support::print(&text)))
}

fn provision(arguments: &Arguments) -> Result<String> {
    let device = arguments.device.device()?;
    eprintln!("{} registers at {}", device.registration_id, device.address_over(&arguments.transport));
    let mut client = device
        .client_over(&arguments.transport)?
        .deadline(Duration::from_secs(arguments.deadline))
        .observer(show_events())
        .wait(show_wait);
    if let Some(payload) = &arguments.payload {
        client = client.payload_json(payload)?;
    }
    let result = client.build().register();
    if let Err(error) = &result
        && error.status() == Some(401)
        && device.key().is_ok_and(|key| key.len() == 64)
    {
        eprintln!(
            "hint: this key has 64 bytes. If it is an enrollment group's, the device's must be derived from it first."
        );
    }
    let assignment = result?;
    if arguments.json { as_json(&assignment) } else { Ok(as_words(&assignment)) }
}
