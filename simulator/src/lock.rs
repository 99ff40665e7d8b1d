//! A mutex that survives a panic.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks the mutex. A panic of another thread leaves the state of the service usable.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
