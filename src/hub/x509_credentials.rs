//! The credentials of a device with a certificate for its hub.

use alloc::format;
use alloc::string::String;

use super::credentials::CredentialsError;
use super::mqtt_login::MqttLogin;
use crate::assignment::Assignment;
use crate::identity::{DeviceId, HubName, ModuleId};

/// The credentials of a device with a certificate, without the certificate itself.
///
/// The MQTT client presents the certificate that the service accepted, with its chain, in the TLS
/// handshake. It connects without a password. If the hub refuses the certificate, tell
/// [`Reconnection`](super::Reconnection):
/// [`HubFailure::CERTIFICATE_REFUSED`](super::HubFailure::CERTIFICATE_REFUSED).
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
/// let login = credentials.mqtt();
/// assert_eq!((login.port(), login.password()), (8883, None));
/// assert_eq!(
///     credentials.connection_string(),
///     "HostName=my-hub.azure-devices.net;DeviceId=my-device;x509=true"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Source: Microsoft, "Authenticate a device to IoT Hub with X.509 certificates".
#[derive(Clone, Debug)]
pub struct X509Credentials {
    hub: HubName,
    device_id: DeviceId,
    module_id: Option<ModuleId>,
}

impl X509Credentials {
    /// Creates credentials for the hub of this assignment.
    ///
    /// # Errors
    ///
    /// Returns [`CredentialsError::NoCertificate`] if the service accepted a symmetric key. The hub
    /// would refuse a certificate.
    pub fn new(assignment: &Assignment) -> Result<Self, CredentialsError> {
        if assignment.key_used().is_some() {
            return Err(CredentialsError::NoCertificate);
        }
        Ok(Self::of(assignment))
    }

    /// Creates credentials for a module of the device. The module presents its own certificate.
    #[must_use]
    pub fn for_module(assignment: &Assignment, module_id: ModuleId) -> Self {
        Self { module_id: Some(module_id), ..Self::of(assignment) }
    }

    fn of(assignment: &Assignment) -> Self {
        Self { hub: assignment.hub().clone(), device_id: assignment.device_id().clone(), module_id: None }
    }

    /// Returns the hub.
    #[must_use]
    pub fn hub(&self) -> &HubName {
        &self.hub
    }

    /// Returns the device's ID in the hub.
    #[must_use]
    pub fn device_id(&self) -> &DeviceId {
        &self.device_id
    }

    /// Returns the parameters of an MQTT connection, without the certificate.
    #[must_use]
    pub fn mqtt(&self) -> MqttLogin<'_> {
        MqttLogin::new(&self.hub, &self.device_id, self.module_id.as_ref(), None)
    }

    /// Returns the connection string, for software that accepts nothing else.
    ///
    /// It contains no secret.
    #[must_use]
    pub fn connection_string(&self) -> String {
        let module = self.module_id.as_ref().map(|module_id| format!(";ModuleId={module_id}")).unwrap_or_default();
        format!("HostName={};DeviceId={}{module};x509=true", self.hub, self.device_id)
    }
}
