//! Setting up a simulator.

use alloc::string::String;
use alloc::sync::Arc;
use core::time::Duration;

use crate::identity::{HostName, IdScope};
use crate::simulator::allocation::{Allocation, AllocationRequest, Policy};
use crate::simulator::enrollment::{EnrollmentGroup, IndividualEnrollment};
use crate::simulator::handle::Simulator;
use crate::simulator::limits::Limits;
use crate::simulator::settings::Settings;

/// Sets a simulator up: enrollments, hubs, and how slow the service is.
#[derive(Clone, Debug)]
pub struct SimulatorBuilder {
    settings: Settings,
}

impl Simulator {
    /// Creates a builder, to set up enrollments and behaviour.
    #[must_use]
    pub fn builder() -> SimulatorBuilder {
        SimulatorBuilder { settings: Settings::new() }
    }
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

    /// One more linked hub. Default `simulated-hub.azure-devices.net`.
    #[must_use]
    pub fn hub(mut self, hub: HostName) -> Self {
        self.settings.hubs.push(hub);
        self
    }

    /// How devices are spread over the hubs, as a custom allocation webhook does it: sees the device and its payload, answers
    /// a hub, a payload or a failure. A hub that is not linked is a failure. Default evenly, by a stable hash.
    ///
    /// The simulator waits for the answer: the closure must not ask the same simulator for anything.
    #[must_use]
    pub fn allocation(
        mut self,
        webhook: impl Fn(&AllocationRequest<'_>) -> Allocation + Send + Sync + 'static,
    ) -> Self {
        self.settings.allocation = Policy::Custom(Arc::new(webhook));
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

    /// How much the service takes before it answers 429. Default [`Limits::NONE`].
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// How many messages the hub takes in all before it answers 403. Default any number.
    #[must_use]
    pub fn hub_quota(mut self, messages: u64) -> Self {
        self.settings.hub_quota = Some(messages);
        self
    }

    /// Sends the service's errors without the header `x-ms-error-code` and, over TLS, in chunks, as the real service sometimes does.
    /// Default off.
    #[must_use]
    pub fn bare_errors(mut self, bare_errors: bool) -> Self {
        self.settings.bare_errors = bare_errors;
        self
    }

    /// Adds a version of the device API to those that the service takes. Default the eight that Microsoft has published, from
    /// `2018-11-01` to `2026-11-02-preview`.
    #[must_use]
    pub fn api_version(mut self, version: impl Into<String>) -> Self {
        self.settings.api_versions.push(version.into());
        self
    }

    /// Creates the simulator.
    #[must_use]
    pub fn build(self) -> Simulator {
        Simulator::new(self.settings.completed())
    }
}
