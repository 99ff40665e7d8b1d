//! Where a device keeps its assignment.

use alloc::borrow::Cow;
use alloc::boxed::Box;

use crate::error::StoreError;

/// Keeps an assignment where it outlives the power: a file, a page of flash, an EEPROM.
///
/// What it keeps is a record of bytes that only this crate reads and writes: a few hundred of them, more with a payload
/// of the allocation or with certificates, which are in there in clear text; and no key. The record tells by itself where it ends, whether it is whole and
/// whose it is, so a store needs neither a length nor a checksum; what is behind its end is not looked at.
///
/// A save should leave either the old record or the new one, wherever the power fails. On flash without a file system that
/// takes two pages, written in turn: [`load`](Self::load) gives back the later one that is whole. `FileStore` is the store on a
/// file system.
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
/// #     fn write(&mut self, bytes: &[u8]) -> Result<(), &'static str> { self.0[..bytes.len()].copy_from_slice(bytes); Ok(()) }
/// #     fn page(&self) -> &[u8; PAGE] { &self.0 }
/// # }
///
/// /// One page of flash that the processor sees as memory. (A power failure within `save` loses the record.)
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
/// # #[cfg(feature = "simulator")] {
/// # use azure_iot_dps::{ProvisioningClient, RegistrationId, simulator::Simulator};
/// # let mut store = FlashStore(Flash([0xFF; PAGE]));
/// # let sim = Simulator::builder().build();
/// # let id = RegistrationId::new("d")?;
/// # let builder = ProvisioningClient::builder(sim.id_scope(), id.clone(), sim.device_key(&id).unwrap());
/// # let mut client = builder.build_with(sim.transport(), sim.clock());
/// # client.load_or_register(&mut store)?;
/// # let requests = sim.records().len();
/// # assert_eq!(client.load_or_register(&mut store)?.device_id().as_str(), "d");
/// # assert_eq!(sim.records().len(), requests);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait AssignmentStore {
    /// The record that was saved last, and whatever comes behind it in its place. Nothing at all, or nothing but bytes of 0 or
    /// of 255 as in erased memory, means that there is none.
    ///
    /// # Errors
    ///
    /// The memory could not be read.
    fn load(&mut self) -> Result<Cow<'_, [u8]>, StoreError>;

    /// Puts this record in the place of the one before.
    ///
    /// # Errors
    ///
    /// The memory could not be written. The record before may be lost then, but half of a record is not taken for a whole one.
    fn save(&mut self, record: &[u8]) -> Result<(), StoreError>;

    /// Forgets the record.
    ///
    /// # Errors
    ///
    /// The memory could not be written.
    fn clear(&mut self) -> Result<(), StoreError>;
}

/// Whatever leads to a store is one.
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
