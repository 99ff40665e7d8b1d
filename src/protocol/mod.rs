//! Requests and responses as data, and their forms in HTTP and MQTT.
//!
//! A [`Request`] is independent of the protocol. [`http::Head`] is its form in HTTP,
//! [`mqtt::Message`] its form in MQTT. A transport returns a [`Response`]. Sources: Microsoft's
//! REST description of the device API, and captures of the official clients.
//!
//! ```
//! use azure_iot_dps::protocol::{Request, Response};
//! use azure_iot_dps::transport::FnTransport;
//!
//! let transport = FnTransport::new(|request: &Request<'_>| {
//!     let (method, target) = (request.http().method(), request.http().target().to_string());
//!     // Send them with any HTTP client, then return its answer:
//!     # drop((method, target));
//!     Ok(Response::new(202, br#"{"operationId":"5.3","status":"assigning"}"#.to_vec()))
//! });
//! ```

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
