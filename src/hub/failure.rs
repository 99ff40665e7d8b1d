//! The failures of a hub, and the rules that apply to them.

use core::time::Duration;

/// The error codes, with their names, of the hub's limits that a registration does not lift.
///
/// Source: Microsoft, "IoT Hub API common error codes".
const LIMITS: [(u32, Option<&str>); 4] = [
    (403_002, Some("IotHubQuotaExceeded")),
    (403_004, Some("DeviceMaximumQueueDepthExceeded")),
    (403_006, Some("DeviceMaximumActiveFileUploadLimitExceeded")),
    (403_010, None), // Not in the hub's tier. No name is documented.
];

/// A failure to connect to a hub or to send to it.
///
/// ```
/// use azure_iot_dps::hub::HubFailure;
///
/// // Over HTTPS: the answer's status and its header `iothub-errorcode`.
/// let failure = HubFailure::http(403).with_code_name("IotHubQuotaExceeded");
/// assert_eq!(failure, HubFailure::http(403).with_code(403_002));
///
/// // Over MQTT: the return code of the CONNACK.
/// let failure = HubFailure::connack(5);
///
/// // No answer: for example, the host name could not be resolved, TLS failed, or the connection
/// // was closed.
/// let failure = HubFailure::UNREACHABLE;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubFailure {
    kind: Kind,
    pub(super) retry_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http { status: u16, code: Option<u32> },
    Connack { code: u8 },
    CertificateRefused,
    Unreachable,
}

impl HubFailure {
    /// The failure of a hub that sent no complete answer.
    pub const UNREACHABLE: Self = Self::new(Kind::Unreachable);

    /// The failure of a hub that refused the client certificate in the TLS handshake.
    ///
    /// It counts as a 401.
    pub const CERTIFICATE_REFUSED: Self = Self::new(Kind::CertificateRefused);

    const fn new(kind: Kind) -> Self {
        Self { kind, retry_after: None }
    }

    /// Creates the failure of a hub that answered with this HTTP status.
    #[must_use]
    pub const fn http(status: u16) -> Self {
        Self::new(Kind::Http { status, code: None })
    }

    /// Creates the failure of a hub that refused an MQTT connection with this CONNACK return code.
    ///
    /// The codes are those of MQTT 3.1.1, the version that hubs speak. Source: MQTT 3.1.1, section
    /// 3.2.2.3.
    #[must_use]
    pub const fn connack(code: u8) -> Self {
        Self::new(Kind::Connack { code })
    }

    /// Adds the hub's error code, such as 403002.
    ///
    /// It has no effect on a failure that [`http`](Self::http) did not create.
    #[must_use]
    pub const fn with_code(self, code: u32) -> Self {
        match self.kind {
            Kind::Http { status, .. } => Self { kind: Kind::Http { status, code: Some(code) }, ..self },
            _ => self,
        }
    }

    /// Adds the hub's error code, by name or number, as the header `iothub-errorcode` contains it.
    ///
    /// Names are compared without case. A name that is not one of a limit has no effect, as does
    /// any code of a failure that [`http`](Self::http) did not create.
    #[must_use]
    pub fn with_code_name(self, name: &str) -> Self {
        let is_named = |limit: Option<&str>| limit.is_some_and(|limit| name.eq_ignore_ascii_case(limit));
        let known = LIMITS.iter().find(|(_, limit)| is_named(*limit)).map(|(code, _)| *code);
        match name.parse().ok().or(known) {
            Some(code) => self.with_code(code),
            None => self,
        }
    }

    /// Adds the answer's `Retry-After`, the shortest time to wait. Default: none.
    ///
    /// More than an hour counts as an hour.
    #[must_use]
    pub const fn with_retry_after(self, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..self }
    }

    /// Returns the rule that applies, in the order of the table of [`Reconnection`][table].
    ///
    /// [table]: super::Reconnection
    pub(super) fn rule(self) -> Rule {
        match self.kind {
            Kind::Http { status: 403, code: Some(code) } if LIMITS.iter().any(|(limit, _)| *limit == code) => {
                Rule::Limit
            }
            Kind::Http { status: 401 | 403 | 404, .. } | Kind::Connack { code: 4 | 5 } | Kind::CertificateRefused => {
                Rule::Refused
            }
            Kind::Http { .. } | Kind::Connack { .. } | Kind::Unreachable => Rule::NoSuccess,
        }
    }
}

/// The kinds of failure that [`Reconnection`](super::Reconnection) distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The hub knows the device, and a limit is reached.
    Limit,
    /// The device, its key or its hub may have changed.
    Refused,
    /// Any other failure: the hub is busy, broken or out of reach.
    NoSuccess,
}
