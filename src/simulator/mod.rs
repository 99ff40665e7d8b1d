//! A DPS to test against: the service as pure code, with handles for a transport and a clock that a test owns.
//!
//! ```
//! use azure_iot_dps::simulator::Simulator;
//! use azure_iot_dps::{ProvisioningClient, RegistrationId};
//!
//! let sim = Simulator::builder().assigning_polls(2).build();
//! let registration_id = RegistrationId::new("my-device")?;
//! let device_key = sim.device_key(&registration_id).expect("the simulator makes up a group if it is given none");
//!
//! let mut client = ProvisioningClient::builder(sim.id_scope().clone(), registration_id, device_key)
//!     .transport(sim.transport())
//!     .clock(sim.clock())
//!     .build()?;
//! let assignment = client.register()?;
//! assert_eq!(assignment.device_id().as_str(), "my-device");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! No socket, no thread, no sleep: the waits that the service asks for pass in no time. With the feature
//! `simulator-server` the same service answers over TLS on loopback, see `Simulator::serve`.

mod enrollment;
mod http;
#[cfg(feature = "simulator-server")]
mod server;
mod service;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use enrollment::{EnrollmentGroup, IndividualEnrollment};
use http::{HttpAnswer, HttpRequest};
#[cfg(feature = "simulator-server")]
pub use server::{ServeError, SimulatorServer};
use service::Service;

use crate::error::TransportError;
use crate::identity::{HostName, IdScope, RegistrationId};
use crate::key::{DeviceKey, GroupKey};
use crate::protocol::{Request, Response};
use crate::time::{Clock, Now, UnixTime};
use crate::transport::Transport;

/// What the simulator is set to: enrollments, hubs, and how slow the service is.
#[derive(Clone, Debug)]
pub struct SimulatorBuilder {
    settings: Settings,
}

#[derive(Clone, Debug)]
struct Settings {
    id_scope: IdScope,
    groups: Vec<EnrollmentGroup>,
    individuals: Vec<IndividualEnrollment>,
    hubs: Vec<HostName>,
    assigning_polls: u32,
    retry_after: Option<Duration>,
}

impl SimulatorBuilder {
    /// The ID scope. Default `0ne00002193`.
    #[must_use]
    pub fn id_scope(mut self, id_scope: IdScope) -> Self {
        self.settings.id_scope = id_scope;
        self
    }

    /// One more enrollment group. Default none; but where there is no enrollment at all, a group with a made-up key.
    #[must_use]
    pub fn group(mut self, group: EnrollmentGroup) -> Self {
        self.settings.groups.push(group);
        self
    }

    /// One more individual enrollment. Default none.
    #[must_use]
    pub fn individual(mut self, individual: IndividualEnrollment) -> Self {
        self.settings.individuals.push(individual);
        self
    }

    /// One more linked hub. Devices are spread over the hubs by a stable hash. Default `simulated-hub.azure-devices.net`.
    #[must_use]
    pub fn hub(mut self, hub: HostName) -> Self {
        self.settings.hubs.push(hub);
        self
    }

    /// How many polls are answered with `assigning` before one is answered with `assigned`. Default 1.
    #[must_use]
    pub fn assigning_polls(mut self, polls: u32) -> Self {
        self.settings.assigning_polls = polls;
        self
    }

    /// The `Retry-After` of an answer that says `assigning`, in whole seconds; `None` leaves it out. Default 3 s, as the
    /// service has it.
    #[must_use]
    pub fn retry_after(mut self, retry_after: impl Into<Option<Duration>>) -> Self {
        self.settings.retry_after = retry_after.into();
        self
    }

    /// The simulator.
    #[must_use]
    pub fn build(mut self) -> Simulator {
        let settings = &mut self.settings;
        if settings.groups.is_empty() && settings.individuals.is_empty() {
            settings.groups.extend(demo_group());
        }
        if settings.hubs.is_empty() {
            settings.hubs.extend(HostName::new("simulated-hub.azure-devices.net"));
        }
        Simulator { service: Arc::new(Mutex::new(Service::new(self.settings))), time: Arc::default() }
    }
}

/// A group whose key everybody knows.
fn demo_group() -> Option<EnrollmentGroup> {
    let key = GroupKey::from_bytes(b"a key for tests that everybody knows, and so is worth nothing...");
    Some(EnrollmentGroup::new("demo", &key.ok()?))
}

/// A DPS that lives in the test, or behind [`Simulator::serve`] in a process of its own.
///
/// Its clones are handles of the same service.
#[derive(Clone, Debug)]
pub struct Simulator {
    service: Arc<Mutex<Service>>,
    /// How much time has passed for those who use [`Simulator::clock`].
    time: Arc<Mutex<Duration>>,
}

/// Virtual time begins here: 2026-01-01T00:00:00Z.
const BEGINNING: Duration = Duration::from_secs(1_767_225_600);

impl Simulator {
    /// To set up enrollments and behaviour.
    #[must_use]
    pub fn builder() -> SimulatorBuilder {
        SimulatorBuilder {
            settings: Settings {
                // The example of Microsoft's documentation; the text is known to be valid.
                id_scope: IdScope::new("0ne00002193").unwrap_or_else(|_| unreachable!()),
                groups: Vec::new(),
                individuals: Vec::new(),
                hubs: Vec::new(),
                assigning_polls: 1,
                retry_after: Some(Duration::from_secs(3)),
            },
        }
    }

    /// The ID scope.
    #[must_use]
    pub fn id_scope(&self) -> IdScope {
        lock(&self.service).settings().id_scope.clone()
    }

    /// The key that this device must have: its individual enrollment's, or else the first group's, derived.
    #[must_use]
    pub fn device_key(&self, registration_id: &RegistrationId) -> Option<DeviceKey> {
        lock(&self.service).device_key(registration_id)
    }

    /// A transport that asks this service without a network.
    #[must_use]
    pub fn transport(&self) -> SimulatorTransport {
        SimulatorTransport(self.clone())
    }

    /// The clock of virtual time, which the service goes by too. Whoever sleeps on it moves it on.
    #[must_use]
    pub fn clock(&self) -> SimulatorClock {
        SimulatorClock(self.clone())
    }

    fn answer(&self, request: &HttpRequest<'_>, unix: Duration) -> HttpAnswer {
        lock(&self.service).answer(request, unix)
    }

    fn elapsed(&self) -> Duration {
        *lock(&self.time)
    }
}

/// A panic elsewhere in a test leaves the service as usable as it was.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks the simulator without a network. Made by [`Simulator::transport`].
#[derive(Clone, Debug)]
pub struct SimulatorTransport(Simulator);

impl Transport for SimulatorTransport {
    fn send<'b>(&'b mut self, request: &Request<'_>) -> Result<Response<'b>, TransportError> {
        let http = HttpRequest {
            method: request.method(),
            target: request.target(),
            headers: request.headers().collect(),
            body: request.body().unwrap_or_default(),
        };
        let answer = self.0.answer(&http, BEGINNING.saturating_add(self.0.elapsed()));
        let response = Response::new(answer.status, answer.body);
        Ok(answer.headers.into_iter().fold(response, |response, (name, value)| response.with_header(name, value)))
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
