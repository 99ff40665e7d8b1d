//! From the assignment to the hub and back: credentials, the stored assignment, and when to register again.

mod credentials;
#[cfg(feature = "std")]
mod file_store;
mod reconnection;
mod record;
mod store;

pub use credentials::{ConnectionString, HubCredentials, MqttLogin};
#[cfg(feature = "std")]
pub use file_store::FileStore;
pub use reconnection::{Advice, HubFailure, Reconnection, ReconnectionState};
pub use store::AssignmentStore;
