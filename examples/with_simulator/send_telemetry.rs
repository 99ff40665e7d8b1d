//! Provisions a device and sends messages to its hub over HTTPS.
//!
//! With nothing set it starts a simulated service and hub inside the process. With the variables of
//! the official samples (see `register`) it uses the real ones.
//!
//! This crate is not an IoT Hub SDK. The code in `support/hub.rs` sends the messages. Firmware
//! would pass the credentials to an MQTT client (see `HubCredentials`).

mod support;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use azure_iot_dps::hub::{Advice, AssignmentStore, HubFailure, Reconnection};
use azure_iot_dps::time::{Now, UnixTime};
use azure_iot_dps::{
    Assignment, Clock, DeviceKey, Endpoint, HubCredentials, ProvisioningClient, RegistrationId, SystemClock,
};
use clap::Parser;
use support::device::{Device, DeviceArguments};
use support::hub::Hub;
use support::progress::{show_events, show_wait};
use support::report::as_json;
use support::{Result, beside, sentence};

/// Provisions a device with the Azure IoT Hub Device Provisioning Service and sends telemetry.
///
/// The device's key comes from `PROVISIONING_SYMMETRIC_KEY` or --key-file, never from an argument,
/// because process lists show arguments. With nothing set, the program starts a simulated
/// service and hub inside the process and uses them.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    device: DeviceArguments,
    /// The number of messages to send
    #[arg(long, value_name = "N", default_value_t = 3)]
    count: u32,
    /// The wait between two messages
    #[arg(long, value_name = "SECONDS", default_value_t = 1)]
    interval: u64,
    /// The message
    #[arg(long, value_name = "JSON", default_value = r#"{"temperature":21.5}"#)]
    message: String,
    /// The payload for a custom allocation policy
    #[arg(long, value_name = "JSON")]
    payload: Option<String>,
    /// Keep the assignment in this file, and the state of the reconnection beside it (`.hub`), so
    /// that the next run does not register (with a simulated service it does, because that keeps
    /// nothing)
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// The time over which a fleet spreads out when its hub refuses all devices at once
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    fleet_spread: u64,
    /// Connect to this gateway instead of the hub; the token and the path still name the hub
    #[arg(long, value_name = "HOST[:PORT]")]
    hub_endpoint: Option<Endpoint>,
    /// Print the assignment as JSON first
    #[arg(long)]
    json: bool,
    /// The deadline of the registration, and that of each message
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    deadline: u64,
}

fn main() -> ExitCode {
    support::exit(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<()> {
    serde_json::from_str::<&serde_json::value::RawValue>(&arguments.message)
        .map_err(|error| format!("--message: not JSON: {error}"))?;
    let device = arguments.device.device()?;
    // A device with a certificate needs another hand-over: say so before it registers.
    device.key()?;
    let clock = SystemClock::new();
    let mut client = device
        .client()?
        .clock(clock.clone())
        .deadline(Duration::from_secs(arguments.deadline))
        .observer(show_events())
        .wait(show_wait);
    if let Some(payload) = &arguments.payload {
        client = client.payload_json(payload).map_err(|error| format!("--payload: {}", sentence(&error)))?;
    }
    let mut client = client.build();
    let mut store = support::store::open(arguments.store.as_deref());
    let assignment = client.load_or_register(&mut *store)?;
    warn(&client);
    eprintln!("{} belongs to {}", assignment.device_id(), assignment.hub());
    if arguments.json {
        support::print(&as_json(&assignment)?)?;
    }
    let patience = arguments.store.as_deref().map(|store| Patience(beside(store, ".hub")));
    let reconnection = match &patience {
        Some(patience) => patience.restore(device.registration_id.clone(), clock.clone().now()),
        None => Reconnection::new(device.registration_id.clone()),
    };
    let mut reconnection = reconnection.fleet_spread(Duration::from_secs(arguments.fleet_spread));
    let mut sender = Sender { arguments, device: &device, clock, client, store, assignment };
    let result = sender.send_all(&mut reconnection);
    if let Some(patience) = &patience {
        patience.save(&reconnection, sender.clock.now());
    }
    result
}

/// The file that keeps the state of the reconnection from run to run.
///
/// A hub that cannot be reached during one run is no reason to register. With the state, a program
/// that runs only for minutes also notices a hub that was moved or deleted.
struct Patience(PathBuf);

impl Patience {
    fn restore(&self, registration_id: RegistrationId, now: Now) -> Reconnection {
        let state = std::fs::read(&self.0).ok().and_then(|json| serde_json::from_slice(&json).ok());
        Reconnection::restore(registration_id, state.unwrap_or_default(), now.uptime)
    }

    fn save(&self, reconnection: &Reconnection, now: Now) {
        let json = serde_json::to_vec(&reconnection.state(now.uptime)).unwrap_or_default();
        if let Err(error) = std::fs::write(&self.0, json) {
            eprintln!("warning: {}: {error}", self.0.display());
        }
    }
}

fn warn(client: &ProvisioningClient) {
    if let Some(error) = client.store_error() {
        eprintln!("warning: {}", sentence(error));
    }
}

struct Sender<'a> {
    arguments: &'a Arguments,
    device: &'a Device,
    clock: SystemClock,
    client: ProvisioningClient,
    store: Box<dyn AssignmentStore>,
    assignment: Assignment,
}

impl Sender<'_> {
    fn send_all(&mut self, reconnection: &mut Reconnection) -> Result<()> {
        let (mut credentials, mut hub) = self.connect()?;
        let Arguments { count, interval, message, deadline, .. } = self.arguments;
        for number in 1..=*count {
            if number > 1 {
                self.clock.sleep(Duration::from_secs(*interval));
            }
            let started = self.clock.now().uptime;
            loop {
                // Without a clock the hub answers 401, and the registration after that learns the time.
                let time = self.assignment.time_at(self.clock.now()).unwrap_or(UnixTime::EPOCH);
                let result = hub.send(credentials.token(time)?, message);
                // An answer shows that the message was sent.
                if !matches!(&result, Err(refused) if refused.failure == HubFailure::UNREACHABLE) {
                    support::print(&format!("sent {number} of {count}\n"))?;
                }
                let Err(refused) = result else { break };
                let now = self.clock.now();
                let left = Duration::from_secs(*deadline).saturating_sub(now.uptime.saturating_sub(started));
                match reconnection.failed(refused.failure, now) {
                    Advice::Retry { after } if after >= left => {
                        return Err(refused.to_string().into());
                    }
                    Advice::Retry { after } => {
                        eprintln!("{refused}, next try in {} s", after.as_secs_f32().ceil());
                        self.clock.sleep(after);
                    }
                    advice => {
                        self.assignment = if advice == Advice::Register {
                            eprintln!("{refused}, registering again");
                            self.client.register_and_store(&mut *self.store)?
                        } else {
                            eprintln!("{refused}, looking the assignment up");
                            self.client.look_up_or_register(&mut *self.store)?
                        };
                        warn(&self.client);
                        (credentials, hub) = self.connect()?;
                    }
                }
            }
            reconnection.connected(self.clock.now());
            support::print(&format!("acknowledged {number} of {count}\n"))?;
        }
        Ok(())
    }

    fn connect(&self) -> Result<(HubCredentials<DeviceKey>, Hub)> {
        let credentials = HubCredentials::new(&self.assignment, self.device.key()?.clone())?;
        let gateway = self.arguments.hub_endpoint.as_ref().or(self.device.hub_endpoint.as_ref());
        let hub = Hub::new(&credentials, gateway, &self.device.roots, self.device.proxy.as_ref())?;
        Ok((credentials, hub))
    }
}
