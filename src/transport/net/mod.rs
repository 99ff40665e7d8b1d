//! The common parts of the transports over TLS: roots, name lookups, proxies, connecting within
//! time limits, and handles for other threads. They do not depend on the protocol above TLS.

mod connector;
mod control;
mod dialer;
mod dns_cache;
mod failure;
#[cfg(any(feature = "mqtt-websocket", feature = "proxy"))]
mod head;
mod limits;
mod pem;
#[cfg(feature = "proxy")]
mod proxy;
mod roots;
mod stream;
mod tls;

pub(super) use connector::{Connector, NetBuilder, net_handles, net_settings};
#[cfg(feature = "x509")]
pub use control::CertificateHandle;
pub use control::{RootsHandle, ShutdownHandle};
#[cfg(feature = "mqtt-websocket")]
pub(super) use failure::Told;
pub(super) use failure::{explain_io, is_hang_up};
#[cfg(feature = "mqtt-websocket")]
pub(super) use head::read_head;
#[cfg(feature = "https")]
pub(super) use limits::MAX_IDLE;
pub(super) use limits::{REQUEST_LIMIT, after};
pub use pem::PemProblem;
#[cfg(all(feature = "mqtt-websocket", feature = "proxy"))]
pub(super) use proxy::is_about_credentials;
#[cfg(feature = "proxy")]
pub use proxy::{Proxy, ProxyError};
pub use roots::{Roots, RootsError};
pub(super) use stream::TlsStream;
