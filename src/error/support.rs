//! The details for Azure's support.

use core::fmt;

/// The details that identify a failure to Azure's support.
///
/// `Display` writes the known details on one line.
///
/// ```
/// use azure_iot_dps::error::SupportInfo;
///
/// let mut info = SupportInfo::default();
/// assert!(info.is_empty());
/// (info.status, info.error_code) = (Some(401), Some(401_002));
/// assert_eq!(info.to_string(), "status 401, error code 401002");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SupportInfo<'a> {
    /// The HTTP status of the answer.
    pub status: Option<u16>,
    /// The service's error code, such as 401002.
    pub error_code: Option<u32>,
    /// The service's tracking ID.
    pub tracking_id: Option<&'a str>,
    /// The service's ID of the request, the answer's `x-ms-request-id`.
    pub request_id: Option<&'a str>,
    /// The service's ID of the pending operation.
    pub operation_id: Option<&'a str>,
    /// The service's time of the refusal, as the service writes it.
    pub timestamp: Option<&'a str>,
}

impl SupportInfo<'_> {
    /// Returns whether there are no details, because no answer of the service arrived.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Writes the known details after `first`, separated by commas. Returns whether there were any.
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

/// Writes `status 401, error code 401002, tracking ID 2cb8f317-…`, or `no details` if there
/// are no details.
impl fmt::Display for SupportInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.write(f, "")? { Ok(()) } else { f.write_str("no details") }
    }
}
