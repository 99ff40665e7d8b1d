//! A device that has registered.

use std::collections::VecDeque;
use std::time::Duration;

use azure_iot_dps::identity::{DeviceId, HostName, RegistrationId};
use serde_json::value::RawValue;

use crate::allocation::Failure;
use crate::service::description::CertificateDescription;

/// A device that has registered.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "the field's terms")]
pub(crate) struct Device {
    /// The registration ID as it was last written.
    pub(crate) registration_id: RegistrationId,
    pub(crate) operation_id: String,
    /// The last few earlier operations, which a device can still poll.
    pub(crate) earlier_operations: VecDeque<String>,
    pub(crate) polls_left: u32,
    pub(crate) created: Duration,
    pub(crate) updated: Duration,
    /// The outcome of the current registration, which is decided at its start, or of the last one.
    pub(crate) outcome: Outcome,
    /// The current assignment, until the device is told another: the hub and the substatus.
    pub(crate) assigned: Option<(HostName, &'static str)>,
    /// The device ID, the name in the hub.
    pub(crate) device_id: DeviceId,
    pub(crate) group: Option<String>,
    pub(crate) payload: Option<Box<RawValue>>,
    pub(crate) certificates: Option<Vec<String>>,
    /// The certificate that authorized the device.
    pub(super) certificate: Option<CertificateDescription>,
    pub(crate) first_hub: Option<HostName>,
}

/// The outcome of a registration.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Assigned { hub: HostName, substatus: &'static str },
    Failed(Failure),
    Disabled,
}

/// The most earlier operations that are kept: enough for two processes of one device, and more.
const MAX_EARLIER_OPERATIONS: usize = 4;

impl Device {
    /// Returns whether this is an operation of the device. All of them end like the last one.
    pub(crate) fn has_operation(&self, operation_id: &str) -> bool {
        self.operation_id == operation_id || self.earlier_operations.iter().any(|it| it == operation_id)
    }

    /// Returns the operations to keep when another one begins.
    pub(crate) fn operations_to_keep(&self) -> VecDeque<String> {
        let mut operations = self.earlier_operations.clone();
        operations.push_back(self.operation_id.clone());
        while operations.len() > MAX_EARLIER_OPERATIONS {
            operations.pop_front();
        }
        operations
    }

    /// Returns the hub that the device is assigned to.
    pub(crate) fn hub(&self) -> Option<&HostName> {
        self.assigned.as_ref().map(|(hub, _)| hub)
    }

    pub(crate) fn is_enabled(&self) -> bool {
        !matches!(self.outcome, Outcome::Disabled)
    }
}
