//! The common parts of the transports over TLS: roots, name lookups, proxies, connecting within
//! time limits, and handles for other threads. They do not depend on the protocol above TLS.

mod connector;
mod control;
mod dns_cache;
mod failure;
#[cfg(any(feature = "mqtt-websocket", feature = "proxy"))]
mod head;
mod pem;
#[cfg(feature = "proxy")]
mod proxy;
mod roots;
mod stream;
mod tls;

pub(super) use connector::{Connector, NetBuilder, after, net_handles, net_settings};
#[cfg(feature = "x509")]
pub use control::CertificateHandle;
pub use control::{RootsHandle, ShutdownHandle};
#[cfg(feature = "mqtt-websocket")]
pub(super) use failure::Told;
pub(super) use failure::{explain_io, is_hang_up};
#[cfg(feature = "mqtt-websocket")]
pub(super) use head::read_head;
pub use pem::PemProblem;
#[cfg(all(feature = "mqtt-websocket", feature = "proxy"))]
pub(super) use proxy::is_about_credentials;
#[cfg(feature = "proxy")]
pub use proxy::{Proxy, ProxyError};
pub use roots::{Roots, RootsError};
pub(super) use stream::TlsStream;

use core::time::Duration;

/// The time limit of a name lookup.
const RESOLVE_LIMIT: Duration = Duration::from_secs(10);
/// The time limit of connecting, over all addresses, with proxy and TLS.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// The time for which an idle connection or an unused address is kept.
///
/// The service may ask for a minute between polls, which must not cost another handshake. Azure's
/// load balancers drop connections that are idle for 4 minutes.
pub(super) const MAX_IDLE: Duration = Duration::from_secs(210);
/// The time limit of a whole request.
pub(super) const REQUEST_LIMIT: Duration = Duration::from_secs(55);
