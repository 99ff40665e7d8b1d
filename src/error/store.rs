//! The errors of a store.

use alloc::boxed::Box;

/// The reason why an assignment could not be loaded or stored.
///
/// ```
/// use azure_iot_dps::error::StoreError;
/// use azure_iot_dps::registration::RegistrationSettings;
/// use azure_iot_dps::Assignment;
///
/// let settings = RegistrationSettings::new("0ne00002193".parse()?, "my-device".parse()?);
/// match Assignment::from_record(b"not a record", &settings) {
///     Err(StoreError::Damaged { problem }) => println!("registering again: {problem}"),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), azure_iot_dps::identity::NameError>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A later version of this crate wrote the record, in an unknown format. It is left unchanged.
    #[error(
        "a later version of this crate wrote the stored assignment (format {found}; this version reads up to {known})"
    )]
    LaterFormat {
        /// The format of the record.
        found: u32,
        /// The latest format that this version reads, and the one that it writes.
        known: u32,
    },
    /// The record is cut off, changed, or not a record of an assignment.
    #[error("the stored assignment is damaged: {problem}")]
    Damaged {
        /// The reason.
        problem: &'static str,
    },
    /// Another process has been writing the record for seconds.
    #[error("another process is writing the stored assignment")]
    Busy,
    /// The file, the flash or the EEPROM of the store could not be read or written.
    ///
    /// The `source()` is the reason.
    #[error("the stored assignment could not be read or written")]
    Memory(#[source] Box<dyn core::error::Error + Send + Sync>),
}

impl StoreError {
    /// Creates a [`Memory`](Self::Memory) error from a driver's error or a text.
    #[must_use]
    pub fn new(source: impl Into<Box<dyn core::error::Error + Send + Sync>>) -> Self {
        Self::Memory(source.into())
    }
}
