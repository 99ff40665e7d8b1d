//! What the transports over TLS share: whom to trust, looking names up, proxies, connecting within limits, and the handles that
//! reach a transport from other threads. It knows no protocol.

mod connector;
mod control;
mod dns_cache;
mod failure;
mod no_proxy;
mod pem;
mod proxy;
mod roots;
mod stream;
mod tls;
mod tunnel;

pub(super) use connector::{Connector, NetBuilder, after, net_handles, net_settings};
#[cfg(feature = "x509")]
pub use control::CertificateHandle;
pub use control::{RootsHandle, ShutdownHandle};
#[cfg(feature = "mqtt-websocket")]
pub(super) use failure::Told;
pub(super) use failure::{explain_io, is_hang_up};
pub use pem::PemProblem;
pub use proxy::{Proxy, ProxyError};
pub use roots::{Roots, RootsError};
pub(super) use stream::TlsStream;
#[cfg(feature = "mqtt-websocket")]
pub(super) use tunnel::{is_about_credentials, read_head};

use core::time::Duration;

/// For looking a name up.
const RESOLVE_LIMIT: Duration = Duration::from_secs(10);
/// For connecting, over all addresses, the proxy and TLS included.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// How long an idle connection, or an address that nobody used, is kept. The service may ask to wait a minute between polls; that
/// should not cost another handshake. Azure's load balancers drop what is idle for 4 minutes.
pub(super) const MAX_IDLE: Duration = Duration::from_secs(210);
/// For all of a request together.
pub(super) const REQUEST_LIMIT: Duration = Duration::from_secs(55);
