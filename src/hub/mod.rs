//! From the assignment to the hub and back: credentials, the stored assignment, and when to register again.
//!
//! [`HubCredentials`] gives what an MQTT or HTTPS client shows to the hub, and [`X509Credentials`] for a device with a certificate. [`AssignmentStore`] keeps the assignment across
//! reboots; `FileStore` does so in a file (feature `std`). [`Reconnection`] decides, when the hub fails, whether to try it again
//! or to ask the service where the hub is.

mod credentials;
mod failure;
#[cfg(feature = "std")]
mod file_store;
mod mqtt_login;
mod reconnection;
mod record;
mod store;
mod x509_credentials;

pub use credentials::{ConnectionString, CredentialsError, HubCredentials};
pub use failure::HubFailure;
#[cfg(feature = "std")]
pub use file_store::FileStore;
pub use mqtt_login::MqttLogin;
pub use reconnection::{Advice, Reconnection, ReconnectionState};
pub use store::AssignmentStore;
pub use x509_credentials::X509Credentials;
