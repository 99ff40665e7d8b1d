//! Provisions a device, shows the progress on standard error, and prints the result.
//!
//! With nothing set it starts a simulated service inside the process and registers there, over TLS.
//! With the variables of the official samples it uses a real ID scope: `PROVISIONING_HOST`
//! (default: the global endpoint), `PROVISIONING_IDSCOPE`, `PROVISIONING_REGISTRATION_ID`,
//! `PROVISIONING_SYMMETRIC_KEY`, and `PROVISIONING_CA_CERT` for a service with its own certificate
//! authority.

mod support;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use support::device::{DeviceArguments, TransportArguments};
use support::progress::{show_events, show_wait};
use support::report::{as_json, as_words, failure_as_json};
use support::{Result, sentence};

/// Provisions a device with the Azure IoT Hub Device Provisioning Service.
///
/// The device's key comes from `PROVISIONING_SYMMETRIC_KEY` or --key-file, never from an argument,
/// because process lists show arguments. With nothing set, the program starts a simulated
/// service inside the process and uses it.
///
/// The exit code is 0 if the device is assigned, 75 if the failure may pass without a repair, 2 if
/// an argument is wrong, and 1 for any other failure.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    device: DeviceArguments,
    #[command(flatten)]
    transport: TransportArguments,
    /// The payload for a custom allocation policy
    #[arg(long, value_name = "JSON")]
    payload: Option<String>,
    /// The deadline of the registration
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    deadline: u64,
    /// Print the result as JSON, also that of a failure
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = provision(&arguments);
    if let (true, Err(error)) = (arguments.json, &result)
        && let Err(error) = failure_as_json(&**error).and_then(|json| support::print(&json))
    {
        return support::exit(Err(error));
    }
    support::exit(result.and_then(|text| support::print(&text)))
}

fn provision(arguments: &Arguments) -> Result<String> {
    let device = arguments.device.device()?;
    let mut client = device
        .client_over(&arguments.transport)?
        .deadline(Duration::from_secs(arguments.deadline))
        .observer(show_events())
        .wait(show_wait);
    if let Some(payload) = &arguments.payload {
        client = client.payload_json(payload).map_err(|error| format!("--payload: {}", sentence(&error)))?;
    }
    eprintln!("{} registers at {}", device.registration_id, device.address_over(&arguments.transport));
    let result = client.build().register();
    if let Err(error) = &result
        && error.status() == Some(401)
        && device.key().is_ok_and(|key| key.len() == 64)
    {
        eprintln!(
            "hint: this key has 64 bytes. If it is an enrollment group's key, derive the device's key from it first."
        );
    }
    let assignment = result?;
    if arguments.json { as_json(&assignment) } else { Ok(as_words(&assignment)) }
}
