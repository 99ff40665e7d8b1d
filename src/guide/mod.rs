//! The guide: chapters about tasks that involve more than one module.
//!
//! # Start
//!
//! - [`provisioning`]: the service, enrollments, IDs, keys, and the state machine.
//! - [`hub`]: after the provisioning: credentials, the stored assignment, reconnection.
//! - [`rumqttc`]: a complete device with the MQTT client rumqttc.
//! - [`errors`]: which errors there are, when to call again, and what to keep across a reboot.
//! - [`features`]: the Cargo features and what each of them brings.
//! - [`examples`]: the example programs and the variables that they take.
//!
//! # Ways to the service
//!
//! - [`mqtt`]: provisioning over MQTT and through WebSocket, and with an MQTT client of your own.
//! - [`tls`]: trusted roots, and the crypto provider of rustls.
//! - [`proxies`]: HTTP proxies and the variable `NO_PROXY`.
//! - [`x509`]: devices with certificates.
//!
//! # Devices and their makers
//!
//! - [`firmware`]: from a board without an operating system to embedded Linux.
//! - [`async_code`]: with tokio, on a thread or by hand.
//! - [`embassy`]: async code on a board.
//! - [`factory`]: keys and certificates on a production line.
//! - [`security`]: what the crate protects, and what it leaves to the program.
//!
//! # Tests and measurements
//!
//! - [`testing`]: the simulated service, a real scope, and the tests of this crate.
//! - [`performance`]: speed, size, memory and bytes on the wire.

#[doc = include_str!("async_code.md")]
#[doc = "```rust,ignore"]
#[doc = include_str!("async_blocking.rs")]
#[doc = "```"]
#[doc = include_str!("async_by_hand.md")]
#[doc = "```rust,ignore"]
#[doc = include_str!("async_by_hand.rs")]
#[doc = "```"]
#[doc = include_str!("links.md")]
pub mod async_code {}
#[doc = include_str!("embassy.md")]
#[doc = "```rust,ignore"]
#[doc = include_str!("embassy.rs")]
#[doc = "```"]
#[doc = include_str!("links.md")]
pub mod embassy {}
#[doc = include_str!("errors.md")]
#[doc = include_str!("links.md")]
pub mod errors {}
#[doc = include_str!("examples.md")]
#[doc = include_str!("links.md")]
pub mod examples {}
#[doc = include_str!("factory.md")]
#[doc = include_str!("links.md")]
pub mod factory {}
#[doc = include_str!("features.md")]
#[doc = include_str!("links.md")]
pub mod features {}
#[doc = include_str!("firmware.md")]
#[doc = include_str!("links.md")]
pub mod firmware {}
#[doc = include_str!("hub.md")]
#[doc = include_str!("links.md")]
pub mod hub {}
#[doc = include_str!("mqtt.md")]
#[doc = include_str!("links.md")]
pub mod mqtt {}
#[doc = include_str!("performance.md")]
#[doc = include_str!("links.md")]
pub mod performance {}
#[doc = include_str!("provisioning.md")]
#[doc = include_str!("links.md")]
pub mod provisioning {}
#[doc = include_str!("proxies.md")]
#[doc = include_str!("links.md")]
pub mod proxies {}
#[doc = include_str!("rumqttc.md")]
#[doc = "```rust,ignore"]
#[doc = include_str!("rumqttc.rs")]
#[doc = "```"]
#[doc = include_str!("links.md")]
pub mod rumqttc {}
#[doc = include_str!("security.md")]
#[doc = include_str!("links.md")]
pub mod security {}
#[doc = include_str!("testing.md")]
#[doc = include_str!("links.md")]
pub mod testing {}
#[doc = include_str!("tls.md")]
#[doc = include_str!("links.md")]
#[allow(clippy::needless_doctest_main, reason = "the chapter shows what `main` does first")]
pub mod tls {}
#[doc = include_str!("x509.md")]
#[doc = include_str!("links.md")]
pub mod x509 {}
