//! A DPS to test against, and the IoT hub behind it: the service as pure code, with handles for a transport and a clock that
//! a test owns.
//!
//! # A whole boot in a unit test
//!
//! ```
//! use azure_iot_dps::simulator::Simulator;
//! use azure_iot_dps::{ProvisioningClient, RegistrationId};
//!
//! let sim = Simulator::builder().assigning_polls(2).build();
//! let registration_id = RegistrationId::new("my-device")?;
//! let device_key = sim.device_key(&registration_id).expect("the simulator makes up a group if it is given none");
//!
//! let mut client = ProvisioningClient::builder(sim.id_scope(), registration_id, device_key)
//!     .transport(sim.transport())
//!     .clock(sim.clock())
//!     .build()?;
//! let assignment = client.register()?;
//! assert_eq!(assignment.device_id().as_str(), "my-device");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! No socket, no thread, no sleep: the waits that the service asks for pass in no time, and `sim.clock().elapsed()` tells
//! how long they would have been.
//!
//! # What goes wrong in the field
//!
//! Faults are scripted per device, and over when they have happened as often as they were to:
//!
//! ```
//! # use azure_iot_dps::simulator::{Record, Simulator};
//! # use azure_iot_dps::{ProvisioningClient, RegistrationId};
//! # let sim = Simulator::builder().build();
//! # let registration_id = RegistrationId::new("my-device")?;
//! # let device_key = sim.device_key(&registration_id).unwrap();
//! sim.device(&registration_id).answer(503).times(2);
//! sim.device(&registration_id).cut_after(40);
//! # let builder = ProvisioningClient::builder(sim.id_scope(), registration_id, device_key);
//! # let mut client = builder.transport(sim.transport()).clock(sim.clock()).build()?;
//! client.register()?; // Gets there all the same.
//!
//! let statuses: Vec<_> = sim.records().into_iter().filter_map(|record| match record {
//!     Record::Request { status, .. } => Some(status),
//!     _ => None,
//! }).collect();
//! assert_eq!(statuses, [Some(503), Some(503), None, Some(202), Some(202), Some(200)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What the service is set to
//!
//! [`SimulatorBuilder`] takes enrollment groups and individual enrollments, linked hubs and a custom allocation policy, the
//! service's limits, and how often a device is told to wait. Where the service is said to check something, it checks: the
//! token over its text as sent, its expiry, its resource, either key.
//!
//! # As a server
//!
//! With the feature `simulator-server`, `Simulator::serve` puts the same service behind TLS on loopback. The example
//! `dps_simulator` is that as a program; [`other_languages`] tells how to test a client in any language against it.

mod allocation;
mod answers;
mod builder;
mod device;
mod enrollment;
mod fault;
mod forms;
mod http;
mod hub;
mod journal;
mod limits;
#[doc = include_str!("other_languages.md")]
pub mod other_languages {}
#[cfg(feature = "simulator-server")]
mod credentials;
#[cfg(feature = "simulator-server")]
mod outlet;
#[cfg(feature = "simulator-server")]
mod server;
mod service;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use allocation::{Allocation, AllocationRequest};
use builder::DEMO_KEY;
pub use builder::SimulatorBuilder;
pub use enrollment::{EnrollmentGroup, IndividualEnrollment, Reprovisioning};
use fault::{Delivery, Script};
pub use fault::{DeviceHandle, FaultHandle};
use http::HttpRequest;
use journal::Journal;
pub use journal::{Record, Watch};
pub use limits::Limits;
#[cfg(feature = "simulator-server")]
pub use server::{ServeError, SimulatorServer};
use service::Service;

use crate::error::{TransportError, TransportErrorKind};
use crate::identity::{DeviceId, HostName, IdScope, RegistrationId};
use crate::key::DeviceKey;
use crate::protocol::{Request, Response};
use crate::time::{Clock, Now, UnixTime};
use crate::transport::Transport;

/// A DPS that lives in the test, or behind `Simulator::serve` in a process of its own.
///
/// Its clones are handles of the same service.
#[derive(Clone, Debug)]
pub struct Simulator {
    service: Arc<Mutex<Service>>,
    journal: Arc<Journal>,
    /// How much time has passed for those who use [`Simulator::clock`].
    time: Arc<Mutex<Duration>>,
}

/// Virtual time begins here: 2026-01-01T00:00:00Z.
const BEGINNING: Duration = Duration::from_secs(1_767_225_600);

impl Simulator {
    /// To set up enrollments and behaviour.
    #[must_use]
    pub fn builder() -> SimulatorBuilder {
        SimulatorBuilder::new()
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

    /// The group key in base64 that a simulator makes up when it is given no enrollment.
    #[must_use]
    pub fn demo_group_key() -> String {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(DEMO_KEY)
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
        let request = HttpRequest { method, target, headers: headers.to_vec(), body };
        match self.deliver(&request, BEGINNING.saturating_add(self.elapsed())) {
            Delivery::Whole { answer, after, .. } => {
                self.clock().advance(after.min(time_limit));
                (after <= time_limit).then(|| answer.into_response())
            }
            Delivery::Cut { .. } | Delivery::Garbage(_) | Delivery::Nothing => None,
        }
    }

    /// One device, to script what goes wrong for it.
    #[must_use]
    pub fn device(&self, registration_id: &RegistrationId) -> DeviceHandle {
        DeviceHandle::new(self.clone(), registration_id)
    }

    /// What happened, oldest first: the last 1,024 requests, and the assignments and the telemetry since the first of them.
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
        let service = lock(&self.service);
        let devices = service.devices();
        devices.map(|it| (it.registration_id.clone(), it.device_id.clone(), it.hub().cloned())).collect()
    }

    fn with_script<T>(&self, key: &str, change: impl FnOnce(&mut Script) -> T) -> T {
        lock(&self.service).with_script(key, change)
    }

    fn deliver(&self, request: &HttpRequest<'_>, unix: Duration) -> Delivery {
        lock(&self.service).deliver(request, unix)
    }

    fn elapsed(&self) -> Duration {
        *lock(&self.time)
    }
}

/// A panic elsewhere in a test leaves the service as usable as it was.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a certificate chain for a signing request, both in base64; `None` where the request is not valid.
#[derive(Clone)]
struct Issuer(Arc<Issue>);

type Issue = dyn Fn(&str, &RegistrationId) -> Option<Vec<String>> + Send + Sync;

impl Issuer {
    fn issue(&self, csr: &str, registration_id: &RegistrationId) -> Option<Vec<String>> {
        (self.0)(csr, registration_id)
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Issuer")
    }
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
        match self.0.deliver(&http, BEGINNING.saturating_add(self.0.elapsed())) {
            Delivery::Whole { answer, after, .. } => {
                self.0.clock().advance(after.min(request.time_limit()));
                if after > request.time_limit() {
                    return Err(TransportErrorKind::TimedOut.into());
                }
                Ok(answer.into_response())
            }
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
