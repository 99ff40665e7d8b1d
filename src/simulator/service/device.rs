//! A device that has registered.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde_json::value::RawValue;

use crate::identity::{DeviceId, HostName, RegistrationId};
use crate::simulator::allocation::Failure;
use crate::simulator::service::description::CertificateDescription;

/// A device that has registered.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "the field's terms")]
pub(in crate::simulator) struct Device {
    /// The registration ID as it was last written.
    pub(in crate::simulator) registration_id: RegistrationId,
    pub(in crate::simulator) operation_id: String,
    /// The last few earlier operations, which a device can still poll.
    pub(in crate::simulator) earlier_operations: VecDeque<String>,
    pub(in crate::simulator) polls_left: u32,
    pub(in crate::simulator) created: Duration,
    pub(in crate::simulator) updated: Duration,
    /// The outcome of the current registration, which is decided at its start, or of the last one.
    pub(in crate::simulator) outcome: Outcome,
    /// The current assignment, until the device is told another: the hub and the substatus.
    pub(in crate::simulator) assigned: Option<(HostName, &'static str)>,
    /// The device ID, the name in the hub.
    pub(in crate::simulator) device_id: DeviceId,
    pub(in crate::simulator) group: Option<String>,
    pub(in crate::simulator) payload: Option<Box<RawValue>>,
    pub(in crate::simulator) certificates: Option<Vec<String>>,
    /// The certificate that authorized the device.
    pub(super) certificate: Option<CertificateDescription>,
    pub(in crate::simulator) first_hub: Option<HostName>,
}

/// The outcome of a registration.
#[derive(Clone, Debug)]
pub(in crate::simulator) enum Outcome {
    Assigned { hub: HostName, substatus: &'static str },
    Failed(Failure),
    Disabled,
}

/// The most earlier operations that are kept: enough for two processes of one device, and more.
const MAX_EARLIER_OPERATIONS: usize = 4;

impl Device {
    /// Returns whether this is an operation of the device. All of them end like the last one.
    pub(in crate::simulator) fn has_operation(&self, operation_id: &str) -> bool {
        self.operation_id == operation_id || self.earlier_operations.iter().any(|it| it == operation_id)
    }

    /// Returns the operations to keep when another one begins.
    pub(in crate::simulator) fn operations_to_keep(&self) -> VecDeque<String> {
        let mut operations = self.earlier_operations.clone();
        operations.push_back(self.operation_id.clone());
        while operations.len() > MAX_EARLIER_OPERATIONS {
            operations.pop_front();
        }
        operations
    }

    /// Returns the hub that the device is assigned to.
    pub(in crate::simulator) fn hub(&self) -> Option<&HostName> {
        self.assigned.as_ref().map(|(hub, _)| hub)
    }

    pub(in crate::simulator) fn is_enabled(&self) -> bool {
        !matches!(self.outcome, Outcome::Disabled)
    }
}
