//! The names that consist of one text.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::net::Ipv6Addr;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::identity::error::{NameError, NameKind, NameRule};

/// Source: Microsoft, "Device identity properties" and "Azure IoT Hub Device Provisioning Service
/// terminology".
const MAX_ID: usize = 128;
/// The service's own ID scopes have 11 characters, and its documentation has no limit.
///
/// This limit keeps text that cannot be an ID scope out of requests.
const MAX_ID_SCOPE: usize = 64;
/// Source: RFC 1035, section 2.3.4.
const MAX_LABEL: usize = 63;
pub(super) const MAX_HOST_NAME: usize = 253;

/// Declares a name type around `$Inner`, with the usual conversions.
macro_rules! name {
    ($(#[$doc:meta])* $Name:ident($Inner:ty), $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $Name(pub(super) $Inner);

        impl $Name {
            /// Creates a name from a text, which is checked and kept unchanged.
            ///
            /// # Errors
            ///
            /// Returns [`NameError`] if the text breaks a rule of this name.
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                let text = text.into();
                $check(&text)?;
                Ok(Self(text.into()))
            }

            /// Returns the name as it was written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $Name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $Name {
            type Error = NameError;

            fn try_from(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $Name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$Name> for String {
            fn from(name: $Name) -> Self {
                name.0.into()
            }
        }

        impl AsRef<str> for $Name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($Name), "({:?})"), self.as_str())
            }
        }
    };
}

name! {
    /// The ID scope of a DPS instance: 1 to 64 ASCII letters and digits.
    ///
    /// The Azure portal shows it on the overview page of the instance.
    ///
    /// ```
    /// use azure_iot_dps::IdScope;
    ///
    /// let id_scope = IdScope::new("0ne00002193")?;
    /// assert_eq!(id_scope.as_str(), "0ne00002193");
    /// assert!(IdScope::new("0ne-00002193").is_err());
    /// # Ok::<(), azure_iot_dps::identity::NameError>(())
    /// ```
    IdScope(Box<str>), check_id_scope
}

name! {
    /// The registration ID, the name under which a device registers with DPS.
    ///
    /// It has 1 to 128 ASCII letters, digits, `-`, `.`, `_` and `:`. The last character is a
    /// letter, a digit or `-`. The service ignores case, but a key is derived from the ID *as
    /// written*. This type therefore keeps the case, and `==` is case-sensitive.
    ///
    /// ```
    /// use azure_iot_dps::RegistrationId;
    ///
    /// let id = RegistrationId::new("sn-007.a1:b2")?;
    /// assert_eq!(id.as_str(), "sn-007.a1:b2");
    /// assert_ne!(RegistrationId::new("Dev-1")?, RegistrationId::new("dev-1")?);
    /// # Ok::<(), azure_iot_dps::identity::NameError>(())
    /// ```
    RegistrationId(Box<str>), check_registration_id
}

name! {
    /// The name of a device in its IoT hub: 1 to 128 ASCII letters, digits and
    /// ``-.+%_#*?!(),:=@$'``.
    ///
    /// A device of an enrollment group has its registration ID as its device ID. An individual
    /// enrollment can set another one.
    ///
    /// ```
    /// use azure_iot_dps::identity::DeviceId;
    ///
    /// let device_id = DeviceId::new("pump#4")?;
    /// assert_eq!(device_id.to_string(), "pump#4");
    /// assert!(DeviceId::new("pump/4").is_err());
    /// # Ok::<(), azure_iot_dps::identity::NameError>(())
    /// ```
    DeviceId(Box<str>), check_device_id
}

name! {
    /// The name of a module of a device in its IoT hub.
    ///
    /// The rules are those of a [`DeviceId`].
    ///
    /// ```
    /// use azure_iot_dps::identity::{DeviceId, HubName, ModuleId};
    /// use azure_iot_dps::sas::Resource;
    ///
    /// let (hub, device) = (HubName::new("hub.example")?, DeviceId::new("pump#4")?);
    /// let module = ModuleId::new("camera")?;
    /// let resource = Resource::module(&hub, &device, &module);
    /// assert_eq!(resource.to_string(), "hub.example/devices/pump#4/modules/camera");
    /// # Ok::<(), azure_iot_dps::identity::NameError>(())
    /// ```
    ModuleId(Box<str>), check_module_id
}

name! {
    /// A host name of at most 253 characters.
    ///
    /// It consists of labels of 1 to 63 ASCII letters, digits and inner hyphens, separated by dots.
    /// A dotted IPv4 address is valid by these rules, and so is an IPv6 address in brackets, such as
    /// `[::1]`. A host name has no scheme, no port and no path.
    ///
    /// ```
    /// use azure_iot_dps::Endpoint;
    /// use azure_iot_dps::identity::HostName;
    ///
    /// let host = HostName::new("dps.example")?;
    /// assert_eq!(Endpoint::from(host).port(), None);
    /// assert!(HostName::new("https://dps.example").is_err());
    /// # Ok::<(), azure_iot_dps::identity::NameError>(())
    /// ```
    HostName(Cow<'static, str>), check_host_name
}

name! {
    /// The name of a product for the `User-Agent` header: 1 to 128 printable ASCII characters.
    ///
    /// It must not begin or end with a space. The operator of the service can read it, and so can
    /// proxies: do not put serial numbers or similar data into it.
    ///
    /// ```
    /// use azure_iot_dps::identity::Product;
    ///
    /// let product = Product::new("acme-gateway/1.4")?;
    /// assert_eq!(product.as_str(), "acme-gateway/1.4");
    /// assert!(Product::new("acme\r\nHost: x").is_err());
    /// # Ok::<(), azure_iot_dps::identity::NameError>(())
    /// ```
    Product(Box<str>), check_product
}

/// Checks that every character is allowed, and reports the first that is not.
pub(super) fn check_characters(name: NameKind, text: &str, allowed: impl Fn(char) -> bool) -> Result<(), NameError> {
    match text.char_indices().find(|(_, c)| !allowed(*c)) {
        Some((position, found)) => Err(NameError::new(name, NameRule::Character { found }, position)),
        None => Ok(()),
    }
}

/// Checks that a text of ASCII has 1 to `limit` characters.
pub(super) fn check_length(name: NameKind, text: &str, limit: usize) -> Result<(), NameError> {
    match text.len() {
        0 => Err(NameError::new(name, NameRule::Empty, 0)),
        length if length > limit => Err(NameError::new(name, NameRule::TooLong { length, limit }, limit)),
        _ => Ok(()),
    }
}

fn check_id_scope(text: &str) -> Result<(), NameError> {
    check_characters(NameKind::IdScope, text, |c| c.is_ascii_alphanumeric())?;
    check_length(NameKind::IdScope, text, MAX_ID_SCOPE)
}

fn check_registration_id(text: &str) -> Result<(), NameError> {
    const NAME: NameKind = NameKind::RegistrationId;
    check_characters(NAME, text, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':'))?;
    check_length(NAME, text, MAX_ID)?;
    match text.char_indices().next_back() {
        Some((position, found @ ('.' | '_' | ':'))) => {
            Err(NameError::new(NAME, NameRule::LastCharacter { found }, position))
        }
        _ => Ok(()),
    }
}

fn check_device_id(text: &str) -> Result<(), NameError> {
    check_hub_id(NameKind::DeviceId, text)
}

fn check_module_id(text: &str) -> Result<(), NameError> {
    check_hub_id(NameKind::ModuleId, text)
}

fn check_hub_id(name: NameKind, text: &str) -> Result<(), NameError> {
    check_characters(name, text, |c| c.is_ascii_alphanumeric() || "-.+%_#*?!(),:=@$'".contains(c))?;
    check_length(name, text, MAX_ID)
}

fn check_product(text: &str) -> Result<(), NameError> {
    const NAME: NameKind = NameKind::Product;
    check_characters(NAME, text, |c| c.is_ascii_graphic() || c == ' ')?;
    let outer = [(0, text.chars().next()), (text.len().saturating_sub(1), text.chars().next_back())];
    if let Some((position, _)) = outer.into_iter().find(|(_, c)| *c == Some(' ')) {
        return Err(NameError::new(NAME, NameRule::Character { found: ' ' }, position));
    }
    check_length(NAME, text, MAX_ID)
}

fn check_host_name(text: &str) -> Result<(), NameError> {
    const NAME: NameKind = NameKind::HostName;
    let refuse = |rule, position| Err(NameError::new(NAME, rule, position));
    if text.is_empty() {
        return refuse(NameRule::Empty, 0);
    }
    if let Some(address) = text.strip_prefix('[') {
        let address = address.strip_suffix(']').and_then(|address| address.parse::<Ipv6Addr>().ok());
        return address.map_or_else(|| refuse(NameRule::Ipv6, 0), |_| Ok(()));
    }
    check_characters(NAME, text, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))?;
    let mut position = 0_usize;
    for label in text.split('.') {
        let end = position.saturating_add(label.len());
        match label.len() {
            0 => return refuse(NameRule::EmptyLabel, position),
            1..=MAX_LABEL if label.starts_with('-') => return refuse(NameRule::OuterHyphen, position),
            1..=MAX_LABEL if label.ends_with('-') => return refuse(NameRule::OuterHyphen, end.saturating_sub(1)),
            1..=MAX_LABEL => {}
            length => return refuse(NameRule::LabelTooLong { length }, position),
        }
        position = end.saturating_add(1);
    }
    check_length(NAME, text, MAX_HOST_NAME)
}

impl DeviceId {
    /// Creates an ID that a service assigned.
    ///
    /// Services may use characters that are not documented. Those that could break a path, a header
    /// or a log line are rejected.
    pub(crate) fn assigned(text: &str) -> Result<Self, NameError> {
        const MAX_ASSIGNED_ID: usize = 256;
        check_characters(NameKind::DeviceId, text, |c| c.is_ascii_graphic() && !matches!(c, '/' | '\\' | '"'))?;
        check_length(NameKind::DeviceId, text, MAX_ASSIGNED_ID)?;
        Ok(Self(text.into()))
    }
}
