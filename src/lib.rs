#![cfg_attr(feature = "https", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "https"), doc = "Provision devices with the Azure IoT Hub Device Provisioning Service.")]
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(
    clippy::alloc_instead_of_core,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core
)]
#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a test may panic"))]

#[cfg(all(
    any(feature = "https", feature = "mqtt"),
    not(any(feature = "bundled-roots", feature = "platform-verifier"))
))]
compile_error!(
    "the features `https` and `mqtt` must know whose certificates to trust: enable `bundled-roots` (Mozilla's certificate authorities, part \
     of the default features) or `platform-verifier` (the operating system's)"
);

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

pub mod assignment;
pub mod attestation;
pub mod client;
#[cfg(any(feature = "https", feature = "mqtt", feature = "x509"))]
mod crypto;
mod encoding;
pub mod error;
pub mod guide;
pub mod hub;
pub mod identity;
pub mod key;
pub mod protocol;
pub mod registration;
pub mod sas;
pub mod time;
pub mod transport;
mod zeroizing;

pub use assignment::Assignment;
pub use attestation::Attestation;
pub use client::{ProvisioningClient, ProvisioningClientBuilder};
pub use error::Error;
#[cfg(feature = "std")]
pub use hub::FileStore;
pub use hub::HubCredentials;
pub use identity::{Endpoint, IdScope, RegistrationId};
pub use key::{DeviceKey, GroupKey, KeyDerivation};
pub use registration::{Event, RetryPolicy};
pub use sas::SasToken;
pub use time::Clock;
#[cfg(feature = "std")]
pub use time::SystemClock;
#[cfg(feature = "https")]
pub use transport::HttpsTransport;
#[cfg(feature = "mqtt")]
pub use transport::MqttTransport;
#[cfg(all(feature = "proxy", any(feature = "https", feature = "mqtt")))]
pub use transport::Proxy;
#[cfg(any(feature = "https", feature = "mqtt"))]
pub use transport::Roots;
pub use transport::Transport;
