//! The handles by which a test scripts what goes wrong.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use std::sync::Mutex;

use crate::identity::RegistrationId;
use crate::simulator::lock::lock;
use crate::simulator::script::{Effect, Fault};
use crate::simulator::state::State;

/// One device, as a test sees it: to script what goes wrong for it. Made by [`Simulator::device`](crate::simulator::Simulator::device).
///
/// ```
/// # use azure_iot_dps::simulator::Simulator;
/// # use azure_iot_dps::RegistrationId;
/// # let (sim, id) = (Simulator::builder().build(), RegistrationId::new("my-device")?);
/// // Throttled twice, then the connection breaks off within an answer, then all is well.
/// sim.device(&id).answer(429).header("Retry-After", "5").times(2);
/// sim.device(&id).cut_after(40);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct DeviceHandle {
    state: Arc<Mutex<State>>,
    key: Box<str>,
}

impl DeviceHandle {
    pub(super) fn new(state: Arc<Mutex<State>>, registration_id: &RegistrationId) -> Self {
        Self { state, key: registration_id.as_str().to_ascii_lowercase().into() }
    }

    fn add(&self, effect: Effect) -> FaultHandle {
        let number = lock(&self.state).script(&self.key).add(effect);
        FaultHandle { device: self.clone(), number }
    }

    /// Its next request is answered with this status: an error in the service's own format, unless a body is given.
    #[allow(clippy::must_use_candidate, reason = "the fault is in store already")]
    pub fn answer(&self, status: u16) -> FaultHandle {
        self.add(Effect::Answer { status, headers: Vec::new(), body: None })
    }

    /// Its next request finds the connection closed, and the service does not see it.
    #[allow(clippy::must_use_candidate, reason = "the fault is in store already")]
    pub fn drop_before_answer(&self) -> FaultHandle {
        self.add(Effect::DropBefore)
    }

    /// Its next request is carried out, but the connection is closed after so many bytes of the answer, head included.
    #[allow(clippy::must_use_candidate, reason = "the fault is in store already")]
    pub fn cut_after(&self, bytes: usize) -> FaultHandle {
        self.add(Effect::CutAfter(bytes))
    }

    /// Its next request is answered, and then the connection is closed.
    #[allow(clippy::must_use_candidate, reason = "the fault is in store already")]
    pub fn drop_after_answer(&self) -> FaultHandle {
        self.add(Effect::DropAfter)
    }

    /// The answer to its next request takes that long.
    #[allow(clippy::must_use_candidate, reason = "the fault is in store already")]
    pub fn answer_slowly(&self, delay: Duration) -> FaultHandle {
        self.add(Effect::Slow(delay))
    }

    /// The `Date` of the answer to its next request is so many seconds ahead of the service's clock, or behind if negative.
    #[allow(clippy::must_use_candidate, reason = "the fault is in store already")]
    pub fn date_off_by(&self, seconds: i64) -> FaultHandle {
        self.add(Effect::DateOff(seconds))
    }

    /// No answer to its next request ever comes, but the connection stays open.
    #[allow(clippy::must_use_candidate, reason = "the fault is in store already")]
    pub fn silence(&self) -> FaultHandle {
        self.add(Effect::Slow(Duration::MAX))
    }

    /// Over MQTT, the answer to its next request comes before the request's acknowledgement; over HTTP nothing is different.
    #[allow(clippy::must_use_candidate, reason = "the fault is in store already")]
    pub fn answer_out_of_order(&self) -> FaultHandle {
        self.add(Effect::OutOfOrder)
    }

    /// Its next MQTT connection is refused with this CONNACK return code: 3 is an unavailable server, 5 an unauthorized client.
    #[allow(clippy::must_use_candidate, reason = "the fault is in store already")]
    pub fn refuse_connection(&self, code: u8) -> FaultHandle {
        self.add(Effect::RefuseConnection(code))
    }

    /// These bytes come back instead of the protocol's, and the connection is closed.
    #[allow(clippy::must_use_candidate, reason = "the fault is in store already")]
    pub fn garbage(&self, bytes: &[u8]) -> FaultHandle {
        self.add(Effect::Garbage(bytes.into()))
    }

    /// Refuses the device's token for this long, whichever key signed it: 401 with error code 401002. The time counts from its next
    /// request to the service; the hub does not refuse it.
    ///
    /// Users report this of the real service: it caches the key that a device used last, so that a right key can be refused for half
    /// an hour after the keys were rolled.
    pub fn refuse_keys_for(&self, duration: Duration) {
        lock(&self.state).script(&self.key).refuse_keys(duration);
    }

    /// Whatever is still in store for it does not happen.
    pub fn recover(&self) {
        lock(&self.state).script(&self.key).clear();
    }
}

/// A fault that is in store for a device, to say more about it.
#[derive(Debug)]
pub struct FaultHandle {
    device: DeviceHandle,
    number: u64,
}

impl FaultHandle {
    fn change(self, change: impl FnOnce(&mut Fault)) -> Self {
        if let Some(fault) = lock(&self.device.state).script(&self.device.key).find(self.number) {
            change(fault);
        }
        self
    }

    /// It happens that often in a row; then the device recovers. Default once.
    #[allow(clippy::must_use_candidate, clippy::return_self_not_must_use, reason = "the fault is in store already")]
    pub fn times(self, times: u32) -> Self {
        self.change(|fault| fault.times = times)
    }

    /// The answer has this body. For [`DeviceHandle::answer`] only.
    #[allow(clippy::must_use_candidate, clippy::return_self_not_must_use, reason = "the fault is in store already")]
    pub fn body(self, text: impl Into<Vec<u8>>) -> Self {
        self.change(|fault| {
            if let Effect::Answer { body, .. } = &mut fault.effect {
                *body = Some(text.into());
            }
        })
    }

    /// The answer has this header too. For [`DeviceHandle::answer`] only.
    #[allow(clippy::must_use_candidate, clippy::return_self_not_must_use, reason = "the fault is in store already")]
    pub fn header(self, name: &'static str, value: &str) -> Self {
        self.change(|fault| {
            if let Effect::Answer { headers, .. } = &mut fault.effect {
                headers.push((name, value.into()));
            }
        })
    }
}
