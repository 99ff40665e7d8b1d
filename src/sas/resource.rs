//! The resource that a token gives access to.

use alloc::string::String;
use core::fmt::{self, Write};

use crate::encoding::percent_encode;
use crate::identity::{DeviceId, HubName, IdScope, ModuleId, RegistrationId};

/// The resource that a token gives access to, and its key name (`skn`).
///
/// `Display` writes the resource URI without percent-encoding and without the key name.
///
/// ```
/// use azure_iot_dps::identity::{DeviceId, HubName};
/// use azure_iot_dps::sas::Resource;
///
/// let hub = HubName::new("my-hub.azure-devices.net")?;
/// let device_id = DeviceId::new("my-device")?;
/// let resource = Resource::device(&hub, &device_id);
/// assert_eq!(resource.to_string(), "my-hub.azure-devices.net/devices/my-device");
/// # Ok::<(), azure_iot_dps::identity::NameError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    segments: [Segment<'a>; 5],
    key_name: Segment<'a>,
}

/// A segment of a resource URI, or a key name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Segment<'a> {
    None,
    /// Text that percent-encoding does not change.
    Plain(&'a str),
    Any(&'a str),
}

impl<'a> Segment<'a> {
    pub(super) fn text(self) -> Option<&'a str> {
        match self {
            Self::None => None,
            Self::Plain(text) | Self::Any(text) => Some(text),
        }
    }

    /// Returns an upper bound of the encoded length.
    fn max_encoded_len(self) -> usize {
        match self {
            Self::None => 0,
            Self::Plain(text) => text.len(),
            Self::Any(text) => text.len().saturating_mul(3),
        }
    }

    pub(super) fn encode_into(self, output: &mut String) {
        match self {
            Self::None => {}
            Self::Plain(text) => output.push_str(text),
            Self::Any(text) => output.extend(percent_encode(text)),
        }
    }
}

impl<'a> Resource<'a> {
    /// Creates the resource of a device's registration with DPS.
    ///
    /// The URI is `{idScope}/registrations/{registrationId}`, the key name `registration`.
    #[must_use]
    pub fn registration(id_scope: &'a IdScope, registration_id: &'a RegistrationId) -> Self {
        let [id_scope, registrations] = [id_scope.as_str(), "registrations"].map(Segment::Plain);
        // `:` is the only character of a registration ID that percent-encoding changes.
        let registration_id = match registration_id.as_str() {
            id if id.contains(':') => Segment::Any(id),
            id => Segment::Plain(id),
        };
        let segments = [id_scope, registrations, registration_id, Segment::None, Segment::None];
        Self { segments, key_name: Segment::Plain("registration") }
    }

    /// Creates the resource of a device in its hub.
    ///
    /// The URI is `{hub}/devices/{deviceId}`. There is no key name.
    #[must_use]
    pub fn device(hub: &'a HubName, device_id: &'a DeviceId) -> Self {
        let [hub, device_id] = [hub.as_str(), device_id.as_str()].map(Segment::Any);
        let segments = [hub, Segment::Plain("devices"), device_id, Segment::None, Segment::None];
        Self { segments, key_name: Segment::None }
    }

    /// Creates the resource of a module of a device in its hub.
    ///
    /// The URI is `{hub}/devices/{deviceId}/modules/{moduleId}`. There is no key name.
    #[must_use]
    pub fn module(hub: &'a HubName, device_id: &'a DeviceId, module_id: &'a ModuleId) -> Self {
        let device = Self::device(hub, device_id);
        let [hub, devices, device_id, ..] = device.segments;
        let [modules, module_id] = [Segment::Plain("modules"), Segment::Any(module_id.as_str())];
        Self { segments: [hub, devices, device_id, modules, module_id], ..device }
    }

    /// Creates a resource from its URI, without a key name.
    ///
    /// The URI must not be percent-encoded: signing encodes it.
    #[must_use]
    pub fn uri(uri: &'a str) -> Self {
        let none = Segment::None;
        Self { segments: [Segment::Any(uri), none, none, none, none], key_name: none }
    }

    /// Sets the key name, the token's `skn`. An empty name removes it.
    #[must_use]
    pub fn with_key_name(self, key_name: &'a str) -> Self {
        let key_name = if key_name.is_empty() { Segment::None } else { Segment::Any(key_name) };
        Self { key_name, ..self }
    }

    pub(super) fn key_name(&self) -> Segment<'a> {
        self.key_name
    }

    /// Returns an upper bound of the encoded length of the URI and the key name.
    pub(super) fn max_encoded_len(&self) -> usize {
        const SLASHES: usize = 4 * "%2F".len();
        let segments = self.segments.into_iter().chain([self.key_name]);
        segments.map(Segment::max_encoded_len).fold(SLASHES, usize::saturating_add)
    }

    /// Writes the URI, percent-encoded.
    pub(super) fn encode_into(&self, output: &mut String) {
        let mut separator = "";
        for segment in self.segments.into_iter().take_while(|segment| !matches!(segment, Segment::None)) {
            output.push_str(separator);
            segment.encode_into(output);
            separator = "%2F";
        }
    }
}

/// Writes the resource URI, without percent-encoding.
impl fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.segments.iter().filter_map(|segment| segment.text()).enumerate() {
            if index > 0 {
                f.write_char('/')?;
            }
            f.write_str(segment)?;
        }
        Ok(())
    }
}
