//! The error of a text that is not a name.

use core::fmt;

/// The error of a text that is not a valid name.
///
/// It has the kind of name, the rule that the text breaks, and the position.
///
/// ```
/// use azure_iot_dps::identity::{NameKind, NameRule, RegistrationId};
///
/// let error = RegistrationId::new("my device").unwrap_err();
/// assert_eq!((error.name(), error.position()), (NameKind::RegistrationId, 2));
/// assert_eq!(error.rule(), NameRule::Character { found: ' ' });
/// assert!(error.to_string().ends_with("found ' ' at position 2"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError {
    name: NameKind,
    rule: NameRule,
    position: usize,
}

/// The kinds of names.
///
/// `Display` writes the kind with its article.
///
/// ```
/// use azure_iot_dps::identity::{HostName, NameKind};
///
/// let error = HostName::new("-").unwrap_err();
/// assert_eq!(error.name(), NameKind::HostName);
/// assert_eq!(error.name().to_string(), "a host name");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameKind {
    /// An [`IdScope`](super::IdScope).
    IdScope,
    /// A [`RegistrationId`](super::RegistrationId).
    RegistrationId,
    /// A [`DeviceId`](super::DeviceId).
    DeviceId,
    /// A [`ModuleId`](super::ModuleId).
    ModuleId,
    /// A [`HostName`](super::HostName).
    HostName,
    /// A [`HubName`](super::HubName).
    HubName,
    /// An [`Endpoint`](super::Endpoint).
    Endpoint,
    /// A [`Product`](super::Product).
    Product,
}

/// The rules that a text can break.
///
/// ```
/// use azure_iot_dps::identity::{NameRule, RegistrationId};
///
/// let error = RegistrationId::new("x".repeat(130)).unwrap_err();
/// let hint = match error.rule() {
///     NameRule::TooLong { length, limit } => format!("remove {} characters", length - limit),
///     _ => error.to_string(),
/// };
/// assert_eq!(hint, "remove 2 characters");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameRule {
    /// The text is empty.
    Empty,
    /// The text has too many characters.
    TooLong {
        /// The number of characters.
        length: usize,
        /// The largest number that is allowed.
        limit: usize,
    },
    /// A character is not allowed at its position.
    Character {
        /// The character.
        found: char,
    },
    /// The last character is not allowed at the end of the name.
    LastCharacter {
        /// The character.
        found: char,
    },
    /// A label of a host name is empty.
    ///
    /// The name has two dots in a row, or a dot at the start or the end.
    EmptyLabel,
    /// A label of a host name has more than 63 characters.
    LabelTooLong {
        /// The number of characters.
        length: usize,
    },
    /// A label of a host name begins or ends with a hyphen.
    OuterHyphen,
    /// The text is a URL, because it contains `//`.
    Url,
    /// An IPv6 address has no brackets around it, or what is in the brackets is not one.
    Ipv6,
    /// The port after the colon is missing.
    PortMissing,
    /// A character of a port is not a digit.
    PortCharacter {
        /// The character.
        found: char,
    },
    /// A port is not a number from 1 to 65535.
    PortOutOfRange,
}

impl NameError {
    pub(super) fn new(name: NameKind, rule: NameRule, position: usize) -> Self {
        Self { name, rule, position }
    }

    /// Returns the kind of name that was expected.
    #[must_use]
    pub fn name(&self) -> NameKind {
        self.name
    }

    /// Returns the rule that the text breaks.
    #[must_use]
    pub fn rule(&self) -> NameRule {
        self.rule
    }

    /// Returns the position of the fault, from 0.
    ///
    /// All text before it is ASCII, so the position counts bytes as well as characters.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }
}

/// Writes the kind with its article, such as `an ID scope`.
impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::IdScope => "an ID scope",
            Self::RegistrationId => "a registration ID",
            Self::DeviceId => "a device ID",
            Self::ModuleId => "a module ID",
            Self::HostName => "a host name",
            Self::HubName => "the name of an IoT hub",
            Self::Endpoint => "an endpoint",
            Self::Product => "a product",
        })
    }
}

impl NameKind {
    fn alphabet(self) -> &'static str {
        match self {
            Self::IdScope => "ASCII letters and digits",
            Self::RegistrationId => "ASCII letters, digits, '-', '.', '_' and ':'",
            Self::DeviceId | Self::ModuleId => "ASCII letters, digits and \"-.+%_#*?!(),:=@$'\"",
            Self::HostName => "ASCII letters, digits, '-' and '.'",
            Self::HubName => "ASCII letters, digits, '-', '_' and '.'",
            Self::Endpoint => "a host name and an optional port",
            Self::Product => "printable ASCII, without a space at either end",
        }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, rule, position } = self;
        match rule {
            NameRule::Empty => write!(f, "{name} must not be empty"),
            NameRule::TooLong { length, limit } => {
                write!(f, "{name} must have at most {limit} characters; found {length}")
            }
            NameRule::Character { found } => {
                write!(f, "{name} must consist of {}; found {found:?} at position {position}", name.alphabet())
            }
            NameRule::LastCharacter { found } => write!(
                f,
                "the last character of {name} must be an ASCII letter, a digit or '-'; found {found:?} at position {position}"
            ),
            NameRule::EmptyLabel => write!(f, "a label of {name} must not be empty; the one at position {position} is"),
            NameRule::LabelTooLong { length } => {
                write!(
                    f,
                    "a label of {name} must have at most 63 characters; the one at position {position} has {length}"
                )
            }
            NameRule::OuterHyphen => {
                write!(f, "a label of {name} must not begin or end with a hyphen; found one at position {position}")
            }
            NameRule::Url => {
                write!(
                    f,
                    "{name} must be a host name with an optional port, such as localhost:8443, not a URL; found \"//\" \
                     at position {position}"
                )
            }
            NameRule::Ipv6 => {
                write!(f, "{name} must have an IPv6 address in brackets, such as [::1] or, with a port, [::1]:8443")
            }
            NameRule::PortMissing => write!(f, "the port after the colon at position {position} is missing"),
            NameRule::PortCharacter { found } => {
                write!(f, "a port must consist of digits; found {found:?} at position {position}")
            }
            NameRule::PortOutOfRange => {
                write!(f, "a port must be a number from 1 to 65535; the one at position {position} is not")
            }
        }
    }
}

impl core::error::Error for NameError {}
