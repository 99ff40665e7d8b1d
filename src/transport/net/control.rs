//! The state of a transport that its handles change from other threads.

use alloc::sync::{Arc, Weak};
use core::fmt;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::roots::Roots;
#[cfg(feature = "x509")]
use crate::attestation::ClientCertificate;

/// The roots that a transport trusts, and the certificate that it presents.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust {
    pub(super) roots: Roots,
    #[cfg(feature = "x509")]
    pub(super) certificate: Option<ClientCertificate>,
}

/// The state that a transport shares with its handles.
#[derive(Clone)]
pub(in crate::transport) struct Control(Arc<Mutex<State>>);

struct State {
    trust: Trust,
    /// A number that changes when existing connections must no longer be used.
    generation: u64,
    /// Whether the current request was ended.
    ended: bool,
    /// The open connection, which a stream owns.
    socket: Weak<TcpStream>,
}

impl Control {
    pub(super) fn new(trust: Trust) -> Self {
        let state = State { trust, generation: 0, ended: false, socket: Weak::new() };
        Self(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks the beginning of a request.
    pub(in crate::transport) fn begin(&self) {
        self.state().ended = false;
    }

    /// Returns whether the current request was ended.
    pub(in crate::transport) fn is_ended(&self) -> bool {
        self.state().ended
    }

    /// Returns the generation of connections that may be used.
    pub(in crate::transport) fn generation(&self) -> u64 {
        self.state().generation
    }

    pub(super) fn trust(&self) -> (u64, Trust) {
        let state = self.state();
        (state.generation, state.trust.clone())
    }

    /// Returns the client certificate.
    #[cfg(feature = "x509")]
    pub(super) fn certificate(&self) -> Option<ClientCertificate> {
        self.state().trust.certificate.clone()
    }

    /// Records the open connection. Fails if the request was ended.
    pub(super) fn opened(&self, socket: &Arc<TcpStream>) -> io::Result<()> {
        let mut state = self.state();
        if state.ended {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        state.socket = Arc::downgrade(socket);
        Ok(())
    }

    /// Ends the current request, even if it is not connected yet, and closes the kept connection.
    fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        state.generation = state.generation.wrapping_add(1);
        if let Some(socket) = state.socket.upgrade() {
            // The socket may be closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn replace(&self, change: impl FnOnce(&mut Trust)) {
        let mut state = self.state();
        change(&mut state.trust);
        state.generation = state.generation.wrapping_add(1);
    }

    pub(in crate::transport) fn shutdown_handle(&self) -> ShutdownHandle {
        ShutdownHandle(self.clone())
    }

    pub(in crate::transport) fn roots_handle(&self) -> RootsHandle {
        RootsHandle(self.clone())
    }

    #[cfg(feature = "x509")]
    pub(in crate::transport) fn certificate_handle(&self) -> CertificateHandle {
        CertificateHandle(self.clone())
    }
}

/// A handle that ends the current request of a transport from another thread.
///
/// It is created by `shutdown_handle` of `HttpsTransport` or `MqttTransport`.
///
/// The request fails at once, or during a name lookup or a TCP connection within their limits of 10
/// and 30 s. A registration treats this as any other failure and waits: end it in the wait hook,
/// too. A later registration opens a new connection.
///
#[cfg_attr(feature = "https", doc = "```")]
#[cfg_attr(not(feature = "https"), doc = "```ignore")]
/// use azure_iot_dps::HttpsTransport;
///
/// let transport = HttpsTransport::new();
/// let handle = transport.shutdown_handle();
///
/// // The transport belongs to a client; another thread reacts to a signal:
/// let thread = std::thread::spawn(move || handle.shutdown());
/// # assert!(thread.join().is_ok());
/// ```
#[derive(Clone)]
pub struct ShutdownHandle(Control);

impl ShutdownHandle {
    /// Ends the current request and closes the connection.
    pub fn shutdown(&self) {
        self.0.end();
    }
}

impl fmt::Debug for ShutdownHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShutdownHandle")
    }
}

/// A handle that replaces the roots of a transport while it is in use.
///
/// It is created by `roots_handle` of `HttpsTransport` or `MqttTransport`.
///
#[cfg_attr(feature = "https", doc = "```")]
#[cfg_attr(not(feature = "https"), doc = "```ignore")]
/// use azure_iot_dps::transport::{HttpsTransport, Roots};
///
/// # let file = "tests/data/rsa/root.pem";
/// let transport = HttpsTransport::builder().roots(Roots::file(file)?).build();
/// let handle = transport.roots_handle();
///
/// // After an update, on a signal, or if a registration fails with `CertificateNotTrusted`:
/// handle.replace(Roots::file(file)?);
/// # Ok::<(), azure_iot_dps::transport::RootsError>(())
/// ```
#[derive(Clone)]
pub struct RootsHandle(Control);

impl RootsHandle {
    /// Replaces the roots. The next request uses only the new ones, on a new connection.
    ///
    /// The current request is not affected.
    pub fn replace(&self, roots: Roots) {
        self.0.replace(|trust| trust.roots = roots);
    }
}

impl fmt::Debug for RootsHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootsHandle")
    }
}

/// A handle that replaces the client certificate of a transport while it is in use.
///
/// It is created by `certificate_handle` of `HttpsTransport` or `MqttTransport`.
///
#[cfg_attr(feature = "https", doc = "```")]
#[cfg_attr(not(feature = "https"), doc = "```ignore")]
/// use azure_iot_dps::{HttpsTransport, attestation::ClientCertificate};
///
/// # let (chain, key) = ("tests/data/rsa/dev-ec.pem", "tests/data/rsa/dev-ec.sec1.key");
/// let certificate = ClientCertificate::files(chain, key)?;
/// let transport = HttpsTransport::builder().certificate(certificate).build();
/// let handle = transport.certificate_handle();
///
/// // After a renewal:
/// handle.replace(ClientCertificate::files(chain, key)?);
/// # Ok::<(), azure_iot_dps::attestation::CertificateError>(())
/// ```
#[cfg(feature = "x509")]
#[derive(Clone)]
pub struct CertificateHandle(Control);

#[cfg(feature = "x509")]
impl CertificateHandle {
    /// Replaces the certificate. The next request presents the new one, on a new connection.
    ///
    /// The current request is not affected.
    pub fn replace(&self, certificate: ClientCertificate) {
        self.0.replace(|trust| trust.certificate = Some(certificate));
    }
}

#[cfg(feature = "x509")]
impl fmt::Debug for CertificateHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CertificateHandle")
    }
}
