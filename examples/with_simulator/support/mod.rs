//! Code that these examples share: reads devices, shows progress and results.
#![allow(dead_code, unreachable_pub, unused_imports, reason = "each example uses a part")]

#[path = "../../support/mod.rs"]
mod basis;
#[cfg(all(feature = "bundled-roots", feature = "https", feature = "proxy"))]
pub mod device;
#[cfg(all(feature = "bundled-roots", feature = "https", feature = "proxy"))]
pub mod given;
#[cfg(all(feature = "bundled-roots", feature = "https", feature = "proxy"))]
pub mod hub;
pub mod progress;
pub mod report;
#[cfg(feature = "std")]
pub mod store;

pub use basis::*;
