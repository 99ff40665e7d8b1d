//! What the handles of a transport reach from other threads.

use alloc::sync::Arc;
use core::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ureq::tls::RootCerts;

use super::roots::Roots;

/// What they share with it.
pub(super) struct Shared {
    pub(super) roots: RootCerts,
    /// With its connections, while there is one for these roots.
    pub(super) agent: Option<ureq::Agent>,
    /// The one that carries a request at this moment.
    pub(super) under_way: Option<ureq::Agent>,
    /// Somebody has ended the request under way.
    pub(super) closed: bool,
}

pub(super) fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the request under way, should it have a connection yet or not, and closes the connection that is kept.
pub(super) fn close(shared: &Mutex<Shared>) {
    let agents = {
        let mut shared = lock(shared);
        shared.closed = true;
        [shared.agent.take(), shared.under_way.take()]
    };
    agents.into_iter().flatten().for_each(ureq::Agent::shutdown);
}

/// Ends what an [`HttpsTransport`](super::HttpsTransport) has under way, from another thread. Made by [`HttpsTransport::shutdown_handle`](super::HttpsTransport::shutdown_handle).
///
/// The request fails at once (a name that is being looked up or a TCP connection that is being opened, within their limits
/// of 10 and 30 s). A registration takes that for a failure like any other and waits: have the wait hook say stop, too. A
/// later registration connects anew.
#[derive(Clone)]
pub struct ShutdownHandle(pub(super) Arc<Mutex<Shared>>);

impl ShutdownHandle {
    /// Ends the request under way and closes the connection.
    pub fn shutdown(&self) {
        close(&self.0);
    }
}

impl fmt::Debug for ShutdownHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShutdownHandle")
    }
}

/// Replaces the roots of an [`HttpsTransport`](super::HttpsTransport) while it is in use. Made by [`HttpsTransport::roots_handle`](super::HttpsTransport::roots_handle).
///
/// ```no_run
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
pub struct RootsHandle(pub(super) Arc<Mutex<Shared>>);

impl RootsHandle {
    /// From the next request on these are trusted and no others, on a new connection. A request under way is not disturbed.
    pub fn replace(&self, roots: Roots) {
        let mut shared = lock(&self.0);
        shared.roots = roots.into_inner();
        shared.agent = None;
    }
}

impl fmt::Debug for RootsHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootsHandle")
    }
}
