//! The records of what has happened, to read and to wait for.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;
use std::time::Instant;

use azure_iot_dps::identity::{DeviceId, HostName, RegistrationId};
use azure_iot_dps::time::UnixTime;

use crate::lock::lock;

/// The most requests that are kept. Older records are dropped.
const KEPT_REQUESTS: usize = 1024;
/// The most bytes of bodies and names that are kept.
///
/// Requests that the service refuses must not fill the memory.
const KEPT_BYTES: usize = 4 * 1024 * 1024;

/// The operation of a request to the service or to the hub.
///
/// IDs are as sent, not percent-encoded.
///
/// ```
/// use azure_iot_dps_simulator::Asked;
///
/// let asked = Asked::Register { registration_id: "my-device".into() };
/// assert_eq!(asked.to_string(), "register my-device");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Asked {
    /// A registration of a device.
    Register {
        /// The registration ID.
        registration_id: String,
    },
    /// A poll: the status of a registration.
    OperationStatus {
        /// The registration ID.
        registration_id: String,
        /// The operation ID of the registration.
        operation_id: String,
    },
    /// A lookup of the assignment that a device has already.
    StatusLookup {
        /// The registration ID.
        registration_id: String,
    },
    /// Telemetry from a device to its hub.
    SendMessage {
        /// The device ID.
        device_id: String,
    },
    /// A request to the hub for a message from the cloud.
    ReceiveMessage {
        /// The device ID.
        device_id: String,
    },
    /// The completion of a message from the cloud: the hub removes it from the queue.
    CompleteMessage {
        /// The device ID.
        device_id: String,
        /// The lock token that came with the message.
        lock_token: String,
    },
    /// An MQTT connection to the hub.
    Connect {
        /// The device ID.
        device_id: String,
    },
    /// A request that neither the service nor the hub knows.
    Other {
        /// The method and the target over HTTP, the topic over MQTT.
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

/// Writes `register my-device`, `poll my-device` and the like.
impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register { registration_id } => write!(f, "register {registration_id}"),
            Self::OperationStatus { registration_id, .. } => write!(f, "poll {registration_id}"),
            Self::StatusLookup { registration_id } => write!(f, "look up {registration_id}"),
            Self::SendMessage { device_id } => write!(f, "telemetry from {device_id}"),
            Self::ReceiveMessage { device_id } => write!(f, "receive message for {device_id}"),
            Self::CompleteMessage { device_id, .. } => write!(f, "complete message for {device_id}"),
            Self::Connect { device_id } => write!(f, "connect {device_id}"),
            Self::Other { text } => f.write_str(text),
        }
    }
}

/// An event at the simulator.
///
/// ```
/// use azure_iot_dps_simulator::{Asked, Record, Simulator};
///
/// let sim = Simulator::builder().build();
/// let answer = sim.request("GET", "/unknown", &[], b"");
/// assert!(answer.is_some_and(|answer| answer.status() == 404));
/// for record in sim.records() {
///     if let Record::Request { at, asked, status: Some(status), .. } = record {
///         println!("{at} {asked} -> {status}");
///         assert_eq!((asked, status), (Asked::Other { text: "GET /unknown".into() }, 404));
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Record {
    /// A request, and how it was answered.
    Request {
        /// The time by the clock of the service.
        at: UnixTime,
        /// The operation.
        asked: Asked,
        /// The body, as sent.
        body: Vec<u8>,
        /// The HTTP status of the answer; `None` if a fault kept the answer from arriving whole.
        status: Option<u16>,
    },
    /// The service told a device its hub, for the first time or again.
    Assigned {
        /// The time by the clock of the service.
        at: UnixTime,
        /// The registration ID, as the device writes it.
        registration_id: RegistrationId,
        /// The device ID.
        device_id: DeviceId,
        /// The hub.
        hub: HostName,
    },
    /// A device sent a message to its hub.
    Telemetry {
        /// The time by the clock of the hub.
        at: UnixTime,
        /// The device ID.
        device_id: DeviceId,
        /// The body, as sent.
        body: Vec<u8>,
    },
}

impl Record {
    fn is_request(&self) -> bool {
        matches!(self, Self::Request { .. })
    }

    /// Returns the length of those parts of the record whose length a client chooses.
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
    /// The number of requests among the records.
    requests: usize,
    bytes: usize,
    /// The number of records that were dropped.
    forgotten: u64,
}

impl Entries {
    /// Adds a record and drops old ones. The newest is kept in any case.
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
pub(crate) struct Journal {
    entries: Mutex<Entries>,
    written: Condvar,
}

impl Journal {
    pub(crate) fn write(&self, record: Record) {
        lock(&self.entries).push(record);
        self.written.notify_all();
    }

    pub(crate) fn read(&self) -> Vec<Record> {
        lock(&self.entries).kept.iter().cloned().collect()
    }

    fn end(&self) -> u64 {
        let entries = lock(&self.entries);
        entries.forgotten.saturating_add(entries.kept.len() as u64)
    }
}

/// A watch, which waits for what happens at the simulator from now on.
///
/// [`Simulator::watch`](crate::Simulator::watch) creates it.
///
/// ```
/// use azure_iot_dps_simulator::{Record, Simulator};
/// use std::time::Duration;
///
/// let sim = Simulator::builder().build();
/// let mut watch = sim.watch();
/// let device = std::thread::spawn(move || sim.request("GET", "/unknown", &[], b"").is_some());
/// let record = watch.next(Duration::from_secs(60));
/// assert!(matches!(record, Some(Record::Request { status: Some(404), .. })));
/// # assert!(device.join().is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct Watch {
    journal: Arc<Journal>,
    next: u64,
}

impl Watch {
    pub(crate) fn new(journal: Arc<Journal>) -> Self {
        let next = journal.end();
        Self { journal, next }
    }

    /// Returns the next record, and waits up to `timeout` for it.
    ///
    /// That is the next one since the last call, or since the watch was created. Returns `None`
    /// when the time is up. The timeout is real time, not virtual time.
    ///
    /// The simulator keeps 1,024 requests and 4 MiB of them: a watch that falls further behind
    /// skips the oldest.
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
