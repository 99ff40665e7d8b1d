//! A request as HTTP has it.
//!
//! ```
//! use azure_iot_dps::protocol::Request;
//! use core::fmt::Write;
//!
//! /// For a client that has a byte stream and nothing else. `Host` and `Content-Length` are its own.
//! fn write_http(request: &Request<'_>, output: &mut String) -> core::fmt::Result {
//!     let head = request.http();
//!     write!(output, "{} {} HTTP/1.1\r\nHost: {}\r\n", head.method(), head.target(), request.endpoint())?;
//!     for (name, value) in head.headers() {
//!         write!(output, "{name}: {value}\r\n")?;
//!     }
//!     write!(output, "Content-Length: {}\r\n\r\n", request.body().map_or(0, <[u8]>::len))
//! }
//! ```

use core::fmt;

use crate::encoding::percent_encode;
use crate::protocol::request::{Operation, Request};
use crate::sas::SasToken;

/// The port of HTTPS, where an endpoint names no other.
pub const DEFAULT_PORT: u16 = 443;

/// The head of an HTTP request: method, target and headers. Made by [`Request::http`].
#[derive(Clone, Copy)]
pub struct Head<'a>(Request<'a>);

impl<'a> Request<'a> {
    /// The request as HTTP has it.
    #[must_use]
    pub fn http(&self) -> Head<'a> {
        Head(*self)
    }
}

impl<'a> Head<'a> {
    /// The method: `PUT`, `GET` or `POST`.
    #[must_use]
    pub fn method(&self) -> &'static str {
        match self.0.operation() {
            Operation::Register => "PUT",
            Operation::OperationStatus { .. } => "GET",
            Operation::StatusLookup => "POST",
        }
    }

    /// The request target, path and query, percent-encoded.
    #[must_use]
    pub fn target(&self) -> Target<'a> {
        Target(self.0)
    }

    /// The TCP port to connect to: the endpoint's, else 443.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.endpoint().port().unwrap_or(DEFAULT_PORT)
    }

    /// The headers, all but `Host` and `Content-Length`, which are the transport's.
    ///
    /// `Authorization` is a secret. It is absent where a certificate proves the device's identity.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let token = self.0.token().map(SasToken::as_str).map(|token| ("Authorization", token));
        // Some gateways compress whatever does not forbid it.
        let accepted = [("Accept", "application/json"), ("Accept-Encoding", "identity")];
        let always = accepted.into_iter().chain([("User-Agent", self.0.user_agent())]);
        let content_type = self.0.body().map(|_| ("Content-Type", "application/json; charset=utf-8"));
        token.into_iter().chain(always).chain(content_type)
    }
}

impl fmt::Debug for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("method", &self.method())
            .field("target", &format_args!("{}", self.target()))
            .finish_non_exhaustive()
    }
}

/// A request target, `/0ne00002193/registrations/my-device/register?api-version=2021-06-01`. `Display` writes it.
#[derive(Clone, Copy)]
pub struct Target<'a>(Request<'a>);

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let registration_id = percent_encode(self.0.registration_id().as_str());
        write!(f, "/{}/registrations/{registration_id}", self.0.id_scope())?;
        match self.0.operation() {
            Operation::Register => f.write_str("/register")?,
            Operation::OperationStatus { operation_id } => write!(f, "/operations/{}", percent_encode(operation_id))?,
            Operation::StatusLookup => {}
        }
        write!(f, "?api-version={}", self.0.api_version())
    }
}

impl fmt::Debug for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}
