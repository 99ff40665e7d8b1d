//! A device that has registered.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde_json::value::RawValue;

use crate::identity::{DeviceId, HostName, RegistrationId};
use crate::simulator::allocation::Failure;

/// A device that has registered.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "the field's terms")]
pub(super) struct Device {
    /// As it was written last.
    pub(super) registration_id: RegistrationId,
    pub(super) operation_id: String,
    pub(super) polls_left: u32,
    pub(super) created: Duration,
    pub(super) updated: Duration,
    /// What will have come of the registration that is under way, or has come of the last one.
    pub(super) outcome: Outcome,
    /// Where the device is until it is told otherwise: the hub, and how it came there.
    pub(super) assigned: Option<(HostName, &'static str)>,
    /// The name in the hub.
    pub(super) device_id: DeviceId,
    pub(super) group: Option<String>,
    pub(super) payload: Option<Box<RawValue>>,
    pub(super) certificates: Option<Vec<String>>,
    pub(super) first_hub: Option<HostName>,
}

/// What came of its last registration.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Assigned { hub: HostName, substatus: &'static str },
    Failed(Failure),
    Disabled,
}

impl Device {
    /// The hub that knows the device.
    pub(super) fn hub(&self) -> Option<&HostName> {
        self.assigned.as_ref().map(|(hub, _)| hub)
    }

    pub(super) fn is_enabled(&self) -> bool {
        !matches!(self.outcome, Outcome::Disabled)
    }
}
