//! What a device sends, as data: enough for HTTP in any shape, and for MQTT without parsing a URL.

use core::fmt;
use core::time::Duration;

use crate::encoding::percent_encode;
use crate::identity::{Endpoint, IdScope, RegistrationId};
use crate::sas::SasToken;

/// The device API's version that the documents show and the C SDK sends.
pub(crate) const API_VERSION: &str = "2021-06-01";
/// The first one that knows certificate signing requests.
pub(crate) const CSR_API_VERSION: &str = "2026-04-01";

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation<'a> {
    /// Register this device: `PUT /{idScope}/registrations/{registrationId}/register`.
    Register,
    /// How far has the registration come: `GET /{idScope}/registrations/{registrationId}/operations/{operationId}`.
    OperationStatus {
        /// What the service called the registration when it was asked for, decoded.
        operation_id: &'a str,
    },
    /// What is this device's assignment: `POST /{idScope}/registrations/{registrationId}`.
    StatusLookup,
}

/// One request to the service.
///
/// It says what it is ([`operation`](Self::operation), [`id_scope`](Self::id_scope), …) and how it looks in HTTP
/// ([`method`](Self::method), [`endpoint`](Self::endpoint), [`target`](Self::target), [`headers`](Self::headers),
/// [`body`](Self::body)). A transport uses whichever suits it and keeps to [`time_limit`](Self::time_limit).
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub(crate) operation: Operation<'a>,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) id_scope: &'a IdScope,
    pub(crate) registration_id: &'a RegistrationId,
    pub(crate) target: &'a str,
    pub(crate) token: &'a SasToken,
    pub(crate) user_agent: &'a str,
    pub(crate) body: Option<&'a [u8]>,
    pub(crate) time_limit: Duration,
}

impl<'a> Request<'a> {
    /// What the request asks for.
    #[must_use]
    pub fn operation(&self) -> Operation<'a> {
        self.operation
    }

    /// Whom to ask.
    #[must_use]
    pub fn endpoint(&self) -> &'a Endpoint {
        self.endpoint
    }

    /// The ID scope of the device that asks.
    #[must_use]
    pub fn id_scope(&self) -> &'a IdScope {
        self.id_scope
    }

    /// The registration ID of the device that asks.
    #[must_use]
    pub fn registration_id(&self) -> &'a RegistrationId {
        self.registration_id
    }

    /// The HTTP method: `PUT`, `GET` or `POST`.
    #[must_use]
    pub fn method(&self) -> &'static str {
        match self.operation {
            Operation::Register => "PUT",
            Operation::OperationStatus { .. } => "GET",
            Operation::StatusLookup => "POST",
        }
    }

    /// The HTTP request target: path and query, percent-encoded.
    #[must_use]
    pub fn target(&self) -> &'a str {
        self.target
    }

    /// The HTTP headers, all but `Host` and `Content-Length`, which are the transport's. `Authorization` is a secret.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let content_type = self.body.map(|_| ("Content-Type", "application/json; charset=utf-8"));
        let always =
            [("Authorization", self.token.as_str()), ("Accept", "application/json"), ("User-Agent", self.user_agent)];
        always.into_iter().chain(content_type)
    }

    /// The body, JSON, where there is one.
    #[must_use]
    pub fn body(&self) -> Option<&'a [u8]> {
        self.body
    }

    /// The token that the `Authorization` header carries; over MQTT it is the password of the connection.
    #[must_use]
    pub fn token(&self) -> &'a SasToken {
        self.token
    }

    /// How long the whole exchange may take, from looking up the name to the last byte of the answer. Never zero.
    #[must_use]
    pub fn time_limit(&self) -> Duration {
        self.time_limit
    }
}

impl Request<'_> {
    /// The same with less time left, but never none.
    pub(crate) fn shortened_by(self, taken: Duration) -> Self {
        let time_limit = self.time_limit.saturating_sub(taken).max(Duration::from_millis(1));
        Self { time_limit, ..self }
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method())
            .field("endpoint", self.endpoint)
            .field("target", &self.target)
            .field("token", self.token)
            .field("body_length", &self.body.map_or(0, <[u8]>::len))
            .field("time_limit", &self.time_limit)
            .finish()
    }
}

/// Writes a request target.
pub(crate) struct Target<'a> {
    pub(crate) operation: Operation<'a>,
    pub(crate) id_scope: &'a IdScope,
    pub(crate) registration_id: &'a RegistrationId,
    pub(crate) api_version: &'a str,
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let registration_id = percent_encode(self.registration_id.as_str());
        write!(f, "/{}/registrations/{registration_id}", self.id_scope)?;
        match self.operation {
            Operation::Register => f.write_str("/register")?,
            Operation::OperationStatus { operation_id } => write!(f, "/operations/{}", percent_encode(operation_id))?,
            Operation::StatusLookup => {}
        }
        write!(f, "?api-version={}", self.api_version)
    }
}
