//! The protocols in which the service is asked.

pub(super) mod http;
