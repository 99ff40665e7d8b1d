//! What outlives a registration.

use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::attestation::KeySlot;
use crate::time::{ClockCorrection, Now};

/// The memory of a device between registrations on the same clock: how far its backoff has come, the
/// operation that is under way at the service, the key that works, and the time, if the device's own clock was found wrong.
///
/// Start with [`Session::default`], hand it to [`Registration::resume`](super::Registration::resume), and take it back with
/// [`Registration::into_session`](super::Registration::into_session). What can outlive a reboot is [`SavedSession`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// Failures since the last success.
    pub(super) failures: u32,
    /// The uptime before which no request goes out.
    pub(super) not_before: Duration,
    /// The registration that the service has taken up.
    pub(super) operation: Option<PendingOperation>,
    /// What the service told about the time.
    pub(super) clock_correction: Option<ClockCorrection>,
    /// The key to begin with.
    pub(super) key: KeySlot,
    /// Whether the first spread is behind the device.
    pub(super) spread: bool,
}

/// A registration that the service has taken up and not ended.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PendingOperation {
    pub(super) id: Box<str>,
    /// What was asked for, by [`RegistrationSettings::fingerprint`](super::RegistrationSettings).
    pub(super) fingerprint: [u8; 8],
    /// The uptime at which to ask about it.
    pub(super) ask_at: Duration,
}

/// The part of a [`Session`] that can be kept across a reboot, in a form that serde writes to flash.
///
/// A device that reboots in the middle of a storm goes on with its backoff, and asks about the registration that the service
/// has taken up instead of registering again, which is billed. It begins with the key that worked. Its times count from when it
/// was saved.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSession {
    failures: u32,
    wait: Duration,
    #[serde(default)]
    key: KeySlot,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    operation: Option<SavedOperation>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SavedOperation {
    id: Box<str>,
    fingerprint: [u8; 8],
    wait: Duration,
}

impl Session {
    /// Returns what can be kept across a reboot, seen at this uptime.
    #[must_use]
    pub fn save(&self, uptime: Duration) -> SavedSession {
        let operation = self.operation.as_ref().map(|operation| SavedOperation {
            id: operation.id.clone(),
            fingerprint: operation.fingerprint,
            wait: operation.ask_at.saturating_sub(uptime),
        });
        let wait = self.not_before.saturating_sub(uptime);
        SavedSession { failures: self.failures, wait, key: self.key, operation }
    }

    /// Goes on from what was saved, at this uptime.
    #[must_use]
    pub fn restore(saved: SavedSession, uptime: Duration) -> Self {
        let SavedSession { failures, wait, key, operation } = saved;
        let operation = operation.map(|operation| PendingOperation {
            id: operation.id,
            fingerprint: operation.fingerprint,
            ask_at: uptime.saturating_add(operation.wait),
        });
        let not_before = uptime.saturating_add(wait);
        Self { failures, not_before, operation, key, spread: true, ..Self::default() }
    }

    /// Begins with the primary key and with a registration of its own: for a device whose keys or certificate were replaced.
    pub fn forget_credentials(&mut self) {
        self.key = KeySlot::Primary;
        self.operation = None;
    }

    /// The key that the next registration begins with.
    pub(crate) fn set_key(&mut self, key: KeySlot) {
        self.key = key;
    }

    /// Goes on from what was saved, and keeps what is known about the time.
    pub(crate) fn replace_saved(&mut self, saved: SavedSession, uptime: Duration) {
        *self = Self { clock_correction: self.clock_correction, ..Self::restore(saved, uptime) };
    }

    /// The service let the device in: what was refused before is over.
    pub(super) fn clear_backoff(&mut self) {
        (self.failures, self.not_before) = (0, Duration::ZERO);
    }

    /// Fits what an earlier registration left to this one, which starts now.
    pub(super) fn begin(
        &mut self,
        now: Now,
        max_hold: Duration,
        two_keys: bool,
        asks_the_same: impl Fn([u8; 8]) -> bool,
    ) {
        // A clock that was set meanwhile is right again.
        self.clock_correction = self.clock_correction.filter(|correction| correction.still_holds(now));
        if !two_keys {
            self.key = KeySlot::Primary;
        }
        // Flash can be damaged, too.
        let good = |it: &PendingOperation| is_operation_id(&it.id) && asks_the_same(it.fingerprint);
        self.operation = self.operation.take().filter(good);
        // No more than a registration can bring about: the clock may be another one than then, or the flash damaged.
        let latest = now.uptime.saturating_add(max_hold);
        self.not_before = self.not_before.min(latest);
        if let Some(operation) = &mut self.operation {
            operation.ask_at = operation.ask_at.min(latest);
        }
    }
}

impl SavedSession {
    /// Failures since the last success.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The time to hold still before the next request.
    #[must_use]
    pub fn wait(&self) -> Duration {
        self.wait
    }

    /// The key that the next registration begins with.
    #[must_use]
    pub fn key(&self) -> KeySlot {
        self.key
    }

    /// The service's ID of the registration that is under way.
    #[must_use]
    pub fn operation_id(&self) -> Option<&str> {
        self.operation.as_ref().map(|operation| &*operation.id)
    }
}

impl fmt::Debug for PendingOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingOperation").field("id", &self.id).field("ask_at", &self.ask_at).finish_non_exhaustive()
    }
}

impl fmt::Debug for SavedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SavedSession")
            .field("failures", &self.failures)
            .field("wait", &self.wait)
            .field("key", &self.key)
            .field("operation_id", &self.operation_id())
            .finish_non_exhaustive()
    }
}

/// Longer than any that was seen by far; a request must fit the buffers of small transports.
const MAX_OPERATION_ID: usize = 512;

/// `.` and `..` would change the path that they become part of, encoded or not.
pub(super) fn is_operation_id(id: &str) -> bool {
    !matches!(id, "" | "." | "..") && id.len() <= MAX_OPERATION_ID
}
