//! The token cache, with the rule of when a token is renewed.

use core::time::Duration;

use crate::sas::token::SasToken;
use crate::time::UnixTime;

/// The default lifetime of a token: 1 hour.
pub(crate) const DEFAULT_TOKEN_LIFETIME: Duration = Duration::from_secs(60 * 60);
/// The shortest lifetime of a token: 5 minutes. Shorter values are raised to it.
///
/// It tolerates a device clock that is less than 5 minutes slow.
pub const MIN_TOKEN_LIFETIME: Duration = Duration::from_secs(5 * 60);
/// The longest lifetime of a token: 365 days. Longer values are reduced to it.
///
/// A leaked token can be used until it expires.
pub const MAX_TOKEN_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How far the clock may be set back before the cached token is renewed.
const SET_BACK: Duration = Duration::from_secs(60);

/// Clamps a lifetime to the limits.
pub(crate) fn clamp_lifetime(lifetime: Duration) -> Duration {
    lifetime.clamp(MIN_TOKEN_LIFETIME, MAX_TOKEN_LIFETIME)
}

/// A cache that keeps a token until it must be renewed.
#[derive(Clone, Debug)]
pub(crate) struct TokenCache {
    lifetime: Duration,
    margin: Duration,
    token: Option<SasToken>,
}

impl TokenCache {
    /// Creates a cache for requests that take seconds.
    ///
    /// A token is renewed when less than two minutes of its lifetime are left.
    pub(crate) fn for_requests(lifetime: Duration) -> Self {
        Self { lifetime: clamp_lifetime(lifetime), margin: Duration::from_secs(2 * 60), token: None }
    }

    /// Creates a cache for a connection that lives as long as its token.
    ///
    /// A token is renewed when less than a sixth of its lifetime is left.
    pub(crate) fn for_connections(lifetime: Duration) -> Self {
        let lifetime = clamp_lifetime(lifetime);
        #[expect(clippy::arithmetic_side_effects, reason = "the divisor is not zero")]
        let margin = lifetime / 6;
        Self { lifetime, margin, token: None }
    }

    /// Returns whether a token with this expiry can be used at this time.
    ///
    /// It cannot if it is about to expire, or if the clock was set back since it was signed.
    pub(crate) fn is_good(&self, expires_at: UnixTime, time: UnixTime) -> bool {
        let left = expires_at.saturating_duration_since(time);
        left >= self.margin && left <= self.lifetime.saturating_add(SET_BACK)
    }

    /// Returns whether the cached token can be used at this time.
    pub(crate) fn is_good_at(&self, time: UnixTime) -> bool {
        self.token.as_ref().is_some_and(|token| self.is_good(token.expires_at(), time))
    }

    /// Returns the expiry of a token that is signed at this time.
    pub(crate) fn expiry_at(&self, time: UnixTime) -> UnixTime {
        time.saturating_add(self.lifetime)
    }

    /// Returns the cached token, without checking its expiry.
    pub(crate) fn token(&self) -> Option<&SasToken> {
        self.token.as_ref()
    }

    /// Replaces the cached token.
    pub(crate) fn insert(&mut self, token: SasToken) -> &SasToken {
        self.token.insert(token)
    }

    /// Drops the cached token, because the key or the time has changed.
    pub(crate) fn clear(&mut self) {
        self.token = None;
    }

    /// Returns the cached token if it can be used at this time, or else a new one from `sign`.
    pub(crate) fn token_at<E>(
        &mut self,
        time: UnixTime,
        sign: impl FnOnce(UnixTime) -> Result<SasToken, E>,
    ) -> Result<&SasToken, E> {
        let token = match self.token.take().filter(|token| self.is_good(token.expires_at(), time)) {
            Some(token) => token,
            None => sign(self.expiry_at(time))?,
        };
        Ok(self.insert(token))
    }
}
