//! The storage of a device's assignment.

use alloc::borrow::Cow;
use alloc::boxed::Box;

use crate::error::StoreError;

/// A store that keeps an assignment without power: in a file, a page of flash or an EEPROM.
///
/// It keeps a record of bytes that only this crate reads and writes. The record has a few hundred
/// bytes, or more with the payload of a custom allocation policy or with issued certificates, which
/// it contains in clear text. It contains no key. The record itself states its length, its checksum
/// and its device, so that a store needs no header. Bytes after the record's end are ignored.
///
/// If the power fails, [`save`](Self::save) should leave the old record or the new one. On flash
/// without a file system, this takes two pages that are written in turn. [`load`](Self::load) then
/// returns the newer one that is whole. `FileStore` is the store on a file system.
///
/// ```
/// use azure_iot_dps::error::StoreError;
/// use azure_iot_dps::hub::AssignmentStore;
/// use std::borrow::Cow;
///
/// const PAGE: usize = 4096;
/// # struct Flash([u8; PAGE]);
/// # impl Flash {
/// #     fn erase(&mut self) -> Result<(), &'static str> { self.0.fill(0xFF); Ok(()) }
/// #     fn write(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
/// #         self.0[..bytes.len()].copy_from_slice(bytes);
/// #         Ok(())
/// #     }
/// #     fn page(&self) -> &[u8; PAGE] { &self.0 }
/// # }
///
/// /// One page of memory-mapped flash. A power failure during `save` loses the record.
/// struct FlashStore(Flash);
///
/// impl AssignmentStore for FlashStore {
///     fn load(&mut self) -> Result<Cow<'_, [u8]>, StoreError> {
///         Ok(self.0.page().into())
///     }
///
///     fn save(&mut self, record: &[u8]) -> Result<(), StoreError> {
///         if record.len() > PAGE {
///             return Err(StoreError::new("the assignment does not fit the page"));
///         }
///         self.0.erase().and_then(|()| self.0.write(record)).map_err(StoreError::new)
///     }
///
///     fn clear(&mut self) -> Result<(), StoreError> {
///         self.0.erase().map_err(StoreError::new)
///     }
/// }
/// # let mut store = FlashStore(Flash([0xFF; PAGE]));
/// # store.save(b"record")?;
/// # assert!(store.load()?.starts_with(b"record"));
/// # assert!(store.save(&[0; PAGE + 1]).is_err());
/// # store.clear()?;
/// # assert_eq!(store.load()?, [0xFF; PAGE].as_slice());
/// # Ok::<(), StoreError>(())
/// ```
pub trait AssignmentStore {
    /// Returns the record that was saved last.
    ///
    /// Other bytes may follow the record. No bytes, or only bytes of 0 or only of 255 as in erased
    /// memory, mean that there is no record.
    ///
    /// # Errors
    ///
    /// Returns [`StoreError::Memory`] if the memory could not be read.
    fn load(&mut self) -> Result<Cow<'_, [u8]>, StoreError>;

    /// Replaces the record.
    ///
    /// # Errors
    ///
    /// Returns [`StoreError::Memory`] if the memory could not be written, and
    /// [`StoreError::Busy`] if another process is writing. The old record may then be lost. A
    /// record that was written in part is detected.
    fn save(&mut self, record: &[u8]) -> Result<(), StoreError>;

    /// Removes the record.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`save`](Self::save).
    fn clear(&mut self) -> Result<(), StoreError>;
}

/// Implements [`AssignmentStore`] for pointers to stores.
macro_rules! store_behind {
    ($($Pointer:ty),*) => {$(
        impl<S: AssignmentStore + ?Sized> AssignmentStore for $Pointer {
            fn load(&mut self) -> Result<Cow<'_, [u8]>, StoreError> {
                (**self).load()
            }

            fn save(&mut self, record: &[u8]) -> Result<(), StoreError> {
                (**self).save(record)
            }

            fn clear(&mut self) -> Result<(), StoreError> {
                (**self).clear()
            }
        }
    )*};
}

store_behind!(&mut S, Box<S>);
