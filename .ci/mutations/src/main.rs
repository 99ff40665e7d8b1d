//! Registers devices against the simulator in virtual time, and prints the scenarios that fail.

use std::time::Duration;

use azure_iot_dps::time::Now;
use azure_iot_dps::{Clock, DeviceKey, ProvisioningClient, RegistrationId, Transport};
use azure_iot_dps_simulator::{Simulator, SimulatorClock};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// The clock of a device that does not know the date.
struct Undated(SimulatorClock);

impl Clock for Undated {
    fn now(&mut self) -> Now {
        Now { unix: None, ..self.0.now() }
    }

    fn sleep(&mut self, pause: Duration) {
        self.0.sleep(pause);
    }
}

/// Registers a device whose payload has this length.
fn register(
    sim: &Simulator,
    transport: impl Transport + Send + 'static,
    clock: impl Clock + Send + 'static,
    payload: usize,
) -> Result<()> {
    let id = RegistrationId::new("dev-01")?;
    let key = DeviceKey::from_base64(&sim.device_key(&id).ok_or("the simulator has no key")?)?;
    let client = ProvisioningClient::builder(sim.id_scope(), id, key).payload(&"x".repeat(payload))?;
    let assignment = client.build_with(transport, clock).register()?;
    let assigned = assignment.device_id().as_str() == "dev-01";
    if assigned { Ok(()) } else { Err("another device was assigned".into()) }
}

fn https(_: usize) -> Result<()> {
    let sim = Simulator::builder().build();
    register(&sim, sim.transport(), sim.clock(), 0)
}

fn https_undated(_: usize) -> Result<()> {
    let sim = Simulator::builder().build();
    register(&sim, sim.transport(), Undated(sim.clock()), 0)
}

fn mqtt(payload: usize) -> Result<()> {
    let sim = Simulator::builder().build();
    register(&sim, sim.mqtt_transport(), sim.clock(), payload)
}

fn mqtt_undated(_: usize) -> Result<()> {
    let sim = Simulator::builder().build();
    register(&sim, sim.mqtt_transport(), Undated(sim.clock()), 0)
}

type Scenario = fn(usize) -> Result<()>;

fn main() {
    // The second length needs a third byte of the remaining length.
    let scenarios: [(&str, Scenario, usize); 5] = [
        ("https", https, 0),
        ("https-undated", https_undated, 0),
        ("mqtt", mqtt, 0),
        ("mqtt-long", mqtt, 20_000),
        ("mqtt-undated", mqtt_undated, 0),
    ];
    for (name, scenario, payload) in scenarios {
        if let Err(error) = scenario(payload) {
            println!("{name}");
            eprintln!("{name}: {error}");
        }
    }
}
