//! The store of an example's assignment.

use std::borrow::Cow;
use std::path::Path;

use azure_iot_dps::FileStore;
use azure_iot_dps::error::StoreError;
use azure_iot_dps::hub::AssignmentStore;

/// Returns the store in this file, or one that keeps nothing.
pub fn open(file: Option<&Path>) -> Box<dyn AssignmentStore> {
    match file {
        Some(file) => Box::new(FileStore::new(file)),
        None => Box::new(NoStore),
    }
}

/// A store that keeps nothing, so that every run registers.
struct NoStore;

impl AssignmentStore for NoStore {
    fn load(&mut self) -> Result<Cow<'_, [u8]>, StoreError> {
        Ok(Cow::default())
    }

    fn save(&mut self, _: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}
