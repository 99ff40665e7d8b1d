//! The async code that the guide shows. CI builds it for a Cortex-M4.
#![no_std]

#[path = "../../../src/guide/embassy.rs"]
pub mod guide;
