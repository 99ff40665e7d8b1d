//! The HTTP form of a request.
//!
//! ```
//! use azure_iot_dps::protocol::Request;
//! use core::fmt::Write;
//!
//! /// For a client with a byte stream only. It must add `Host` and `Content-Length` itself.
//! fn write_http(request: &Request<'_>, output: &mut String) -> core::fmt::Result {
//!     let head = request.http();
//!     write!(output, "{} {} HTTP/1.1\r\n", head.method(), head.target())?;
//!     write!(output, "Host: {}\r\n", request.endpoint())?;
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

/// The default port of HTTPS, used if an endpoint has no port.
pub const DEFAULT_PORT: u16 = 443;

/// The head of an HTTP request: method, target and headers.
///
/// [`Request::http`] creates it.
///
/// ```
/// # use azure_iot_dps::attestation::AttestationKind;
/// # use azure_iot_dps::registration::{Registration, RegistrationSettings, Step};
/// # let settings = RegistrationSettings::new("0ne00002193".parse()?, "my-device".parse()?);
/// # let mut registration = Registration::new(&settings, AttestationKind::X509);
/// # let now = azure_iot_dps::time::Now { unix: None, uptime: core::time::Duration::ZERO };
/// # while matches!(registration.step(now)?, Step::Event(_)) {}
/// # let Step::Send(request) = registration.step(now)? else { panic!("no request") };
/// let head = request.http();
/// assert_eq!((head.method(), head.port()), ("PUT", 443));
/// assert!(head.headers().any(|header| header == ("Accept", "application/json")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Head<'a>(Request<'a>);

impl<'a> Request<'a> {
    /// Returns the HTTP form of the request.
    #[must_use]
    pub fn http(&self) -> Head<'a> {
        Head(*self)
    }
}

impl<'a> Head<'a> {
    /// Returns the method: `PUT`, `GET` or `POST`.
    #[must_use]
    pub fn method(&self) -> &'static str {
        match self.0.operation() {
            Operation::Register => "PUT",
            Operation::OperationStatus { .. } => "GET",
            Operation::StatusLookup => "POST",
        }
    }

    /// Returns the request target, which is the path and the query, percent-encoded.
    #[must_use]
    pub fn target(&self) -> Target<'a> {
        Target(self.0)
    }

    /// Returns the TCP port to connect to: that of the endpoint, or else 443.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.endpoint().port().unwrap_or(DEFAULT_PORT)
    }

    /// Returns the headers, except `Host` and `Content-Length`, which the transport adds.
    ///
    /// `Authorization` is secret. It is absent if a client certificate proves the device's
    /// identity.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let token = self.0.token().map(SasToken::as_str).map(|token| ("Authorization", token));
        // Some gateways compress every answer unless the request forbids it.
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

/// A request target, written by `Display`.
///
/// ```
/// # use azure_iot_dps::attestation::AttestationKind;
/// # use azure_iot_dps::registration::{Registration, RegistrationSettings, Step};
/// # let settings = RegistrationSettings::new("0ne00002193".parse()?, "my-device".parse()?);
/// # let mut registration = Registration::new(&settings, AttestationKind::X509);
/// # let now = azure_iot_dps::time::Now { unix: None, uptime: core::time::Duration::ZERO };
/// # while matches!(registration.step(now)?, Step::Event(_)) {}
/// # let Step::Send(request) = registration.step(now)? else { panic!("no request") };
/// let target = request.http().target().to_string();
/// let expected = "/0ne00002193/registrations/my-device/register?api-version=2021-06-01";
/// assert_eq!(target, expected);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
