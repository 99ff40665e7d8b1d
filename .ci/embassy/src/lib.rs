//! The async code that the guide shows. CI builds it for a Cortex-M4.
#![no_std]

#[rustfmt::skip]
#[path = "../../../src/guide/embassy.rs"]
pub mod guide;
