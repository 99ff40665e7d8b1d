//! How a gateway boots: with the assignment that it has, or else it registers; and again where its hub is gone.
//!
//! It takes the variables of `register`, and the flags that name the device; with nothing set it starts a simulated service and hub inside the process
//! (feature `simulator-server`). What is meant to be copied is `boot`.

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
use azure_iot_dps::{Clock, Endpoint, FileStore, HubCredentials, SystemClock};
use clap::Parser;
use support::device::{Device, DeviceArguments};
use support::hub::Hub;
use support::{Result, sentence};

/// Boots a gateway: takes the stored assignment or registers, and sends a first message to the hub.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    device: DeviceArguments,
    /// Where the assignment is kept
    #[arg(long, value_name = "FILE")]
    store: PathBuf,
    /// A watchdog to feed, such as /dev/watchdog
    #[arg(long, value_name = "FILE")]
    watchdog: Option<PathBuf>,
    /// Connect to this gateway instead of the hub; token and path still name the hub
    #[arg(long, value_name = "HOST[:PORT]")]
    hub_endpoint: Option<Endpoint>,
}

/// From power-on to the first message. Gives up only where trying again cannot help.
fn boot(device: &Device, arguments: &Arguments) -> Result<()> {
    let watchdog = Arc::new(Watchdog::open(arguments)?);
    let feeder = Arc::clone(&watchdog);
    let gateway = arguments.hub_endpoint.as_ref().or(device.hub_endpoint.as_ref());
    let mut clock = SystemClock::new();
    let mut store = FileStore::new(&arguments.store);
    let mut client = device.client()?.clock(clock.clone());
    client = client.wait(move |_| {
        feeder.feed();
        ControlFlow::Continue(())
    });
    let mut client = client.build();

    let mut assignment = loop {
        match client.load_or_register(&mut store) {
            Ok(assignment) => break assignment,
            Err(error) if error.is_transient() => {
                eprintln!("{}. {}", sentence(&error), error.remedy());
                watchdog.sleep(&mut clock, error.retry_after().unwrap_or_default().max(Duration::from_secs(1)));
            }
            Err(error) => return Err(error.into()),
        }
    };

    let mut reconnection = Reconnection::new(device.registration_id.clone());
    loop {
        eprintln!("{} connects to {}", assignment.device_id(), assignment.hub());
        // Without a clock the hub answers 401, and the registration that follows learns the time.
        let time = assignment.time_at(clock.now()).unwrap_or(UnixTime::EPOCH);
        let mut credentials = HubCredentials::new(&assignment, &device.key)?;
        // Here firmware would hand `credentials.mqtt(time)?` to its MQTT client; this sends one message over HTTPS.
        let hub = Hub::new(&credentials, gateway, device.ca_pem.as_deref())?;
        watchdog.feed();
        let Err(refused) = hub.send(credentials.token(time)?, r#"{"boot":true}"#) else { break };
        eprintln!("{refused}");
        match reconnection.failed(refused.failure, clock.now()) {
            Advice::Retry { after } => watchdog.sleep(&mut clock, after),
            // The hub at hand is still the best there is, if neither helps.
            Advice::LookUp => match client.look_up_or_register(&mut store) {
                Ok(found) => assignment = found,
                Err(error) => eprintln!("{}", sentence(&error)),
            },
            Advice::Register => match client.register_and_store(&mut store) {
                Ok(another) => assignment = another,
                Err(error) => eprintln!("{}", sentence(&error)),
            },
        }
    }
    eprintln!("the hub has the first message");
    watchdog.disarm();
    Ok(())
}

/// Resets the board unless it is fed, with a byte written to its file: every second while the program waits, and before each
/// request, which takes up to a minute. Its time must be longer than that.
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
            // One that cannot be fed resets the board, which is what it is for.
            let _ = file.write_all(b".");
        }
    }

    /// Firmware would go on feeding it; this program ends. The letter is what Linux's watchdogs ask for.
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
