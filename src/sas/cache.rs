//! The one rule of renewal.

use core::time::Duration;

use crate::sas::token::SasToken;
use crate::time::UnixTime;

/// The lifetime of a token where no other is chosen.
pub(crate) const DEFAULT_TOKEN_LIFETIME: Duration = Duration::from_secs(60 * 60);
/// The shortest lifetime of a token, 5 minutes: a clock may be that slow.
pub const MIN_TOKEN_LIFETIME: Duration = Duration::from_secs(5 * 60);
/// The longest lifetime of a token, 365 days: one that leaks is good for that long.
pub const MAX_TOKEN_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How far a clock may be set back before a token counts as one from another time.
const SET_BACK: Duration = Duration::from_secs(60);

/// A lifetime within the limits.
pub(crate) fn clamp_lifetime(lifetime: Duration) -> Duration {
    lifetime.clamp(MIN_TOKEN_LIFETIME, MAX_TOKEN_LIFETIME)
}

/// Keeps a token for as long as it is good.
#[derive(Clone, Debug)]
pub(crate) struct TokenCache {
    lifetime: Duration,
    margin: Duration,
    token: Option<SasToken>,
}

impl TokenCache {
    /// For requests of seconds: a token is good while two minutes of it are left.
    pub(crate) fn for_requests(lifetime: Duration) -> Self {
        Self { lifetime: clamp_lifetime(lifetime), margin: Duration::from_secs(2 * 60), token: None }
    }

    /// For a connection that lives as long as its token: a token is good while a sixth of its lifetime is left.
    pub(crate) fn for_connections(lifetime: Duration) -> Self {
        let lifetime = clamp_lifetime(lifetime);
        #[expect(clippy::arithmetic_side_effects, reason = "the divisor is not zero")]
        let margin = lifetime / 6;
        Self { lifetime, margin, token: None }
    }

    /// Whether a token with this expiry is neither about to expire, nor from a clock that was set back since.
    pub(crate) fn is_good(&self, expires_at: UnixTime, time: UnixTime) -> bool {
        let left = expires_at.saturating_duration_since(time);
        left >= self.margin && left <= self.lifetime.saturating_add(SET_BACK)
    }

    /// Whether the token at hand is good at this time.
    pub(crate) fn is_good_at(&self, time: UnixTime) -> bool {
        self.token.as_ref().is_some_and(|token| self.is_good(token.expires_at(), time))
    }

    /// When a token expires that is signed at this time.
    pub(crate) fn expiry_at(&self, time: UnixTime) -> UnixTime {
        time.saturating_add(self.lifetime)
    }

    /// The token at hand, good or not.
    pub(crate) fn token(&self) -> Option<&SasToken> {
        self.token.as_ref()
    }

    /// Takes another token.
    pub(crate) fn insert(&mut self, token: SasToken) -> &SasToken {
        self.token.insert(token)
    }

    /// The key or the time has changed.
    pub(crate) fn clear(&mut self) {
        self.token = None;
    }

    /// The token at hand where it is good at this time, else another one from `sign`.
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
