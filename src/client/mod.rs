//! The blocking client.
//!
//! [`ProvisioningClient`] owns its parts and can be moved between threads. [`drive`] does the same
//! work with borrowed parts, for firmware whose signer, transport or clock is neither owned nor
//! `Send`.

mod builder;
mod drive;
mod provisioning;

pub use builder::ProvisioningClientBuilder;
pub use drive::{Hooks, drive};
pub use provisioning::ProvisioningClient;
