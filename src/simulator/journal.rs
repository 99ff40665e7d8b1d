//! What happened, to be asked and waited for.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use crate::identity::{DeviceId, HostName, RegistrationId};
use crate::simulator::lock::lock;
use crate::time::UnixTime;

/// How many requests are kept, with what else happened since the first of them; what is older is forgotten.
const KEPT_REQUESTS: usize = 1024;
/// How many bytes of bodies and names are kept, at most: whoever sends what the service refuses must not fill the memory.
const KEPT_BYTES: usize = 4 * 1024 * 1024;

/// What a request asked of the service or of the hub. IDs are as sent, not encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Asked {
    /// Register a device.
    Register {
        /// The device.
        registration_id: String,
    },
    /// How far has a registration come?
    OperationStatus {
        /// The device.
        registration_id: String,
        /// The registration.
        operation_id: String,
    },
    /// What assignment has a device already?
    StatusLookup {
        /// The device.
        registration_id: String,
    },
    /// Take a device's message: telemetry to the hub.
    SendMessage {
        /// The device, by its name in the hub.
        device_id: String,
    },
    /// Is there a message for a device? From the hub.
    ReceiveMessage {
        /// The device, by its name in the hub.
        device_id: String,
    },
    /// A device is done with a message of the hub.
    CompleteMessage {
        /// The device, by its name in the hub.
        device_id: String,
        /// The message, by the token that came with it.
        lock_token: String,
    },
    /// Open a connection of MQTT to the hub.
    Connect {
        /// The device, by its name in the hub.
        device_id: String,
    },
    /// Something that neither the service nor the hub has, as its protocol spelt it.
    Other {
        /// Over HTTP, the method and the target; over MQTT, the topic.
        text: String,
    },
}

impl Asked {
    fn bytes(&self) -> usize {
        match self {
            Self::Register { registration_id: id }
            | Self::StatusLookup { registration_id: id }
            | Self::SendMessage { device_id: id }
            | Self::ReceiveMessage { device_id: id }
            | Self::Connect { device_id: id }
            | Self::Other { text: id } => id.len(),
            Self::OperationStatus { registration_id: id, operation_id: more }
            | Self::CompleteMessage { device_id: id, lock_token: more } => id.len().saturating_add(more.len()),
        }
    }
}

/// `register my-device`, `poll my-device`, and the like.
impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register { registration_id } => write!(f, "register {registration_id}"),
            Self::OperationStatus { registration_id, .. } => write!(f, "poll {registration_id}"),
            Self::StatusLookup { registration_id } => write!(f, "look {registration_id} up"),
            Self::SendMessage { device_id } => write!(f, "message of {device_id}"),
            Self::ReceiveMessage { device_id } => write!(f, "message for {device_id}"),
            Self::CompleteMessage { device_id, .. } => write!(f, "message for {device_id} is done"),
            Self::Connect { device_id } => write!(f, "connect of {device_id}"),
            Self::Other { text } => f.write_str(text),
        }
    }
}

/// Something that happened at the simulator.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Record {
    /// A request came and was answered, or not.
    Request {
        /// When, by the service's clock.
        at: UnixTime,
        /// What was asked.
        asked: Asked,
        /// The body, as sent.
        body: Vec<u8>,
        /// The status of the answer, as HTTP counts; `None` where a fault kept it from arriving whole.
        status: Option<u16>,
    },
    /// A device was assigned to a hub, or learnt that it still is.
    Assigned {
        /// When, by the service's clock.
        at: UnixTime,
        /// The device, as it writes its ID.
        registration_id: RegistrationId,
        /// Its name in the hub.
        device_id: DeviceId,
        /// The hub.
        hub: HostName,
    },
    /// A device sent a message to its hub.
    Telemetry {
        /// When, by the hub's clock.
        at: UnixTime,
        /// The device.
        device_id: DeviceId,
        /// The message, as sent.
        body: Vec<u8>,
    },
}

impl Record {
    fn is_request(&self) -> bool {
        matches!(self, Self::Request { .. })
    }

    /// The bytes that it keeps, as far as somebody else chose how many they are.
    fn bytes(&self) -> usize {
        match self {
            Self::Request { asked, body, .. } => asked.bytes().saturating_add(body.len()),
            Self::Telemetry { body, .. } => body.len(),
            Self::Assigned { .. } => 0,
        }
    }
}

#[derive(Debug, Default)]
struct Entries {
    kept: VecDeque<Record>,
    /// How many of them are requests.
    requests: usize,
    bytes: usize,
    /// How many were forgotten already.
    forgotten: u64,
}

impl Entries {
    /// The newest is kept in any case.
    fn push(&mut self, record: Record) {
        self.requests = self.requests.saturating_add(usize::from(record.is_request()));
        self.bytes = self.bytes.saturating_add(record.bytes());
        self.kept.push_back(record);
        while (self.requests > KEPT_REQUESTS || self.bytes > KEPT_BYTES) && self.kept.len() > 1 {
            let Some(oldest) = self.kept.pop_front() else { return };
            self.requests = self.requests.saturating_sub(usize::from(oldest.is_request()));
            self.bytes = self.bytes.saturating_sub(oldest.bytes());
            self.forgotten = self.forgotten.saturating_add(1);
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Journal {
    entries: Mutex<Entries>,
    written: Condvar,
}

impl Journal {
    pub(super) fn write(&self, record: Record) {
        lock(&self.entries).push(record);
        self.written.notify_all();
    }

    pub(super) fn read(&self) -> Vec<Record> {
        lock(&self.entries).kept.iter().cloned().collect()
    }

    fn end(&self) -> u64 {
        let entries = lock(&self.entries);
        entries.forgotten.saturating_add(entries.kept.len() as u64)
    }
}

/// Waits for what happens from now on. Made by [`Simulator::watch`](crate::simulator::Simulator::watch).
#[derive(Clone, Debug)]
pub struct Watch {
    journal: Arc<Journal>,
    next: u64,
}

impl Watch {
    pub(super) fn new(journal: Arc<Journal>) -> Self {
        let next = journal.end();
        Self { journal, next }
    }

    /// The next thing that happened since the last call, or since the watch was made; waits for it as long as `timeout` says.
    ///
    /// `None` when the time is up. Of more than 1,024 requests, or 4 MiB of them, that nobody asked for, the oldest are passed over.
    pub fn next(&mut self, timeout: Duration) -> Option<Record> {
        let started = Instant::now();
        let mut entries = lock(&self.journal.entries);
        loop {
            self.next = self.next.max(entries.forgotten);
            let index = usize::try_from(self.next.saturating_sub(entries.forgotten)).unwrap_or(usize::MAX);
            if let Some(record) = entries.kept.get(index) {
                self.next = self.next.saturating_add(1);
                return Some(record.clone());
            }
            let left = timeout.checked_sub(started.elapsed()).filter(|left| !left.is_zero())?;
            let waited = self.journal.written.wait_timeout(entries, left);
            (entries, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}
