//! From the assignment to the hub and back: credentials, the stored assignment, and when to register again.
//!
//! [`HubCredentials`] gives what an MQTT or HTTPS client shows to the hub. [`AssignmentStore`] keeps the assignment across
//! reboots; `FileStore` does so in a file (feature `std`). [`Reconnection`] decides, when the hub fails, whether to try it again
//! or to ask the service where the hub is.

mod credentials;
mod failure;
#[cfg(feature = "std")]
mod file_store;
mod reconnection;
mod record;
mod store;

pub use credentials::{ConnectionString, CredentialsError, HubCredentials, MqttLogin};
pub use failure::HubFailure;
#[cfg(feature = "std")]
pub use file_store::FileStore;
pub use reconnection::{Advice, Reconnection, ReconnectionState};
pub use store::AssignmentStore;
