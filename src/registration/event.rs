//! What a progress display or a log wants to know. No event holds a secret.

use core::fmt;
use core::time::Duration;

#[cfg(feature = "x509")]
use crate::attestation::CertificateNote;
use crate::attestation::KeySlot;
use crate::error::TransportErrorKind;
use crate::time::{UnixTime, ceil_secs};

/// Something happened in a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A register request goes out.
    Registering {
        /// The number of the request in this registration, from 1.
        request: u32,
    },
    /// The service is asked how the registration goes.
    Polling {
        /// The number of the request in this registration, from 1.
        request: u32,
    },
    /// An answer has come.
    Answered {
        /// Its status, as HTTP counts.
        status: u16,
    },
    /// No complete answer has come.
    Unanswered {
        /// Why.
        kind: TransportErrorKind,
    },
    /// Nothing is done for a while.
    Waiting {
        /// For how long.
        duration: Duration,
        /// And why.
        reason: WaitReason,
    },
    /// A status lookup goes out: is the device assigned already?
    StatusLookup {
        /// The number of the request in this registration, from 1.
        request: u32,
    },
    /// The key was refused; the other one is tried.
    KeySwitched {
        /// The one that is tried.
        key: KeySlot,
    },
    /// The device's clock was wrong or missing; from here on the service's time is used.
    ClockCorrected {
        /// The time that the service told.
        service_time: UnixTime,
    },
    /// Something about the client certificate may keep the service from taking it.
    #[cfg(feature = "x509")]
    CertificateNote {
        /// What it is.
        note: CertificateNote,
    },
    /// The service no longer knows the operation that was polled: the device registers anew.
    OperationLost,
    /// The device has its hub.
    Assigned,
    /// The assignment was taken from its store: nothing is asked of the service.
    Restored,
    /// The store could not be read, or what it held is damaged or of a later version: the device registers.
    NotRestored,
    /// The assignment could not be put into its store: the next boot does not find it there.
    NotStored,
}

/// Why a registration waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitReason {
    /// Nothing is waited for: a request goes out next, and may take as long as its time limit.
    Request,
    /// The service is still choosing a hub.
    Assigning,
    /// The service refused for now.
    Refused {
        /// The status of the refusal, as HTTP counts.
        status: u16,
    },
    /// Somebody else answered: a gateway, a captive portal.
    UnexpectedAnswer {
        /// The status of the refusal, as HTTP counts.
        status: u16,
    },
    /// No complete answer came.
    Unanswered {
        /// Why.
        kind: TransportErrorKind,
    },
    /// A fleet may have been powered on together: see [`RetryPolicy::first_spread`](crate::registration::RetryPolicy::first_spread).
    FirstSpread,
    /// An earlier registration was refused, and the time that it was to hold still is not over.
    EarlierRefusal,
}

#[cfg(feature = "log")]
impl Event {
    /// Tells the `log` crate, as loud as it is unusual.
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

/// For people: `assigning, next poll in 3 s`.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registering { request: 1 } => f.write_str("connecting"),
            Self::Registering { .. } => f.write_str("registering again"),
            Self::Polling { .. } => f.write_str("asking how the registration goes"),
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
                write!(f, "the clock is wrong: the service says it is {service_time}")
            }
            #[cfg(feature = "x509")]
            Self::CertificateNote { note } => note.fmt(f),
            Self::OperationLost => f.write_str("the service has forgotten the registration"),
            Self::Assigned => f.write_str("assigned"),
            Self::Restored => f.write_str("assigned already, as stored"),
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
            Self::UnexpectedAnswer { status } => write!(f, "an answer that is not the service's (status {status})"),
            Self::Unanswered { kind } => kind.fmt(f),
            Self::FirstSpread => f.write_str("spreading the fleet"),
            Self::EarlierRefusal => f.write_str("refused a while ago"),
        }
    }
}

/// The events that nobody has asked for yet. One step and one answer bring no more than it has room for.
#[derive(Clone, Debug, Default)]
pub(super) struct Events {
    pending: [Option<Event>; 4],
}

impl Events {
    pub(super) fn push(&mut self, event: Event) {
        if let Some(free) = self.pending.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(event);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        self.pending.rotate_left(1);
        self.pending.last_mut().and_then(Option::take)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
