//! Credentials for the hub, the stored assignment, and reconnection.
//!
//! - [`HubCredentials`] are the credentials of a device with a symmetric key, for an MQTT or HTTPS
//!   client. [`X509Credentials`] are those of a device with a certificate.
//! - [`AssignmentStore`] keeps the assignment across reboots. `FileStore` (feature `std`) keeps it
//!   in a file.
//! - [`Reconnection`] decides what to do when the hub fails: try it again, or ask the service where
//!   the hub is.
//!
//! The guide's chapter [`hub`](crate::guide::hub) puts them together.
//!
//! ```
//! use azure_iot_dps::hub::{Advice, HubFailure, Reconnection};
//! use azure_iot_dps::time::{Now, UnixTime};
//! use azure_iot_dps::{Assignment, DeviceKey, HubCredentials};
//! use std::time::Duration;
//!
//! # let assignment: Assignment = serde_json::from_str(
//! #     r#"{"registrationId":"my-device","assignedHub":"my-hub.azure-devices.net",
//! #     "deviceId":"my-device","keyUsed":"primary"}"#,
//! # )?;
//! let key = DeviceKey::from_base64("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=")?;
//! let mut credentials = HubCredentials::new(&assignment, &key)?;
//! let login = credentials.mqtt(UnixTime::from_secs(1_800_000_000))?;
//! assert_eq!(login.host(), "my-hub.azure-devices.net");
//!
//! // The hub refuses the connection with CONNACK 3, server unavailable.
//! let mut reconnection = Reconnection::new(assignment.registration_id().clone());
//! let now = Now { unix: None, uptime: Duration::from_secs(60) };
//! let advice = reconnection.failed(HubFailure::connack(3), now);
//! assert!(matches!(advice, Advice::Retry { after } if after < Duration::from_secs(5)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
