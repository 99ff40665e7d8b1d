//! The data that the factory writes into the board's flash.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::num::ParseIntError;
use core::str::FromStr;
use core::time::Duration;

use azure_iot_dps::time::UnixTime;
use azure_iot_dps::{DeviceKey, Endpoint, IdScope, RegistrationId};

use zeroize::Zeroizing;

use crate::board;
use crate::device::Failure;

const DEADLINE: Duration = Duration::from_secs(120);
#[cfg(feature = "mqtt")]
const FLEET_SPREAD: Duration = Duration::from_secs(120);

/// The file of settings, one per line: a name, a space and the value.
const SETTINGS: &str = "factory.txt";
const ROOTS: &str = "roots.pem";
#[cfg(feature = "x509")]
const CHAIN: &str = "chain.pem";
#[cfg(feature = "x509")]
const PRIVATE_KEY: &str = "private-key.pem";

/// A PEM file, wiped when dropped because it may hold a key.
pub type Pem = Zeroizing<Vec<u8>>;

pub struct Factory {
    pub endpoint: Endpoint,
    pub id_scope: IdScope,
    pub registration_id: RegistrationId,
    /// The device key, which the factory derives from the group key. Not with a certificate.
    pub key: Option<DeviceKey>,
    /// The root certificates, in PEM. `tls::config` takes them.
    pub roots: Pem,
    /// The board's certificate chain and private key, in PEM. `tls::config` takes them.
    #[cfg(feature = "x509")]
    pub certificate: Option<(Pem, Pem)>,
    /// Whether the board registers over MQTT instead of HTTPS.
    #[cfg(feature = "mqtt")]
    pub over_mqtt: bool,
    /// The hub's port, if it is not the default, for example behind a gateway.
    #[cfg(feature = "mqtt")]
    pub hub_port: Option<u16>,
    /// The time over which a fleet spreads out when its hub refuses all devices at once.
    #[cfg(feature = "mqtt")]
    pub fleet_spread: Duration,
    /// The time at power-on of a board without a battery-backed clock.
    pub clock: Option<UnixTime>,
    /// The deadline of a registration. Default: 2 minutes.
    pub deadline: Duration,
    /// Whether the board hangs after its registration, to test the watchdog.
    pub hangs: bool,
}

impl Factory {
    #[inline(never)] // Keeps its frame off the stack of the handshakes.
    pub fn load() -> Result<Self, Failure> {
        let bytes = board::load(SETTINGS).ok_or("the board has no settings")?;
        let text = core::str::from_utf8(&bytes).map_err(|_| "the settings are not text")?;
        let optional = |name| {
            text.lines().filter_map(|line| line.split_once(' ')).find(|(its, _)| *its == name).map(|(_, value)| value)
        };
        let required = |name| optional(name).ok_or_else(|| Failure::from(String::from("no setting ") + name));
        Ok(Self {
            endpoint: required("endpoint")?.parse()?,
            id_scope: IdScope::new(required("id-scope")?)?,
            registration_id: RegistrationId::new(required("registration-id")?)?,
            key: optional("key").map(DeviceKey::from_base64).transpose()?,
            roots: board::load(ROOTS).ok_or("the board has no certificate authorities")?,
            #[cfg(feature = "x509")]
            certificate: board::load(CHAIN).zip(board::load(PRIVATE_KEY)),
            #[cfg(feature = "mqtt")]
            over_mqtt: optional("transport") == Some("mqtt"),
            #[cfg(feature = "mqtt")]
            hub_port: optional("hub-port").map(number).transpose()?,
            #[cfg(feature = "mqtt")]
            fleet_spread: optional("fleet-spread").map(number).transpose()?.map_or(FLEET_SPREAD, Duration::from_secs),
            clock: optional("clock").map(number).transpose()?.map(UnixTime::from_secs),
            deadline: optional("deadline").map(number).transpose()?.map_or(DEADLINE, Duration::from_secs),
            hangs: optional("hangs").is_some(),
        })
    }
}

fn number<T: FromStr<Err = ParseIntError>>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error| format!("{text}: {error}").into())
}
