//! What carries a request to the service and brings back the answer.
//!
//! [`Transport`] is the plug for any network stack. `HttpsTransport` (feature `https`) and `MqttTransport` (feature `mqtt`) work out
//! of the box; [`mqtt::Exchange`] speaks MQTT over any byte stream. What a transport is given and gives back stands in [`protocol`](crate::protocol).

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
pub use net::{PemProblem, Proxy, ProxyError, Roots, RootsError, RootsHandle, ShutdownHandle};

use crate::error::TransportError;
use crate::protocol::{Request, Response};

/// A network stack, as far as a registration needs one: over sockets, a modem's AT commands, MQTT.
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
/// #     fn http<'h>(&mut self, _: &str, _: &str, _: impl Iterator<Item = (&'h str, &'h str)>, _: &[u8]) -> Result<Answer<'_>, u16> {
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
///         self.modem.set_deadline(request.time_limit()); // For all that follows.
///         let opened = self.modem.open(request.endpoint().host().as_str(), head.port());
///         opened.map_err(|_code| TransportErrorKind::CannotConnect)?;
///         let (target, body) = (head.target().to_string(), request.body().unwrap_or_default());
///         let answer = self.modem.http(head.method(), &target, head.headers(), body);
///         let answer = answer.map_err(|_code| TransportErrorKind::AnswerBroken)?;
///         let response = Response::new(answer.status, answer.body);
///         Ok(answer.headers.into_iter().fold(response, |response, (name, value)| response.with_header(name, value)))
///     }
/// }
/// ```
pub trait Transport {
    /// Carries one request to the service and brings back the complete answer, whatever its status.
    ///
    /// Must not take longer than [`Request::time_limit`], nor follow a redirect: the token is for the service alone.
    ///
    /// # Errors
    ///
    /// No complete answer arrived, or the protocol has no such operation
    /// ([`TransportErrorKind::Unsupported`](crate::error::TransportErrorKind::Unsupported)).
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

/// A transport made of a closure, whose answers own their bodies.
///
/// ```
/// use azure_iot_dps::protocol::{Operation, Response};
/// use azure_iot_dps::transport::FnTransport;
///
/// let transport = FnTransport::new(|request| {
///     assert_eq!(request.operation(), Operation::Register);
///     Ok(Response::new(202, br#"{"operationId":"5.3","status":"assigning"}"#.to_vec()))
/// });
/// ```
pub struct FnTransport<F>(F);

impl<F: FnMut(&Request<'_>) -> Result<Response<'static>, TransportError>> FnTransport<F> {
    /// Makes a transport of the closure.
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
