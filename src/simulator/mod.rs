//! A DPS to test against, and the IoT hub behind it: the service as pure code, with handles for a transport and a clock that
//! a test owns.
//!
//! # A whole boot in a unit test
//!
//! ```
//! use azure_iot_dps::simulator::Simulator;
//! use azure_iot_dps::{ProvisioningClient, RegistrationId};
//!
//! let sim = Simulator::builder().assigning_polls(2).build();
//! let registration_id = RegistrationId::new("my-device")?;
//! let device_key = sim.device_key(&registration_id).expect("the simulator makes up a group if it is given none");
//!
//! let builder = ProvisioningClient::builder(sim.id_scope(), registration_id, device_key);
//! let mut client = builder.build_with(sim.transport(), sim.clock());
//! let assignment = client.register()?;
//! assert_eq!(assignment.device_id().as_str(), "my-device");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! No socket, no thread, no sleep: the waits that the service asks for pass in no time, and `sim.clock().elapsed()` tells
//! how long they would have been.
//!
//! # What goes wrong in the field
//!
//! Faults are scripted per device, and over when they have happened as often as they were to:
//!
//! ```
//! # use azure_iot_dps::simulator::{Record, Simulator};
//! # use azure_iot_dps::{ProvisioningClient, RegistrationId};
//! # let sim = Simulator::builder().build();
//! # let registration_id = RegistrationId::new("my-device")?;
//! # let device_key = sim.device_key(&registration_id).unwrap();
//! sim.device(&registration_id).answer(503).times(2);
//! sim.device(&registration_id).cut_after(40);
//! # let builder = ProvisioningClient::builder(sim.id_scope(), registration_id, device_key);
//! # let mut client = builder.build_with(sim.transport(), sim.clock());
//! client.register()?; // Gets there all the same.
//!
//! let statuses: Vec<_> = sim.records().into_iter().filter_map(|record| match record {
//!     Record::Request { status, .. } => Some(status),
//!     _ => None,
//! }).collect();
//! assert_eq!(statuses, [Some(503), Some(503), None, Some(202), Some(202), Some(200)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What the service is set to
//!
//! [`SimulatorBuilder`] takes enrollment groups and individual enrollments, linked hubs and a custom allocation policy, the
//! service's limits, and how often a device is told to wait; with the feature `x509` enrollments by certificate, too. Where the service
//! is said to check something, it checks: the
//! token over its text as sent, its expiry, its resource, either key.
//!
//! # Over MQTT
//!
//! [`Simulator::mqtt_transport`] asks the same service over MQTT, and [`Simulator::mqtt`] is one connection as bytes in and bytes out, to
//! the service or to its hub: to test firmware's own MQTT stack without a socket. It is no broker.
//!
//! # As a server
//!
//! With the feature `simulator-server`, `Simulator::serve` puts the same service behind TLS on loopback, over HTTPS and over MQTT. The example
//! `dps_simulator` is that as a program; [`other_languages`] tells how to test a client in any language against it.

mod allocation;
mod builder;
mod enrollment;
mod faults;
mod front;
mod handle;
mod hub_state;
mod ids;
mod journal;
mod limits;
mod lock;
#[doc = include_str!("other_languages.md")]
pub mod other_languages {}
mod script;
#[cfg(feature = "simulator-server")]
mod server;
mod service;
mod settings;
mod state;
#[cfg(test)]
mod tests;
mod virtual_mqtt;

pub use allocation::{Allocation, AllocationRequest};
pub use builder::SimulatorBuilder;
pub use enrollment::{EnrollmentGroup, IndividualEnrollment, Reprovisioning};
pub use faults::{DeviceHandle, FaultHandle};
pub use handle::{Simulator, SimulatorClock, SimulatorTransport};
pub use journal::{Asked, Record, Watch};
pub use limits::Limits;
#[cfg(feature = "simulator-server")]
pub use server::{ServeError, SimulatorServer, SimulatorServerBuilder};
pub use virtual_mqtt::{SimulatorMqtt, SimulatorMqttTransport};
