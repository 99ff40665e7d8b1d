//! What can go wrong, on purpose.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

/// What happens to one request of a device.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    /// Another answer; without a body it is an error in the service's own format.
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: Option<Vec<u8>> },
    /// The connection is closed, and the service has seen nothing.
    DropBefore,
    /// The service has seen it, but after so many bytes of the answer the connection is closed.
    CutAfter(usize),
    /// The answer is whole, and then the connection is closed.
    DropAfter,
    /// The answer takes that long.
    Slow(Duration),
    /// The answer's `Date` is off by so many seconds.
    DateOff(i64),
    /// No HTTP comes back.
    Garbage(Vec<u8>),
    /// The service refuses the device's key, whichever it is.
    RefuseKey,
    /// What comes back is in the wrong order.
    OutOfOrder,
    /// An MQTT connection is refused with this return code.
    RefuseConnection(u8),
}

#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) number: u64,
    pub(super) effect: Effect,
    pub(super) times: u32,
}

/// The faults that are in store for a device, first come first served.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    faults: Vec<Fault>,
    made: u64,
    /// For how long its keys are refused, and since when, from the first request on.
    keys_refused: Option<(Duration, Option<Duration>)>,
}

impl Script {
    /// Puts a fault in store, and gives its number.
    pub(super) fn add(&mut self, effect: Effect) -> u64 {
        self.made = self.made.saturating_add(1);
        self.faults.push(Fault { number: self.made, effect, times: 1 });
        self.made
    }

    /// The fault of this number, while it is in store.
    pub(super) fn find(&mut self, number: u64) -> Option<&mut Fault> {
        self.faults.iter_mut().find(|fault| fault.number == number)
    }

    /// Has the service refuse its keys for that long.
    pub(super) fn refuse_keys(&mut self, duration: Duration) {
        self.keys_refused = Some((duration, None));
    }

    /// What happens to the next request, which comes at this time since 1970.
    pub(super) fn next(&mut self, to_service: bool, now: Duration) -> Option<Effect> {
        if let Some(effect) = self.take(|effect| !matches!(effect, Effect::RefuseConnection(_))) {
            return Some(effect);
        }
        let (duration, since) = self.keys_refused.as_mut().filter(|_| to_service)?;
        let since = *since.get_or_insert(now);
        (now.saturating_sub(since) < *duration).then_some(Effect::RefuseKey)
    }

    /// The return code that refuses the next MQTT connection.
    pub(super) fn next_connection(&mut self) -> Option<u8> {
        match self.take(|effect| matches!(effect, Effect::RefuseConnection(_)))? {
            Effect::RefuseConnection(code) => Some(code),
            _ => None,
        }
    }

    /// Lets the first fault of that kind happen.
    fn take(&mut self, is_wanted: impl Fn(&Effect) -> bool) -> Option<Effect> {
        self.faults.retain(|fault| fault.times > 0);
        let fault = self.faults.iter_mut().find(|fault| is_wanted(&fault.effect))?;
        fault.times = fault.times.saturating_sub(1);
        Some(fault.effect.clone())
    }

    pub(super) fn clear(&mut self) {
        self.faults.clear();
        self.keys_refused = None;
    }
}
