//! Why a text is not a name.

use core::fmt;

/// A text is not the name that it was to be: which name, which rule it breaks, and where.
///
/// ```
/// use azure_iot_dps::identity::{NameKind, NameRule, RegistrationId};
///
/// let error = RegistrationId::new("my device").unwrap_err();
/// assert_eq!((error.name(), error.rule(), error.position()), (NameKind::RegistrationId, NameRule::Character { found: ' ' }, 2));
/// assert!(error.to_string().ends_with("found ' ' at position 2"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError {
    name: NameKind,
    rule: NameRule,
    position: usize,
}

/// The kinds of names.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameRule {
    /// The text is empty.
    Empty,
    /// The text has too many characters.
    TooLong {
        /// The number of characters.
        length: usize,
        /// The most that are allowed.
        limit: usize,
    },
    /// A character that the name cannot have there.
    Character {
        /// The character.
        found: char,
    },
    /// A character that the name can have, but not at the end.
    LastCharacter {
        /// The character.
        found: char,
    },
    /// Two dots in a row, or a dot at the start or the end of a host name.
    EmptyLabel,
    /// A label of a host name has more than 63 characters.
    LabelTooLong {
        /// The number of characters.
        length: usize,
    },
    /// A label of a host name begins or ends with a hyphen.
    OuterHyphen,
    /// The text is a URL; found `//`.
    Url,
    /// Nothing follows the colon before a port.
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

    /// Which name the text was to be.
    #[must_use]
    pub fn name(&self) -> NameKind {
        self.name
    }

    /// Which rule the text breaks.
    #[must_use]
    pub fn rule(&self) -> NameRule {
        self.rule
    }

    /// Where, from 0. All before it is ASCII, so bytes and characters count alike.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }
}

/// Prints the name with its article: `an ID scope`.
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
            NameRule::Empty => write!(f, "{name} is not empty"),
            NameRule::TooLong { length, limit } => write!(f, "{name} has at most {limit} characters; found {length}"),
            NameRule::Character { found } => {
                write!(f, "{name} consists of {}; found {found:?} at position {position}", name.alphabet())
            }
            NameRule::LastCharacter { found } => write!(
                f,
                "the last character of {name} is an ASCII letter, a digit or '-'; found {found:?} at position {position}"
            ),
            NameRule::EmptyLabel => write!(f, "a label of {name} is not empty, but the one at position {position} is"),
            NameRule::LabelTooLong { length } => {
                write!(f, "a label of {name} has at most 63 characters; the one at position {position} has {length}")
            }
            NameRule::OuterHyphen => {
                write!(f, "a label of {name} neither begins nor ends with a hyphen; found one at position {position}")
            }
            NameRule::Url => {
                write!(f, "{name} is a host name with an optional port, not a URL; found \"//\" at position {position}")
            }
            NameRule::PortMissing => write!(f, "a port follows the colon at position {position}, but nothing does"),
            NameRule::PortCharacter { found } => {
                write!(f, "a port consists of digits; found {found:?} at position {position}")
            }
            NameRule::PortOutOfRange => {
                write!(f, "a port is a number from 1 to 65535; the one at position {position} is not")
            }
        }
    }
}

impl core::error::Error for NameError {}
