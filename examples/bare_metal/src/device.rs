//! The device's job: it registers, stores its assignment, and sends a message to its hub.
//!
//! A user of the crate writes the same code on Linux.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::error::Error;

#[cfg(feature = "mqtt")]
use azure_iot_dps::Transport;
use azure_iot_dps::{Attestation, ProvisioningClient};
use rustls::ClientConfig;

use crate::board::{BoardClock, say};
use crate::factory::Factory;
use crate::flash::Page;
use crate::http::Https;
use crate::tls;

/// The reason why the device gives up. In the field, a watchdog or a supervisor restarts it.
pub type Failure = Box<dyn Error>;

pub fn run(mut factory: Factory) -> Result<(), Failure> {
    let clock = BoardClock::new(factory.clock);
    let tls = tls::config(&mut factory, clock)?;
    let mut client = client(&factory, &tls, clock);
    let assignment = client.load_or_register(&mut Page)?;
    if let Some(error) = client.store_error() {
        say!("the assignment is not kept: {error}");
    }
    if factory.hangs {
        crate::board::hang();
    }
    #[cfg(feature = "mqtt")]
    let assignment = telemetry::send(&factory, client, assignment, clock, &tls)?;
    say!("provisioned: {} {}", assignment.hub(), assignment.device_id());
    Ok(())
}

#[inline(never)] // Keeps its frame off the stack of the handshakes.
fn client(factory: &Factory, tls: &Arc<ClientConfig>, clock: BoardClock) -> ProvisioningClient {
    #[cfg(feature = "mqtt")]
    let transport: Box<dyn Transport + Send> = if factory.over_mqtt {
        Box::new(crate::mqtt::Mqtt::new(tls.clone()))
    } else {
        Box::new(Https::new(tls.clone()))
    };
    #[cfg(not(feature = "mqtt"))]
    let transport = Https::new(tls.clone());
    let attestation = factory.key.clone().map_or(Attestation::x509(), Attestation::from);
    ProvisioningClient::builder(factory.id_scope.clone(), factory.registration_id.clone(), attestation)
        .endpoint(factory.endpoint.clone())
        .deadline(factory.deadline)
        .observer(|event| say!("{event}"))
        .build_with(transport, clock)
}

#[cfg(feature = "mqtt")]
mod telemetry {
    use alloc::sync::Arc;

    use azure_iot_dps::hub::{Advice, HubFailure, Reconnection, X509Credentials};
    use azure_iot_dps::time::{Clock, UnixTime};
    use azure_iot_dps::{Assignment, HubCredentials, ProvisioningClient};
    use rustls::ClientConfig;

    use super::Failure;
    use crate::board::{BoardClock, say};
    use crate::factory::Factory;
    use crate::flash::Page;
    use crate::hub::Hub;

    const MESSAGE: &[u8] = br#"{"temperature":21.5}"#;

    /// Sends a message to the hub. Returns the assignment, a new one if the hub has changed.
    pub fn send(
        factory: &Factory,
        mut client: ProvisioningClient,
        mut assignment: Assignment,
        mut clock: BoardClock,
        tls: &Arc<ClientConfig>,
    ) -> Result<Assignment, Failure> {
        let mut reconnection = Reconnection::new(factory.registration_id.clone()).fleet_spread(factory.fleet_spread);
        loop {
            let time = assignment.time_at(clock.now()).unwrap_or(UnixTime::EPOCH);
            let advice = match connect(factory, &assignment, time, tls)? {
                Ok(mut hub) => {
                    reconnection.connected(clock.now());
                    match hub.publish(assignment.device_id().as_str(), MESSAGE) {
                        Ok(()) => {
                            say!("the hub has the message");
                            // The message has arrived, so a failure to disconnect does not matter.
                            let _ = hub.disconnect();
                            return Ok(assignment);
                        }
                        Err(error) => {
                            say!("the hub: {error}");
                            reconnection.lost(clock.now())
                        }
                    }
                }
                Err(failure) => reconnection.failed(failure, clock.now()),
            };
            match advice {
                Advice::Retry { after } => clock.sleep(after),
                Advice::Register => assignment = client.register_and_store(&mut Page)?,
                // Also an advice of a later version.
                _ => assignment = client.look_up_or_register(&mut Page)?,
            }
        }
    }

    fn connect(
        factory: &Factory,
        assignment: &Assignment,
        time: UnixTime,
        tls: &Arc<ClientConfig>,
    ) -> Result<Result<Hub, HubFailure>, Failure> {
        say!("connecting to {}", assignment.hub());
        Ok(match &factory.key {
            Some(key) => Hub::connect(tls, &HubCredentials::new(assignment, key)?.mqtt(time)?, factory.hub_port),
            None => Hub::connect(tls, &X509Credentials::new(assignment)?.mqtt(), factory.hub_port),
        })
    }
}
