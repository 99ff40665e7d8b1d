//! The page of flash that stores the assignment across boots.

use alloc::borrow::Cow;
use core::mem;

use azure_iot_dps::error::StoreError;
use azure_iot_dps::hub::AssignmentStore;

use crate::board;

const NAME: &str = "assignment.flash";
const SIZE: usize = 1024;
/// The value of each byte after flash is erased.
const ERASED: u8 = 0xFF;

/// One page of flash, erased and written as a whole.
///
/// Replace the board's two functions with those of your flash driver. If a power failure during a
/// write must not lose the assignment, write to two pages in turn: each record shows whether it is
/// complete.
pub struct Page;

impl AssignmentStore for Page {
    fn load(&mut self) -> Result<Cow<'_, [u8]>, StoreError> {
        Ok(board::load(NAME).map(|mut page| mem::take(&mut *page)).unwrap_or_default().into())
    }

    fn save(&mut self, record: &[u8]) -> Result<(), StoreError> {
        let mut page = [ERASED; SIZE];
        let room = page.get_mut(..record.len()).ok_or_else(|| StoreError::new("the record does not fit the page"))?;
        room.copy_from_slice(record);
        write(&page)
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        write(&[ERASED; SIZE])
    }
}

fn write(page: &[u8; SIZE]) -> Result<(), StoreError> {
    if board::save(NAME, page) { Ok(()) } else { Err(StoreError::new("the flash cannot be written")) }
}
