//! The correction of a device's clock.

use core::time::Duration;

use crate::time::{CLOCK_TOLERANCE, Now, UnixTime};

/// The service's time, for a device whose clock was wrong or missing.
///
/// [`Assignment::clock_correction`](crate::Assignment::clock_correction) returns it.
///
/// ```
/// # use azure_iot_dps::attestation::AttestationKind;
/// # use azure_iot_dps::protocol::Response;
/// # use azure_iot_dps::registration::{Registration, RegistrationSettings, Step};
/// # use azure_iot_dps::time::{Now, UnixTime};
/// # use core::time::Duration;
/// # let settings = RegistrationSettings::new("0ne00002193".parse()?, "my-device".parse()?);
/// # let mut registration = Registration::new(&settings, AttestationKind::X509);
/// # let unix = Some(UnixTime::from_secs(1_767_225_600));
/// # let now = Now { unix, uptime: Duration::from_secs(10) };
/// # while matches!(registration.step(now)?, Step::Event(_)) {}
/// # let state = r#"{"assignedHub":"hub.example","deviceId":"my-device"}"#;
/// # let body = format!(r#"{{"status":"assigned","registrationState":{state}}}"#);
/// # let response = Response::new(200, body.into_bytes());
/// # let response = response.with_date(UnixTime::from_secs(1_767_225_900));
/// # registration.receive(Ok(response), now);
/// # let assignment = loop { if let Step::Done(it) = registration.step(now)? { break it } };
/// // At an uptime of 10 s, the device's clock was five minutes slow.
/// let correction = assignment.clock_correction().ok_or("the clock was right")?;
/// assert_eq!(correction.offset_seconds(), Some(300));
/// let time = correction.time_at(Duration::from_secs(15));
/// assert_eq!(time.to_string(), "2026-01-01T00:05:05Z");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockCorrection {
    pub(crate) service_time: UnixTime,
    pub(crate) device_time: Option<UnixTime>,
    pub(crate) uptime: Duration,
}

impl ClockCorrection {
    /// Creates a correction from the service's time and the device's clocks at the same moment.
    pub(crate) const fn new(service_time: UnixTime, now: Now) -> Self {
        Self { service_time, device_time: now.unix, uptime: now.uptime }
    }

    /// Returns whether the service's time differs by a minute or more from the device's clock.
    ///
    /// The clock is read before the request is sent and after the answer is received. Without a
    /// clock, a correction is always needed.
    pub(crate) fn is_needed(told: UnixTime, sent: Option<UnixTime>, received: Option<UnixTime>) -> bool {
        let (Some(sent), Some(received)) = (sent, received) else { return true };
        told.saturating_add(CLOCK_TOLERANCE) <= sent || told >= received.saturating_add(CLOCK_TOLERANCE)
    }

    /// Returns the service's time at this uptime of the device.
    ///
    /// A device can set its clock to it.
    #[must_use]
    pub fn time_at(&self, uptime: Duration) -> UnixTime {
        self.service_time.saturating_add(uptime.saturating_sub(self.uptime))
    }

    /// Returns whether the device's clock was neither set nor started since the correction.
    pub(crate) fn still_holds(&self, now: Now) -> bool {
        now.goes_on_from(Now { unix: self.device_time, uptime: self.uptime })
    }

    /// Returns the number of seconds to add to the device's clock, negative if the clock is fast.
    ///
    /// Returns `None` for a device without a clock.
    #[must_use]
    pub fn offset_seconds(&self) -> Option<i64> {
        let device_time = self.device_time?.as_secs();
        let ahead = i64::try_from(self.service_time.as_secs().abs_diff(device_time)).unwrap_or(i64::MAX);
        Some(if self.service_time.as_secs() >= device_time { ahead } else { ahead.saturating_neg() })
    }
}
