//! The credentials of a device with a symmetric key for its hub.

use alloc::string::String;
use core::borrow::Borrow;
use core::fmt;
use core::time::Duration;

use crate::assignment::Assignment;
use crate::attestation::KeySlot;
use crate::hub::mqtt_login::MqttLogin;
use crate::identity::{DeviceId, HubName, ModuleId};
use crate::key::{DeviceKey, Signer, SignerError};
use crate::sas::{DEFAULT_TOKEN_LIFETIME, Resource, SasToken, TokenCache};
use crate::time::UnixTime;
use crate::zeroizing;

/// The reason why credentials do not match the ones that the service accepted.
///
/// ```
/// use azure_iot_dps::hub::CredentialsError;
/// use azure_iot_dps::{Assignment, DeviceKey, HubCredentials};
///
/// # let assignment: Assignment = serde_json::from_str(
/// #     r#"{"registrationId":"my-device","assignedHub":"my-hub.azure-devices.net",
/// #     "deviceId":"my-device","keyUsed":"secondary"}"#,
/// # )?;
/// let key = DeviceKey::from_base64("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=")?;
/// let second = DeviceKey::from_base64("miuSB501eJKWtdSGawOlw0wbqw7z4flDPUIeAsCTiWs=")?;
/// let credentials = match HubCredentials::new(&assignment, &key) {
///     Err(CredentialsError::SecondaryKeyRequired) => {
///         HubCredentials::with_keys(&assignment, &key, &second)?
///     }
///     other => other?,
/// };
/// assert_eq!(credentials.device_id().as_str(), "my-device");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The service accepted the device's secondary key, and only one key was given.
    #[error("the service accepted the device's secondary key: both keys are needed")]
    SecondaryKeyRequired,
    /// The service accepted the device's certificate, and a symmetric key was given.
    #[error("the service accepted a certificate, not a symmetric key")]
    NoSymmetricKey,
    /// The service accepted a symmetric key, and the hub would refuse a certificate.
    #[error("the service accepted a symmetric key, not a certificate")]
    NoCertificate,
}

/// The credentials of a device with a symmetric key for the hub that it is assigned to.
///
/// They work with any MQTT or HTTPS client. They keep a SAS token, and sign a new one if a token is
/// asked for and less than a sixth of the kept one's lifetime is left. They read no clock and start
/// no thread: ask for a token at each connection. A hub ends an MQTT connection when its token
/// expires, so ask [`needs_renewal`](Self::needs_renewal) now and then, and connect again when it
/// returns `true`.
///
/// The signer is owned or borrowed: a `&DeviceKey` works, and so does a secure element.
///
/// Source: Microsoft, "Control access to IoT Hub using shared access signatures" and "Communicate
/// with an IoT hub using the MQTT protocol".
///
/// # Examples
///
/// ```
/// use azure_iot_dps::time::UnixTime;
/// use azure_iot_dps::{Assignment, DeviceKey, HubCredentials};
/// use std::time::Duration;
///
/// # let assignment: Assignment = serde_json::from_str(
/// #     r#"{"registrationId":"my-device","assignedHub":"my-hub.azure-devices.net",
/// #     "deviceId":"my-device","keyUsed":"primary"}"#,
/// # )?;
/// let key = DeviceKey::from_base64("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=")?;
/// let mut credentials = HubCredentials::new(&assignment, &key)?;
/// let now = UnixTime::from_secs(1_800_000_000);
///
/// // The `Authorization` header over HTTPS. It is valid for an hour by default.
/// let token = credentials.token(now)?;
/// assert_eq!(token.resource_uri(), "my-hub.azure-devices.net/devices/my-device");
/// assert_eq!(token.expires_at(), now.saturating_add(Duration::from_secs(60 * 60)));
/// assert!(!credentials.needs_renewal(now.saturating_add(Duration::from_secs(50 * 60))));
/// assert!(credentials.needs_renewal(now.saturating_add(Duration::from_secs(51 * 60))));
///
/// // The parameters of an MQTT connection.
/// let login = credentials.mqtt(now)?;
/// assert_eq!((login.host(), login.port()), ("my-hub.azure-devices.net", 8883));
/// # assert_eq!(login.client_id(), "my-device");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The following code connects with the MQTT client rumqttc. The guide's chapter
/// [`rumqttc`](crate::guide::rumqttc) contains the whole device.
///
#[doc = "```rust,ignore"]
#[doc = include_str!("rumqttc.rs")]
#[doc = "```"]
pub struct HubCredentials<S> {
    hub: HubName,
    device_id: DeviceId,
    module_id: Option<ModuleId>,
    /// Signs with the key that the service accepted.
    signer: S,
    tokens: TokenCache,
}

impl<S: Signer> HubCredentials<S> {
    /// Creates credentials for the hub of this assignment, for a device with one key.
    ///
    /// # Errors
    ///
    /// Returns [`CredentialsError::SecondaryKeyRequired`] if the service accepted the secondary
    /// key, and [`CredentialsError::NoSymmetricKey`] if it accepted a certificate. The hub would
    /// refuse the tokens that this key signs.
    pub fn new(assignment: &Assignment, signer: S) -> Result<Self, CredentialsError> {
        match assignment.key_used() {
            Some(KeySlot::Primary) => Ok(Self::signed_by(assignment, signer)),
            Some(KeySlot::Secondary) => Err(CredentialsError::SecondaryKeyRequired),
            None => Err(CredentialsError::NoSymmetricKey),
        }
    }

    /// Creates credentials for a device with both keys, and uses the one that the service accepted.
    ///
    /// If the two have different types, box both as `Box<dyn Signer>`.
    ///
    /// # Errors
    ///
    /// Returns [`CredentialsError::NoSymmetricKey`] if the service accepted a certificate.
    pub fn with_keys(assignment: &Assignment, primary: S, secondary: S) -> Result<Self, CredentialsError> {
        let key = assignment.key_used().ok_or(CredentialsError::NoSymmetricKey)?;
        Ok(Self::signed_by(assignment, key.of(primary, Some(secondary))))
    }

    fn signed_by(assignment: &Assignment, signer: S) -> Self {
        let tokens = TokenCache::for_connections(DEFAULT_TOKEN_LIFETIME);
        let (hub, device_id) = (assignment.hub().clone(), assignment.device_id().clone());
        Self { hub, device_id, module_id: None, signer, tokens }
    }

    /// Creates credentials for a module of the device. `signer` holds the module's key.
    #[must_use]
    pub fn for_module(assignment: &Assignment, module_id: ModuleId, signer: S) -> Self {
        Self { module_id: Some(module_id), ..Self::signed_by(assignment, signer) }
    }

    /// Sets the lifetime of a token. Default: 1 h.
    ///
    /// The lifetime is clamped to 5 min at least and 365 days at most. A token that was signed
    /// before is dropped.
    #[must_use]
    pub fn token_lifetime(self, lifetime: Duration) -> Self {
        Self { tokens: TokenCache::for_connections(lifetime), ..self }
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

    /// Returns the module's ID, or `None` if these are the device's own credentials.
    #[must_use]
    pub fn module_id(&self) -> Option<&ModuleId> {
        self.module_id.as_ref()
    }

    /// Returns a token that does not need renewal at this time: the kept one, or a new one.
    ///
    /// It is the value of the `Authorization` header over HTTPS.
    ///
    /// `time` is the current time. [`Assignment::time_at`](crate::Assignment::time_at) returns it,
    /// even if the device's wall clock is wrong or missing and the service has told the time.
    ///
    /// # Errors
    ///
    /// Returns [`SignerError`] if the signer fails. A [`DeviceKey`] never fails.
    pub fn token(&mut self, time: UnixTime) -> Result<&SasToken, SignerError> {
        let Self { hub, device_id, module_id, signer, tokens } = self;
        tokens.token_at(time, |expires_at| {
            let resource = match module_id {
                None => Resource::device(hub, device_id),
                Some(module_id) => Resource::module(hub, device_id, module_id),
            };
            SasToken::sign(resource, signer, expires_at)
        })
    }

    /// Returns whether [`token`](Self::token) would sign a new token at this time.
    #[must_use]
    pub fn needs_renewal(&self, time: UnixTime) -> bool {
        !self.tokens.is_good_at(time)
    }

    /// Returns the parameters of an MQTT connection, with the [`token`](Self::token) at this time.
    ///
    /// # Errors
    ///
    /// Returns [`SignerError`] if the signer fails. A [`DeviceKey`] never fails.
    pub fn mqtt(&mut self, time: UnixTime) -> Result<MqttLogin<'_>, SignerError> {
        self.token(time)?;
        let password = self.tokens.token().map(SasToken::as_str);
        Ok(MqttLogin::new(&self.hub, &self.device_id, self.module_id.as_ref(), password))
    }
}

impl<S: Signer + Borrow<DeviceKey>> HubCredentials<S> {
    /// Returns the connection string, for software that accepts nothing else.
    ///
    /// The string contains the key itself. The method therefore exists only for a key in memory.
    /// [`ConnectionString`] has an example.
    #[must_use]
    pub fn connection_string(&self) -> ConnectionString {
        let key = self.signer.borrow().to_base64();
        let module_id = self.module_id.as_ref().map(|module_id| (";ModuleId=", module_id.as_str()));
        let device = [("HostName=", self.hub.as_str()), (";DeviceId=", self.device_id.as_str())];
        let parts = device.into_iter().chain(module_id).chain([(";SharedAccessKey=", key.as_str())]);
        let length = parts.clone().map(|(name, value)| name.len().saturating_add(value.len())).sum();
        let mut text = zeroizing::Text(String::with_capacity(length));
        text.extend(parts.flat_map(|(name, value)| [name, value]));
        ConnectionString(text)
    }
}

impl<S> fmt::Debug for HubCredentials<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubCredentials")
            .field("hub", &self.hub)
            .field("device_id", &self.device_id)
            .field("module_id", &self.module_id)
            .field("tokens", &self.tokens)
            .finish_non_exhaustive()
    }
}

/// A connection string, which contains the device's key.
///
/// [`HubCredentials::connection_string`] creates it. It is zeroized when dropped and hidden from
/// `Debug`. It has no `Display`, so that it is not printed by mistake.
///
/// ```
/// use azure_iot_dps::{Assignment, DeviceKey, HubCredentials};
///
/// # let assignment: Assignment = serde_json::from_str(
/// #     r#"{"registrationId":"my-device","assignedHub":"my-hub.azure-devices.net",
/// #     "deviceId":"my-device","keyUsed":"primary"}"#,
/// # )?;
/// let key = DeviceKey::from_base64("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=")?;
/// let text = HubCredentials::new(&assignment, &key)?.connection_string();
/// let start = "HostName=my-hub.azure-devices.net;DeviceId=my-device;SharedAccessKey=";
/// assert!(text.as_str().starts_with(start));
/// assert_eq!(format!("{text:?}"), "ConnectionString(<hidden>)");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ConnectionString(zeroizing::Text);

impl ConnectionString {
    /// Returns the secret: `HostName={hub};DeviceId={deviceId};SharedAccessKey={key}`.
    ///
    /// A module's string contains `;ModuleId={moduleId}` before the key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionString(<hidden>)")
    }
}
