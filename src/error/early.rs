//! A call that comes before its time.

use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;

use crate::error::support::SupportInfo;
use crate::time::ceil_secs;

/// A call came too early after a refusal: the pause is not over, and no request was sent.
///
/// The pause is 30 to 37.5 min after a refused key (401) and 60 to 75 min after any other refusal that somebody has to repair. It
/// doubles with each refusal in a row, up to 4 h. It ends early when the endpoint, the ID scope, the registration ID or the key is
/// another one, and with [`forget_refusal`](crate::ProvisioningClient::forget_refusal).
#[derive(Debug)]
pub struct TooEarly {
    inner: Box<Early>,
}

#[derive(Debug)]
struct Early {
    retry_after: Duration,
    status: Option<u16>,
    error_code: Option<u32>,
}

impl TooEarly {
    pub(crate) fn new(retry_after: Duration, status: Option<u16>, error_code: Option<u32>) -> Self {
        Self { inner: Box::new(Early { retry_after, status, error_code }) }
    }

    /// Returns how much of the pause remains, counted from now.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        self.inner.retry_after
    }

    /// Returns the HTTP status of the refusal, or what its error code amounts to for a registration that failed.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.inner.status
    }

    /// Returns the service's error code of the refusal, such as 401002.
    #[must_use]
    pub fn error_code(&self) -> Option<u32> {
        self.inner.error_code
    }

    /// Returns what to quote to Azure's support about the refusal.
    #[must_use]
    pub fn support_info(&self) -> SupportInfo<'_> {
        SupportInfo { status: self.status(), error_code: self.error_code(), ..SupportInfo::default() }
    }
}

impl fmt::Display for TooEarly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the service refused the device a while ago")?;
        if self.support_info().write(f, " (")? {
            f.write_str(")")?;
        }
        write!(f, ", try again in {} s", ceil_secs(self.retry_after()))
    }
}

impl core::error::Error for TooEarly {}
