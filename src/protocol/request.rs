//! What a device asks, whatever the protocol.

use core::fmt;
use core::time::Duration;

use crate::identity::{Endpoint, IdScope, RegistrationId};
use crate::sas::SasToken;

/// The device API's version that Microsoft's documents show and the C SDK sends.
pub(crate) const API_VERSION: &str = "2021-06-01";
/// The first stable version that knows certificate signing requests.
pub(crate) const CSR_API_VERSION: &str = "2026-11-01";

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation<'a> {
    /// Register this device.
    Register,
    /// Tell how far the registration has come.
    OperationStatus {
        /// The ID that the service gave the registration, not encoded.
        operation_id: &'a str,
    },
    /// Tell the assignment that the device has already. Not billed.
    StatusLookup,
}

/// One request to the service, in no protocol's terms.
///
/// A transport takes the view that suits it, such as [`http`](Self::http), and keeps to [`time_limit`](Self::time_limit).
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
    /// What the request asks for.
    #[must_use]
    pub fn operation(&self) -> Operation<'a> {
        self.operation
    }

    /// The service to ask.
    #[must_use]
    pub fn endpoint(&self) -> &'a Endpoint {
        self.endpoint
    }

    /// The ID scope of the device.
    #[must_use]
    pub fn id_scope(&self) -> &'a IdScope {
        self.id_scope
    }

    /// The registration ID of the device.
    #[must_use]
    pub fn registration_id(&self) -> &'a RegistrationId {
        self.registration_id
    }

    /// The version of the device API, `2021-06-01`.
    #[must_use]
    pub fn api_version(&self) -> &'a str {
        self.api_version
    }

    /// The name and version of this crate, and of the [`Product`](crate::identity::Product) where there is one.
    #[must_use]
    pub fn user_agent(&self) -> &'a str {
        self.user_agent
    }

    /// The SAS token that proves the device's identity; `None` where a client certificate does.
    #[must_use]
    pub fn token(&self) -> Option<&'a SasToken> {
        self.token
    }

    /// The body, JSON; `None` where the operation has none.
    #[must_use]
    pub fn body(&self) -> Option<&'a [u8]> {
        self.body
    }

    /// The time that the whole exchange may take, from the name's lookup to the last byte of the answer. Never zero.
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
