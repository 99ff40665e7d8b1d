//! What goes over the wire: requests and answers as data, and the JSON inside them.

mod date;
mod request;
mod response;
pub(crate) mod wire;

#[cfg(feature = "simulator")]
pub(crate) use date::http_date;
pub(crate) use request::{API_VERSION, CSR_API_VERSION, Target};
pub use request::{Operation, Request};
pub use response::{Response, RetryAfter};
