//! Names that are valid by construction: ID scope, registration ID, device and module ID, host name, endpoint.
//!
//! Nothing is trimmed, lower-cased or guessed: a text either is a name or is refused by an error that names the rule
//! and the position. A position counts from 0; all before it is ASCII, so it counts bytes and characters alike.

mod endpoint;

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

pub use endpoint::{Endpoint, EndpointError};
use serde::{Deserialize, Serialize};

/// Declares a name type around `$Inner`, with the conversions that the ecosystem expects of one.
macro_rules! name {
    ($(#[$doc:meta])* $Name:ident($Inner:ty), $Error:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $Name($Inner);

        impl $Name {
            /// Checks a text and takes it as it is.
            ///
            /// # Errors
            ///
            /// The rule that the text breaks, with the position.
            pub fn new(text: impl Into<String>) -> Result<Self, $Error> {
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
            type Err = $Error;

            fn from_str(text: &str) -> Result<Self, $Error> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $Name {
            type Error = $Error;

            fn try_from(text: &str) -> Result<Self, $Error> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $Name {
            type Error = $Error;

            fn try_from(text: String) -> Result<Self, $Error> {
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
    /// The ID scope: the name of a tenant's DPS instance, ASCII letters and digits, such as `0ne00002193`.
    ///
    /// The Azure portal shows it on the overview page of the instance.
    IdScope(Box<str>), IdScopeError, check_id_scope
}

name! {
    /// The registration ID: the name under which a device registers with DPS.
    ///
    /// 1 to 128 ASCII letters, digits, `-`, `.`, `_` and `:`; the last character is a letter, a digit or `-`.
    /// The service compares without regard to case, but a key is derived from the ID *as written*, so this type keeps
    /// the case, and `==` regards it.
    RegistrationId(Box<str>), RegistrationIdError, check_registration_id
}

name! {
    /// The name of a device in its IoT hub: 1 to 128 of ASCII letters, digits and ``-.+%_#*?!(),:=@$'``.
    ///
    /// Equals the registration ID for a device of an enrollment group; an individual enrollment can choose another.
    DeviceId(Box<str>), DeviceIdError, check_device_id
}

name! {
    /// The name of a module of a device in its IoT hub; the rules are those of a [`DeviceId`].
    ModuleId(Box<str>), DeviceIdError, check_device_id
}

name! {
    /// A host name: labels of 1 to 63 ASCII letters, digits and inner hyphens, with dots between, 253 characters in all.
    ///
    /// An IPv4 address in dotted form passes by these rules. There is no scheme, no port and no path in a host name.
    HostName(Cow<'static, str>), HostNameError, check_host_name
}

name! {
    /// What a device calls itself in the `User-Agent` header: 1 to 128 printable ASCII characters, such as `acme-gateway/1.4`.
    ///
    /// The service's operator sees it, and so may proxies: leave serial numbers and the like out of it.
    Product(Box<str>), ProductError, check_product
}

/// Why a text is not a [`Product`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProductError {
    /// The text is empty.
    #[error("a product is not empty")]
    Empty,
    /// More than 128 characters; the position of the first that is too many is 128.
    #[error("a product has at most 128 characters; found {length}")]
    TooLong {
        /// The number of characters.
        length: usize,
    },
    /// A character that is not printable ASCII, or a space at the start or the end.
    #[error(
        "a product consists of printable ASCII, without a space at either end; found {found:?} at position {position}"
    )]
    Character {
        /// Where, from 0.
        position: usize,
        /// The character.
        found: char,
    },
}

/// Why a text is not an [`IdScope`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdScopeError {
    /// The text is empty.
    #[error("an ID scope is not empty")]
    Empty,
    /// A character that is neither an ASCII letter nor a digit.
    #[error("an ID scope consists of ASCII letters and digits; found {found:?} at position {position}")]
    Character {
        /// Where, from 0.
        position: usize,
        /// The character.
        found: char,
    },
}

/// Why a text is not a [`RegistrationId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrationIdError {
    /// The text is empty.
    #[error("a registration ID is not empty")]
    Empty,
    /// More than 128 characters; the position of the first that is too many is 128.
    #[error("a registration ID has at most 128 characters; found {length}")]
    TooLong {
        /// The number of characters.
        length: usize,
    },
    /// A character that no registration ID has.
    #[error(
        "a registration ID consists of ASCII letters, digits, '-', '.', '_' and ':'; found {found:?} at position {position}"
    )]
    Character {
        /// Where, from 0.
        position: usize,
        /// The character.
        found: char,
    },
    /// A `.`, `_` or `:` at the end.
    #[error(
        "the last character of a registration ID is an ASCII letter, a digit or '-'; found {found:?} at position {position}"
    )]
    LastCharacter {
        /// Where, from 0.
        position: usize,
        /// The character.
        found: char,
    },
}

/// Why a text is not a [`DeviceId`] or a [`ModuleId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceIdError {
    /// The text is empty.
    #[error("a device ID is not empty")]
    Empty,
    /// More than 128 characters; the position of the first that is too many is 128.
    #[error("a device ID has at most 128 characters; found {length}")]
    TooLong {
        /// The number of characters.
        length: usize,
    },
    /// A character that no device ID has.
    #[error(
        "a device ID consists of ASCII letters, digits and \"-.+%_#*?!(),:=@$'\"; found {found:?} at position {position}"
    )]
    Character {
        /// Where, from 0.
        position: usize,
        /// The character.
        found: char,
    },
}

/// Why a text is not a [`HostName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostNameError {
    /// The text is empty.
    #[error("a host name is not empty")]
    Empty,
    /// More than 253 characters; the position of the first that is too many is 253.
    #[error("a host name has at most 253 characters; found {length}")]
    TooLong {
        /// The number of characters.
        length: usize,
    },
    /// Two dots in a row, or a dot at the start or the end.
    #[error("a label of a host name is not empty, but the one at position {position} is")]
    EmptyLabel {
        /// Where the label would begin, from 0.
        position: usize,
    },
    /// A label of more than 63 characters.
    #[error("a label of a host name has at most 63 characters; the one at position {position} has {length}")]
    LabelTooLong {
        /// Where the label begins, from 0.
        position: usize,
        /// The number of characters.
        length: usize,
    },
    /// A label that begins or ends with a hyphen.
    #[error("a label of a host name neither begins nor ends with a hyphen; found one at position {position}")]
    OuterHyphen {
        /// Where, from 0.
        position: usize,
    },
    /// A character that no host name has.
    #[error("a host name consists of ASCII letters, digits, '-' and '.'; found {found:?} at position {position}")]
    Character {
        /// Where, from 0.
        position: usize,
        /// The character.
        found: char,
    },
}

fn first_not(text: &str, allowed: impl Fn(char) -> bool) -> Option<(usize, char)> {
    text.char_indices().find(|(_, c)| !allowed(*c))
}

fn check_id_scope(text: &str) -> Result<(), IdScopeError> {
    if text.is_empty() {
        return Err(IdScopeError::Empty);
    }
    match first_not(text, |c| c.is_ascii_alphanumeric()) {
        Some((position, found)) => Err(IdScopeError::Character { position, found }),
        None => Ok(()),
    }
}

fn check_registration_id(text: &str) -> Result<(), RegistrationIdError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':');
    if let Some((position, found)) = first_not(text, allowed) {
        return Err(RegistrationIdError::Character { position, found });
    }
    if text.len() > 128 {
        return Err(RegistrationIdError::TooLong { length: text.len() });
    }
    match text.char_indices().next_back() {
        None => Err(RegistrationIdError::Empty),
        Some((position, found @ ('.' | '_' | ':'))) => Err(RegistrationIdError::LastCharacter { position, found }),
        Some(_) => Ok(()),
    }
}

fn check_device_id(text: &str) -> Result<(), DeviceIdError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-.+%_#*?!(),:=@$'".contains(c);
    if let Some((position, found)) = first_not(text, allowed) {
        return Err(DeviceIdError::Character { position, found });
    }
    match text.len() {
        0 => Err(DeviceIdError::Empty),
        1..=128 => Ok(()),
        length => Err(DeviceIdError::TooLong { length }),
    }
}

fn check_product(text: &str) -> Result<(), ProductError> {
    let last = text.len().saturating_sub(1);
    let allowed =
        |(position, c): &(usize, char)| c.is_ascii_graphic() || (*c == ' ' && *position != 0 && *position != last);
    if let Some((position, found)) = text.char_indices().find(|at| !allowed(at)) {
        return Err(ProductError::Character { position, found });
    }
    match text.len() {
        0 => Err(ProductError::Empty),
        1..=128 => Ok(()),
        length => Err(ProductError::TooLong { length }),
    }
}

fn check_host_name(text: &str) -> Result<(), HostNameError> {
    if text.is_empty() {
        return Err(HostNameError::Empty);
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    if let Some((position, found)) = first_not(text, allowed) {
        return Err(HostNameError::Character { position, found });
    }
    let mut position = 0_usize;
    for label in text.split('.') {
        let end = position.saturating_add(label.len());
        match label.len() {
            0 => return Err(HostNameError::EmptyLabel { position }),
            1..=63 if label.starts_with('-') => return Err(HostNameError::OuterHyphen { position }),
            1..=63 if label.ends_with('-') => {
                return Err(HostNameError::OuterHyphen { position: end.saturating_sub(1) });
            }
            1..=63 => {}
            length => return Err(HostNameError::LabelTooLong { position, length }),
        }
        position = end.saturating_add(1);
    }
    if text.len() > 253 {
        return Err(HostNameError::TooLong { length: text.len() });
    }
    Ok(())
}
