//! A DPS on this machine, to test a device's software against in whatever language it is written.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use azure_iot_dps::identity::HostName;
use azure_iot_dps::simulator::{
    EnrollmentGroup, IndividualEnrollment, Record, ServeError, Simulator, SimulatorBuilder,
};
use azure_iot_dps::{DeviceKey, GroupKey, IdScope, RegistrationId};
use clap::Parser;
use support::{Result, print};

/// A simulated Device Provisioning Service, and the IoT hub behind it, on this machine.
///
/// The keys are test keys, so here they may be arguments. With no enrollment given it makes up a group and prints its key,
/// and one device's key derived from it.
#[derive(Parser)]
struct Arguments {
    /// Where to listen; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Listen on an address that other machines can reach, too
    #[arg(long)]
    let_other_machines_connect: bool,
    /// A name of this machine by which others reach it, for the certificate; may be repeated
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
    /// A linked hub; may be repeated [default: this server]
    #[arg(long, value_name = "HOST")]
    hub: Vec<HostName>,
    /// How long the service asks to wait between polls
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    retry_after: u64,
    /// How many polls are answered with "assigning"
    #[arg(long, value_name = "N", default_value_t = 1)]
    assigning_polls: u32,
    /// Write the certificate authority that clients must trust to this file, as PEM
    #[arg(long, value_name = "FILE")]
    ca_out: Option<PathBuf>,
}

fn main() -> ExitCode {
    support::exit(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<()> {
    let sim = simulator(arguments)?;
    let mut watch = sim.watch();
    let server = if arguments.let_other_machines_connect {
        sim.serve_to_anybody_at(arguments.listen, &arguments.name)?
    } else {
        let server = sim.serve_at(arguments.listen);
        server.map_err(|error| match error {
            ServeError::NotLoopback { .. } => format!("{error}; --let-other-machines-connect allows it").into(),
            error => Box::<dyn std::error::Error>::from(error),
        })?
    };
    if let Some(file) = &arguments.ca_out {
        fs::write(file, server.ca_pem()).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    print(&format!("ID scope {}\n", sim.id_scope()))?;
    if arguments.group.is_empty() && arguments.individual.is_empty() {
        let registration_id = RegistrationId::new("my-device")?;
        let key = sim.device_key(&registration_id).ok_or("the demo group has no key")?;
        print(&format!("group demo, key {}\n", Simulator::demo_group_key()))?;
        print(&format!("device {registration_id}, key {}\n", key.to_base64().as_str()))?;
    }
    print(&format!("listening on https://{}\n", server.endpoint()))?;
    loop {
        if let Some(record) = watch.next(Duration::from_secs(3600)) {
            print(&line(&record))?;
        }
    }
}

fn simulator(arguments: &Arguments) -> Result<Simulator> {
    let pair = |text: &'_ str| match text.split_once('=') {
        Some((name, key)) => Ok((name.to_owned(), key.to_owned())),
        None => Err(format!("{text}: not a name, \"=\" and a key")),
    };
    let mut builder = Simulator::builder()
        .id_scope(arguments.id_scope.clone())
        .retry_after(Duration::from_secs(arguments.retry_after))
        .assigning_polls(arguments.assigning_polls);
    for text in &arguments.group {
        let (name, key) = pair(text)?;
        builder = builder.group(EnrollmentGroup::new(&name, &GroupKey::from_base64(&key)?));
    }
    for text in &arguments.individual {
        let (name, key) = pair(text)?;
        let individual = IndividualEnrollment::new(RegistrationId::new(name)?, DeviceKey::from_base64(&key)?);
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

/// One line for each thing that happens.
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
