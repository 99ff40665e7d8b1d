//! The address of the service.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;
use core::net::Ipv6Addr;
use core::num::NonZeroU16;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::identity::error::{NameError, NameKind, NameRule};
use crate::identity::names::HostName;

/// The address of a DPS endpoint: a host name and an optional port.
///
/// An IPv6 address stands in brackets: `[::1]` or `[::1]:8443`.
///
/// ```
/// use azure_iot_dps::Endpoint;
///
/// assert_eq!((Endpoint::default(), Endpoint::GLOBAL.port()), (Endpoint::GLOBAL, None));
/// let local: Endpoint = "localhost:8443".parse()?;
/// assert_eq!((local.host().as_str(), local.port()), ("localhost", Some(8443)));
/// # Ok::<(), azure_iot_dps::identity::NameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Endpoint {
    host: HostName,
    port: Option<NonZeroU16>,
}

impl Endpoint {
    /// The global device endpoint of the public cloud, `global.azure-devices-provisioning.net`.
    ///
    /// This is the default.
    pub const GLOBAL: Self = Self::known("global.azure-devices-provisioning.net");
    /// The device endpoint of Azure Government (US), `global.azure-devices-provisioning.us`.
    pub const US_GOVERNMENT: Self = Self::known("global.azure-devices-provisioning.us");
    /// The device endpoint of Azure operated by 21Vianet (China),
    /// `global.azure-devices-provisioning.cn`.
    pub const CHINA: Self = Self::known("global.azure-devices-provisioning.cn");

    const fn known(host: &'static str) -> Self {
        Self { host: HostName(Cow::Borrowed(host)), port: None }
    }

    /// Creates an endpoint from a host name and a port.
    #[must_use]
    pub fn new(host: HostName, port: NonZeroU16) -> Self {
        Self { host, port: Some(port) }
    }

    /// Returns the host name.
    #[must_use]
    pub fn host(&self) -> &HostName {
        &self.host
    }

    /// Returns the TCP port, or `None` for the default port of the protocol.
    ///
    /// The default is 443 for HTTPS and 8883 for MQTT. The transport has a separate setting for the
    /// port of MQTT through WebSocket.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port.map(NonZeroU16::get)
    }
}

impl Default for Endpoint {
    fn default() -> Self {
        Self::GLOBAL
    }
}

impl From<HostName> for Endpoint {
    fn from(host: HostName) -> Self {
        Self { host, port: None }
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        alloc::format!("{endpoint}")
    }
}

impl FromStr for Endpoint {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if let Some(position) = text.find("//") {
            return Err(NameError::new(NameKind::Endpoint, NameRule::Url, position));
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(NameError::new(NameKind::Endpoint, NameRule::Ipv6, 0));
        }
        // The colons of an IPv6 address are inside the brackets.
        let bracket = text.find(']').map(|bracket| bracket.saturating_add(1));
        let end = bracket.or(text.find(':')).unwrap_or(text.len());
        let (host, rest) = text.split_at_checked(end).unwrap_or((text, ""));
        let Some(port) = rest.strip_prefix(':') else { return Ok(HostName::new(text)?.into()) };
        let host = HostName::new(host)?;
        let port = parse_port(NameKind::Endpoint, port, host.as_str().len())?;
        Ok(Self::new(host, port))
    }
}

/// Parses the port after the colon at this position.
pub(super) fn parse_port(name: NameKind, port: &str, colon: usize) -> Result<NonZeroU16, NameError> {
    let start = colon.saturating_add(1);
    if port.is_empty() {
        return Err(NameError::new(name, NameRule::PortMissing, colon));
    }
    if let Some((offset, found)) = port.char_indices().find(|(_, c)| !c.is_ascii_digit()) {
        return Err(NameError::new(name, NameRule::PortCharacter { found }, start.saturating_add(offset)));
    }
    port.parse().map_err(|_| NameError::new(name, NameRule::PortOutOfRange, start))
}

impl TryFrom<&str> for Endpoint {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, NameError> {
        text.parse()
    }
}

impl TryFrom<String> for Endpoint {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

/// Writes `host`, or `host:port` if the endpoint has a port.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            None => f.write_str(self.host.as_str()),
            Some(port) => write!(f, "{}:{port}", self.host),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}
