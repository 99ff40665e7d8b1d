#![doc = include_str!("../README.md")]
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

// The code over TLS needs features of the library that this crate must not enable. A test compiles and runs it.
#[doc = include_str!("testing.md")]
#[doc = "```rust,ignore"]
#[doc = include_str!("testing/over_tls.rs")]
#[doc = "```"]
#[doc = include_str!("testing/server.md")]
pub mod testing {}

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
