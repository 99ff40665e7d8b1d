//! Connects to the service over TLS, directly or through a proxy.

#[cfg(feature = "x509")]
use alloc::boxed::Box;
#[cfg(feature = "proxy")]
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use std::io;
use std::time::Instant;

use super::control::{Control, Trust};
use super::dialer::Dialer;
use super::dns_cache::DnsCache;
#[cfg(feature = "x509")]
use super::failure::Told;
use super::failure::explain_io;
#[cfg(feature = "proxy")]
use super::proxy::{self, Proxy};
use super::roots::Roots;
use super::stream::{Lower, TlsStream};
#[cfg(feature = "x509")]
use crate::attestation::ClientCertificate;
use crate::error::TransportError;
#[cfg(feature = "x509")]
use crate::error::TransportErrorKind as Kind;
#[cfg(feature = "x509")]
use crate::protocol::Request;

/// The connector of a transport. Clones share their state.
#[derive(Clone)]
pub(in crate::transport) struct Connector {
    pub(in crate::transport) control: Control,
    dialer: Dialer,
    #[cfg(feature = "proxy")]
    proxy: Option<Arc<Proxy>>,
}

/// The settings that the builders of all transports share.
#[derive(Debug, Default)]
pub(in crate::transport) struct NetBuilder {
    trust: Trust,
    #[cfg(feature = "proxy")]
    proxy: Option<Proxy>,
    dns: DnsCache,
}

impl NetBuilder {
    pub(in crate::transport) fn roots(mut self, roots: Roots) -> Self {
        self.trust.roots = roots;
        self
    }

    #[cfg(feature = "x509")]
    pub(in crate::transport) fn certificate(mut self, certificate: Option<ClientCertificate>) -> Self {
        self.trust.certificate = certificate;
        self
    }

    #[cfg(feature = "proxy")]
    pub(in crate::transport) fn proxy(self, proxy: Option<Proxy>) -> Self {
        Self { proxy, ..self }
    }

    pub(in crate::transport) fn resolver(
        self,
        lookup: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Self { dns: DnsCache::new(lookup), ..self }
    }

    pub(in crate::transport) fn build(self) -> Connector {
        let control = Control::new(self.trust);
        Connector {
            dialer: Dialer::new(control.clone(), self.dns),
            control,
            #[cfg(feature = "proxy")]
            proxy: self.proxy.map(Arc::new),
        }
    }
}

/// The setters that the builders of all transports share. Each builder has a [`NetBuilder`] in its
/// field `net`.
macro_rules! net_settings {
    () => {
        /// Sets the trusted roots.
        ///
        /// Default: `Roots::bundled`, or `Roots::platform` without the feature `bundled-roots`.
        #[must_use]
        pub fn roots(mut self, roots: $crate::transport::Roots) -> Self {
            self.net = self.net.roots(roots);
            self
        }

        /// Sets the client certificate, which proves the device's identity. Default: none.
        ///
        /// It is for a client with
        /// [`Attestation::x509`](crate::attestation::Attestation::x509), and is presented to a
        /// server that requests it.
        #[cfg(feature = "x509")]
        #[must_use]
        pub fn certificate(mut self, certificate: impl Into<Option<$crate::attestation::ClientCertificate>>) -> Self {
            self.net = self.net.certificate(certificate.into());
            self
        }

        /// Sets the proxy. Default: none. The environment is not read.
        #[cfg(feature = "proxy")]
        #[must_use]
        pub fn proxy(mut self, proxy: impl Into<Option<$crate::transport::Proxy>>) -> Self {
            self.net = self.net.proxy(proxy.into());
            self
        }

        /// Sets the resolver of host names. Default: the system's resolver.
        ///
        /// It gets a host name and a port, runs on a separate thread, and returns addresses, which
        /// are tried in order. An error or an empty list leads to
        /// [`NameNotResolved`](crate::error::TransportErrorKind::NameNotResolved).
        ///
        /// A proxy looks names up itself, so with a proxy, only the proxy's own name is looked up
        /// here.
        #[must_use]
        pub fn resolver(
            mut self,
            lookup: impl Fn(&str, u16) -> std::io::Result<alloc::vec::Vec<core::net::SocketAddr>> + Send + Sync + 'static,
        ) -> Self {
            self.net = self.net.resolver(lookup);
            self
        }
    };
}
pub(in crate::transport) use net_settings;

/// The handles that all transports offer. Each has a [`Connector`] in its field `connector`.
macro_rules! net_handles {
    () => {
        /// Returns a handle that ends the current request from another thread.
        #[must_use]
        pub fn shutdown_handle(&self) -> $crate::transport::ShutdownHandle {
            self.connector.control.shutdown_handle()
        }

        /// Returns a handle that replaces the client certificate while the transport is in use.
        #[cfg(feature = "x509")]
        #[must_use]
        pub fn certificate_handle(&self) -> $crate::transport::CertificateHandle {
            self.connector.control.certificate_handle()
        }

        /// Returns a handle that replaces the roots while the transport is in use.
        #[must_use]
        pub fn roots_handle(&self) -> $crate::transport::RootsHandle {
            self.connector.control.roots_handle()
        }
    };
}
pub(in crate::transport) use net_handles;

impl Connector {
    /// Connects to this host within the time limits, and before `until` in any case.
    pub(in crate::transport) fn connect(
        &self,
        host: &str,
        port: u16,
        until: Instant,
    ) -> Result<TlsStream, TransportError> {
        // Without a crypto provider, a connection is of no use.
        self.dialer.config()?;
        #[cfg(feature = "proxy")]
        if let Some(proxy) = self.proxy.as_deref().filter(|proxy| proxy.is_for(host, port)) {
            let lower = proxy::connect(&self.dialer, proxy, host, port, until)?;
            return TlsStream::new(self.dialer.tls(host)?, lower).map_err(explain_io);
        }
        let lower = Lower::Direct(self.dialer.open(host, port, until)?);
        TlsStream::new(self.dialer.tls(host)?, lower).map_err(explain_io)
    }

    /// Checks that the certificate belongs to the device of the request.
    #[cfg(feature = "x509")]
    pub(in crate::transport) fn check(&self, request: &Request<'_>) -> Result<(), TransportError> {
        let certificate = self.control.certificate().filter(|_| request.token().is_none());
        let checked = certificate.map_or(Ok(()), |certificate| certificate.check(request.registration_id()));
        checked.map_err(|error| TransportError::new(Kind::WrongCertificate).with_source(error))
    }

    /// Handles a failed request: the cause may be the address, or the client certificate.
    pub(in crate::transport) fn failed(&self, error: TransportError) -> TransportError {
        self.forget_addresses();
        #[cfg(feature = "x509")]
        if error.kind() == Kind::AnswerBroken && self.control.certificate().is_some() && !is_told(&error) {
            return TransportError::new(Kind::AnswerBroken).with_source(Closed { source: error.into_source() });
        }
        error
    }

    /// Forgets the addresses, so that the next connection looks its name up again.
    pub(in crate::transport) fn forget_addresses(&self) {
        self.dialer.forget_addresses();
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Connector");
        #[cfg(feature = "proxy")]
        debug.field("proxy", &self.proxy);
        debug.finish_non_exhaustive()
    }
}

/// Returns whether the error has a reason that the peer gave, or a violation by the peer.
#[cfg(feature = "x509")]
fn is_told(error: &TransportError) -> bool {
    core::error::Error::source(error).is_some_and(<dyn core::error::Error>::is::<Told>)
}

/// A connection that ended without a reason. It may be a lost alert of TLS 1.3, or a server that
/// requests the certificate in a second handshake.
#[cfg(feature = "x509")]
#[derive(Debug, thiserror::Error)]
#[error("the server may have refused the client certificate, or requested it by renegotiation, which is unsupported")]
struct Closed {
    source: Option<Box<dyn core::error::Error + Send + Sync>>,
}
