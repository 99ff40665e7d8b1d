//! The time limits, and the deadlines that follow from them.

use core::time::Duration;
use std::time::Instant;

/// The time limit of a name lookup.
pub(super) const RESOLVE_LIMIT: Duration = Duration::from_secs(10);
/// The time limit of connecting, over all addresses, with proxy and TLS.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// The time for which an idle connection or an unused address is kept.
///
/// The service may ask for a minute between polls, which must not cost another handshake. Azure's
/// load balancers drop connections that are idle for 4 minutes.
pub(in crate::transport) const MAX_IDLE: Duration = Duration::from_secs(210);
/// The time limit of a whole request.
pub(in crate::transport) const REQUEST_LIMIT: Duration = Duration::from_secs(55);

/// Returns the time that is `duration` from now.
pub(in crate::transport) fn after(duration: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(duration).unwrap_or(now)
}
