//! The script of a device: its pending faults.

use std::time::Duration;

/// The effect of a fault on one request of a device.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// Another answer. Without a body it is an error in the format of the service.
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: Option<Vec<u8>> },
    /// The connection is closed before the service processes the request.
    DropBefore,
    /// The connection is closed after this many bytes of the answer.
    CutAfter(usize),
    /// The connection is closed after the whole answer.
    DropAfter,
    /// The answer is delayed.
    Slow(Duration),
    /// The `Date` of the answer is off by this many seconds.
    DateOff(i64),
    /// These bytes replace the answer.
    Garbage(Vec<u8>),
    /// The service refuses the token, whichever key signed it.
    RefuseKey,
    /// The answer comes before the acknowledgement of the request.
    OutOfOrder,
    /// An MQTT connection is refused with this return code.
    RefuseConnection(u8),
}

#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) number: u64,
    pub(crate) effect: Effect,
    pub(crate) times: u32,
}

/// The pending faults of a device, in the order in which they happen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    faults: Vec<Fault>,
    made: u64,
    /// For how long the keys are refused, and since when: since the first request.
    keys_refused: Option<(Duration, Option<Duration>)>,
}

impl Script {
    /// Adds a fault and returns its number.
    pub(crate) fn add(&mut self, effect: Effect) -> u64 {
        self.made = self.made.saturating_add(1);
        self.faults.push(Fault { number: self.made, effect, times: 1 });
        self.made
    }

    /// Returns the fault of this number, if it is pending.
    pub(crate) fn find(&mut self, number: u64) -> Option<&mut Fault> {
        self.faults.iter_mut().find(|fault| fault.number == number)
    }

    /// Makes the service refuse the keys of the device for this long.
    pub(crate) fn refuse_keys(&mut self, duration: Duration) {
        self.keys_refused = Some((duration, None));
    }

    /// Returns the effect on the next request, which comes at this time since 1970.
    pub(crate) fn next(&mut self, to_service: bool, now: Duration) -> Option<Effect> {
        if let Some(effect) = self.take(|effect| !matches!(effect, Effect::RefuseConnection(_))) {
            return Some(effect);
        }
        let (duration, since) = self.keys_refused.as_mut().filter(|_| to_service)?;
        let since = *since.get_or_insert(now);
        (now.saturating_sub(since) < *duration).then_some(Effect::RefuseKey)
    }

    /// Returns the return code that refuses the next MQTT connection.
    pub(crate) fn next_connection(&mut self) -> Option<u8> {
        match self.take(|effect| matches!(effect, Effect::RefuseConnection(_)))? {
            Effect::RefuseConnection(code) => Some(code),
            _ => None,
        }
    }

    /// Returns the effect of the first fault of this kind, and counts it as having happened.
    fn take(&mut self, is_wanted: impl Fn(&Effect) -> bool) -> Option<Effect> {
        self.faults.retain(|fault| fault.times > 0);
        let fault = self.faults.iter_mut().find(|fault| is_wanted(&fault.effect))?;
        fault.times = fault.times.saturating_sub(1);
        Some(fault.effect.clone())
    }

    pub(crate) fn clear(&mut self) {
        self.faults.clear();
        self.keys_refused = None;
    }
}
