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

#[cfg(all(feature = "https", not(any(feature = "bundled-roots", feature = "platform-verifier"))))]
compile_error!(
    "the feature `https` must know whose certificates to trust: enable `bundled-roots` (Mozilla's certificate authorities, part \
     of the default features) or `platform-verifier` (the operating system's)"
);

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod assignment;
mod client;
mod encoding;
mod error;
mod hub;
mod identity;
#[doc = include_str!("in_firmware.md")]
pub mod in_firmware {}
mod key;
mod protocol;
mod registration;
mod sas;
#[cfg(feature = "simulator")]
pub mod simulator;
mod time;
mod transport;
mod wipe;

pub use assignment::{Assignment, JsonError, KeyUsed, PayloadError, Substatus};
#[cfg(feature = "std")]
pub use client::SystemClock;
pub use client::{BuildError, ProvisioningClient, ProvisioningClientBuilder};
pub use error::{
    DeadlineExceeded, Error, Refusal, ServiceError, StoreError, TransportError, TransportErrorKind, UnexpectedAnswer,
};
#[cfg(feature = "std")]
pub use hub::FileStore;
pub use hub::{
    Advice, AssignmentStore, ConnectionString, HubCredentials, HubFailure, MqttLogin, Reconnection, ReconnectionState,
};
pub use identity::{
    DeviceId, DeviceIdError, Endpoint, EndpointError, HostName, HostNameError, IdScope, IdScopeError, ModuleId,
    Product, ProductError, RegistrationId, RegistrationIdError,
};
pub use key::{Base64Key, DeviceKey, GroupKey, KeyDerivation, KeyError, Signer, SignerError};
pub use protocol::{Operation, Request, Response, RetryAfter};
pub use registration::{
    Backoff, Carryover, Event, Observer, Pause, Registration, RegistrationSettings, RetryPolicy, Step, WaitReason,
};
pub use sas::{Resource, SasToken, SasTokenError};
pub use time::{Clock, ClockCorrection, Now, UnixTime};
#[cfg(feature = "https")]
pub use transport::https::{
    Closer, HttpsTransport, HttpsTransportBuilder, Proxy, ProxyError, Roots, RootsError, RootsHandle,
};
pub use transport::{FnTransport, Transport};
