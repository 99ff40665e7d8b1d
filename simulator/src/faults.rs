//! Handles with which a test scripts faults.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use azure_iot_dps::identity::RegistrationId;

use crate::lock::lock;
use crate::script::{Effect, Fault};
use crate::state::State;

/// A handle with which a test scripts faults for one device.
///
/// [`Simulator::device`](crate::Simulator::device) creates it. Faults apply to the
/// requests of the device to the service and to its hub, in the order in which they were added.
///
/// ```
/// # use azure_iot_dps_simulator::Simulator;
/// # use azure_iot_dps::{DeviceKey, RegistrationId};
/// # let (sim, id) = (Simulator::builder().build(), RegistrationId::new("my-device")?);
/// // Throttles the device twice, then closes the connection in the middle of an answer.
/// sim.device(&id).answer(429).header("Retry-After", "5").times(2);
/// sim.device(&id).cut_after(40);
/// # let key = DeviceKey::from_base64(&sim.device_key(&id).ok_or("no key")?)?;
/// # let builder = azure_iot_dps::ProvisioningClient::builder(sim.id_scope(), id, key);
/// # let mut client = builder.build_with(sim.transport(), sim.clock());
/// client.register()?; // Succeeds at the fourth attempt.
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct DeviceHandle {
    state: Arc<Mutex<State>>,
    key: Box<str>,
}

impl DeviceHandle {
    pub(crate) fn new(state: Arc<Mutex<State>>, registration_id: &RegistrationId) -> Self {
        Self { state, key: registration_id.as_str().to_ascii_lowercase().into() }
    }

    fn add(&self, effect: Effect) -> FaultHandle {
        let number = lock(&self.state).script(&self.key).add(effect);
        FaultHandle { device: self.clone(), number }
    }

    /// Answers the next request of the device with this status.
    ///
    /// The answer is an error in the format of the service, unless [`FaultHandle::body`] sets a
    /// body. The service does not process the request.
    #[allow(clippy::must_use_candidate, reason = "the fault is pending already")]
    pub fn answer(&self, status: u16) -> FaultHandle {
        self.add(Effect::Answer { status, headers: Vec::new(), body: None })
    }

    /// Closes the connection at the next request of the device.
    ///
    /// The service does not process the request.
    #[allow(clippy::must_use_candidate, reason = "the fault is pending already")]
    pub fn drop_before_answer(&self) -> FaultHandle {
        self.add(Effect::DropBefore)
    }

    /// Closes the connection after this many bytes of the answer to the next request of the device.
    ///
    /// The service processes the request. Over HTTP the count includes the head of the answer, over
    /// MQTT the acknowledgement.
    #[allow(clippy::must_use_candidate, reason = "the fault is pending already")]
    pub fn cut_after(&self, bytes: usize) -> FaultHandle {
        self.add(Effect::CutAfter(bytes))
    }

    /// Closes the connection after the answer to the next request of the device.
    #[allow(clippy::must_use_candidate, reason = "the fault is pending already")]
    pub fn drop_after_answer(&self) -> FaultHandle {
        self.add(Effect::DropAfter)
    }

    /// Delays the answer to the next request of the device.
    #[allow(clippy::must_use_candidate, reason = "the fault is pending already")]
    pub fn answer_slowly(&self, delay: Duration) -> FaultHandle {
        self.add(Effect::Slow(delay))
    }

    /// Shifts the `Date` of the answer to the next request of the device by this many seconds.
    ///
    /// A positive number is ahead of the service's clock, a negative one behind.
    #[allow(clippy::must_use_candidate, reason = "the fault is pending already")]
    pub fn date_off_by(&self, seconds: i64) -> FaultHandle {
        self.add(Effect::DateOff(seconds))
    }

    /// Never answers the next request of the device, and keeps the connection open.
    ///
    /// The service processes the request.
    #[allow(clippy::must_use_candidate, reason = "the fault is pending already")]
    pub fn silence(&self) -> FaultHandle {
        self.add(Effect::Slow(Duration::MAX))
    }

    /// Sends the answer to the next request of the device before the acknowledgement of the
    /// request.
    ///
    /// This concerns MQTT. Over HTTP the answer is a normal one.
    #[allow(clippy::must_use_candidate, reason = "the fault is pending already")]
    pub fn answer_out_of_order(&self) -> FaultHandle {
        self.add(Effect::OutOfOrder)
    }

    /// Refuses the next MQTT connection of the device with this CONNACK return code.
    ///
    /// Code 3 is an unavailable server, 5 an unauthorized client.
    #[allow(clippy::must_use_candidate, reason = "the fault is pending already")]
    pub fn refuse_connection(&self, code: u8) -> FaultHandle {
        self.add(Effect::RefuseConnection(code))
    }

    /// Answers the next request of the device with these bytes, then closes the connection.
    ///
    /// The bytes replace the whole answer of the protocol. The service does not process the
    /// request.
    #[allow(clippy::must_use_candidate, reason = "the fault is pending already")]
    pub fn garbage(&self, bytes: &[u8]) -> FaultHandle {
        self.add(Effect::Garbage(bytes.into()))
    }

    /// Refuses the tokens of the device for this long, whichever key signed them.
    ///
    /// The answer is a 401 with error code 401002. The time starts with the device's next request
    /// to the service. The hub does not refuse the tokens.
    ///
    /// Users report this behaviour of the real service: it caches the key that a device used last,
    /// so that it can refuse a right key for half an hour after the keys were rolled.
    pub fn refuse_keys_for(&self, duration: Duration) {
        lock(&self.state).script(&self.key).refuse_keys(duration);
    }

    /// Removes all pending faults of the device, and ends
    /// [`refuse_keys_for`](Self::refuse_keys_for).
    pub fn recover(&self) {
        lock(&self.state).script(&self.key).clear();
    }
}

/// A handle with which a test refines a fault that it has added.
///
/// The methods of [`DeviceHandle`] return it. The fault is active already; the handle may be
/// dropped.
///
/// ```
/// # use azure_iot_dps_simulator::Simulator;
/// # use azure_iot_dps::RegistrationId;
/// # let (sim, id) = (Simulator::builder().build(), RegistrationId::new("my-device")?);
/// let portal = sim.device(&id).answer(200).body("<html>Please log in</html>");
/// portal.header("Content-Type", "text/html").times(3);
/// # let target = "/0ne00002193/registrations/my-device/register?api-version=2021-06-01";
/// let answer = sim.request("PUT", target, &[], b"").ok_or("no answer")?;
/// assert_eq!(answer.body(), b"<html>Please log in</html>");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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

    /// Sets how many times in a row the fault happens. Default: 1.
    #[allow(clippy::must_use_candidate, clippy::return_self_not_must_use, reason = "the fault is pending already")]
    pub fn times(self, times: u32) -> Self {
        self.change(|fault| fault.times = times)
    }

    /// Sets the body of the answer. Default: an error in the format of the service.
    ///
    /// Has no effect on faults other than [`DeviceHandle::answer`].
    #[allow(clippy::must_use_candidate, clippy::return_self_not_must_use, reason = "the fault is pending already")]
    pub fn body(self, text: impl Into<Vec<u8>>) -> Self {
        self.change(|fault| {
            if let Effect::Answer { body, .. } = &mut fault.effect {
                *body = Some(text.into());
            }
        })
    }

    /// Adds a header to the answer, in the place of one that the service would send.
    ///
    /// Has no effect on faults other than [`DeviceHandle::answer`].
    #[allow(clippy::must_use_candidate, clippy::return_self_not_must_use, reason = "the fault is pending already")]
    pub fn header(self, name: &'static str, value: &str) -> Self {
        self.change(|fault| {
            if let Effect::Answer { headers, .. } = &mut fault.effect {
                headers.push((name, value.into()));
            }
        })
    }
}
