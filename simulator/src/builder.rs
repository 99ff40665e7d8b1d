//! The builder of a simulator.

use std::sync::Arc;
use std::time::Duration;

use azure_iot_dps::identity::{HostName, IdScope};

use crate::allocation::{Allocation, AllocationRequest, Policy};
use crate::enrollment::{EnrollmentGroup, IndividualEnrollment};
use crate::handle::Simulator;
use crate::limits::Limits;
use crate::settings::Settings;

/// A builder of a [`Simulator`]: its enrollments, hubs, limits and pace.
///
/// ```
/// use azure_iot_dps::identity::HostName;
/// use azure_iot_dps_simulator::{EnrollmentGroup, Limits, Simulator, SymmetricKey};
/// use azure_iot_dps::IdScope;
/// use std::time::Duration;
///
/// let sim = Simulator::builder()
///     .id_scope(IdScope::new("0ne00000001")?)
///     .group(EnrollmentGroup::new("line-7", SymmetricKey::from_bytes(&[1; 64])?))
///     .hub(HostName::new("my-hub.azure-devices.net")?)
///     .assigning_polls(2)
///     .retry_after(Duration::from_secs(5))
///     .limits(Limits::SERVICE)
///     .build();
/// assert_eq!(sim.id_scope().as_str(), "0ne00000001");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SimulatorBuilder {
    settings: Settings,
}

impl Simulator {
    /// Creates a builder with default settings.
    #[must_use]
    pub fn builder() -> SimulatorBuilder {
        SimulatorBuilder { settings: Settings::new() }
    }
}

impl SimulatorBuilder {
    /// Sets the ID scope. Default: `0ne00002193`.
    #[must_use]
    pub fn id_scope(mut self, id_scope: IdScope) -> Self {
        self.settings.id_scope = id_scope;
        self
    }

    /// Adds an enrollment group. Default: none.
    ///
    /// A simulator without any enrollment gets a group whose key is [`Simulator::demo_group_key`].
    #[must_use]
    pub fn group(mut self, group: EnrollmentGroup) -> Self {
        self.settings.groups.push(group);
        self
    }

    /// Adds an individual enrollment. Default: none.
    #[must_use]
    pub fn individual(mut self, individual: IndividualEnrollment) -> Self {
        self.settings.individuals.push(individual);
        self
    }

    /// Adds a linked hub. Default: `simulated-hub.azure-devices.net`.
    #[must_use]
    pub fn hub(mut self, hub: HostName) -> Self {
        self.settings.hubs.push(hub);
        self
    }

    /// Sets a custom allocation policy. Default: devices are spread evenly, by a stable hash.
    ///
    /// The closure stands for the webhook of the service. It receives the device and its payload,
    /// and returns a hub or a failure, and an optional payload for the device. A hub that is not
    /// linked is a failure.
    ///
    /// The simulator waits for the closure: it must not call the same simulator.
    #[must_use]
    pub fn allocation(
        mut self,
        webhook: impl Fn(&AllocationRequest<'_>) -> Allocation + Send + Sync + 'static,
    ) -> Self {
        self.settings.allocation = Policy::Custom(Arc::new(webhook));
        self
    }

    /// Sets how many polls are answered with `assigning` before the result. Default: 1.
    #[must_use]
    pub fn assigning_polls(mut self, polls: u32) -> Self {
        self.settings.assigning_polls = polls;
        self
    }

    /// Sets the `Retry-After` of an answer that says `assigning`. Default: 3 s, as the service
    /// sends.
    ///
    /// The header has whole seconds. `None` leaves it out.
    #[must_use]
    pub fn retry_after(mut self, retry_after: impl Into<Option<Duration>>) -> Self {
        self.settings.retry_after = retry_after.into();
        self
    }

    /// Sets the limits beyond which the service answers 429. Default: [`Limits::NONE`].
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Sets how many messages the hub takes before it answers 403. Default: no quota.
    ///
    /// The quota counts the messages of all devices together.
    #[must_use]
    pub fn hub_quota(mut self, messages: u64) -> Self {
        self.settings.hub_quota = Some(messages);
        self
    }

    /// Sets whether errors of the service lack the header `x-ms-error-code`. Default: `false`.
    ///
    /// Over TLS they are sent in chunks, too. The real service sometimes does this.
    #[must_use]
    pub fn bare_errors(mut self, bare_errors: bool) -> Self {
        self.settings.bare_errors = bare_errors;
        self
    }

    /// Adds a version of the device API to those that the service accepts.
    ///
    /// Default: the eight that Microsoft has published, from `2018-11-01` to `2026-11-02-preview`.
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
