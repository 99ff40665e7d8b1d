//! What a progress display, a watchdog or a log wants to know. No event holds a secret.

use core::time::Duration;

use crate::error::TransportErrorKind;
use crate::time::UnixTime;

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
        /// Its HTTP status.
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
    /// The device's clock was wrong or missing; from here on the service's time is used.
    ClockCorrected {
        /// The time that the service told.
        service_time: UnixTime,
    },
    /// The device has its hub.
    Assigned,
}

/// Why a registration waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitReason {
    /// The service is still choosing a hub.
    Assigning,
    /// The service refused for now.
    Refused {
        /// With this HTTP status.
        status: u16,
    },
    /// Somebody else answered: a gateway, a captive portal.
    UnexpectedAnswer {
        /// With this HTTP status.
        status: u16,
    },
    /// No complete answer came.
    Unanswered {
        /// Why.
        kind: TransportErrorKind,
    },
    /// An earlier registration was refused, and the time that it was to hold still is not over.
    EarlierRefusal,
}
