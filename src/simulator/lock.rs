//! A mutex that survives a panic elsewhere.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A panic elsewhere in a test leaves the service as usable as it was.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
