//! Types for names: ID scope, registration ID, device and module ID, host name, hub name, endpoint
//! and product.
//!
//! A value of these types is always valid. Text is never trimmed, lower-cased or corrected. Text
//! that is not a name is rejected with a [`NameError`], which has the rule and the position.
//!
//! ```
//! use azure_iot_dps::identity::{IdScope, NameRule, RegistrationId};
//!
//! let id_scope: IdScope = "0ne00002193".parse()?;
//! assert_eq!(id_scope.as_str(), "0ne00002193");
//! let error = RegistrationId::new("").unwrap_err();
//! assert_eq!((error.rule(), error.position()), (NameRule::Empty, 0));
//! # Ok::<(), azure_iot_dps::identity::NameError>(())
//! ```

mod endpoint;
mod error;
mod hub_name;
mod names;

pub use endpoint::Endpoint;
pub use error::{NameError, NameKind, NameRule};
pub use hub_name::HubName;
pub use names::{DeviceId, HostName, IdScope, ModuleId, Product, RegistrationId};
