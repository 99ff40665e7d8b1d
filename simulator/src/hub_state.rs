//! The state of the hub: the messages from the cloud, and the connections.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use crate::ids::uuid;

/// How long a message that was given out over HTTP stays locked.
const LOCK: Duration = Duration::from_secs(60);
/// The most messages that wait for a device, as at the real hub.
///
/// Source: Microsoft, "IoT Hub quotas and throttling".
const MAX_QUEUE: usize = 50;

/// A message from the cloud to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Identifies the message when the device completes it.
    pub(crate) lock_token: String,
    pub(crate) body: Vec<u8>,
}

#[derive(Debug)]
struct Waiting {
    message: Message,
    /// The time until which the message is given out.
    locked_until: Option<Duration>,
}

/// The queues of all devices, by device ID, and the open connections.
#[derive(Default)]
pub(crate) struct Mailboxes {
    queues: BTreeMap<String, VecDeque<Waiting>>,
    queued: u64,
    /// The newest connection of each MQTT client ID.
    connections: BTreeMap<String, u64>,
    connected: u64,
    /// Called when there may be a message for a connection.
    alarms: Vec<Box<dyn Fn() -> bool + Send>>,
}

impl Mailboxes {
    /// Queues a message. Returns `false` if the queue is full.
    pub(crate) fn queue(&mut self, device_id: &str, body: &[u8]) -> bool {
        self.queued = self.queued.saturating_add(1);
        let lock_token = uuid(&[b"message", &self.queued.to_be_bytes()]);
        let queue = self.queues.entry(device_id.into()).or_default();
        let room = queue.len() < MAX_QUEUE;
        if room {
            let message = Message { lock_token, body: body.into() };
            queue.push_back(Waiting { message, locked_until: None });
            self.alarm();
        }
        room
    }

    /// Returns the next message that is not locked, and locks it.
    pub(crate) fn give(&mut self, device_id: &str, now: Duration) -> Option<Message> {
        let queue = self.queues.get_mut(device_id)?;
        let waiting = queue.iter_mut().find(|it| it.locked_until.is_none_or(|until| now >= until))?;
        waiting.locked_until = Some(now.saturating_add(LOCK));
        Some(waiting.message.clone())
    }

    /// Removes a message from the queue. Returns `false` if it is not there.
    pub(crate) fn complete(&mut self, device_id: &str, lock_token: &str) -> bool {
        let Some(queue) = self.queues.get_mut(device_id) else { return false };
        let before = queue.len();
        queue.retain(|waiting| waiting.message.lock_token != lock_token);
        queue.len() < before
    }

    /// Unlocks a message, so that it can be given out again.
    pub(crate) fn abandon(&mut self, device_id: &str, lock_token: &str) {
        let queue = self.queues.get_mut(device_id);
        if let Some(waiting) = queue.and_then(|queue| queue.iter_mut().find(|it| it.message.lock_token == lock_token)) {
            waiting.locked_until = None;
        }
    }

    /// Registers a connection and returns its number. It ends an older one of the same client.
    pub(crate) fn connect(&mut self, client_id: &str) -> u64 {
        self.connected = self.connected.saturating_add(1);
        self.connections.insert(client_id.into(), self.connected);
        self.alarm();
        self.connected
    }

    /// Returns whether this is the newest connection of the client, and open.
    pub(crate) fn is_connected(&self, client_id: &str, number: u64) -> bool {
        self.connections.get(client_id) == Some(&number)
    }

    pub(crate) fn disconnect(&mut self, client_id: &str, number: u64) {
        if self.is_connected(client_id, number) {
            self.connections.remove(client_id);
        }
    }

    /// Adds a function to call when there may be a message for a connection.
    ///
    /// It is removed once it returns `false`.
    #[cfg(feature = "server")]
    pub(crate) fn on_alarm(&mut self, alarm: impl Fn() -> bool + Send + 'static) {
        self.alarms.push(Box::new(alarm));
    }

    fn alarm(&mut self) {
        self.alarms.retain(|alarm| alarm());
    }
}

impl fmt::Debug for Mailboxes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailboxes").field("queues", &self.queues).finish_non_exhaustive()
    }
}
