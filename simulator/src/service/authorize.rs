//! The authorization of devices at the service.

use std::time::Duration;

use azure_iot_dps::identity::{DeviceId, RegistrationId};

use crate::enrollment::{EnrollmentGroup, Terms};
use crate::service::Credentials;
use crate::service::answer::{NOT_FOUND, Refused, UNAUTHORIZED};
use crate::service::description::CertificateDescription;
use crate::service::{Question, Service};
use crate::token::Token;

/// An authorized device, with the settings of its enrollment.
pub(super) struct Caller {
    pub(super) registration_id: RegistrationId,
    /// The registration ID in lower case.
    pub(super) key: String,
    pub(super) device_id: Option<DeviceId>,
    pub(super) group: Option<String>,
    pub(super) terms: Terms,
    /// The certificate that authorized the device, as the service describes it.
    pub(super) certificate: Option<CertificateDescription>,
}

impl Caller {
    pub(super) fn key(&self) -> &str {
        &self.key
    }
}

impl Service {
    /// Authorizes a device by its token, or by its client certificate if there is no token.
    pub(super) fn authorize(
        &self,
        question: &Question<'_>,
        registration_id: &RegistrationId,
        now: Duration,
    ) -> Result<Caller, Refused> {
        let Credentials { token, certificates } = question.credentials;
        if let (None, [leaf, issuers @ ..]) = (token, certificates) {
            return self.authorize_certificate(leaf, issuers, registration_id, now);
        }
        self.authorize_token(question.credentials.token, registration_id, now)
    }

    /// Checks the text of a token as sent, its resource, its expiry and its signature.
    ///
    /// The signature may be made with any key of the enrollments for this registration ID.
    fn authorize_token(
        &self,
        token: Option<&str>,
        registration_id: &RegistrationId,
        now: Duration,
    ) -> Result<Caller, Refused> {
        let unauthorized = |message| Refused::new(UNAUTHORIZED, message);
        let token = token.ok_or(unauthorized("Unauthorized: no token."))?;
        let token = Token::parse(token).ok_or(unauthorized("Unauthorized: not a SAS token."))?;
        let signed_as = self.signed_as(&token, registration_id);
        let signed_as = signed_as.ok_or(unauthorized("Unauthorized: the token is for another resource."))?;
        if !matches!(token.key_name(), "" | "registration") {
            return Err(unauthorized("Unauthorized: the token's key name is not \"registration\"."));
        }
        if token.expires_at <= now.as_secs() {
            return Err(unauthorized("Unauthorized: the token has expired."));
        }
        let wrong_key = unauthorized("Unauthorized: the signature does not match.");
        let key = signed_as.as_str().to_ascii_lowercase();
        if let Some(individual) = self.settings.individuals.iter().find(|it| it.is_for(registration_id)) {
            if !individual.signed(&token) {
                return Err(wrong_key);
            }
            let (device_id, terms) = (individual.own_device_id().cloned(), individual.terms.clone());
            return Ok(Caller {
                registration_id: registration_id.clone(),
                key,
                device_id,
                group: None,
                terms,
                certificate: None,
            });
        }
        if !self.settings.groups.iter().any(EnrollmentGroup::has_keys) {
            return Err(Refused::new(NOT_FOUND, "No enrollment has this registration ID."));
        }
        // The key is derived from the ID as the device writes it. Some devices sign everything in lower case.
        let spellings = [&signed_as, registration_id];
        let signed = |group: &&EnrollmentGroup| spellings.iter().any(|spelling| group.signed(&token, spelling));
        let group = self.settings.groups.iter().find(signed).ok_or(wrong_key)?;
        let (group, terms) = (Some(group.name().to_owned()), group.terms.clone());
        Ok(Caller { registration_id: registration_id.clone(), key, device_id: None, group, terms, certificate: None })
    }

    /// Returns the registration ID as the resource of the token writes it.
    ///
    /// `None` if it differs from the ID of the path in more than case.
    fn signed_as(&self, token: &Token<'_>, registration_id: &RegistrationId) -> Option<RegistrationId> {
        let resource = token.resource();
        let mut segments = resource.splitn(3, '/');
        let (scope, registrations, id) = (segments.next()?, segments.next()?, segments.next()?);
        let same = scope.eq_ignore_ascii_case(self.settings.id_scope.as_str())
            && registrations.eq_ignore_ascii_case("registrations")
            && id.eq_ignore_ascii_case(registration_id.as_str());
        if same { RegistrationId::new(id).ok() } else { None }
    }
}
