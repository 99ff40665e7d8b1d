//! What a device shows to its hub.

use alloc::string::String;
use core::borrow::Borrow;
use core::fmt;
use core::time::Duration;

use crate::assignment::Assignment;
use crate::attestation::KeySlot;
use crate::hub::mqtt_login::MqttLogin;
use crate::identity::{DeviceId, HubName};
use crate::key::{DeviceKey, Signer, SignerError};
use crate::sas::{DEFAULT_TOKEN_LIFETIME, Resource, SasToken, TokenCache};
use crate::time::UnixTime;
use crate::zeroizing;

/// The keys that were given cannot be those that let the device in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The service refused the primary key, let the device in with the secondary one, and only one key was given.
    #[error("the device was let in with its secondary key: give both keys")]
    SecondaryKeyRequired,
    /// A certificate let the device in.
    #[error("the device was let in with a certificate, and has no symmetric key")]
    NoSymmetricKey,
    /// A symmetric key let the device in.
    #[error("the device was let in with a symmetric key, and has no certificate")]
    NoCertificate,
}

/// What a device shows to the hub that it was assigned to, whatever client it uses there.
///
/// It keeps a token and signs another when that one is asked for with less than a sixth of its lifetime left. It reads no
/// clock and starts nothing: whoever connects asks for a fresh token. A hub ends an MQTT connection when its token expires,
/// so ask [`needs_renewal`](Self::needs_renewal) now and then, and connect anew where it says so.
///
/// The signer is owned or borrowed: a `&DeviceKey` will do, and so will a secure element. Source of the forms: Microsoft,
/// "Control access to IoT Hub using shared access signatures", "Communicate with an IoT hub using the MQTT protocol".
///
/// ```
/// use azure_iot_dps::time::UnixTime;
/// use azure_iot_dps::{Assignment, DeviceKey, HubCredentials};
/// use std::error::Error;
///
/// # struct MqttOptions;
/// # impl MqttOptions {
/// #     fn new(_: &str, _: &str, _: u16) -> Self { Self }
/// #     fn set_credentials(&mut self, _: &str, _: &str) {}
/// #     fn set_transport(&mut self, _: ()) {}
/// # }
/// # struct Transport;
/// # impl Transport { fn tls_with_default_config() {} }
/// // As rumqttc takes them; any MQTT client that does TLS will do.
/// fn options(assignment: &Assignment, key: &DeviceKey, now: UnixTime) -> Result<MqttOptions, Box<dyn Error>> {
///     let mut credentials = HubCredentials::new(assignment, key)?;
///     let login = credentials.mqtt(now)?;
///     let mut options = MqttOptions::new(login.client_id(), login.host(), login.port());
///     options.set_credentials(login.user_name(), login.password().unwrap_or_default());
///     options.set_transport(Transport::tls_with_default_config()); // Or the password goes out in clear text.
///     Ok(options)
/// }
/// ```
pub struct HubCredentials<S> {
    hub: HubName,
    device_id: DeviceId,
    /// Signs with the key that let the device in.
    signer: S,
    tokens: TokenCache,
}

impl<S: Signer> HubCredentials<S> {
    /// Creates credentials for the hub of this assignment, for a device with one key.
    ///
    /// # Errors
    ///
    /// The secondary key, or a certificate, let the device in: the hub would refuse what this key signs.
    pub fn new(assignment: &Assignment, signer: S) -> Result<Self, CredentialsError> {
        match assignment.key_used() {
            Some(KeySlot::Primary) => Ok(Self::signed_by(assignment, signer)),
            Some(KeySlot::Secondary) => Err(CredentialsError::SecondaryKeyRequired),
            None => Err(CredentialsError::NoSymmetricKey),
        }
    }

    /// Creates credentials for a device with both keys, and uses the one that let the device in. Where the two are of different
    /// types, box them both as `Box<dyn Signer>`.
    ///
    /// # Errors
    ///
    /// A certificate let the device in.
    pub fn with_keys(assignment: &Assignment, primary: S, secondary: S) -> Result<Self, CredentialsError> {
        let key = assignment.key_used().ok_or(CredentialsError::NoSymmetricKey)?;
        Ok(Self::signed_by(assignment, key.of(primary, Some(secondary))))
    }

    fn signed_by(assignment: &Assignment, signer: S) -> Self {
        let tokens = TokenCache::for_connections(DEFAULT_TOKEN_LIFETIME);
        Self { hub: assignment.hub().clone(), device_id: assignment.device_id().clone(), signer, tokens }
    }

    /// The lifetime of a token. Default 1 h; clamped to 5 min at least and 365 days at most.
    #[must_use]
    pub fn token_lifetime(self, lifetime: Duration) -> Self {
        Self { tokens: TokenCache::for_connections(lifetime), ..self }
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

    /// A token that is good for a while at this time: the one at hand, or a fresh one. The value of the `Authorization` header
    /// over HTTPS.
    ///
    /// `time` is the device's wall clock, or where that is wrong or missing, what the service taught the device:
    /// [`Assignment::time_at`](crate::Assignment::time_at).
    ///
    /// # Errors
    ///
    /// The signer failed; a [`DeviceKey`] never does.
    pub fn token(&mut self, time: UnixTime) -> Result<&SasToken, SignerError> {
        let Self { hub, device_id, signer, tokens } = self;
        tokens.token_at(time, |expires_at| SasToken::sign(Resource::device(hub, device_id), signer, expires_at))
    }

    /// Whether [`token`](Self::token) would sign a fresh one at this time.
    #[must_use]
    pub fn needs_renewal(&self, time: UnixTime) -> bool {
        !self.tokens.is_good_at(time)
    }

    /// What an MQTT client needs to connect, with a token that is good for a while at this time.
    ///
    /// # Errors
    ///
    /// The signer failed; a [`DeviceKey`] never does.
    pub fn mqtt(&mut self, time: UnixTime) -> Result<MqttLogin<'_>, SignerError> {
        let Self { hub, device_id, signer, tokens } = self;
        let sign = |expires_at| SasToken::sign(Resource::device(hub, device_id), signer, expires_at);
        let password = tokens.token_at(time, sign)?.as_str();
        Ok(MqttLogin::new(hub, device_id, Some(password)))
    }
}

impl<S: Signer + Borrow<DeviceKey>> HubCredentials<S> {
    /// The connection string, for software that takes nothing else. It holds the key itself, so it exists only where the key is
    /// in memory.
    ///
    /// ```
    /// # fn connection_string(
    /// #     assignment: &azure_iot_dps::Assignment,
    /// #     device_key: &azure_iot_dps::DeviceKey,
    /// # ) -> Result<(), azure_iot_dps::hub::CredentialsError> {
    /// # use azure_iot_dps::HubCredentials;
    /// let connection_string = HubCredentials::new(assignment, device_key)?.connection_string();
    /// assert!(connection_string.as_str().starts_with("HostName="));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn connection_string(&self) -> ConnectionString {
        const PARTS: [&str; 3] = ["HostName=", ";DeviceId=", ";SharedAccessKey="];
        let key = self.signer.borrow().to_base64();
        let values = [self.hub.as_str(), self.device_id.as_str(), key.as_str()];
        let parts = PARTS.into_iter().zip(values);
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
            .field("tokens", &self.tokens)
            .finish_non_exhaustive()
    }
}

/// A connection string with the device's key in it: wiped when dropped, hidden from `Debug`, and without `Display`, so that
/// printing one is on purpose. Made by [`HubCredentials::connection_string`].
#[derive(Clone)]
pub struct ConnectionString(zeroizing::Text);

impl ConnectionString {
    /// The secret itself: `HostName={hub};DeviceId={deviceId};SharedAccessKey={key}`.
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
