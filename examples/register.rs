//! Provisions a device, shows what happens on standard error, and prints the result.
//!
//! With nothing set it starts a simulated service inside the process (feature `simulator-server`) and provisions a device
//! against that, over TLS. With the variables of the official samples it provisions against a real scope:
//! `PROVISIONING_HOST` (default: the global endpoint), `PROVISIONING_IDSCOPE`, `PROVISIONING_REGISTRATION_ID`,
//! `PROVISIONING_SYMMETRIC_KEY`, and `PROVISIONING_CA_CERT` for a service with a certificate authority of its own.

mod support;

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use azure_iot_dps::{
    Assignment, DeviceId, DeviceKey, Endpoint, Event, HostName, HttpsTransport, IdScope, Pause, ProvisioningClient,
    Proxy, RegistrationId, Roots, Substatus,
};
use clap::Parser;
use serde::Serialize;
use serde_json::value::RawValue;
use support::Result;

/// Provisions a device with the Azure IoT Hub Device Provisioning Service.
///
/// The device's key comes from `PROVISIONING_SYMMETRIC_KEY` or --key-file, never from an argument: arguments show in
/// process lists. With nothing set, a simulated service is started inside the process and used.
#[derive(Parser)]
struct Arguments {
    /// The service's host name, with a port if need be [variable: `PROVISIONING_HOST`] [default:
    /// global.azure-devices-provisioning.net]
    #[arg(long)]
    host: Option<String>,
    /// The ID scope of the DPS instance [variable: `PROVISIONING_IDSCOPE`]
    #[arg(long)]
    id_scope: Option<String>,
    /// The registration ID of the device [variable: `PROVISIONING_REGISTRATION_ID`]
    #[arg(long)]
    registration_id: Option<String>,
    /// A file with the device's key in base64
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// What to tell a custom allocation policy
    #[arg(long, value_name = "JSON")]
    payload: Option<String>,
    /// A PEM file with certificate authorities to trust in addition [variable: `PROVISIONING_CA_CERT`]
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    /// How long the registration may take in all
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    deadline: u64,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

const KEY_VARIABLE: &str = "PROVISIONING_SYMMETRIC_KEY";

/// The device and the service that it asks.
struct Device {
    endpoint: Endpoint,
    id_scope: IdScope,
    registration_id: RegistrationId,
    key: DeviceKey,
    transport: HttpsTransport,
    /// Keeps a simulated service running.
    _service: Option<Box<dyn std::any::Any>>,
}

fn main() -> ExitCode {
    support::exit(provision(&Arguments::parse()).and_then(|text| support::print(&text)))
}

fn provision(arguments: &Arguments) -> Result<String> {
    let device = device(arguments)?;
    let key_length = device.key.length();
    eprintln!("{} registers at {}", device.registration_id, device.endpoint);
    let mut client = ProvisioningClient::builder(device.id_scope, device.registration_id, device.key)
        .endpoint(device.endpoint)
        .transport(device.transport)
        .deadline(Duration::from_secs(arguments.deadline))
        .observer(show_events())
        .wait(show_wait);
    if let Some(payload) = &arguments.payload {
        client = client.payload_json(payload)?;
    }
    let result = client.build()?.register();
    if let Err(error) = &result
        && error.http_status() == Some(401)
        && key_length == 64
    {
        eprintln!(
            "hint: this key has 64 bytes. If it is an enrollment group's, the device's must be derived from it first."
        );
    }
    let assignment = result?;
    if arguments.json { as_json(&assignment) } else { Ok(as_words(&assignment)) }
}

/// From the arguments, or the simulated one if nothing is set at all.
fn device(arguments: &Arguments) -> Result<Device> {
    let given = |argument: &Option<String>, name| match argument {
        Some(argument) => Ok(Some(argument.clone())),
        None => support::variable(name),
    };
    let host = given(&arguments.host, "PROVISIONING_HOST")?;
    let id_scope = given(&arguments.id_scope, "PROVISIONING_IDSCOPE")?;
    let registration_id = given(&arguments.registration_id, "PROVISIONING_REGISTRATION_ID")?;
    let key = support::key_text(arguments.key_file.as_deref(), KEY_VARIABLE)?;
    let ca_cert = match &arguments.ca_cert {
        Some(file) => Some(file.clone()),
        None => support::variable("PROVISIONING_CA_CERT")?.map(PathBuf::from),
    };
    let missing = [
        (id_scope.is_none(), "PROVISIONING_IDSCOPE (or --id-scope)"),
        (registration_id.is_none(), "PROVISIONING_REGISTRATION_ID (or --registration-id)"),
        (key.is_none(), "PROVISIONING_SYMMETRIC_KEY (or --key-file)"),
    ];
    let (Some(id_scope), Some(registration_id), Some(key)) = (id_scope, registration_id, key) else {
        if host.is_none() && ca_cert.is_none() && missing.iter().all(|(missing, _)| *missing) {
            return simulated_device();
        }
        return Err(not_set(missing.into_iter().filter_map(|(missing, name)| missing.then_some(name))));
    };
    let roots = match ca_cert {
        Some(file) => Roots::bundled_and_pem(&support::read(&file)?)?,
        None => Roots::bundled(),
    };
    Ok(Device {
        endpoint: host.as_deref().map_or(Ok(Endpoint::GLOBAL), str::parse)?,
        id_scope: IdScope::new(id_scope)?,
        registration_id: RegistrationId::new(registration_id)?,
        key: DeviceKey::from_base64(&key)?,
        transport: HttpsTransport::builder().roots(roots).proxy(Proxy::from_environment()?).build(),
        _service: None,
    })
}

fn not_set<'a>(names: impl Iterator<Item = &'a str>) -> Box<dyn Error> {
    format!("not set: {}", names.collect::<Vec<_>>().join(", ")).into()
}

#[cfg(feature = "simulator-server")]
fn simulated_device() -> Result<Device> {
    use azure_iot_dps::simulator::Simulator;

    eprintln!("Nothing is set, so this registers with a simulated service inside this process. For a real one, set");
    eprintln!("PROVISIONING_IDSCOPE, PROVISIONING_REGISTRATION_ID and PROVISIONING_SYMMETRIC_KEY.");
    let sim = Simulator::builder().assigning_polls(1).retry_after(Duration::from_secs(1)).build();
    let server = sim.serve()?;
    let registration_id = RegistrationId::new("simulated-device-1")?;
    Ok(Device {
        endpoint: server.endpoint(),
        id_scope: sim.id_scope(),
        key: sim.device_key(&registration_id).ok_or("the simulator has no key for the device")?,
        registration_id,
        transport: HttpsTransport::builder().roots(Roots::pem(server.ca_pem().as_bytes())?).build(),
        _service: Some(Box::new(server)),
    })
}

#[cfg(not(feature = "simulator-server"))]
fn simulated_device() -> Result<Device> {
    eprintln!("To try it against a simulated service, run it with `--features simulator-server`.");
    Err(not_set(["PROVISIONING_IDSCOPE", "PROVISIONING_REGISTRATION_ID", KEY_VARIABLE].into_iter()))
}

/// Shows what happens, as the official samples do: connecting, connected, assigning, assigned.
fn show_events() -> impl FnMut(Event) {
    let mut connected = false;
    move |event| match event {
        Event::Answered { .. } if !connected => {
            connected = true;
            eprintln!("connected");
        }
        // What follows tells these.
        Event::Polling { .. } | Event::Answered { .. } | Event::Unanswered { .. } => {}
        event => eprintln!("{event}"),
    }
}

/// Counts the seconds down, for somebody who watches.
fn show_wait(pause: &Pause) -> ControlFlow<()> {
    let mut terminal = std::io::stderr();
    let left = pause.duration();
    if terminal.is_terminal() && !left.is_zero() {
        let _ = write!(terminal, "\r{:4} s ", left.as_secs_f32().ceil());
        if left <= Duration::from_secs(1) {
            let _ = write!(terminal, "\r       \r");
        }
    }
    ControlFlow::Continue(())
}

fn as_words(assignment: &Assignment) -> String {
    let mut text = format!("assigned hub: {}\ndevice ID:    {}\n", assignment.hub(), assignment.device_id());
    if let Some(substatus) = assignment.substatus() {
        text.extend(["substatus:    ", substatus.as_str(), "\n"]);
    }
    if let Some(payload) = assignment.payload_json() {
        text.extend(["payload:      ", payload, "\n"]);
    }
    text
}

/// As the service names the fields.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Output<'a> {
    registration_id: &'a RegistrationId,
    assigned_hub: &'a HostName,
    device_id: &'a DeviceId,
    status: &'a str,
    substatus: Option<&'a str>,
    created_date_time_utc: Option<&'a str>,
    last_updated_date_time_utc: Option<&'a str>,
    etag: Option<&'a str>,
    payload: Option<&'a RawValue>,
}

fn as_json(assignment: &Assignment) -> Result<String> {
    let json = serde_json::to_string(&Output {
        registration_id: assignment.registration_id(),
        assigned_hub: assignment.hub(),
        device_id: assignment.device_id(),
        status: "assigned",
        substatus: assignment.substatus().map(Substatus::as_str),
        created_date_time_utc: assignment.created_at(),
        last_updated_date_time_utc: assignment.updated_at(),
        etag: assignment.etag(),
        payload: assignment.payload()?,
    })?;
    Ok(json + "\n")
}
