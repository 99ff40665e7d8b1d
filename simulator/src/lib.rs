//! A simulated Device Provisioning Service (DPS) with an IoT hub behind it, for tests.
//!
//! The service is pure code: no socket, no thread. A test gets a transport to it and a clock of
//! virtual time. The feature `server` (default) puts the same service behind TLS, over HTTPS, MQTT
//! and WebSocket, and adds the program `dps-simulator` for clients in any language: see
//! [`other_languages`].
//!
//! # Run a whole boot in a unit test
//!
//! ```
//! use azure_iot_dps_simulator::Simulator;
//! use azure_iot_dps::{DeviceKey, ProvisioningClient, RegistrationId};
//!
//! let sim = Simulator::builder().assigning_polls(2).build();
//! let registration_id = RegistrationId::new("my-device")?;
//! // Without any enrollment, the simulator has a demo group.
//! let device_key = DeviceKey::from_base64(&sim.device_key(&registration_id).ok_or("no key")?)?;
//!
//! let builder = ProvisioningClient::builder(sim.id_scope(), registration_id, device_key);
//! let mut client = builder.build_with(sim.transport(), sim.clock());
//! let assignment = client.register()?;
//! assert_eq!(assignment.device_id().as_str(), "my-device");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The waits that the service asks for pass in virtual time, so the test does not sleep.
//! `sim.clock().elapsed()` returns how long they would have been.
//!
//! # Script faults
//!
//! Faults are scripted for each device. A fault is over when it has happened as often as scripted:
//!
//! ```
//! # use azure_iot_dps_simulator::{Record, Simulator};
//! # use azure_iot_dps::{DeviceKey, ProvisioningClient, RegistrationId};
//! # let sim = Simulator::builder().build();
//! # let registration_id = RegistrationId::new("my-device")?;
//! # let device_key = DeviceKey::from_base64(&sim.device_key(&registration_id).ok_or("no key")?)?;
//! sim.device(&registration_id).answer(503).times(2);
//! sim.device(&registration_id).cut_after(40);
//! # let builder = ProvisioningClient::builder(sim.id_scope(), registration_id, device_key);
//! # let mut client = builder.build_with(sim.transport(), sim.clock());
//! client.register()?; // Succeeds after three failures.
//!
//! let statuses: Vec<_> = sim.records().into_iter().filter_map(|record| match record {
//!     Record::Request { status, .. } => Some(status),
//!     _ => None,
//! }).collect();
//! assert_eq!(statuses, [Some(503), Some(503), None, Some(202), Some(202), Some(200)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Configure the service
//!
//! [`SimulatorBuilder`] takes enrollment groups, individual enrollments, linked hubs, a custom
//! allocation policy, the limits of the service, and how often a device is told to wait. Devices prove
//! themselves with a symmetric key or with an X.509 certificate.
//!
//! The simulator makes the documented checks of the service. It checks the signature of a token
//! over its text as sent, with the primary and the secondary key, and the expiry and the resource
//! of the token.
//!
//! # Use MQTT
//!
//! [`Simulator::mqtt_transport`] asks the service over MQTT. [`Simulator::mqtt`] opens one
//! connection to the service or to its hub, as bytes in and bytes out. It serves to test the MQTT
//! stack of a firmware without a socket. The simulator is not an MQTT broker.
//!
//! # Run it as a server
//!
//! `Simulator::serve` puts the service behind TLS on loopback, over HTTPS and over MQTT.
//!
//! # What it shares with the client
//!
//! The simulator uses the seam of `azure-iot-dps`: the traits [`Transport`](azure_iot_dps::Transport)
//! and [`Clock`](azure_iot_dps::Clock), requests, responses, names, and the exchange of the client
//! in [`Simulator::mqtt_transport`], where that is what is tested. All that reads or writes the wire
//! on the side of the service is code of other crates, so that a mistake of the client does not
//! agree with one of the simulator.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::print_stderr, clippy::print_stdout)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "a test may panic"
    )
)]

mod allocation;
mod builder;
mod enrollment;
mod error;
mod faults;
mod front;
mod handle;
mod hub_state;
mod ids;
mod journal;
mod key;
mod limits;
mod lock;
#[doc = include_str!("other_languages.md")]
pub mod other_languages {}
mod pem;
mod script;
#[cfg(feature = "server")]
mod server;
mod service;
mod settings;
mod state;
#[cfg(test)]
mod tests;
mod token;
mod virtual_mqtt;
mod wire;

pub use allocation::{Allocation, AllocationRequest};
pub use builder::SimulatorBuilder;
pub use enrollment::{EnrollmentGroup, IndividualEnrollment, Reprovisioning};
pub use error::EnrollmentError;
pub use faults::{DeviceHandle, FaultHandle};
pub use handle::{Simulator, SimulatorClock, SimulatorTransport};
pub use journal::{Asked, Record, Watch};
pub use key::SymmetricKey;
pub use limits::Limits;
pub use pem::certificates_from_pem;
#[cfg(feature = "server")]
pub use server::{ServeError, SimulatorServer, SimulatorServerBuilder};
pub use virtual_mqtt::{SimulatorMqtt, SimulatorMqttTransport};
