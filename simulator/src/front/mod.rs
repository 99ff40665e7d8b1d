//! The protocols of the simulator.

pub(super) mod http;
pub(super) mod mqtt;
