//! Where a service answers.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;
use core::num::NonZeroU16;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::identity::{HostName, HostNameError};

/// Why a text is not an [`Endpoint`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// The text is a URL, not a host name with an optional port.
    #[error("an endpoint is a host name with an optional port, not a URL; found \"//\" at position {position}")]
    Url {
        /// Where the `//` is, from 0.
        position: usize,
    },
    /// The part before the port is not a host name.
    #[error(transparent)]
    Host(#[from] HostNameError),
    /// Nothing behind the colon.
    #[error("a port follows the colon at position {position}, but nothing does")]
    PortMissing {
        /// Where the colon is, from 0.
        position: usize,
    },
    /// A character that is not a digit.
    #[error("a port consists of digits; found {found:?} at position {position}")]
    PortCharacter {
        /// Where, from 0.
        position: usize,
        /// The character.
        found: char,
    },
    /// Not a number from 1 to 65535.
    #[error("a port is a number from 1 to 65535; the one at position {position} is not")]
    PortOutOfRange {
        /// Where the port begins, from 0.
        position: usize,
    },
}

/// Where a DPS answers: a host name and a port (443 unless another is given).
///
/// ```
/// use azure_iot_dps::Endpoint;
///
/// assert_eq!(Endpoint::default(), Endpoint::GLOBAL);
/// let local: Endpoint = "localhost:8443".parse()?;
/// assert_eq!((local.host().as_str(), local.port()), ("localhost", 8443));
/// # Ok::<(), azure_iot_dps::EndpointError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Endpoint {
    host: HostName,
    port: u16,
}

const HTTPS_PORT: u16 = 443;

impl Endpoint {
    /// The global device endpoint of the public cloud, `global.azure-devices-provisioning.net`. The default.
    pub const GLOBAL: Self = Self::known("global.azure-devices-provisioning.net");
    /// The device endpoint of Azure Government (US), `global.azure-devices-provisioning.us`.
    pub const US_GOVERNMENT: Self = Self::known("global.azure-devices-provisioning.us");
    /// The device endpoint of Azure operated by 21Vianet (China), `global.azure-devices-provisioning.cn`.
    pub const CHINA: Self = Self::known("global.azure-devices-provisioning.cn");

    const fn known(host: &'static str) -> Self {
        Self { host: HostName(Cow::Borrowed(host)), port: HTTPS_PORT }
    }

    /// A host at a port.
    #[must_use]
    pub fn new(host: HostName, port: NonZeroU16) -> Self {
        Self { host, port: port.get() }
    }

    /// The host name.
    #[must_use]
    pub fn host(&self) -> &HostName {
        &self.host
    }

    /// The TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Default for Endpoint {
    fn default() -> Self {
        Self::GLOBAL
    }
}

impl From<HostName> for Endpoint {
    fn from(host: HostName) -> Self {
        Self { host, port: HTTPS_PORT }
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        alloc::format!("{endpoint}")
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if let Some(position) = text.find("//") {
            return Err(EndpointError::Url { position });
        }
        let Some((host, port)) = text.split_once(':') else {
            return Ok(HostName::new(text)?.into());
        };
        let host = HostName::new(host)?;
        let colon = host.as_str().len();
        let start = colon.saturating_add(1);
        if port.is_empty() {
            return Err(EndpointError::PortMissing { position: colon });
        }
        if let Some((offset, found)) = port.char_indices().find(|(_, c)| !c.is_ascii_digit()) {
            return Err(EndpointError::PortCharacter { position: start.saturating_add(offset), found });
        }
        let port = port.parse().map_err(|_| EndpointError::PortOutOfRange { position: start })?;
        Ok(Self::new(host, port))
    }
}

impl TryFrom<&str> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: &str) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: String) -> Result<Self, EndpointError> {
        text.parse()
    }
}

/// `host`, or `host:port` where the port is not 443.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            HTTPS_PORT => f.write_str(self.host.as_str()),
            port => write!(f, "{}:{port}", self.host),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({}:{})", self.host, self.port)
    }
}
