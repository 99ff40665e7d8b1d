//! Chapters that cross the modules.

#[doc = include_str!("embassy.md")]
#[doc = "```rust,ignore"]
#[doc = include_str!("embassy.rs")]
#[doc = "```"]
pub mod embassy {}
#[doc = include_str!("firmware.md")]
pub mod firmware {}
#[doc = include_str!("x509.md")]
pub mod x509 {}
