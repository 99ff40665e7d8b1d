//! The handle of a simulator, its HTTP transport and its clock.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use azure_iot_dps::Transport;
use azure_iot_dps::error::{TransportError, TransportErrorKind};
use azure_iot_dps::identity::{DeviceId, HostName, IdScope, RegistrationId};
use azure_iot_dps::protocol::{Request, Response};
use azure_iot_dps::time::{Clock, Now, UnixTime};

use crate::faults::DeviceHandle;
use crate::front::http::{HttpAnswer, HttpRequest};
use crate::journal::{Journal, Record, Watch};
use crate::lock::lock;
use crate::service::Service;
use crate::settings::{DEMO_KEY, Settings};
use crate::state::{Delivery, Reply, State};
use crate::wire::base64_encode;

/// A simulated DPS with an IoT hub behind it.
///
/// It runs in the process of the test, without a network and in virtual time. With the feature
/// `server`, `Simulator::serve` puts it on the network. Clones are handles to the same service.
///
/// ```
/// use azure_iot_dps_simulator::Simulator;
/// use azure_iot_dps::{DeviceKey, ProvisioningClient, RegistrationId};
///
/// let sim = Simulator::builder().build();
/// let id = RegistrationId::new("my-device")?;
/// let device_key = DeviceKey::from_base64(&sim.device_key(&id).ok_or("no key")?)?;
///
/// let builder = ProvisioningClient::builder(sim.id_scope(), id, device_key);
/// let assignment = builder.build_with(sim.transport(), sim.clock()).register()?;
/// assert_eq!(assignment.hub().as_str(), "simulated-hub.azure-devices.net");
/// assert_eq!(sim.devices().len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Simulator {
    pub(crate) state: Arc<Mutex<State>>,
    journal: Arc<Journal>,
    /// The virtual time that has passed for the users of [`Simulator::clock`].
    time: Arc<Mutex<Duration>>,
}

/// The start of virtual time: 2026-01-01T00:00:00Z.
pub(crate) const BEGINNING: Duration = Duration::from_secs(1_767_225_600);

impl Simulator {
    pub(crate) fn new(settings: Settings) -> Self {
        let journal = Arc::new(Journal::default());
        let state = State::new(Service::new(settings, Arc::clone(&journal)), Arc::clone(&journal));
        Self { state: Arc::new(Mutex::new(state)), journal, time: Arc::default() }
    }

    /// Returns the ID scope.
    #[must_use]
    pub fn id_scope(&self) -> IdScope {
        lock(&self.state).service().settings().id_scope.clone()
    }

    /// Returns the key that this device must use, in base64.
    ///
    /// That is the primary key of its individual enrollment. Without such an enrollment, the key is
    /// derived from the primary key of the first group with keys. `None` if no enrollment has a key
    /// for the device.
    #[must_use]
    pub fn device_key(&self, registration_id: &RegistrationId) -> Option<String> {
        lock(&self.state).service().device_key(registration_id).map(|key| key.to_base64())
    }

    /// Returns the group key, in base64, of a simulator that was built without any enrollment.
    #[must_use]
    pub fn demo_group_key() -> String {
        base64_encode(DEMO_KEY)
    }

    /// Creates a transport that asks this service over HTTP, without a network.
    #[must_use]
    pub fn transport(&self) -> SimulatorTransport {
        SimulatorTransport { sim: self.clone(), certificates: Vec::new() }
    }

    /// Returns the clock of virtual time, which the service follows, too.
    ///
    /// A sleep on this clock advances it and returns at once.
    #[must_use]
    pub fn clock(&self) -> SimulatorClock {
        SimulatorClock(self.clone())
    }

    /// Sends any HTTP request to the service or the hub, without a network.
    ///
    /// The time of the request is that of [`Simulator::clock`]. Returns `None` if a fault keeps the
    /// answer from arriving. A device sends a message to its hub with
    /// `POST /devices/{deviceId}/messages/events?api-version=2020-03-13`.
    ///
    /// ```
    /// # use azure_iot_dps_simulator::Simulator;
    /// let sim = Simulator::builder().build();
    /// let target = "/0ne00002193/registrations/my-device/register?api-version=2021-06-01";
    /// let answer = sim.request("PUT", target, &[], b"").ok_or("no answer")?;
    /// assert_eq!(answer.status(), 401); // There is no SAS token.
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn request(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Response<'static>> {
        self.request_within(Duration::MAX, method, target, headers, body)
    }

    /// Sends any HTTP request like [`request`](Self::request), with a time limit.
    ///
    /// Returns `None` also if the answer would take longer than `time_limit`; then that much
    /// virtual time has passed. This serves to test an HTTP stack, or the code that drives it.
    #[must_use]
    pub fn request_within(
        &self,
        time_limit: Duration,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Response<'static>> {
        let request = HttpRequest { method, target, headers: headers.to_vec(), body, certificates: &[] };
        match self.deliver(&request, self.unix()) {
            Delivery::Whole { reply, after, .. } => {
                self.clock().advance(after.min(time_limit));
                (after <= time_limit).then(|| self.http_answer(reply).into_response())
            }
            Delivery::OutOfOrder(reply) => Some(self.http_answer(reply).into_response()),
            Delivery::Cut { .. } | Delivery::Garbage(_) | Delivery::Nothing => None,
        }
    }

    /// Returns the handle of one device, to script its faults.
    #[must_use]
    pub fn device(&self, registration_id: &RegistrationId) -> DeviceHandle {
        DeviceHandle::new(Arc::clone(&self.state), registration_id)
    }

    /// Returns what has happened, oldest first.
    ///
    /// The simulator keeps the last 1,024 requests, with at most 4 MiB of bodies and names, and the
    /// assignments and telemetry since the first of them.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.journal.read()
    }

    /// Creates a watch, which waits for what happens from now on. It can be moved to another
    /// thread.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch::new(Arc::clone(&self.journal))
    }

    /// Returns each device that has registered, with its device ID and its hub.
    ///
    /// The hub is `None` for a device without an assignment.
    #[must_use]
    pub fn devices(&self) -> Vec<(RegistrationId, DeviceId, Option<HostName>)> {
        let state = lock(&self.state);
        let devices = state.service().devices();
        devices.map(|it| (it.registration_id.clone(), it.device_id.clone(), it.hub().cloned())).collect()
    }

    pub(crate) fn deliver(&self, request: &HttpRequest<'_>, unix: Duration) -> Delivery {
        let (question, known) = request.question();
        lock(&self.state).deliver(&question, known, unix)
    }

    pub(crate) fn http_answer(&self, reply: Reply) -> HttpAnswer {
        HttpAnswer::from_reply(reply, lock(&self.state).service().settings().id_scope.as_str())
    }

    /// Returns the time since 1970 by [`Simulator::clock`].
    pub(crate) fn unix(&self) -> Duration {
        BEGINNING.saturating_add(self.elapsed())
    }

    /// Queues a message from the cloud for a device of the hub.
    ///
    /// The device receives it over MQTT, or over HTTP with
    /// `GET /devices/{deviceId}/messages/devicebound`. Returns `false` if 50 messages are waiting
    /// already.
    ///
    /// ```
    /// # use azure_iot_dps::identity::DeviceId;
    /// # use azure_iot_dps_simulator::Simulator;
    /// let sim = Simulator::builder().build();
    /// assert!(sim.send_to_device(&DeviceId::new("my-device")?, b"open the door"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[allow(clippy::must_use_candidate, reason = "a test may know that there is room")]
    pub fn send_to_device(&self, device_id: &DeviceId, body: &[u8]) -> bool {
        lock(&self.state).mailboxes.queue(device_id.as_str(), body)
    }

    fn elapsed(&self) -> Duration {
        *lock(&self.time)
    }
}

/// A transport that asks the simulator over HTTP, without a network.
///
/// [`Simulator::transport`] creates it. An answer that a fault delays advances the virtual time.
///
/// ```
/// use azure_iot_dps::error::TransportErrorKind;
/// use azure_iot_dps_simulator::Simulator;
/// use azure_iot_dps::{DeviceKey, ProvisioningClient, RegistrationId};
///
/// let sim = Simulator::builder().build();
/// let id = RegistrationId::new("my-device")?;
/// let key = DeviceKey::from_base64(&sim.device_key(&id).ok_or("no key")?)?;
/// sim.device(&id).drop_before_answer().times(1000);
/// let builder = ProvisioningClient::builder(sim.id_scope(), id, key);
/// let result = builder.build_with(sim.transport(), sim.clock()).register();
/// let kind = result.err().and_then(|error| Some(error.transport()?.kind()));
/// assert_eq!(kind, Some(TransportErrorKind::AnswerBroken));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SimulatorTransport {
    sim: Simulator,
    certificates: Vec<Vec<u8>>,
}

impl SimulatorTransport {
    /// Sets the client certificate to present: the chain as DER, leaf first. Default: none.
    ///
    /// The simulator takes it for granted that the device has the private key.
    #[must_use]
    pub fn certificate(self, chain: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self { certificates: chain.into_iter().collect(), ..self }
    }
}

impl Transport for SimulatorTransport {
    fn send<'b>(&'b mut self, request: &Request<'_>) -> Result<Response<'b>, TransportError> {
        let head = request.http();
        let target = head.target().to_string();
        let http = HttpRequest {
            method: head.method(),
            target: &target,
            headers: head.headers().collect(),
            body: request.body().unwrap_or_default(),
            certificates: &self.certificates,
        };
        match self.sim.deliver(&http, self.sim.unix()) {
            Delivery::Whole { reply, after, .. } => {
                self.sim.clock().advance(after.min(request.time_limit()));
                if after > request.time_limit() {
                    return Err(TransportErrorKind::TimedOut.into());
                }
                Ok(self.sim.http_answer(reply).into_response())
            }
            Delivery::OutOfOrder(reply) => Ok(self.sim.http_answer(reply).into_response()),
            Delivery::Cut { .. } | Delivery::Garbage(_) | Delivery::Nothing => {
                Err(TransportErrorKind::AnswerBroken.into())
            }
        }
    }
}

/// A clock of virtual time.
///
/// [`Simulator::clock`] creates it. It starts at 2026-01-01T00:00:00Z.
///
/// ```
/// use azure_iot_dps::Clock;
/// use azure_iot_dps_simulator::Simulator;
/// use std::time::Duration;
///
/// let sim = Simulator::builder().build();
/// let mut clock = sim.clock();
/// clock.sleep(Duration::from_secs(3600)); // Returns at once.
/// sim.clock().advance(Duration::from_secs(60));
/// assert_eq!(clock.elapsed(), Duration::from_secs(3660));
/// ```
#[derive(Clone, Debug)]
pub struct SimulatorClock(Simulator);

impl SimulatorClock {
    /// Advances the virtual time.
    pub fn advance(&self, duration: Duration) {
        let mut time = lock(&self.0.time);
        *time = time.saturating_add(duration);
    }

    /// Returns how much virtual time has passed since the simulator was created.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

impl Clock for SimulatorClock {
    fn now(&mut self) -> Now {
        let uptime = self.elapsed();
        Now { unix: Some(UnixTime::from_secs(BEGINNING.saturating_add(uptime).as_secs())), uptime }
    }

    fn sleep(&mut self, pause: Duration) {
        self.advance(pause);
    }
}
