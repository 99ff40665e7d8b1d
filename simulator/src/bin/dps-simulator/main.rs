//! Runs a simulated DPS on this machine, to test device software in any language.

mod demo_certificates;

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::iter::successors;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use azure_iot_dps::identity::HostName;
use azure_iot_dps::{IdScope, RegistrationId};
use azure_iot_dps_simulator::{
    Allocation, AllocationRequest, EnrollmentGroup, IndividualEnrollment, Limits, Record, ServeError, Simulator,
    SimulatorBuilder, SimulatorServer, SimulatorServerBuilder, SymmetricKey, certificates_from_pem,
};
use clap::Parser;

/// A simulated Device Provisioning Service, and the IoT hub behind it, on this machine.
///
/// The keys are test keys and may therefore be arguments. Without an enrollment it creates a group,
/// and prints the group's key and a device key that is derived from it.
#[derive(Parser)]
struct Arguments {
    /// The address for HTTPS and for MQTT over WebSocket; port 0 selects a free port
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// The address for MQTT, of the service and the hub; port 0 selects a free port [default:
    /// 127.0.0.1:8883, unless another program uses it]
    #[arg(long, value_name = "ADDRESS:PORT")]
    mqtt_listen: Option<SocketAddr>,
    /// Allow addresses that other machines can reach
    #[arg(long)]
    let_other_machines_connect: bool,
    /// A host name of this machine, for the certificate; may be repeated
    #[arg(long, value_name = "HOST", requires = "let_other_machines_connect")]
    name: Vec<HostName>,
    /// The ID scope
    #[arg(long, default_value = "0ne00002193")]
    id_scope: IdScope,
    /// An enrollment group with its primary key in base64; may be repeated
    #[arg(long, value_name = "NAME=KEY")]
    group: Vec<String>,
    /// An individual enrollment with its primary key in base64; may be repeated
    #[arg(long, value_name = "REGISTRATION_ID=KEY")]
    individual: Vec<String>,
    /// An enrollment group of devices with certificates, and the authority that issued them as PEM;
    /// may be repeated
    #[arg(long, value_name = "NAME=FILE")]
    x509_group: Vec<String>,
    /// An individual enrollment with the device's certificate as PEM; may be repeated
    #[arg(long, value_name = "REGISTRATION_ID=FILE")]
    x509_individual: Vec<String>,
    /// Create a root, an intermediate and device certificates in this folder, and an enrollment
    /// group of that root
    #[arg(long, value_name = "FOLDER")]
    demo_certificates: Option<PathBuf>,
    /// A device for which --demo-certificates creates a certificate; may be repeated [default:
    /// my-device]
    #[arg(long, value_name = "REGISTRATION_ID", requires = "demo_certificates")]
    demo_device: Vec<RegistrationId>,
    /// A linked hub; may be repeated [default: this server]
    #[arg(long, value_name = "HOST")]
    hub: Vec<HostName>,
    /// The wait between polls that the service asks for
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    retry_after: u64,
    /// The number of polls that are answered with "assigning"
    #[arg(long, value_name = "N", default_value_t = 1)]
    assigning_polls: u32,
    /// Answer a device's payload with the same payload, as a custom allocation policy may
    #[arg(long)]
    echo_payload: bool,
    /// The number of registrations per minute, of all devices together, above which the service
    /// answers 429 [default: unlimited]
    #[arg(long, value_name = "N")]
    throttle: Option<u32>,
    /// A fault of a device's next requests; may be repeated, and the faults happen in that order.
    /// WHAT is a status such as 429 or 503, `failed` (the registration fails), `drop` or
    /// `drop-after` (the connection is closed before or after the answer), `cut:BYTES` (it is
    /// closed within the answer), `slow:SECONDS`, `silence` (there is no answer), `garbage`, or for
    /// MQTT `connack:CODE` (the connection is refused)
    #[arg(long, value_name = "REGISTRATION_ID=WHAT[*TIMES]")]
    fault: Vec<String>,
    /// Write the certificate authority that clients must trust to this file as PEM
    #[arg(long, value_name = "FILE")]
    ca_out: Option<PathBuf>,
}

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", sentence(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Returns an error and all its sources as one sentence.
fn sentence(error: &(dyn Error + 'static)) -> String {
    successors(Some(error), |&error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Prints a result. A closed pipe is an error, not a panic.
fn print(text: &str) -> Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    Ok(output.flush()?)
}

fn run(arguments: &Arguments) -> Result<()> {
    let sim = simulator(arguments)?;
    arguments.fault.iter().try_for_each(|text| add_fault(&sim, text))?;
    let mut watch = sim.watch();
    let server = start(&sim, arguments)?;
    if let Some(file) = &arguments.ca_out {
        fs::write(file, server.ca_pem()).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    print(&format!("ID scope {}\n", sim.id_scope()))?;
    if is_demo(arguments) {
        let registration_id = RegistrationId::new("my-device")?;
        let key = sim.device_key(&registration_id).ok_or("the demo group has no key")?;
        print(&format!("group demo, key {}\n", Simulator::demo_group_key()))?;
        print(&format!("device {registration_id}, key {key}\n"))?;
    }
    if let Some(endpoint) = server.mqtt_endpoint() {
        print(&format!("listening on mqtts://{endpoint}\n"))?;
    }
    print(&format!("listening on https://{}\n", server.endpoint()))?;
    loop {
        if let Some(record) = watch.next(Duration::from_secs(3600)) {
            print(&line(&record))?;
        }
    }
}

fn pair(flag: &str, text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(format!("{flag} {text}: not a name, \"=\" and a value").into()),
    }
}

/// Adds the enrollments with certificates.
fn x509(arguments: &Arguments, mut builder: SimulatorBuilder) -> Result<SimulatorBuilder> {
    let read = |file: &str| {
        let pem = fs::read(file).map_err(|error| format!("{file}: {error}"))?;
        certificates_from_pem(&pem).map_err(|error| format!("{file}: {error}"))
    };
    for text in &arguments.x509_group {
        let (name, file) = pair("--x509-group", text)?;
        builder = builder.group(EnrollmentGroup::x509(&name, read(&file)?)?);
    }
    for text in &arguments.x509_individual {
        let (name, file) = pair("--x509-individual", text)?;
        builder = builder.individual(IndividualEnrollment::x509(RegistrationId::new(name)?, read(&file)?)?);
    }
    if let Some(folder) = &arguments.demo_certificates {
        let devices = match &arguments.demo_device[..] {
            [] => vec![RegistrationId::new("my-device")?],
            devices => devices.to_vec(),
        };
        let root = demo_certificates::make(folder, &devices)?;
        builder = builder.group(EnrollmentGroup::x509("demo-x509", certificates_from_pem(root.as_bytes())?)?);
    }
    Ok(builder)
}

/// Returns whether no enrollment is given, so that the simulator creates one.
fn is_demo(arguments: &Arguments) -> bool {
    let Arguments { group, individual, x509_group, x509_individual, demo_certificates, .. } = arguments;
    let given = [group, individual, x509_group, x509_individual];
    given.into_iter().all(Vec::is_empty) && demo_certificates.is_none()
}

/// Starts the server, without MQTT if another program uses its default port.
fn start(sim: &Simulator, arguments: &Arguments) -> Result<SimulatorServer> {
    const MQTT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8883);
    let mut builder = sim.server().address(arguments.listen).mqtt_address(arguments.mqtt_listen.unwrap_or(MQTT));
    if arguments.let_other_machines_connect {
        builder = arguments.name.iter().cloned().fold(builder.let_others_connect(), SimulatorServerBuilder::name);
    }
    let without_mqtt = builder.clone().mqtt_address(None);
    match builder.start() {
        Err(ServeError::Listen { address, source }) if address == MQTT && arguments.mqtt_listen.is_none() => {
            eprintln!(
                "MQTT works only over WebSocket: {MQTT} cannot be used ({source}); --mqtt-listen sets another address"
            );
            Ok(without_mqtt.start()?)
        }
        Err(error @ ServeError::NotLoopback { .. }) => {
            Err(format!("{error}; --let-other-machines-connect allows it").into())
        }
        result => Ok(result?),
    }
}

/// Adds the fault of an argument such as `my-device=429*2`.
fn add_fault(sim: &Simulator, text: &str) -> Result<()> {
    const FORM: &str = "not REGISTRATION_ID=WHAT or REGISTRATION_ID=WHAT*TIMES; see --help";
    let wrong = || format!("--fault {text}: {FORM}");
    let (registration_id, what) = text.split_once('=').ok_or_else(wrong)?;
    let (what, times) = match what.split_once('*') {
        Some((what, times)) => (what, times.parse().map_err(|_| wrong())?),
        None => (what, 1),
    };
    let (what, number) = what.split_once(':').map_or((what, None), |(what, number)| (what, Some(number)));
    let number = number.map(str::parse::<u32>).transpose().map_err(|_| wrong())?;
    let device = sim.device(&RegistrationId::new(registration_id)?);
    let fault = match (what, number) {
        ("failed", None) => device.answer(200).body(FAILED).header("Content-Type", "application/json; charset=utf-8"),
        ("drop", None) => device.drop_before_answer(),
        ("drop-after", None) => device.drop_after_answer(),
        ("silence", None) => device.silence(),
        ("garbage", None) => device.garbage(b"this is neither HTTP nor MQTT\r\n\r\n"),
        ("cut", Some(bytes)) => device.cut_after(usize::try_from(bytes)?),
        ("slow", Some(seconds)) => device.answer_slowly(Duration::from_secs(seconds.into())),
        ("connack", Some(code)) => device.refuse_connection(u8::try_from(code).map_err(|_| wrong())?),
        (status, None) => match status.parse() {
            Ok(status @ 200..=599) => device.answer(status),
            _ => return Err(wrong().into()),
        },
        _ => return Err(wrong().into()),
    };
    fault.times(times);
    Ok(())
}

/// Selects a hub by the bytes of the registration ID, and returns the device's payload.
fn echo_payload(request: &AllocationRequest<'_>) -> Allocation {
    let sum: usize = request.registration_id().as_str().bytes().map(usize::from).sum();
    let Some(hub) = request.hubs().iter().cycle().nth(sum) else { return Allocation::failed(400_209, "No hub.") };
    let payload = request.payload_json().and_then(|json| serde_json::from_str::<serde_json::Value>(json).ok());
    let allocation = Allocation::hub(hub.clone());
    let answer = payload.map_or_else(|| Ok(allocation.clone()), |payload| allocation.clone().payload(&payload));
    answer.unwrap_or(allocation)
}

/// The answer of a registration whose allocation failed.
const FAILED: &str = r#"{"operationId":"5.0","status":"failed","registrationState":
    {"status":"failed","errorCode":400207,"errorMessage":"Set by --fault."}}"#;

fn simulator(arguments: &Arguments) -> Result<Simulator> {
    let mut builder = Simulator::builder()
        .id_scope(arguments.id_scope.clone())
        .retry_after(Duration::from_secs(arguments.retry_after))
        .assigning_polls(arguments.assigning_polls)
        .limits(match arguments.throttle {
            Some(registrations) => Limits::NONE.registrations_per_minute(registrations),
            None => Limits::NONE,
        });
    builder = x509(arguments, builder)?;
    if arguments.echo_payload {
        builder = builder.allocation(echo_payload);
    }
    for text in &arguments.group {
        let (name, key) = pair("--group", text)?;
        builder = builder.group(EnrollmentGroup::new(&name, SymmetricKey::from_base64(&key)?));
    }
    for text in &arguments.individual {
        let (name, key) = pair("--individual", text)?;
        let individual = IndividualEnrollment::new(RegistrationId::new(name)?, SymmetricKey::from_base64(&key)?);
        builder = builder.individual(individual);
    }
    let own = match arguments.name.first() {
        Some(name) => name.clone(),
        None => HostName::new("localhost")?,
    };
    let own = arguments.hub.is_empty().then_some(own);
    let hubs = own.into_iter().chain(arguments.hub.iter().cloned());
    Ok(hubs.fold(builder, SimulatorBuilder::hub).build())
}

/// Returns one line for a record.
fn line(record: &Record) -> String {
    match record {
        Record::Request { at, asked, status, .. } => match status {
            Some(status) => format!("{at} {asked} -> {status}\n"),
            None => format!("{at} {asked} -> not answered\n"),
        },
        Record::Assigned { at, registration_id, device_id, hub } => {
            format!("{at} {registration_id} is assigned to {hub} as {device_id}\n")
        }
        Record::Telemetry { at, device_id, body } => format!("{at} {device_id} sent {} bytes\n", body.len()),
        _ => String::new(),
    }
}
