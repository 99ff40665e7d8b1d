//! What to quote to support.

use core::fmt;

/// The details that identify a failure to Azure's support. `Display` prints what there is, on one line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SupportInfo<'a> {
    /// The status of the answer, as HTTP counts.
    pub status: Option<u16>,
    /// The service's error code, such as 401002.
    pub error_code: Option<u32>,
    /// The service's tracking ID.
    pub tracking_id: Option<&'a str>,
    /// The service's ID of the request, the answer's `x-ms-request-id`.
    pub request_id: Option<&'a str>,
    /// The service's ID of the registration that was under way.
    pub operation_id: Option<&'a str>,
    /// When the service refused, as it writes it.
    pub timestamp: Option<&'a str>,
}

impl SupportInfo<'_> {
    /// Whether there is nothing to quote: no answer of the service came.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Writes what there is behind `first`, with commas between; whether there was anything.
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, first: &str) -> Result<bool, fmt::Error> {
        let Self { status, error_code, tracking_id, request_id, operation_id, timestamp } = self;
        let details: [(&str, Option<&dyn fmt::Display>); 6] = [
            ("status", status.as_ref().map(|it| it as _)),
            ("error code", error_code.as_ref().map(|it| it as _)),
            ("tracking ID", tracking_id.as_ref().map(|it| it as _)),
            ("request ID", request_id.as_ref().map(|it| it as _)),
            ("operation ID", operation_id.as_ref().map(|it| it as _)),
            ("at", timestamp.as_ref().map(|it| it as _)),
        ];
        let mut separator = first;
        for (name, value) in details {
            if let Some(value) = value {
                write!(f, "{separator}{name} {value}")?;
                separator = ", ";
            }
        }
        Ok(separator != first)
    }
}

/// `status 401, error code 401002, tracking ID 2cb8f317-…`; `nothing to quote` where there is nothing.
impl fmt::Display for SupportInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.write(f, "")? { Ok(()) } else { f.write_str("nothing to quote") }
    }
}
