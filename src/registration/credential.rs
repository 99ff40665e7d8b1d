//! What a device shows to the service: a token of one of its keys.

use core::time::Duration;

use crate::assignment::KeyUsed;
use crate::key::{Signer, SignerError};
use crate::registration::RegistrationSettings;
use crate::sas::{Resource, SasToken};
use crate::time::UnixTime;

/// A token with less time left than this is signed anew.
const RENEWAL_MARGIN: Duration = Duration::from_secs(2 * 60);

pub(super) struct Credential<'a, S: Signer + ?Sized> {
    signer: &'a S,
    second_signer: Option<&'a S>,
    token: Option<SasToken>,
}

impl<'a, S: Signer + ?Sized> Credential<'a, S> {
    pub(super) fn new(signer: &'a S) -> Self {
        Self { signer, second_signer: None, token: None }
    }

    pub(super) fn with_second_signer(self, signer: &'a S) -> Self {
        Self { second_signer: Some(signer), ..self }
    }

    pub(super) fn has_second_signer(&self) -> bool {
        self.second_signer.is_some()
    }

    pub(super) fn token(&self) -> Option<&SasToken> {
        self.token.as_ref()
    }

    /// The key or the time has changed.
    pub(super) fn discard_token(&mut self) {
        self.token = None;
    }

    /// Signs a token unless the one at hand is good for a while.
    pub(super) fn renew_token(
        &mut self,
        settings: &RegistrationSettings,
        key: KeyUsed,
        time: Option<UnixTime>,
    ) -> Result<(), SignerError> {
        // A device without a clock signs from the epoch; the service's 401 then tells it the time.
        let time = time.unwrap_or(UnixTime::EPOCH);
        let good = |token: &SasToken| token.expires_at().saturating_duration_since(time) >= RENEWAL_MARGIN;
        if !self.token.as_ref().is_some_and(good) {
            let resource = Resource::registration(&settings.id_scope, &settings.registration_id);
            let signer = key.of(self.signer, self.second_signer);
            self.token = Some(SasToken::sign(resource, signer, time.saturating_add(settings.token_lifetime))?);
        }
        Ok(())
    }
}
