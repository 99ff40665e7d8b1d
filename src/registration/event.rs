//! Events for progress displays and logs. No event holds a secret.

use core::fmt;
use core::time::Duration;

#[cfg(feature = "x509")]
use crate::attestation::CertificateNote;
use crate::attestation::KeySlot;
use crate::error::TransportErrorKind;
use crate::time::{UnixTime, ceil_secs};

/// An event of a registration.
///
/// `Display` writes a short text for logs, without secrets.
///
/// ```
/// use azure_iot_dps::registration::{Event, WaitReason};
/// use std::time::Duration;
///
/// let event = Event::Waiting { duration: Duration::from_secs(3), reason: WaitReason::Assigning };
/// assert_eq!(event.to_string(), "assigning, next poll in 3 s");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A register request is sent next.
    Registering {
        /// The number of the request in this registration, counted from 1.
        request: u32,
    },
    /// A poll is sent next: a request for the status of the registration.
    Polling {
        /// The number of the request in this registration, counted from 1.
        request: u32,
    },
    /// An answer has arrived.
    Answered {
        /// The HTTP status of the answer.
        status: u16,
    },
    /// No complete answer has arrived.
    Unanswered {
        /// The reason.
        kind: TransportErrorKind,
    },
    /// The registration waits.
    Waiting {
        /// The duration of the wait.
        duration: Duration,
        /// The reason for the wait.
        reason: WaitReason,
    },
    /// A status lookup is sent next: a request for the existing assignment of the device.
    StatusLookup {
        /// The number of the request in this registration, counted from 1.
        request: u32,
    },
    /// The service refused the key, and the registration tries the other one.
    KeySwitched {
        /// The key that is tried next.
        key: KeySlot,
    },
    /// The device's clock is wrong or missing. The registration uses the service's time from now
    /// on.
    ClockCorrected {
        /// The service's time.
        service_time: UnixTime,
    },
    /// A property of the client certificate may make the service refuse it.
    #[cfg(feature = "x509")]
    CertificateNote {
        /// The property.
        note: CertificateNote,
    },
    /// The service no longer knows the operation that was polled. The device registers again.
    OperationLost,
    /// The device is assigned to a hub.
    Assigned,
    /// The assignment was loaded from its store. No request is sent.
    Restored,
    /// The stored assignment could not be read, is damaged, or was written by a later version. The
    /// device registers.
    NotRestored,
    /// The assignment could not be stored. The next boot does not find it.
    NotStored,
}

/// The reason why a registration waits.
///
/// ```
/// use azure_iot_dps::registration::{Wait, WaitReason};
///
/// fn led_color(wait: &Wait) -> &'static str {
///     match wait.reason() {
///         WaitReason::Request | WaitReason::Assigning => "green",
///         WaitReason::Refused { status: 429 } | WaitReason::FirstSpread => "yellow",
///         _ => "red",
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitReason {
    /// No wait: a request is sent next, and may take as long as its time limit.
    Request,
    /// The service is still choosing a hub.
    Assigning,
    /// The service refused the request for now.
    Refused {
        /// The HTTP status of the refusal.
        status: u16,
    },
    /// The answer is not from the service: a gateway or a captive portal answered.
    UnexpectedAnswer {
        /// The HTTP status of the answer.
        status: u16,
    },
    /// No complete answer arrived.
    Unanswered {
        /// The reason.
        kind: TransportErrorKind,
    },
    /// The random delay before the first request. See
    /// [`RetryPolicy::first_spread`](crate::registration::RetryPolicy::first_spread).
    FirstSpread,
    /// The pause after a refused or failed earlier registration is not over.
    EarlierFailure,
}

#[cfg(feature = "log")]
impl Event {
    /// Writes the event to the `log` crate. The level depends on how unusual the event is.
    pub(crate) fn log(&self, registration_id: &crate::identity::RegistrationId) {
        let level = match self {
            Self::Assigned | Self::Restored => log::Level::Info,
            Self::Waiting { reason: WaitReason::Assigning | WaitReason::FirstSpread, .. } => log::Level::Debug,
            Self::Waiting { .. } | Self::Unanswered { .. } | Self::ClockCorrected { .. } | Self::KeySwitched { .. } => {
                log::Level::Warn
            }
            Self::OperationLost | Self::NotRestored | Self::NotStored => log::Level::Warn,
            _ => log::Level::Debug,
        };
        log::log!(target: "azure_iot_dps", level, "{registration_id}: {self}");
    }
}

/// Writes a text for people, such as `assigning, next poll in 3 s`.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registering { request: 1 } => f.write_str("connecting"),
            Self::Registering { .. } => f.write_str("registering again"),
            Self::Polling { .. } => f.write_str("polling the status of the registration"),
            Self::StatusLookup { .. } => f.write_str("looking the assignment up"),
            Self::Answered { status } => write!(f, "answered with status {status}"),
            Self::Unanswered { kind } => kind.fmt(f),
            Self::Waiting { duration, reason } => {
                write!(f, "{reason}, next {} in {} s", reason.next(), ceil_secs(*duration))
            }
            Self::KeySwitched { key: KeySlot::Primary } => {
                f.write_str("the secondary key was refused, trying the primary one")
            }
            Self::KeySwitched { key: KeySlot::Secondary } => {
                f.write_str("the primary key was refused, trying the secondary one")
            }
            Self::ClockCorrected { service_time } => {
                write!(f, "the device's clock is wrong: the service's time is {service_time}")
            }
            #[cfg(feature = "x509")]
            Self::CertificateNote { note } => note.fmt(f),
            Self::OperationLost => f.write_str("the service no longer knows the registration"),
            Self::Assigned => f.write_str("assigned"),
            Self::Restored => f.write_str("loaded the stored assignment"),
            Self::NotRestored => f.write_str("the stored assignment could not be read"),
            Self::NotStored => f.write_str("the assignment could not be stored"),
        }
    }
}

impl WaitReason {
    fn next(self) -> &'static str {
        match self {
            Self::Assigning => "poll",
            _ => "try",
        }
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request => f.write_str("sending"),
            Self::Assigning => f.write_str("assigning"),
            Self::Refused { status } => write!(f, "refused for now with status {status}"),
            Self::UnexpectedAnswer { status } => write!(f, "an answer that is not from the service (status {status})"),
            Self::Unanswered { kind } => kind.fmt(f),
            Self::FirstSpread => f.write_str("random delay before the first request"),
            Self::EarlierFailure => f.write_str("paused after an earlier failure"),
        }
    }
}

/// The events that no step has returned yet. One response causes at most four.
#[derive(Clone, Debug, Default)]
pub(super) struct Events {
    pending: [Option<Event>; 4],
}

impl Events {
    pub(super) fn push(&mut self, event: Event) {
        let free = self.pending.iter_mut().find(|slot| slot.is_none());
        debug_assert!(free.is_some(), "one response causes at most four events, and all are taken before the next");
        if let Some(free) = free {
            *free = Some(event);
        }
    }

    /// Returns the oldest event. All are taken before more are added, so they stay in order.
    pub(super) fn pop(&mut self) -> Option<Event> {
        self.pending.iter_mut().find_map(Option::take)
    }
}
