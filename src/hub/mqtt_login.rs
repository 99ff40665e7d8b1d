//! The parameters of an MQTT connection to a hub.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use core::fmt;

use crate::encoding::percent_encode;
use crate::identity::{DeviceId, HubName, ModuleId};

/// Source: Microsoft, "Communicate with an IoT hub using the MQTT protocol".
const MQTT_PORT: u16 = 8883;
const MQTT_API_VERSION: &str = "2021-04-12";

/// The parameters of an MQTT 3.1.1 connection to a hub over TLS.
///
/// [`HubCredentials::mqtt`](super::HubCredentials::mqtt) and
/// [`X509Credentials::mqtt`](super::X509Credentials::mqtt) create it.
///
/// To connect through a gateway, use the gateway's host instead of [`host`](Self::host). The other
/// parameters still name the hub.
///
/// ```
/// use azure_iot_dps::Assignment;
/// use azure_iot_dps::hub::X509Credentials;
///
/// # let assignment: Assignment = serde_json::from_str(
/// #     r#"{"registrationId":"my-device","assignedHub":"my-hub.azure-devices.net",
/// #     "deviceId":"my-device"}"#,
/// # )?;
/// let credentials = X509Credentials::new(&assignment)?;
/// let login = credentials.mqtt().with_model_id("dtmi:com:example:Thermostat;1");
/// assert_eq!(
///     login.user_name(),
///     "my-hub.azure-devices.net/my-device/?api-version=2021-04-12\
///      &model-id=dtmi%3Acom%3Aexample%3AThermostat%3B1"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MqttLogin<'a> {
    hub: &'a HubName,
    client_id: Cow<'a, str>,
    user_name: String,
    password: Option<&'a str>,
}

impl<'a> MqttLogin<'a> {
    pub(super) fn new(
        hub: &'a HubName,
        device_id: &'a DeviceId,
        module_id: Option<&ModuleId>,
        password: Option<&'a str>,
    ) -> Self {
        let client_id: Cow<'a, str> = match module_id {
            None => device_id.as_str().into(),
            Some(module_id) => format!("{device_id}/{module_id}").into(),
        };
        let user_name = format!("{hub}/{client_id}/?api-version={MQTT_API_VERSION}");
        Self { hub, client_id, user_name, password }
    }

    /// Announces the IoT Plug and Play model of the device, such as
    /// `dtmi:com:example:Thermostat;1`.
    ///
    /// Source: Microsoft, "IoT Plug and Play device developer guide".
    #[must_use]
    pub fn with_model_id(self, model_id: &str) -> Self {
        self.with_property("model-id", model_id)
    }

    /// Adds a property to the user name, such as `DeviceClientType` with the name of the software.
    ///
    /// The name and the value are percent-encoded.
    #[must_use]
    pub fn with_property(mut self, name: &str, value: &str) -> Self {
        self.user_name.push('&');
        self.user_name.extend(percent_encode(name));
        self.user_name.push('=');
        self.user_name.extend(percent_encode(value));
        self
    }

    /// Returns the host to connect to: the hub's, without a port and without trailing dots.
    #[must_use]
    pub fn host(&self) -> &str {
        self.hub.host()
    }

    /// Returns the port to connect to: 8883.
    #[must_use]
    pub fn port(&self) -> u16 {
        MQTT_PORT
    }

    /// Returns the client ID: the device ID, or `{deviceId}/{moduleId}` for a module.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Returns the user name: `{hub}/{clientId}/?api-version=2021-04-12` and the properties.
    #[must_use]
    pub fn user_name(&self) -> &str {
        &self.user_name
    }

    /// Returns the password, which is the SAS token, or `None` for a client certificate.
    ///
    /// The password is a secret.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        self.password
    }
}

impl fmt::Debug for MqttLogin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MqttLogin")
            .field("host", &self.host())
            .field("client_id", &self.client_id)
            .field("user_name", &self.user_name)
            .field("password", &format_args!("<hidden>"))
            .finish_non_exhaustive()
    }
}
