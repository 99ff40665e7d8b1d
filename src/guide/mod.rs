//! Chapters that cross the modules.

#[doc = include_str!("firmware.md")]
pub mod firmware {}
