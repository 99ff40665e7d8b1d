//! What can go wrong, on purpose.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::identity::RegistrationId;
use crate::simulator::Simulator;
use crate::simulator::http::HttpAnswer;

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
}

#[derive(Clone, Debug)]
struct Fault {
    number: u64,
    effect: Effect,
    times: u32,
}

/// The faults that are in store for a device, first come first served.
#[derive(Clone, Debug, Default)]
pub(super) struct Script {
    faults: Vec<Fault>,
    made: u64,
}

impl Script {
    pub(super) fn next(&mut self) -> Option<Effect> {
        self.faults.retain(|fault| fault.times > 0);
        let fault = self.faults.first_mut()?;
        fault.times = fault.times.saturating_sub(1);
        Some(fault.effect.clone())
    }
}

/// One device, as a test sees it: to script what goes wrong for it. Made by [`Simulator::device`].
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
    simulator: Simulator,
    key: Box<str>,
}

impl DeviceHandle {
    pub(super) fn new(simulator: Simulator, registration_id: &RegistrationId) -> Self {
        Self { simulator, key: registration_id.as_str().to_ascii_lowercase().into() }
    }

    fn add(&self, effect: Effect) -> FaultHandle {
        let number = self.simulator.with_script(&self.key, |script| {
            script.made = script.made.saturating_add(1);
            script.faults.push(Fault { number: script.made, effect, times: 1 });
            script.made
        });
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

    /// These bytes come back instead of HTTP, and the connection is closed.
    #[allow(clippy::must_use_candidate, reason = "the fault is in store already")]
    pub fn garbage(&self, bytes: &[u8]) -> FaultHandle {
        self.add(Effect::Garbage(bytes.into()))
    }

    /// Whatever is still in store for it does not happen.
    pub fn recover(&self) {
        self.simulator.with_script(&self.key, |script| script.faults.clear());
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
        self.device.simulator.with_script(&self.device.key, |script| {
            if let Some(fault) = script.faults.iter_mut().find(|fault| fault.number == self.number) {
                change(fault);
            }
        });
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

/// An answer and what happens to it on its way.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "simulator-server"),
    allow(dead_code, reason = "only a real connection can be cut in the middle")
)]
pub(super) enum Delivery {
    /// It arrives, after that long; then the connection is closed or not.
    Whole { answer: HttpAnswer, after: Duration, close: bool },
    /// So many bytes of it arrive.
    Cut { answer: HttpAnswer, bytes: usize },
    /// These bytes arrive, which are no HTTP.
    Garbage(Vec<u8>),
    /// Nothing arrives.
    Nothing,
}
