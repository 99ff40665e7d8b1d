//! The names that are text and nothing else.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::identity::error::{NameError, NameKind, NameRule};

/// Source: Microsoft, "Device identity properties" and "Azure IoT Hub Device Provisioning Service terminology".
const MAX_ID: usize = 128;
/// The service's have 11 characters, and its documents name no limit: this one keeps what is no scope out of requests.
const MAX_ID_SCOPE: usize = 64;
/// Source: RFC 1035, section 2.3.4.
const MAX_LABEL: usize = 63;
pub(super) const MAX_HOST_NAME: usize = 253;

/// Declares a name type around `$Inner`, with the conversions that the ecosystem expects of one.
macro_rules! name {
    ($(#[$doc:meta])* $Name:ident($Inner:ty), $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $Name(pub(super) $Inner);

        impl $Name {
            /// Checks a text and takes it as it is.
            ///
            /// # Errors
            ///
            /// The text breaks a rule of this name.
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                let text = text.into();
                $check(&text)?;
                Ok(Self(text.into()))
            }

            /// The name as it was written.
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
    /// The ID scope: the name of a tenant's DPS instance, 1 to 64 ASCII letters and digits, such as `0ne00002193`.
    ///
    /// The Azure portal shows it on the overview page of the instance.
    IdScope(Box<str>), check_id_scope
}

name! {
    /// The registration ID: the name under which a device registers with DPS.
    ///
    /// 1 to 128 ASCII letters, digits, `-`, `.`, `_` and `:`; the last character is a letter, a digit or `-`.
    /// The service compares without regard to case, but a key is derived from the ID *as written*, so this type keeps
    /// the case, and `==` regards it.
    RegistrationId(Box<str>), check_registration_id
}

name! {
    /// The name of a device in its IoT hub: 1 to 128 of ASCII letters, digits and ``-.+%_#*?!(),:=@$'``.
    ///
    /// Equals the registration ID for a device of an enrollment group; an individual enrollment can choose another.
    DeviceId(Box<str>), check_device_id
}

name! {
    /// The name of a module of a device in its IoT hub; the rules are those of a [`DeviceId`].
    ModuleId(Box<str>), check_module_id
}

name! {
    /// A host name: labels of 1 to 63 ASCII letters, digits and inner hyphens, with dots between, 253 characters in all.
    ///
    /// An IPv4 address in dotted form passes by these rules. There is no scheme, no port and no path in a host name.
    HostName(Cow<'static, str>), check_host_name
}

name! {
    /// What a device calls itself in the `User-Agent` header: 1 to 128 printable ASCII characters, such as `acme-gateway/1.4`.
    ///
    /// The service's operator sees it, and so may proxies: leave serial numbers and the like out of it.
    Product(Box<str>), check_product
}

/// The first character that is not allowed.
pub(super) fn check_characters(name: NameKind, text: &str, allowed: impl Fn(char) -> bool) -> Result<(), NameError> {
    match text.char_indices().find(|(_, c)| !allowed(*c)) {
        Some((position, found)) => Err(NameError::new(name, NameRule::Character { found }, position)),
        None => Ok(()),
    }
}

/// From 1 character to so many. All of them are ASCII.
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
    /// Takes an ID that a service assigned, which may know more signs than the documents do. Refused is what would break a
    /// path, a header or a log line.
    pub(crate) fn assigned(text: &str) -> Result<Self, NameError> {
        const MAX_ASSIGNED_ID: usize = 256;
        check_characters(NameKind::DeviceId, text, |c| c.is_ascii_graphic() && !matches!(c, '/' | '\\' | '"'))?;
        check_length(NameKind::DeviceId, text, MAX_ASSIGNED_ID)?;
        Ok(Self(text.into()))
    }
}
