//! The protocols in which the service is asked.

pub(super) mod http;
pub(super) mod mqtt;
