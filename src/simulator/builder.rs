//! What the simulator is set to.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use std::sync::Mutex;

use crate::identity::{HostName, IdScope};
use crate::key::GroupKey;
use crate::simulator::Simulator;
use crate::simulator::allocation::{Allocation, AllocationRequest, Policy};
use crate::simulator::enrollment::{EnrollmentGroup, IndividualEnrollment};
use crate::simulator::journal::Journal;
use crate::simulator::limits::Limits;
use crate::simulator::service::Service;

/// What the simulator is set to: enrollments, hubs, and how slow the service is.
#[derive(Clone, Debug)]
pub struct SimulatorBuilder {
    settings: Settings,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) id_scope: IdScope,
    pub(super) groups: Vec<EnrollmentGroup>,
    pub(super) individuals: Vec<IndividualEnrollment>,
    pub(super) hubs: Vec<HostName>,
    pub(super) allocation: Policy,
    pub(super) assigning_polls: u32,
    pub(super) retry_after: Option<Duration>,
    pub(super) limits: Limits,
    pub(super) hub_quota: Option<u64>,
}

impl SimulatorBuilder {
    pub(super) fn new() -> Self {
        Self {
            settings: Settings {
                // The example of Microsoft's documentation; the text is known to be valid.
                id_scope: IdScope::new("0ne00002193").unwrap_or_else(|_| unreachable!()),
                groups: Vec::new(),
                individuals: Vec::new(),
                hubs: Vec::new(),
                allocation: Policy::Even,
                assigning_polls: 1,
                retry_after: Some(Duration::from_secs(3)),
                limits: Limits::NONE,
                hub_quota: None,
            },
        }
    }

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
        let journal = Arc::new(Journal::default());
        let service = Service::new(self.settings, Arc::clone(&journal));
        Simulator { service: Arc::new(Mutex::new(service)), journal, time: Arc::default() }
    }
}

/// The key of the group that a simulator makes up when it is given no enrollment. Everybody knows it.
pub(super) const DEMO_KEY: &[u8; 64] = b"a key for tests that everybody knows, and so is worth nothing...";

fn demo_group() -> Option<EnrollmentGroup> {
    Some(EnrollmentGroup::new("demo", &GroupKey::from_bytes(DEMO_KEY).ok()?))
}
