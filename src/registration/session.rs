//! The state that outlives a registration.

use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::attestation::{AttestationKind, KeySlot};
use crate::registration::refusal::{Refusal, SavedRefusal};
use crate::registration::settings::RegistrationSettings;
use crate::time::{ClockCorrection, Now, Pause, UnixTime};

/// The state that a device keeps between registrations on the same clock.
///
/// It holds the progress of the backoff, a refusal that must be repaired, the pending operation at
/// the service, the key that works, and the service's time if the device's clock was wrong. Start
/// with [`Session::default`], pass it to [`Registration::resume`](super::Registration::resume), and
/// take it back with [`Registration::into_session`](super::Registration::into_session).
/// [`SavedSession`] is the part that can outlive a reboot.
///
/// ```
/// use azure_iot_dps::attestation::AttestationKind;
/// use azure_iot_dps::registration::{Registration, RegistrationSettings, Session};
///
/// let settings = RegistrationSettings::new("0ne00002193".parse()?, "my-device".parse()?);
/// let mut session = Session::default();
/// let registration = Registration::resume(&settings, AttestationKind::SymmetricKey, session);
/// // Drive the registration. Then keep the session for the next one:
/// session = registration.into_session();
/// # assert_eq!(session, Session::default());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// Failures since the last `assigning`.
    pub(super) failures: u32,
    /// Registrations that were refused or failed since the last assignment.
    pub(super) refusals: u32,
    /// No request is sent before the end of this pause.
    pub(super) pause: Pause,
    /// A registration fails without a request before the end of this refusal's pause.
    pub(super) refusal: Option<Refusal>,
    /// The clocks at the time of a refusal that was blamed on them. The pause ends when the wall
    /// clock is set.
    pub(super) blamed_clock: Option<Now>,
    /// The operation that the service has accepted.
    pub(super) operation: Option<PendingOperation>,
    /// The correction by the service's time.
    pub(super) clock_correction: Option<ClockCorrection>,
    /// The key to begin with.
    pub(super) key: KeySlot,
    /// Whether the first spread is over.
    pub(super) spread: bool,
    /// The last reading of the clocks.
    pub(super) seen: Option<Now>,
    /// The wall clock when the session was saved, with the uptime when it was restored.
    saved: Option<Now>,
    /// The number of restores since the last request during which no clock advanced.
    pub(super) restored: u8,
}

/// After this many restores without a request, a pause counts as over. Otherwise a board without a
/// clock that is reset repeatedly would wait forever.
const MAX_RESTORED: u8 = 8;

/// An operation that the service has accepted and not ended.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PendingOperation {
    pub(super) id: Box<str>,
    /// The fingerprint of the request: [`RegistrationSettings::fingerprint`].
    pub(super) fingerprint: [u8; 8],
    /// The pause before the next poll.
    pub(super) pause: Pause,
}

/// The part of a [`Session`] that can be kept across a reboot, as a serde type.
///
/// A device that reboots during an outage continues its backoff. It polls the operation that the
/// service has accepted instead of registering again, which is billed. It begins with the key that
/// worked.
///
/// Pauses continue while the device is off if its wall clock is set before and after. Otherwise
/// they continue from the point of the save. No pause is longer than a registration can cause, even
/// if the flash is damaged. Save the session again after each call, so that the pauses end even if
/// the device is reset repeatedly. Without a clock, a request is sent after eight resets.
///
/// ```
/// use azure_iot_dps::registration::{SavedSession, Session};
/// use std::time::Duration;
///
/// let uptime = Duration::from_secs(60);
/// let flash = serde_json::to_vec(&Session::default().save(uptime))?;
///
/// // After the reboot:
/// let saved: SavedSession = serde_json::from_slice(&flash)?;
/// assert_eq!((saved.failures(), saved.wait()), (0, Duration::ZERO));
/// let session = Session::restore(saved, Duration::ZERO);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSession {
    failures: u32,
    wait: Duration,
    #[serde(default)]
    refusals: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refusal: Option<SavedRefusal>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    saved_at: Option<u64>,
    #[serde(default)]
    restored: u8,
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
    /// Returns the part that can be kept across a reboot, as of this uptime.
    #[must_use]
    pub fn save(&self, uptime: Duration) -> SavedSession {
        let operation = self.operation.as_ref().map(|operation| SavedOperation {
            id: operation.id.clone(),
            fingerprint: operation.fingerprint,
            wait: operation.pause.left(uptime),
        });
        let pauses = [Some(self.pause), self.refusal.map(|it| it.pause), self.operation.as_ref().map(|it| it.pause)];
        let waits = pauses.iter().flatten().any(|pause| !pause.is_over(uptime));
        let set = |seen: &Now| seen.unix.is_some_and(UnixTime::is_plausible);
        let saved_at = self.seen.filter(set).or(self.saved).filter(|_| waits).and_then(|seen| {
            let unix = seen.unix?.saturating_add(uptime.saturating_sub(seen.uptime));
            Some(unix.as_secs())
        });
        SavedSession {
            saved_at,
            restored: if waits { self.restored } else { 0 },
            failures: self.failures,
            wait: self.pause.left(uptime),
            refusals: self.refusals,
            refusal: self.refusal.map(|refusal| refusal.save(uptime)),
            key: self.key,
            operation,
        }
    }

    /// Creates a session from a saved one, at this uptime.
    #[must_use]
    pub fn restore(saved: SavedSession, uptime: Duration) -> Self {
        let SavedSession { failures, wait, refusals, refusal, saved_at, restored, key, operation } = saved;
        let operation = operation.map(|operation| PendingOperation {
            id: operation.id,
            fingerprint: operation.fingerprint,
            pause: Pause::new(operation.wait, uptime),
        });
        let pause = Pause::new(wait, uptime);
        let refusal = refusal.map(|saved| Refusal::restore(saved, uptime));
        let saved = saved_at.map(|unix| Now { unix: Some(UnixTime::from_secs(unix)), uptime });
        let session = Self { failures, refusals, pause, refusal, operation, key, ..Self::default() };
        Self { spread: true, saved, restored: restored.saturating_add(1), ..session }
    }

    /// Forgets everything that depends on the old keys or certificate, after they were replaced.
    ///
    /// This is the key that works, the pending operation, and pauses after refusals.
    pub fn forget_credentials(&mut self) {
        self.key = KeySlot::Primary;
        self.operation = None;
        self.forget_refusal();
    }

    /// Ends all pauses after refusals and failures, so that the next registration sends at once.
    ///
    /// Use it after the enrollment was repaired.
    pub fn forget_refusal(&mut self) {
        self.clear_backoff();
        (self.refusals, self.refusal) = (0, None);
    }

    /// Sets the key that the next registration begins with.
    pub(crate) fn set_key(&mut self, key: KeySlot) {
        self.key = key;
    }

    /// Replaces the session by a saved one, and keeps the clock correction.
    pub(crate) fn replace_saved(&mut self, saved: SavedSession, uptime: Duration) {
        *self = Self { clock_correction: self.clock_correction, ..Self::restore(saved, uptime) };
    }

    /// Forgets a refusal of other keys. `keys` is called only if there is a refusal.
    pub(crate) fn use_keys(&mut self, keys: impl FnOnce() -> Option<[u8; 8]>) {
        if self.refusal.is_some_and(|refusal| refusal.is_of_other_keys(keys())) {
            self.forget_credentials();
        }
    }

    /// Stores which keys were refused. `keys` is called only if there is a refusal.
    pub(crate) fn note_keys(&mut self, keys: impl FnOnce() -> Option<[u8; 8]>) {
        if let Some(refusal) = &mut self.refusal {
            refusal.note_keys(keys);
        }
    }

    /// Ends the backoff, because the service accepted the device.
    pub(super) fn clear_backoff(&mut self) {
        (self.failures, self.pause, self.blamed_clock) = (0, Pause::NONE, None);
    }

    /// Fits the state of an earlier registration to this one, which starts now.
    pub(super) fn begin(&mut self, settings: &RegistrationSettings, kind: AttestationKind, now: Now) {
        // Once the clock was set, the correction no longer applies.
        self.clock_correction = self.clock_correction.filter(|correction| correction.still_holds(now));
        if self.blamed_clock.is_some_and(|then| !now.goes_on_from(then)) {
            self.clear_backoff();
        }
        if kind != AttestationKind::SymmetricKeyPair {
            self.key = KeySlot::Primary;
        }
        if self.refusal.is_some_and(|refusal| !refusal.is_of_device(settings.device())) {
            self.forget_refusal();
        }
        // Flash can be damaged, too.
        let good = |it: &PendingOperation| is_operation_id(&it.id) && it.fingerprint == settings.fingerprint(kind);
        self.operation = self.operation.take().filter(good);
        self.fit_pauses(settings.retry.max_hold(), now);
        self.seen = Some(now);
    }

    /// Shortens the pauses to what a registration can cause, because flash may be damaged, and by
    /// the time that has passed on the wall clock since they were saved.
    fn fit_pauses(&mut self, max_hold: Duration, now: Now) {
        // Pauses that this run of the program caused are not limited.
        let max_hold = if self.restored > 0 { max_hold } else { Duration::MAX };
        let unix = now.unix.filter(|unix| unix.is_plausible());
        let clocks = self.saved.and_then(|saved| saved.unix).zip(unix);
        let mut since_saved =
            clocks.map_or(Duration::ZERO, |(saved_at, unix)| unix.saturating_duration_since(saved_at));
        if !since_saved.is_zero() {
            self.restored = 0;
        } else if self.restored > MAX_RESTORED {
            since_saved = Duration::MAX;
        }
        let fitted = |pause: Pause| pause.has_passed(since_saved, now.uptime);
        self.pause = fitted(self.pause).at_most(max_hold);
        if let Some(operation) = &mut self.operation {
            operation.pause = fitted(operation.pause).at_most(max_hold);
        }
        if let Some(refusal) = &mut self.refusal {
            refusal.pause = fitted(refusal.pause);
        }
        if unix.is_some() {
            self.saved = None;
        }
    }
}

impl SavedSession {
    /// Returns the number of failures since the last success.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Returns the time to wait before the next request.
    #[must_use]
    pub fn wait(&self) -> Duration {
        self.refusal.map_or(self.wait, |refusal| refusal.wait.max(self.wait))
    }

    /// Returns the key that the next registration begins with.
    #[must_use]
    pub fn key(&self) -> KeySlot {
        self.key
    }

    /// Returns the service's ID of the pending operation.
    #[must_use]
    pub fn operation_id(&self) -> Option<&str> {
        self.operation.as_ref().map(|operation| &*operation.id)
    }
}

impl fmt::Debug for PendingOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingOperation").field("id", &self.id).field("pause", &self.pause).finish_non_exhaustive()
    }
}

impl fmt::Debug for SavedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SavedSession")
            .field("failures", &self.failures)
            .field("wait", &self.wait())
            .field("key", &self.key)
            .field("operation_id", &self.operation_id())
            .finish_non_exhaustive()
    }
}

/// Far longer than any known ID. A request must fit the buffers of small transports.
const MAX_OPERATION_ID: usize = 512;

/// Returns whether `id` can be used in a path. `.` and `..` would change it, encoded or not.
pub(super) fn is_operation_id(id: &str) -> bool {
    !matches!(id, "" | "." | "..") && id.len() <= MAX_OPERATION_ID
}
