//! The blocking client.
//!
//! [`ProvisioningClient`] owns what it needs and can be moved between threads. [`drive`] is the same with borrowed parts, for
//! firmware whose signer, transport or clock is neither owned nor `Send`.

mod builder;
mod drive;
mod provisioning;

pub use builder::ProvisioningClientBuilder;
pub use drive::{Hooks, drive};
pub use provisioning::ProvisioningClient;
