//! What the hub has for its devices: messages from the cloud, and who is connected.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::simulator::ids::uuid;

/// How long a message that was given out over HTTP waits to be completed.
const LOCK: Duration = Duration::from_secs(60);
/// The most messages that wait for a device, as the hub has it. Source: Microsoft, "IoT Hub quotas and throttling".
const MAX_QUEUE: usize = 50;

/// A message from the cloud to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::simulator) struct Message {
    /// Names this message to whoever is done with it.
    pub(in crate::simulator) lock_token: String,
    pub(in crate::simulator) body: Vec<u8>,
}

#[derive(Debug)]
struct Waiting {
    message: Message,
    /// Given out until then.
    locked_until: Option<Duration>,
}

/// The queues of all devices, by hub device ID, and the connections that are open.
#[derive(Default)]
pub(in crate::simulator) struct Mailboxes {
    queues: BTreeMap<String, VecDeque<Waiting>>,
    queued: u64,
    /// The newest connection of each MQTT client ID.
    connections: BTreeMap<String, u64>,
    connected: u64,
    /// Called when there may be something for a connection.
    alarms: Vec<Box<dyn Fn() -> bool + Send>>,
}

impl Mailboxes {
    /// Puts a message in store; `false` where the queue is full.
    pub(in crate::simulator) fn queue(&mut self, device_id: &str, body: &[u8]) -> bool {
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

    /// The next message that nobody has, to be completed before the lock ends.
    pub(in crate::simulator) fn give(&mut self, device_id: &str, now: Duration) -> Option<Message> {
        let queue = self.queues.get_mut(device_id)?;
        let waiting = queue.iter_mut().find(|it| it.locked_until.is_none_or(|until| now >= until))?;
        waiting.locked_until = Some(now.saturating_add(LOCK));
        Some(waiting.message.clone())
    }

    /// Takes a message off the queue; `false` if it is not there.
    pub(in crate::simulator) fn complete(&mut self, device_id: &str, lock_token: &str) -> bool {
        let Some(queue) = self.queues.get_mut(device_id) else { return false };
        let before = queue.len();
        queue.retain(|waiting| waiting.message.lock_token != lock_token);
        queue.len() < before
    }

    /// Lets somebody else have the message.
    pub(in crate::simulator) fn abandon(&mut self, device_id: &str, lock_token: &str) {
        let queue = self.queues.get_mut(device_id);
        if let Some(waiting) = queue.and_then(|queue| queue.iter_mut().find(|it| it.message.lock_token == lock_token)) {
            waiting.locked_until = None;
        }
    }

    /// Takes note of a connection, whose number comes back. It ends an older one of the same client.
    pub(in crate::simulator) fn connect(&mut self, client_id: &str) -> u64 {
        self.connected = self.connected.saturating_add(1);
        self.connections.insert(client_id.into(), self.connected);
        self.alarm();
        self.connected
    }

    /// Whether no later connection of the same client came.
    pub(in crate::simulator) fn is_connected(&self, client_id: &str, number: u64) -> bool {
        self.connections.get(client_id) == Some(&number)
    }

    pub(in crate::simulator) fn disconnect(&mut self, client_id: &str, number: u64) {
        if self.is_connected(client_id, number) {
            self.connections.remove(client_id);
        }
    }

    /// Has this called when there may be something for a connection, for as long as it says so.
    #[cfg(feature = "simulator-server")]
    pub(in crate::simulator) fn on_alarm(&mut self, alarm: impl Fn() -> bool + Send + 'static) {
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
