//! What a device with a certificate shows to its hub.

use alloc::format;
use alloc::string::String;

use super::credentials::CredentialsError;
use super::mqtt_login::MqttLogin;
use crate::assignment::Assignment;
use crate::identity::{DeviceId, HubName};

/// What a device that was let in with a certificate shows to the hub, beside the certificate itself.
///
/// The MQTT client presents the same certificate, with its chain, in the TLS handshake, and connects without a password. A hub that
/// refuses it is one that does not know the device any more: see
/// [`HubFailure::CERTIFICATE_REFUSED`](super::HubFailure::CERTIFICATE_REFUSED).
///
/// ```
/// use azure_iot_dps::hub::{CredentialsError, X509Credentials};
/// use azure_iot_dps::Assignment;
///
/// fn login(assignment: &Assignment) -> Result<(), CredentialsError> {
///     let credentials = X509Credentials::new(assignment)?;
///     let login = credentials.mqtt();
///     assert_eq!((login.port(), login.password()), (8883, None));
///     assert!(credentials.connection_string().ends_with(";x509=true"));
///     Ok(())
/// }
/// ```
///
/// Source: Microsoft, "Authenticate a device to IoT Hub with X.509 certificates".
#[derive(Clone, Debug)]
pub struct X509Credentials {
    hub: HubName,
    device_id: DeviceId,
}

impl X509Credentials {
    /// Creates credentials for the hub of this assignment.
    ///
    /// # Errors
    ///
    /// A symmetric key let the device in: the hub would refuse a certificate.
    pub fn new(assignment: &Assignment) -> Result<Self, CredentialsError> {
        if assignment.key_used().is_some() {
            return Err(CredentialsError::NoCertificate);
        }
        Ok(Self { hub: assignment.hub().clone(), device_id: assignment.device_id().clone() })
    }

    /// The hub.
    #[must_use]
    pub fn hub(&self) -> &HubName {
        &self.hub
    }

    /// The device's name in the hub.
    #[must_use]
    pub fn device_id(&self) -> &DeviceId {
        &self.device_id
    }

    /// What an MQTT client needs to connect, beside the certificate.
    #[must_use]
    pub fn mqtt(&self) -> MqttLogin<'_> {
        MqttLogin::new(&self.hub, &self.device_id, None)
    }

    /// The connection string, for software that takes nothing else. It holds no secret.
    #[must_use]
    pub fn connection_string(&self) -> String {
        format!("HostName={};DeviceId={};x509=true", self.hub, self.device_id)
    }
}
