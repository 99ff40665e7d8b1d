//! What a device shows to its hub.

use alloc::string::String;
use core::borrow::Borrow;
use core::fmt;
use core::time::Duration;

use crate::assignment::{Assignment, KeyUsed};
use crate::identity::{DeviceId, HostName};
use crate::key::{DeviceKey, Signer, SignerError};
use crate::sas::{Resource, SHORTEST_TOKEN_LIFETIME, SasToken, TOKEN_LIFETIME};
use crate::time::UnixTime;
use crate::wipe;

/// Source: Microsoft, "Communicate with an IoT hub using the MQTT protocol".
const MQTT_PORT: u16 = 8883;
const MQTT_API_VERSION: &str = "2021-04-12";

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
/// use azure_iot_dps::{Assignment, DeviceKey, HubCredentials, SignerError, UnixTime};
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
/// fn options(assignment: &Assignment, key: &DeviceKey, now: UnixTime) -> Result<MqttOptions, SignerError> {
///     let mut credentials = HubCredentials::new(assignment, key);
///     let login = credentials.mqtt(now)?;
///     let mut options = MqttOptions::new(login.client_id(), login.host().as_str(), login.port());
///     options.set_credentials(login.user_name(), login.password());
///     options.set_transport(Transport::tls_with_default_config()); // Or the password goes out in clear text.
///     Ok(options)
/// }
/// ```
pub struct HubCredentials<S> {
    hub: HostName,
    device_id: DeviceId,
    signer: S,
    second_signer: Option<S>,
    key_used: KeyUsed,
    lifetime: Duration,
    token: Option<SasToken>,
}

impl<S: Signer> HubCredentials<S> {
    /// For the hub of this assignment, with the device's key.
    #[must_use]
    pub fn new(assignment: &Assignment, signer: S) -> Self {
        Self {
            hub: assignment.hub().clone(),
            device_id: assignment.device_id().clone(),
            signer,
            second_signer: None,
            key_used: assignment.key_used(),
            lifetime: TOKEN_LIFETIME,
            token: None,
        }
    }

    /// The enrollment's other key, used where that is the one that let the device in. Where the two are of different types, box them
    /// both as `Box<dyn Signer>`. Default none.
    #[must_use]
    pub fn second_key(self, signer: S) -> Self {
        Self { second_signer: Some(signer), token: None, ..self }
    }

    /// How long a token is good for. Default 1 h; less than 5 min counts as 5 min, for a clock may be that slow.
    #[must_use]
    pub fn token_lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime: lifetime.max(SHORTEST_TOKEN_LIFETIME), token: None, ..self }
    }

    /// The hub's host name.
    #[must_use]
    pub fn hub(&self) -> &HostName {
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
    /// [`ClockCorrection::time_at`](crate::ClockCorrection::time_at).
    ///
    /// # Errors
    ///
    /// The signer failed; a [`DeviceKey`] never does.
    pub fn token(&mut self, time: UnixTime) -> Result<&SasToken, SignerError> {
        let token = match self.token.take() {
            Some(token) if self.is_good(&token, time) => token,
            _ => {
                let expires_at = time.saturating_add(self.lifetime);
                SasToken::sign(Resource::device(&self.hub, &self.device_id), self.signer(), expires_at)?
            }
        };
        Ok(self.token.insert(token))
    }

    /// Whether [`token`](Self::token) would sign a fresh one at this time.
    #[must_use]
    pub fn needs_renewal(&self, time: UnixTime) -> bool {
        !self.token.as_ref().is_some_and(|token| self.is_good(token, time))
    }

    /// What an MQTT client needs to connect, with a token that is good for a while at this time.
    ///
    /// # Errors
    ///
    /// The signer failed; a [`DeviceKey`] never does.
    pub fn mqtt(&mut self, time: UnixTime) -> Result<MqttLogin<'_>, SignerError> {
        self.token(time)?;
        let Self { hub, device_id, token, .. } = self;
        let user_name = alloc::format!("{hub}/{device_id}/?api-version={MQTT_API_VERSION}");
        Ok(MqttLogin { hub, device_id, user_name, password: token.as_ref().map_or("", SasToken::as_str) })
    }

    /// Neither about to expire, nor from a clock that was put back since.
    #[expect(clippy::arithmetic_side_effects, reason = "the divisor is not zero")]
    fn is_good(&self, token: &SasToken, time: UnixTime) -> bool {
        let left = token.expires_at().saturating_duration_since(time);
        // A clock may be set back by a little while the token is good.
        let longest = self.lifetime.saturating_add(Duration::from_secs(60));
        left >= self.lifetime / 6 && left <= longest
    }

    fn signer(&self) -> &S {
        self.key_used.of(&self.signer, self.second_signer.as_ref())
    }
}

impl<S: Signer + Borrow<DeviceKey>> HubCredentials<S> {
    /// The connection string, for software that takes nothing else. It holds the key itself, so it exists only where the key is
    /// in memory.
    ///
    /// ```
    /// # fn connection_string(assignment: &azure_iot_dps::Assignment, device_key: &azure_iot_dps::DeviceKey) {
    /// let connection_string = azure_iot_dps::HubCredentials::new(assignment, device_key).connection_string();
    /// assert!(connection_string.as_str().starts_with("HostName="));
    /// # }
    /// ```
    #[must_use]
    pub fn connection_string(&self) -> ConnectionString {
        const PARTS: [&str; 3] = ["HostName=", ";DeviceId=", ";SharedAccessKey="];
        let key = self.signer().borrow().to_base64();
        let values = [self.hub.as_str(), self.device_id.as_str(), key.as_str()];
        let parts = PARTS.into_iter().zip(values);
        let length = parts.clone().map(|(name, value)| name.len().saturating_add(value.len())).sum();
        let mut text = wipe::Text(String::with_capacity(length));
        text.extend(parts.flat_map(|(name, value)| [name, value]));
        ConnectionString(text)
    }
}

impl<S> fmt::Debug for HubCredentials<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubCredentials")
            .field("hub", &self.hub)
            .field("device_id", &self.device_id)
            .field("key_used", &self.key_used)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

/// What an MQTT 3.1.1 client needs to connect to a hub over TLS. Made by [`HubCredentials::mqtt`].
///
/// Through a gateway, connect to that instead of [`host`](Self::host); the rest still names the hub.
pub struct MqttLogin<'a> {
    hub: &'a HostName,
    device_id: &'a DeviceId,
    user_name: String,
    password: &'a str,
}

impl MqttLogin<'_> {
    /// The host to connect to: the hub.
    #[must_use]
    pub fn host(&self) -> &HostName {
        self.hub
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

    /// The password: the token, a secret.
    #[must_use]
    pub fn password(&self) -> &str {
        self.password
    }
}

impl fmt::Debug for MqttLogin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MqttLogin")
            .field("host", self.hub)
            .field("client_id", self.device_id)
            .field("user_name", &self.user_name)
            .field("password", &format_args!("<hidden>"))
            .finish_non_exhaustive()
    }
}

/// A connection string with the device's key in it: wiped when dropped, hidden from `Debug`, and without `Display`, so that
/// printing one is on purpose. Made by [`HubCredentials::connection_string`].
#[derive(Clone)]
pub struct ConnectionString(wipe::Text);

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
