//! What whoever drives a registration is told to do.

use core::time::Duration;

use crate::assignment::Assignment;
use crate::attestation::KeySlot;
use crate::protocol::Request;
use crate::registration::event::WaitReason;

/// What to do next.
#[derive(Debug)]
pub enum Step<'r> {
    /// Sign this with one of the device's keys, and hand the signature to
    /// [`Registration::signed`](crate::registration::Registration::signed).
    Sign(SignRequest<'r>),
    /// Send this to the service, and hand what comes of it to
    /// [`Registration::receive`](crate::registration::Registration::receive).
    Send(Request<'r>),
    /// Let time pass, then ask again. Asking early is fine: it gives the rest of the same wait.
    Wait(Wait),
    /// The device has its hub. The registration has ended.
    Done(Assignment),
}

/// A message to sign, and the key to sign it with.
#[derive(Clone, Copy)]
pub struct SignRequest<'r> {
    pub(super) key: KeySlot,
    pub(super) message: &'r [u8],
}

impl<'r> SignRequest<'r> {
    /// The key to sign with. A device with one key signs with that.
    #[must_use]
    pub fn key(&self) -> KeySlot {
        self.key
    }

    /// The message to sign with HMAC-SHA256, about 100 bytes. It is no secret.
    #[must_use]
    pub fn message(&self) -> &'r [u8] {
        self.message
    }
}

impl core::fmt::Debug for SignRequest<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SignRequest").field("key", &self.key).field("message_len", &self.message.len()).finish()
    }
}

/// A wait, or what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    left: Duration,
    reason: WaitReason,
}

impl Wait {
    pub(super) const fn new(left: Duration, reason: WaitReason) -> Self {
        Self { left, reason }
    }

    /// No wait at all: a request goes out next.
    pub(crate) const BEFORE_REQUEST: Self = Self::new(Duration::ZERO, WaitReason::Request);

    /// How much of the wait is left.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.left
    }

    /// Why the registration waits.
    #[must_use]
    pub fn reason(&self) -> WaitReason {
        self.reason
    }
}
