//! The simulator as a test sees it, with a transport and a clock that go with it.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use std::sync::Mutex;

use crate::error::{TransportError, TransportErrorKind};
use crate::identity::{DeviceId, HostName, IdScope, RegistrationId};
use crate::key::DeviceKey;
use crate::protocol::{Request, Response};
use crate::simulator::faults::DeviceHandle;
use crate::simulator::front::http::{HttpAnswer, HttpRequest};
use crate::simulator::journal::{Journal, Record, Watch};
use crate::simulator::lock::lock;
use crate::simulator::service::Service;
use crate::simulator::settings::{DEMO_KEY, Settings};
use crate::simulator::state::{Delivery, Reply, State};
use crate::time::{Clock, Now, UnixTime};
use crate::transport::Transport;

/// A DPS that lives in the test, or behind `Simulator::serve` in a process of its own.
///
/// Its clones are handles of the same service.
#[derive(Clone, Debug)]
pub struct Simulator {
    pub(super) state: Arc<Mutex<State>>,
    journal: Arc<Journal>,
    /// How much time has passed for those who use [`Simulator::clock`].
    time: Arc<Mutex<Duration>>,
}

/// Virtual time begins here: 2026-01-01T00:00:00Z.
pub(super) const BEGINNING: Duration = Duration::from_secs(1_767_225_600);

impl Simulator {
    pub(super) fn new(settings: Settings) -> Self {
        let journal = Arc::new(Journal::default());
        let state = State::new(Service::new(settings, Arc::clone(&journal)), Arc::clone(&journal));
        Self { state: Arc::new(Mutex::new(state)), journal, time: Arc::default() }
    }

    /// The ID scope.
    #[must_use]
    pub fn id_scope(&self) -> IdScope {
        lock(&self.state).service().settings().id_scope.clone()
    }

    /// The key that this device must have: its individual enrollment's, or else the first group's, derived.
    #[must_use]
    pub fn device_key(&self, registration_id: &RegistrationId) -> Option<DeviceKey> {
        lock(&self.state).service().device_key(registration_id)
    }

    /// The group key in base64 that a simulator makes up when it is given no enrollment.
    #[must_use]
    pub fn demo_group_key() -> String {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(DEMO_KEY)
    }

    /// A transport that asks this service without a network.
    #[must_use]
    pub fn transport(&self) -> SimulatorTransport {
        SimulatorTransport { sim: self.clone(), certificates: Vec::new() }
    }

    /// The clock of virtual time, which the service goes by too. Whoever sleeps on it moves it on.
    #[must_use]
    pub fn clock(&self) -> SimulatorClock {
        SimulatorClock(self.clone())
    }

    /// Asks the service or the hub without a network, at the time of [`Simulator::clock`]: any HTTP request, such as a message
    /// to the hub, `POST /devices/{deviceId}/messages/events?api-version=2020-03-13`. `None` where a fault keeps the answer
    /// from arriving.
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

    /// The same with a time limit: `None` also where the answer would take longer, and then that much time has passed. To test
    /// one's own HTTP stack, or what drives it.
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

    /// One device, to script what goes wrong for it.
    #[must_use]
    pub fn device(&self, registration_id: &RegistrationId) -> DeviceHandle {
        DeviceHandle::new(Arc::clone(&self.state), registration_id)
    }

    /// What happened, oldest first: the last 1,024 requests, 4 MiB of bodies at most, and the assignments and the telemetry since
    /// the first of them.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.journal.read()
    }

    /// To wait for what happens from now on, on another thread.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch::new(Arc::clone(&self.journal))
    }

    /// Every device that has been let in, with its name in the hub and, if it was given one, the hub.
    #[must_use]
    pub fn devices(&self) -> Vec<(RegistrationId, DeviceId, Option<HostName>)> {
        let state = lock(&self.state);
        let devices = state.service().devices();
        devices.map(|it| (it.registration_id.clone(), it.device_id.clone(), it.hub().cloned())).collect()
    }

    pub(super) fn deliver(&self, request: &HttpRequest<'_>, unix: Duration) -> Delivery {
        let (question, known) = request.question();
        lock(&self.state).deliver(&question, known, unix)
    }

    pub(super) fn http_answer(&self, reply: Reply) -> HttpAnswer {
        HttpAnswer::from_reply(reply, lock(&self.state).service().settings().id_scope.as_str())
    }

    /// The time since 1970 by [`Simulator::clock`].
    pub(super) fn unix(&self) -> Duration {
        BEGINNING.saturating_add(self.elapsed())
    }

    /// Puts a message from the cloud in store for a device of the hub, which gets it over MQTT or over HTTP,
    /// `GET /devices/{deviceId}/messages/devicebound`. Returns `false` where 50 messages wait already.
    #[allow(clippy::must_use_candidate, reason = "a test may know that there is room")]
    pub fn send_to_device(&self, device_id: &DeviceId, body: &[u8]) -> bool {
        lock(&self.state).mailboxes.queue(device_id.as_str(), body)
    }

    fn elapsed(&self) -> Duration {
        *lock(&self.time)
    }
}

/// Asks the simulator without a network. Made by [`Simulator::transport`].
#[derive(Clone, Debug)]
pub struct SimulatorTransport {
    sim: Simulator,
    certificates: Vec<Vec<u8>>,
}

#[cfg(feature = "x509")]
impl SimulatorTransport {
    /// Presents this certificate with every request.
    #[must_use]
    pub fn certificate(self, certificate: &crate::attestation::ClientCertificate) -> Self {
        Self { certificates: certificate.chain().map(Vec::from).collect(), ..self }
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

/// Virtual time. Made by [`Simulator::clock`].
#[derive(Clone, Debug)]
pub struct SimulatorClock(Simulator);

impl SimulatorClock {
    /// Lets time pass.
    pub fn advance(&self, duration: Duration) {
        let mut time = lock(&self.0.time);
        *time = time.saturating_add(duration);
    }

    /// How much time has passed since the simulator was made.
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
