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
    /// As it was written last.
    pub(in crate::simulator) registration_id: RegistrationId,
    pub(in crate::simulator) operation_id: String,
    /// Operations that were begun before, the last few: whoever began one can ask about it still.
    pub(in crate::simulator) earlier_operations: VecDeque<String>,
    pub(in crate::simulator) polls_left: u32,
    pub(in crate::simulator) created: Duration,
    pub(in crate::simulator) updated: Duration,
    /// What will have come of the registration that is under way, or has come of the last one.
    pub(in crate::simulator) outcome: Outcome,
    /// Where the device is until it is told otherwise: the hub, and how it came there.
    pub(in crate::simulator) assigned: Option<(HostName, &'static str)>,
    /// The name in the hub.
    pub(in crate::simulator) device_id: DeviceId,
    pub(in crate::simulator) group: Option<String>,
    pub(in crate::simulator) payload: Option<Box<RawValue>>,
    pub(in crate::simulator) certificates: Option<Vec<String>>,
    /// The certificate that let it in.
    pub(super) certificate: Option<CertificateDescription>,
    pub(in crate::simulator) first_hub: Option<HostName>,
}

/// What came of its last registration.
#[derive(Clone, Debug)]
pub(in crate::simulator) enum Outcome {
    Assigned { hub: HostName, substatus: &'static str },
    Failed(Failure),
    Disabled,
}

/// Two processes of one device, and then some.
const MAX_EARLIER_OPERATIONS: usize = 4;

impl Device {
    /// Whether this is one of its operations. They all end as the last one does.
    pub(in crate::simulator) fn has_operation(&self, operation_id: &str) -> bool {
        self.operation_id == operation_id || self.earlier_operations.iter().any(|it| it == operation_id)
    }

    /// The operations that stay once another one begins.
    pub(in crate::simulator) fn operations_to_keep(&self) -> VecDeque<String> {
        let mut operations = self.earlier_operations.clone();
        operations.push_back(self.operation_id.clone());
        while operations.len() > MAX_EARLIER_OPERATIONS {
            operations.pop_front();
        }
        operations
    }

    /// The hub that knows the device.
    pub(in crate::simulator) fn hub(&self) -> Option<&HostName> {
        self.assigned.as_ref().map(|(hub, _)| hub)
    }

    pub(in crate::simulator) fn is_enabled(&self) -> bool {
        !matches!(self.outcome, Outcome::Disabled)
    }
}
