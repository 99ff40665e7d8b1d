//! What goes over the wire, as data: a [`Request`], a [`Response`], and how they look in a protocol.
//!
//! A request says what is asked and by whom. How that looks in HTTP is the view [`http::Head`], and in MQTT
//! [`mqtt::Message`]. Sources: Microsoft's REST description of the device API, and captures of the official clients.

mod fields;
pub mod http;
pub(crate) mod json;
pub mod mqtt;
mod request;
mod response;
mod write;

pub(crate) use request::{API_VERSION, CSR_API_VERSION};
pub use request::{Operation, Request};
pub use response::{Response, RetryAfter};
