//! The settings of a simulator.

use std::time::Duration;

use azure_iot_dps::identity::{HostName, IdScope};

use crate::allocation::Policy;
use crate::enrollment::{EnrollmentGroup, IndividualEnrollment};
use crate::key::SymmetricKey;
use crate::limits::Limits;

/// The versions of the device API that the service accepts.
pub(crate) const API_VERSIONS: [&str; 8] = [
    "2018-11-01",
    "2019-01-15",
    "2019-03-31",
    "2021-06-01",
    "2021-10-01",
    "2025-07-01-preview",
    "2026-11-01",
    "2026-11-02-preview",
];

/// The key of the group of a simulator without any enrollment. It is public.
pub(crate) const DEMO_KEY: &[u8; 64] = b"a key for tests that everybody knows, and so is worth nothing...";

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) id_scope: IdScope,
    pub(crate) groups: Vec<EnrollmentGroup>,
    pub(crate) individuals: Vec<IndividualEnrollment>,
    pub(crate) hubs: Vec<HostName>,
    pub(crate) allocation: Policy,
    pub(crate) assigning_polls: u32,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) limits: Limits,
    pub(crate) hub_quota: Option<u64>,
    pub(crate) api_versions: Vec<String>,
    pub(crate) bare_errors: bool,
}

impl Settings {
    pub(crate) fn new() -> Self {
        Self {
            // The example of Microsoft's documentation, which is a valid ID scope.
            id_scope: IdScope::new("0ne00002193").unwrap_or_else(|_| unreachable!()),
            groups: Vec::new(),
            individuals: Vec::new(),
            hubs: Vec::new(),
            allocation: Policy::Even,
            assigning_polls: 1,
            retry_after: Some(Duration::from_secs(3)),
            limits: Limits::NONE,
            hub_quota: None,
            api_versions: API_VERSIONS.map(ToOwned::to_owned).into(),
            bare_errors: false,
        }
    }

    /// Adds an enrollment if there is none, and a hub if there is none.
    pub(crate) fn completed(mut self) -> Self {
        if self.groups.is_empty() && self.individuals.is_empty() {
            let key = SymmetricKey::from_bytes(DEMO_KEY).ok();
            self.groups.extend(key.map(|key| EnrollmentGroup::new("demo", key)));
        }
        if self.hubs.is_empty() {
            self.hubs.extend(HostName::new("simulated-hub.azure-devices.net"));
        }
        self
    }
}
