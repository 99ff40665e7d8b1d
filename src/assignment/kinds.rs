//! The words that the service uses in an assignment.

use alloc::boxed::Box;
use core::fmt;

/// The cause of an assignment.
///
/// ```
/// # use azure_iot_dps::assignment::Substatus;
/// assert_eq!(Substatus::DeviceDataReset.to_string(), "deviceDataReset");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Substatus {
    /// The device was assigned for the first time.
    InitialAssignment,
    /// The device was moved to another hub together with its data.
    DeviceDataMigrated,
    /// The device was moved to another hub, and its data was reset to the enrollment's state.
    DeviceDataReset,
    /// The device was moved back to the hub of its first assignment.
    ReprovisionedToInitialAssignment,
    /// A substatus that this version does not know.
    Other(Box<str>),
}

impl Substatus {
    pub(super) fn from_json(text: &str) -> Self {
        let known = [
            Self::InitialAssignment,
            Self::DeviceDataMigrated,
            Self::DeviceDataReset,
            Self::ReprovisionedToInitialAssignment,
        ];
        known.into_iter().find(|it| it.as_str() == text).unwrap_or_else(|| Self::Other(text.into()))
    }

    /// Returns the service's name of the substatus, such as `initialAssignment`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::InitialAssignment => "initialAssignment",
            Self::DeviceDataMigrated => "deviceDataMigrated",
            Self::DeviceDataReset => "deviceDataReset",
            Self::ReprovisionedToInitialAssignment => "reprovisionedToInitialAssignment",
            Self::Other(text) => text,
        }
    }
}

impl fmt::Display for Substatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The kind of connection that a hub expects of a device.
///
/// ```
/// # use azure_iot_dps::assignment::ConnectionProfile;
/// assert_eq!(ConnectionProfile::Classic.to_string(), "classic");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionProfile {
    /// `classic`: MQTT 3.1.1, AMQP or HTTPS.
    Classic,
    /// `mqttV5`: MQTT 5.
    MqttV5,
    /// A profile that this version does not know.
    Other(Box<str>),
}

impl ConnectionProfile {
    pub(super) fn from_json(text: &str) -> Self {
        let known = [Self::Classic, Self::MqttV5];
        known.into_iter().find(|it| it.as_str() == text).unwrap_or_else(|| Self::Other(text.into()))
    }

    /// Returns the service's name of the profile, such as `classic`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Classic => "classic",
            Self::MqttV5 => "mqttV5",
            Self::Other(text) => text,
        }
    }
}

impl fmt::Display for ConnectionProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
