//! Payloads and their errors.

use alloc::boxed::Box;
use core::fmt;

use serde_json::Value;
use serde_json::error::Category;

/// A payload as the service wrote it. Two are equal if they are the same JSON.
#[derive(Clone, Debug)]
pub(super) struct PayloadText(Box<str>);

impl PayloadText {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for PayloadText {
    fn from(json: &str) -> Self {
        Self(json.into())
    }
}

impl PartialEq for PayloadText {
    fn eq(&self, other: &Self) -> bool {
        let value = |text: &Self| serde_json::from_str::<Value>(&text.0).ok();
        self.0 == other.0 || value(self).zip(value(other)).is_some_and(|(one, other)| one == other)
    }
}

impl Eq for PayloadText {}

/// An error of a payload: it could not be sent, or does not have the requested type.
///
/// ```
/// use azure_iot_dps::assignment::PayloadError;
/// use azure_iot_dps::registration::RegistrationSettings;
///
/// let settings = RegistrationSettings::new("0ne00002193".parse()?, "my-device".parse()?);
/// match settings.payload_json("{\"model\":\n}") {
///     Err(PayloadError::Syntax(error)) => assert_eq!(error.line(), 2),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), azure_iot_dps::identity::NameError>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The value cannot be written as JSON.
    #[error("the payload cannot be written as JSON")]
    Serialize(#[source] JsonError),
    /// The text is not JSON.
    #[error("the payload is not JSON")]
    Syntax(#[source] JsonError),
    /// The payload is JSON, but does not have the requested type.
    #[error("the payload does not have the requested type")]
    Type(#[source] JsonError),
    /// The register request would be larger than the service accepts.
    #[error("with this payload the register request has {length} bytes; the service accepts {limit}")]
    TooLarge {
        /// The length of the request's body in bytes.
        length: usize,
        /// The most bytes that the service accepts.
        limit: usize,
    },
}

/// The kind and the position of an error in JSON.
///
/// It contains nothing of the JSON itself, which may be secret.
///
/// ```
/// use azure_iot_dps::assignment::JsonError;
///
/// fn describe(error: &JsonError) -> String {
///     format!("{error} (line {}, column {})", error.line(), error.column())
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonError {
    problem: &'static str,
    line: usize,
    column: usize,
}

impl JsonError {
    /// Keeps the kind and the position of serde's error, and drops its text.
    pub(crate) fn new(error: &serde_json::Error) -> Self {
        let problem = match error.classify() {
            Category::Syntax => "a syntax error",
            Category::Eof => "JSON that is cut off",
            Category::Data if error.line() > 0 => "a value of the wrong type, or a missing or unknown field",
            Category::Data | Category::Io => "a value whose type failed to serialize",
        };
        Self { problem, line: error.line(), column: error.column() }
    }

    /// Returns the line, counted from 1, or 0 if a value could not be written as JSON.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// Returns the column, counted from 1, or 0 if a value could not be written as JSON.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { problem, line, column } = self;
        f.write_str(problem)?;
        if *line > 0 { write!(f, " at line {line}, column {column}") } else { Ok(()) }
    }
}

impl core::error::Error for JsonError {}
