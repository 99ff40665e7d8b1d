//! Transports, which carry requests to the service and return its answers.
//!
//! | item | feature | what it is |
//! | --- | --- | --- |
//! | [`Transport`] | none | the trait that connects any network stack to this crate |
//! | `HttpsTransport` | `https` | a blocking transport over HTTPS |
//! | `MqttTransport` | `mqtt` | a blocking transport over MQTT |
//! | [`mqtt::Exchange`] | none | MQTT over any byte stream, without I/O |
//! | [`FnTransport`] | none | a transport from a closure |
//!
//! Requests and responses are described in [`protocol`](crate::protocol).
//!
#![cfg_attr(feature = "https", doc = "```no_run")]
#![cfg_attr(not(feature = "https"), doc = "```ignore")]
//! use azure_iot_dps::{DeviceKey, HttpsTransport, IdScope, ProvisioningClient, RegistrationId};
//! # fn device_key() -> Result<DeviceKey, azure_iot_dps::key::KeyError> { "".parse() }
//!
//! let (id_scope, name) = (IdScope::new("0ne00002193")?, RegistrationId::new("my-device")?);
//! let builder = ProvisioningClient::builder(id_scope, name, device_key()?);
//! let assignment = builder.transport(HttpsTransport::new()).build().register()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "https")]
mod https;
pub mod mqtt;
#[cfg(any(feature = "https", feature = "mqtt"))]
mod net;

use alloc::boxed::Box;
use core::fmt;

#[cfg(feature = "https")]
pub use https::{HttpsTransport, HttpsTransportBuilder};
#[cfg(feature = "mqtt-websocket")]
pub use mqtt::MqttRoute;
#[cfg(feature = "mqtt")]
pub use mqtt::{MqttTransport, MqttTransportBuilder};
#[cfg(all(feature = "x509", any(feature = "https", feature = "mqtt")))]
pub use net::CertificateHandle;
#[cfg(any(feature = "https", feature = "mqtt"))]
pub use net::{PemProblem, Roots, RootsError, RootsHandle, ShutdownHandle};
#[cfg(all(feature = "proxy", any(feature = "https", feature = "mqtt")))]
pub use net::{Proxy, ProxyError};

use crate::error::TransportError;
use crate::protocol::{Request, Response};

/// A network stack that carries requests: over sockets, a modem's AT commands or MQTT.
///
/// ```
/// use azure_iot_dps::error::{TransportError, TransportErrorKind};
/// use azure_iot_dps::protocol::{Request, Response};
/// use azure_iot_dps::Transport;
/// # use core::time::Duration;
/// # struct Answer<'m> { status: u16, headers: Vec<(&'m str, &'m str)>, body: &'m [u8] }
/// # struct Modem;
/// # impl Modem {
/// #     fn set_deadline(&mut self, _: Duration) {}
/// #     fn open(&mut self, _: &str, _: u16) -> Result<(), u16> { Ok(()) }
/// #     fn http<'h, H: Iterator<Item = (&'h str, &'h str)>>(
/// #         &mut self, _: &str, _: &str, _: H, _: &[u8],
/// #     ) -> Result<Answer<'_>, u16> {
/// #         Ok(Answer { status: 202, headers: vec![("Retry-After", "3")], body: b"" })
/// #     }
/// # }
///
/// struct ModemTransport {
///     modem: Modem,
/// }
///
/// impl Transport for ModemTransport {
///     fn send<'b>(&'b mut self, request: &Request<'_>) -> Result<Response<'b>, TransportError> {
///         let head = request.http();
///         self.modem.set_deadline(request.time_limit()); // It covers the steps below.
///         let opened = self.modem.open(request.endpoint().host().as_str(), head.port());
///         opened.map_err(|_code| TransportErrorKind::CannotConnect)?;
///         let (target, body) = (head.target().to_string(), request.body().unwrap_or_default());
///         let answer = self.modem.http(head.method(), &target, head.headers(), body);
///         let answer = answer.map_err(|_code| TransportErrorKind::AnswerBroken)?;
///         let mut response = Response::new(answer.status, answer.body);
///         for (name, value) in answer.headers {
///             response = response.with_header(name, value);
///         }
///         Ok(response)
///     }
/// }
/// ```
pub trait Transport {
    /// Sends one request to the service and returns the complete answer, whatever its status.
    ///
    /// It must not take longer than [`Request::time_limit`], and must not follow redirects: the
    /// token is for the service alone.
    ///
    /// # Errors
    ///
    /// Returns [`TransportError`] if no complete answer arrives. Its kind is
    /// [`Unsupported`](crate::error::TransportErrorKind::Unsupported) if the protocol does not have
    /// the operation.
    fn send<'b>(&'b mut self, request: &Request<'_>) -> Result<Response<'b>, TransportError>;
}

impl<T: Transport + ?Sized> Transport for &mut T {
    fn send<'b>(&'b mut self, request: &Request<'_>) -> Result<Response<'b>, TransportError> {
        (**self).send(request)
    }
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn send<'b>(&'b mut self, request: &Request<'_>) -> Result<Response<'b>, TransportError> {
        (**self).send(request)
    }
}

/// A transport from a closure whose responses own their bodies.
///
/// ```
/// use azure_iot_dps::protocol::{Operation, Response};
/// use azure_iot_dps::transport::FnTransport;
/// # use azure_iot_dps::time::{Clock, Now};
/// # use azure_iot_dps::{DeviceKey, IdScope, ProvisioningClient, RegistrationId};
/// # use core::time::Duration;
/// # struct Uptime(Duration);
/// # impl Clock for Uptime {
/// #     fn now(&mut self) -> Now { Now { unix: None, uptime: self.0 } }
/// #     fn sleep(&mut self, pause: Duration) { self.0 += pause; }
/// # }
/// # let key = DeviceKey::from_base64("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=")?;
/// # let (id_scope, name) = (IdScope::new("0ne00002193")?, RegistrationId::new("my-device")?);
/// # let builder = ProvisioningClient::builder(id_scope, name, key);
/// # let clock = Uptime(Duration::ZERO);
///
/// const ANSWER: &[u8] = br#"{"status":"assigned","registrationState":{
///     "assignedHub":"my-hub.azure-devices.net","deviceId":"my-device"}}"#;
/// let transport = FnTransport::new(|request| {
///     assert_eq!(request.operation(), Operation::Register);
///     Ok(Response::new(200, ANSWER))
/// });
/// let assignment = builder.build_with(transport, clock).register()?;
/// assert_eq!(assignment.hub().as_str(), "my-hub.azure-devices.net");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FnTransport<F>(F);

impl<F: FnMut(&Request<'_>) -> Result<Response<'static>, TransportError>> FnTransport<F> {
    /// Creates a transport that calls the closure for each request.
    #[must_use]
    pub fn new(send: F) -> Self {
        Self(send)
    }
}

impl<F: FnMut(&Request<'_>) -> Result<Response<'static>, TransportError>> Transport for FnTransport<F> {
    fn send<'b>(&'b mut self, request: &Request<'_>) -> Result<Response<'b>, TransportError> {
        (self.0)(request)
    }
}

impl<F> fmt::Debug for FnTransport<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FnTransport")
    }
}
