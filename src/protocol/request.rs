//! The request of a device, independent of the protocol.

use core::fmt;
use core::time::Duration;

use crate::identity::{Endpoint, IdScope, RegistrationId};
use crate::sas::SasToken;

/// The version of the device API that Microsoft documents and the C SDK sends.
pub(crate) const API_VERSION: &str = "2021-06-01";
/// The first stable version that supports certificate signing requests.
pub(crate) const CSR_API_VERSION: &str = "2026-11-01";

/// The operation that a request asks for.
///
/// ```
/// use azure_iot_dps::protocol::Operation;
///
/// fn name(operation: Operation<'_>) -> &'static str {
///     match operation {
///         Operation::Register => "register",
///         Operation::OperationStatus { .. } => "poll",
///         Operation::StatusLookup => "look up",
///         _ => "unknown",
///     }
/// }
/// assert_eq!(name(Operation::OperationStatus { operation_id: "5.3" }), "poll");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation<'a> {
    /// Registers the device.
    Register,
    /// Polls the status of a registration.
    OperationStatus {
        /// The service's ID of the registration, not percent-encoded.
        operation_id: &'a str,
    },
    /// Looks up the assignment that the device already has. It is not billed.
    StatusLookup,
}

/// A request to the service, independent of the protocol.
///
/// A transport uses the form for its protocol, [`http`](Self::http) or [`mqtt`](Self::mqtt), and
/// respects the [`time_limit`](Self::time_limit).
///
/// ```
/// # use azure_iot_dps::attestation::AttestationKind;
/// # use azure_iot_dps::registration::{Registration, RegistrationSettings, Step};
/// # let settings = RegistrationSettings::new("0ne00002193".parse()?, "my-device".parse()?);
/// # let mut registration = Registration::new(&settings, AttestationKind::X509);
/// # let now = azure_iot_dps::time::Now { unix: None, uptime: core::time::Duration::ZERO };
/// # while matches!(registration.step(now)?, Step::Event(_)) {}
/// # let Step::Send(request) = registration.step(now)? else { panic!("no request") };
/// use azure_iot_dps::protocol::Operation;
///
/// assert_eq!(request.operation(), Operation::Register);
/// assert_eq!(request.registration_id().as_str(), "my-device");
/// assert_eq!(request.body(), Some(&br#"{"registrationId":"my-device"}"#[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub(crate) operation: Operation<'a>,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) id_scope: &'a IdScope,
    pub(crate) registration_id: &'a RegistrationId,
    pub(crate) api_version: &'a str,
    pub(crate) user_agent: &'a str,
    pub(crate) token: Option<&'a SasToken>,
    pub(crate) body: Option<&'a [u8]>,
    pub(crate) time_limit: Duration,
}

impl<'a> Request<'a> {
    /// Returns the operation.
    #[must_use]
    pub fn operation(&self) -> Operation<'a> {
        self.operation
    }

    /// Returns the endpoint of the service.
    #[must_use]
    pub fn endpoint(&self) -> &'a Endpoint {
        self.endpoint
    }

    /// Returns the ID scope.
    #[must_use]
    pub fn id_scope(&self) -> &'a IdScope {
        self.id_scope
    }

    /// Returns the registration ID of the device.
    #[must_use]
    pub fn registration_id(&self) -> &'a RegistrationId {
        self.registration_id
    }

    /// Returns the version of the device API.
    ///
    /// It is `2021-06-01`, or `2026-11-01` if the settings contain a certificate signing request.
    #[must_use]
    pub fn api_version(&self) -> &'a str {
        self.api_version
    }

    /// Returns the user agent: this crate's name and version, and the product if there is one.
    ///
    /// With the feature `std`, it also has the operating system and the architecture. The product
    /// is set as a [`Product`](crate::identity::Product).
    #[must_use]
    pub fn user_agent(&self) -> &'a str {
        self.user_agent
    }

    /// Returns the SAS token, or `None` if a client certificate proves the device's identity.
    #[must_use]
    pub fn token(&self) -> Option<&'a SasToken> {
        self.token
    }

    /// Returns the JSON body, or `None` if the operation has none.
    #[must_use]
    pub fn body(&self) -> Option<&'a [u8]> {
        self.body
    }

    /// Returns the time limit of the whole exchange. It is never zero.
    ///
    /// The exchange begins with name resolution and ends with the last byte of the answer.
    #[must_use]
    pub fn time_limit(&self) -> Duration {
        self.time_limit
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("operation", &self.operation)
            .field("endpoint", self.endpoint)
            .field("id_scope", self.id_scope)
            .field("registration_id", self.registration_id)
            .field("api_version", &self.api_version)
            .field("token", &self.token)
            .field("body_len", &self.body.map_or(0, <[u8]>::len))
            .field("time_limit", &self.time_limit)
            .finish_non_exhaustive()
    }
}
