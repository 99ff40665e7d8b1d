//! What the handles of a transport reach from other threads.

use alloc::sync::{Arc, Weak};
use core::fmt;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::roots::Roots;
#[cfg(feature = "x509")]
use crate::attestation::ClientCertificate;

/// Whom a transport trusts, and who it says it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust {
    pub(super) roots: Roots,
    #[cfg(feature = "x509")]
    pub(super) certificate: Option<ClientCertificate>,
}

/// What a transport shares with its handles.
#[derive(Clone)]
pub(in crate::transport) struct Control(Arc<Mutex<State>>);

struct State {
    trust: Trust,
    /// Changes when a connection that was made before is not to be used any more.
    generation: u64,
    /// The request under way was ended.
    ended: bool,
    /// The connection that is open, as long as somebody holds it.
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

    /// Begins a request.
    pub(in crate::transport) fn begin(&self) {
        self.state().ended = false;
    }

    /// Whether the request under way was ended.
    pub(in crate::transport) fn is_ended(&self) -> bool {
        self.state().ended
    }

    /// Identifies the connections that are good still.
    pub(in crate::transport) fn generation(&self) -> u64 {
        self.state().generation
    }

    pub(super) fn trust(&self) -> (u64, Trust) {
        let state = self.state();
        (state.generation, state.trust.clone())
    }

    /// The certificate that proves the device's identity.
    #[cfg(feature = "x509")]
    pub(super) fn certificate(&self) -> Option<ClientCertificate> {
        self.state().trust.certificate.clone()
    }

    /// Takes note of the connection that is open.
    pub(super) fn opened(&self, socket: &Arc<TcpStream>) -> io::Result<()> {
        let mut state = self.state();
        if state.ended {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        state.socket = Arc::downgrade(socket);
        Ok(())
    }

    /// Ends the request under way, should it have a connection yet or not, and closes the connection that is kept.
    fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        state.generation = state.generation.wrapping_add(1);
        if let Some(socket) = state.socket.upgrade() {
            // It may be closed already.
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

/// Ends what a transport has under way, from another thread. Made by `shutdown_handle` of `HttpsTransport` or `MqttTransport`.
///
/// The request fails at once (a name that is being looked up or a TCP connection that is being opened, within their limits
/// of 10 and 30 s). A registration takes that for a failure like any other and waits: have the wait hook say stop, too. A
/// later registration connects anew.
#[derive(Clone)]
pub struct ShutdownHandle(Control);

impl ShutdownHandle {
    /// Ends the request under way and closes the connection.
    pub fn shutdown(&self) {
        self.0.end();
    }
}

impl fmt::Debug for ShutdownHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShutdownHandle")
    }
}

/// Replaces the roots of a transport while it is in use. Made by `roots_handle` of `HttpsTransport` or `MqttTransport`.
///
#[cfg_attr(feature = "https", doc = "```no_run")]
#[cfg_attr(not(feature = "https"), doc = "```ignore")]
/// use azure_iot_dps::transport::{HttpsTransport, Roots, RootsError};
///
/// let file = "/etc/acme/roots.pem";
/// let transport = HttpsTransport::builder().roots(Roots::file(file)?).build();
/// let roots = transport.roots_handle();
///
/// // After an update, on a signal, or where a registration fails with `CertificateNotTrusted`:
/// roots.replace(Roots::file(file)?);
/// # Ok::<(), RootsError>(())
/// ```
#[derive(Clone)]
pub struct RootsHandle(Control);

impl RootsHandle {
    /// From the next request on these are trusted and no others, on a new connection. A request under way is not disturbed.
    pub fn replace(&self, roots: Roots) {
        self.0.replace(|trust| trust.roots = roots);
    }
}

impl fmt::Debug for RootsHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootsHandle")
    }
}

/// Replaces the client certificate of a transport while it is in use. Made by `certificate_handle` of `HttpsTransport` or
/// `MqttTransport`.
#[cfg(feature = "x509")]
#[derive(Clone)]
pub struct CertificateHandle(Control);

#[cfg(feature = "x509")]
impl CertificateHandle {
    /// From the next request on this one is presented, on a new connection. A request under way is not disturbed.
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
