//! The name of an assigned hub.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::identity::endpoint::parse_port;
use crate::identity::error::{NameError, NameKind, NameRule};
use crate::identity::names::{HostName, MAX_HOST_NAME, check_characters, check_length};

/// The name of an IoT hub, as assigned by the service.
///
/// The text is kept unchanged, for the token's resource and the MQTT user name. The rules are less
/// strict than those of a [`HostName`], because test services assign `localhost:443`, names with an
/// underscore and names with a trailing dot. Characters that could break a header, a path or a log
/// line are rejected.
///
/// ```
/// use azure_iot_dps::identity::HubName;
///
/// let hub = HubName::new("localhost:443")?;
/// assert_eq!((hub.as_str(), hub.host(), hub.port()), ("localhost:443", "localhost", Some(443)));
/// # Ok::<(), azure_iot_dps::identity::NameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HubName {
    text: Box<str>,
    host: usize,
    port: Option<u16>,
}

impl HubName {
    /// Creates a name from a text, which is checked and kept unchanged.
    ///
    /// # Errors
    ///
    /// Returns [`NameError`] if the host is empty, consists of dots only, has more than 253
    /// characters, or has characters other than ASCII letters, digits, `-`, `_` and `.`, or if the
    /// port is not a number from 1 to 65535.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, NameError> {
        const NAME: NameKind = NameKind::HubName;
        let text = text.into();
        let (host, port) = text.split_once(':').map_or((&*text, None), |(host, port)| (host, Some(port)));
        check_characters(NAME, host, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))?;
        check_length(NAME, host, MAX_HOST_NAME)?;
        if host.bytes().all(|byte| byte == b'.') {
            return Err(NameError::new(NAME, NameRule::EmptyLabel, 0));
        }
        let port = port.map(|port| parse_port(NAME, port, host.len())).transpose()?;
        let host = host.trim_end_matches('.').len();
        Ok(Self { host, port: port.map(Into::into), text })
    }

    /// Returns the name as the service wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the host to connect to, without the port and trailing dots.
    #[must_use]
    pub fn host(&self) -> &str {
        self.text.get(..self.host).unwrap_or_default()
    }

    /// Returns the port that the service wrote, or `None` for the default port.
    ///
    /// It is for HTTPS only, whose default port is 443. MQTT uses port 8883.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

impl From<HostName> for HubName {
    fn from(host: HostName) -> Self {
        let text = Box::<str>::from(host.as_str());
        Self { host: text.len(), port: None, text }
    }
}

impl FromStr for HubName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl TryFrom<String> for HubName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl From<HubName> for String {
    fn from(hub: HubName) -> Self {
        hub.text.into()
    }
}

impl AsRef<str> for HubName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for HubName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for HubName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HubName({:?})", self.as_str())
    }
}
