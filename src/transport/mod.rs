//! What carries a request to the service and brings back the answer.

#[cfg(feature = "https")]
pub(crate) mod https;

use alloc::boxed::Box;
use core::fmt;

use crate::error::TransportError;
use crate::protocol::{Request, Response};

/// A network stack, as far as a registration needs one: over sockets, a modem's AT commands, MQTT.
///
/// ```
/// use azure_iot_dps::{Request, Response, Transport, TransportError, TransportErrorKind};
/// # struct Modem; impl Modem {
/// #     fn http(&mut self, _: &str, _: &str, _: core::time::Duration) -> Result<(u16, &[u8]), u16> { Ok((202, b"")) }
/// # }
///
/// struct ModemTransport(Modem);
///
/// impl Transport for ModemTransport {
///     fn send<'b>(&'b mut self, request: &Request<'_>) -> Result<Response<'b>, TransportError> {
///         let answer = self.0.http(request.method(), request.target(), request.time_limit());
///         let (status, body) = answer.map_err(|_code| TransportErrorKind::CannotConnect)?;
///         Ok(Response::new(status, body))
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
    /// No complete answer arrived.
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
/// use azure_iot_dps::{FnTransport, Response};
///
/// let transport = FnTransport::new(|request| {
///     assert_eq!(request.method(), "PUT");
///     Ok(Response::new(202, br#"{"operationId":"5.3","status":"assigning"}"#.to_vec()))
/// });
/// ```
pub struct FnTransport<F>(F);

impl<F: FnMut(&Request<'_>) -> Result<Response<'static>, TransportError>> FnTransport<F> {
    /// From the closure.
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
