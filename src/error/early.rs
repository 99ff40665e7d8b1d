//! The error of a call during a pause after a refusal.

use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;

use crate::error::support::SupportInfo;
use crate::time::ceil_secs;

/// The error of a call during a pause after a refusal. No request was sent.
///
/// The pause is 30 to 37.5 min after a refused key or certificate (401), and 60 to 75 min after any
/// other refusal that an operator must repair. It doubles with each refusal in a row, up to 4 h. It
/// ends early if the endpoint, the ID scope, the registration ID or the key changes, and with
/// [`forget_refusal`](crate::ProvisioningClient::forget_refusal).
///
/// ```
/// # use azure_iot_dps::{attestation::AttestationKind, protocol::Response, time::Now, Error};
/// # use azure_iot_dps::registration::{Registration, RegistrationSettings, Step};
/// # let settings = RegistrationSettings::new("0ne00002193".parse()?, "my-device".parse()?);
/// # let mut registration = Registration::new(&settings, AttestationKind::X509);
/// # let now = Now { unix: None, uptime: std::time::Duration::ZERO };
/// # while matches!(registration.step(now)?, Step::Event(_)) {}
/// # let refusal = Response::new(403, &br#"{"errorCode":403001}"#[..]);
/// # registration.receive(Ok(refusal), now);
/// # while registration.step(now).is_ok() {}
/// # let session = registration.into_session();
/// # let mut registration = Registration::resume(&settings, AttestationKind::X509, session);
/// # let error = registration.step(now).unwrap_err();
/// let Error::TooEarly(early) = error else { unreachable!() };
/// assert_eq!((early.status(), early.error_code()), (Some(403), Some(403_001)));
/// assert!(early.retry_after().as_secs() >= 3600);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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

    /// Returns the HTTP status of the refusal.
    ///
    /// If the registration failed after the service accepted it, this is the status in its error
    /// code.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.inner.status
    }

    /// Returns the service's error code of the refusal, such as 401002.
    #[must_use]
    pub fn error_code(&self) -> Option<u32> {
        self.inner.error_code
    }

    /// Returns the details of the refusal for Azure's support.
    #[must_use]
    pub fn support_info(&self) -> SupportInfo<'_> {
        SupportInfo { status: self.status(), error_code: self.error_code(), ..SupportInfo::default() }
    }
}

impl fmt::Display for TooEarly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("paused after a refusal by the service")?;
        if self.support_info().write(f, " (")? {
            f.write_str(")")?;
        }
        write!(f, ", try again in {} s", ceil_secs(self.retry_after()))
    }
}

impl core::error::Error for TooEarly {}
