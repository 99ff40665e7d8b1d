//! Shared access signature (SAS) tokens, which a device sends instead of its key.
//!
//! A token is `SharedAccessSignature sr={resource}&sig={signature}&se={expiry}[&skn={key name}]`.
//! The signature is the HMAC-SHA256 of `{resource}\n{expiry}` under the device's key, with the
//! resource percent-encoded as in the token. Source: Microsoft, "Control access to IoT Hub using
//! shared access signatures".
//!
//! [`SasToken::sign`] signs at once. If signing is asynchronous, [`SasToken::prepare`] returns the
//! message to sign, and [`UnsignedToken::finish`] takes the signature.
//!
//! ```
//! use azure_iot_dps::DeviceKey;
//! use azure_iot_dps::sas::{Resource, SasToken};
//! use azure_iot_dps::time::UnixTime;
//!
//! let key = DeviceKey::from_base64("miuSB501eJKWtdSGawOlw0wbqw7z4flDPUIeAsCTiWs=")?;
//! let resource = Resource::uri("my-hub.azure-devices.net");
//! let token = SasToken::sign(resource, &key, UnixTime::from_secs(1_800_000_000))?;
//! assert!(token.as_str().starts_with("SharedAccessSignature sr=my-hub.azure-devices.net&sig="));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cache;
mod resource;
mod signing;
mod token;

pub(crate) use cache::{DEFAULT_TOKEN_LIFETIME, TokenCache, clamp_lifetime};
pub use cache::{MAX_TOKEN_LIFETIME, MIN_TOKEN_LIFETIME};
pub use resource::Resource;
pub use signing::UnsignedToken;
pub use token::{SasToken, SasTokenError};
