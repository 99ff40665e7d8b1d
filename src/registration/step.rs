//! The steps of a registration.

use core::time::Duration;

use crate::assignment::Assignment;
use crate::attestation::KeySlot;
use crate::protocol::Request;
use crate::registration::event::{Event, WaitReason};

/// The next step of a registration.
///
/// The enum is exhaustive on purpose: a caller must handle every step, and an arm `_` would turn a
/// new one into a busy loop.
///
/// ```
/// use azure_iot_dps::registration::Step;
///
/// fn describe(step: &Step<'_>) -> String {
///     match step {
///         Step::Sign(request) => format!("sign with the {} key", request.key()),
///         Step::Send(request) => format!("send within {:?}", request.time_limit()),
///         Step::Wait(wait) => format!("wait for {:?}", wait.duration()),
///         Step::Event(event) => format!("show: {event}"),
///         Step::Done(assignment) => format!("assigned to {}", assignment.hub()),
///     }
/// }
/// ```
#[derive(Debug)]
pub enum Step<'r> {
    /// Sign this message with one of the device's keys, and pass the signature to
    /// [`Registration::signed`](crate::registration::Registration::signed).
    Sign(SignRequest<'r>),
    /// Send this request to the service, and pass the result to
    /// [`Registration::receive`](crate::registration::Registration::receive).
    Send(Request<'r>),
    /// Wait, then ask for the next step. An early call returns the rest of the same wait.
    Wait(Wait),
    /// Something has happened. Show it, or ignore it, and ask for the next step.
    Event(Event),
    /// The device is assigned to a hub. The registration has ended.
    Done(Assignment),
}

/// A message to sign, and the key to sign it with.
///
/// ```
/// use azure_iot_dps::key::{Signer, SignerError};
/// use azure_iot_dps::registration::SignRequest;
/// use azure_iot_dps::DeviceKey;
///
/// fn sign(request: SignRequest<'_>, key: &DeviceKey) -> Result<[u8; 32], SignerError> {
///     key.sign(request.message())
/// }
/// ```
#[derive(Clone, Copy)]
pub struct SignRequest<'r> {
    pub(super) key: KeySlot,
    pub(super) message: &'r [u8],
}

impl<'r> SignRequest<'r> {
    /// Returns the key to sign with. A device with one key uses that key for both slots.
    #[must_use]
    pub fn key(&self) -> KeySlot {
        self.key
    }

    /// Returns the message to sign with HMAC-SHA256, about 100 bytes. It is not secret.
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

/// A wait, or the rest of one.
///
/// ```
/// use azure_iot_dps::registration::Wait;
/// use std::ops::ControlFlow;
///
/// fn show_progress(wait: &Wait) -> ControlFlow<()> {
///     println!("{} for {:?}", wait.reason(), wait.duration());
///     ControlFlow::Continue(())
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    left: Duration,
    reason: WaitReason,
}

impl Wait {
    pub(super) const fn new(left: Duration, reason: WaitReason) -> Self {
        Self { left, reason }
    }

    /// No wait: a request is sent next.
    pub(crate) const BEFORE_REQUEST: Self = Self::new(Duration::ZERO, WaitReason::Request);

    /// Returns how much of the wait is left.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.left
    }

    /// Returns why the registration waits.
    #[must_use]
    pub fn reason(&self) -> WaitReason {
        self.reason
    }
}
