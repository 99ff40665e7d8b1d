//! What an MQTT client shows to a hub.

use alloc::format;
use alloc::string::String;
use core::fmt;

use crate::identity::{DeviceId, HubName};

/// Source: Microsoft, "Communicate with an IoT hub using the MQTT protocol".
const MQTT_PORT: u16 = 8883;
const MQTT_API_VERSION: &str = "2021-04-12";

/// What an MQTT 3.1.1 client needs to connect to a hub over TLS. Made by [`HubCredentials::mqtt`](super::HubCredentials::mqtt) and
/// [`X509Credentials::mqtt`](super::X509Credentials::mqtt).
///
/// Through a gateway, connect to that instead of [`host`](Self::host); the rest still names the hub.
pub struct MqttLogin<'a> {
    hub: &'a HubName,
    device_id: &'a DeviceId,
    user_name: String,
    password: Option<&'a str>,
}

impl<'a> MqttLogin<'a> {
    pub(super) fn new(hub: &'a HubName, device_id: &'a DeviceId, password: Option<&'a str>) -> Self {
        let user_name = format!("{hub}/{device_id}/?api-version={MQTT_API_VERSION}");
        Self { hub, device_id, user_name, password }
    }

    /// The host to connect to: the hub's, without a port and without trailing dots.
    #[must_use]
    pub fn host(&self) -> &str {
        self.hub.host()
    }

    /// The port to connect to: 8883.
    #[must_use]
    pub fn port(&self) -> u16 {
        MQTT_PORT
    }

    /// The client ID: the device ID.
    #[must_use]
    pub fn client_id(&self) -> &str {
        self.device_id.as_str()
    }

    /// The user name, `{hub}/{deviceId}/?api-version=2021-04-12`.
    #[must_use]
    pub fn user_name(&self) -> &str {
        &self.user_name
    }

    /// The password, a secret: the token. `None` where a client certificate proves who the device is.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        self.password
    }
}

impl fmt::Debug for MqttLogin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MqttLogin")
            .field("host", &self.host())
            .field("client_id", self.device_id)
            .field("user_name", &self.user_name)
            .field("password", &format_args!("<hidden>"))
            .finish_non_exhaustive()
    }
}
