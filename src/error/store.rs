//! What keeps an assignment from being kept.

use alloc::boxed::Box;

/// Why an assignment could not be taken from its store or put there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A later version of this crate wrote it, in a form that this one does not know. It is left as it is.
    #[error("a later version wrote the stored assignment (format {found}, this version knows {known})")]
    LaterFormat {
        /// The format that was found.
        found: u32,
        /// The latest format that this version reads, and the one that it writes.
        known: u32,
    },
    /// It is cut off, changed, or no stored assignment at all.
    #[error("the stored assignment is damaged: {problem}")]
    Damaged {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Another process is writing, and has been for seconds.
    #[error("another process is writing the stored assignment")]
    Busy,
    /// The memory could not be read or written; the reason is the `source()`.
    #[error("the stored assignment could not be read or written")]
    Memory(#[source] Box<dyn core::error::Error + Send + Sync>),
}

impl StoreError {
    /// The memory could not be read or written: from the error of a driver, or a text.
    #[must_use]
    pub fn new(source: impl Into<Box<dyn core::error::Error + Send + Sync>>) -> Self {
        Self::Memory(source.into())
    }
}
