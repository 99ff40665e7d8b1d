//! Boots a gateway: loads the stored assignment or registers, and finds a hub that has moved.
//!
//! It takes the variables of `register` and its arguments that name the device. With nothing set it
//! starts a simulated service and hub inside the process. The function `boot` is meant to be copied.

mod support;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use azure_iot_dps::hub::{Advice, Reconnection};
use azure_iot_dps::time::UnixTime;
use azure_iot_dps::{Clock, Endpoint, FileStore, HubCredentials, ProvisioningClient, SystemClock};
use clap::Parser;
use support::device::{Device, DeviceArguments};
use support::hub::Hub;
use support::progress::show_events;
use support::{Result, beside, sentence};

/// Boots a gateway: loads the stored assignment or registers, and sends a first message to the hub.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    device: DeviceArguments,
    /// Keep the assignment in this file, and the session of the client beside it (`.session`)
    #[arg(long, value_name = "FILE")]
    store: PathBuf,
    /// The time over which a fleet spreads out when its hub refuses all devices at once
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    fleet_spread: u64,
    /// The file of a watchdog to feed, such as /dev/watchdog
    #[arg(long, value_name = "FILE")]
    watchdog: Option<PathBuf>,
    /// Connect to this gateway instead of the hub; the token and the path still name the hub
    #[arg(long, value_name = "HOST[:PORT]")]
    hub_endpoint: Option<Endpoint>,
}

/// Takes the device from power-on to the first message.
///
/// Gives up only if neither waiting nor a repair in the cloud can help.
fn boot(device: &Device, arguments: &Arguments) -> Result<()> {
    // A device with a certificate needs another hand-over: say so before it registers.
    let key = device.key()?;
    let watchdog = Arc::new(Watchdog::open(arguments)?);
    let feeder = Arc::clone(&watchdog);
    let gateway = arguments.hub_endpoint.as_ref().or(device.hub_endpoint.as_ref());
    let mut clock = SystemClock::new();
    let mut store = FileStore::new(&arguments.store);
    let memory = Memory(beside(&arguments.store, ".session"));
    let client = device.client()?.clock(clock.clone()).observer(show_events()).wait(move |_| {
        feeder.feed();
        ControlFlow::Continue(())
    });
    let mut client = client.build();
    // A restarted program continues its pauses, instead of asking again at once.
    memory.restore(&mut client);

    eprintln!("looking for an assignment in {}, then asking {}", arguments.store.display(), device.endpoint);
    let mut assignment = loop {
        let result = client.load_or_register(&mut store);
        tell_about_the_store(&client);
        memory.save(&mut client);
        match result {
            Ok(assignment) => break assignment,
            Err(error) => {
                let Some(pause) = error.retry_after() else { return Err(error.into()) };
                // Wait at least a second, so that this never becomes a busy loop.
                let pause = pause.max(Duration::from_secs(1));
                eprintln!("{}. {} Next try in {} s", sentence(&error), error.remedy(), pause.as_secs());
                watchdog.sleep(&mut clock, pause);
            }
        }
    };

    let spread = Duration::from_secs(arguments.fleet_spread);
    let mut reconnection = Reconnection::new(device.registration_id.clone()).fleet_spread(spread);
    loop {
        eprintln!("{} connects to {}", assignment.device_id(), assignment.hub());
        // Without a clock the hub answers 401. The service, which is asked then, tells the time.
        let time = assignment.time_at(clock.now()).unwrap_or(UnixTime::EPOCH);
        let mut credentials = HubCredentials::new(&assignment, key)?;
        // Firmware would pass `credentials.mqtt(time)?` to its MQTT client. This example sends one message over HTTPS.
        let hub = Hub::new(&credentials, gateway, &device.roots, device.proxy.as_ref())?;
        watchdog.feed();
        let Err(refused) = hub.send(credentials.token(time)?, r#"{"boot":true}"#) else { break };
        // An MQTT client would call `connected` after the CONNACK, and `lost` when the connection is lost.
        let asked = match reconnection.failed(refused.failure, clock.now()) {
            Advice::Retry { after } => {
                eprintln!("{refused}, next try in {} s", after.as_secs_f32().ceil());
                watchdog.sleep(&mut clock, after);
                continue;
            }
            Advice::Register => {
                eprintln!("{refused}, registering again");
                client.register_and_store(&mut store)
            }
            // Also an advice of a later version.
            _ => {
                eprintln!("{refused}, looking the assignment up");
                client.look_up_or_register(&mut store)
            }
        };
        tell_about_the_store(&client);
        memory.save(&mut client);
        match asked {
            Ok(found) => assignment = found,
            // Try the current hub again.
            Err(error) => eprintln!("{}", sentence(&error)),
        }
    }
    eprintln!("the hub has the first message");
    watchdog.disarm();
    Ok(())
}

fn tell_about_the_store(client: &ProvisioningClient) {
    if let Some(problem) = client.store_error() {
        eprintln!("warning: {}", sentence(problem));
    }
}

/// The client's session, in a file beside the store.
///
/// It keeps the pauses of a program that a supervisor restarts, or of a board that resets.
struct Memory(PathBuf);

impl Memory {
    fn restore(&self, client: &mut ProvisioningClient) {
        // If the file is missing or damaged, the client starts with an empty session.
        if let Some(saved) = std::fs::read(&self.0).ok().and_then(|json| serde_json::from_slice(&json).ok()) {
            client.restore_session(saved);
        }
    }

    fn save(&self, client: &mut ProvisioningClient) {
        let json = serde_json::to_vec(&client.save_session()).unwrap_or_default();
        if std::fs::read(&self.0).is_ok_and(|before| before == json) {
            return;
        }
        if let Err(error) = std::fs::write(&self.0, json) {
            eprintln!("warning: {}: {error}", self.0.display());
        }
    }
}

/// A watchdog that resets the board unless it is fed with a byte written to its file.
///
/// It is fed every second while the program waits, and before each request. A request takes up to a
/// minute, so the watchdog's timeout must be longer.
struct Watchdog(Option<File>);

impl Watchdog {
    fn open(arguments: &Arguments) -> Result<Self> {
        let open = |file: &PathBuf| {
            let opened = OpenOptions::new().append(true).open(file);
            opened.map_err(|error| format!("{}: {error}", file.display()))
        };
        Ok(Self(arguments.watchdog.as_ref().map(open).transpose()?))
    }

    fn feed(&self) {
        if let Some(mut file) = self.0.as_ref() {
            // A watchdog that cannot be fed resets the board, as it should.
            let _ = file.write_all(b".");
        }
    }

    /// Disarms the watchdog with the letter that Linux expects, because this program ends.
    ///
    /// Firmware would continue to feed it.
    fn disarm(&self) {
        if let Some(mut file) = self.0.as_ref() {
            let _ = file.write_all(b"V");
        }
    }

    fn sleep(&self, clock: &mut SystemClock, pause: Duration) {
        let ends_at = clock.now().uptime.saturating_add(pause);
        loop {
            self.feed();
            let left = ends_at.saturating_sub(clock.now().uptime);
            if left.is_zero() {
                return;
            }
            clock.sleep(left.min(Duration::from_secs(1)));
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    support::exit(arguments.device.device().and_then(|device| boot(&device, &arguments)))
}
