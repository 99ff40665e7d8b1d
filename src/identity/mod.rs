//! Names that are valid by construction: ID scope, registration ID, device and module ID, host name, hub name, endpoint.
//!
//! Nothing is trimmed, lower-cased or guessed: a text either is a name or is refused by a [`NameError`] that tells the rule
//! and the position.

mod endpoint;
mod error;
mod hub_name;
mod names;

pub use endpoint::Endpoint;
pub use error::{NameError, NameKind, NameRule};
pub use hub_name::HubName;
pub use names::{DeviceId, HostName, IdScope, ModuleId, Product, RegistrationId};
