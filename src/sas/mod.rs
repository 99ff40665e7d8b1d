//! Shared access signature (SAS) tokens: what a device sends instead of its key.
//!
//! `SharedAccessSignature sr={resource}&sig={signature}&se={expiry}[&skn={key name}]`, where the signature is the
//! HMAC-SHA256 of `{resource}\n{expiry}` under the device's key, over the resource as it is sent.
//! Source: Microsoft, "Control access to IoT Hub using shared access signatures".
//!
//! [`SasToken::sign`] signs at once. Where the key lies behind something asynchronous, [`SasToken::prepare`] gives the message
//! to sign, and [`UnsignedToken::finish`] takes the signature.

mod cache;
mod resource;
mod signing;
mod token;

pub(crate) use cache::{DEFAULT_TOKEN_LIFETIME, TokenCache, clamp_lifetime};
pub use cache::{MAX_TOKEN_LIFETIME, MIN_TOKEN_LIFETIME};
pub use resource::Resource;
pub use signing::UnsignedToken;
pub use token::{SasToken, SasTokenError};
