//! The issuer of certificates to devices.

use std::fmt;
use std::sync::Arc;

use azure_iot_dps::identity::RegistrationId;

/// A function that issues a certificate chain for a signing request, both in base64.
///
/// It returns `None` if the request is not valid.
#[derive(Clone)]
pub(crate) struct Issuer(Arc<Issue>);

type Issue = dyn Fn(&str, &RegistrationId) -> Option<Vec<String>> + Send + Sync;

impl Issuer {
    #[cfg(feature = "server")]
    pub(crate) fn new(issue: impl Fn(&str, &RegistrationId) -> Option<Vec<String>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(issue))
    }

    pub(super) fn issue(&self, csr: &str, registration_id: &RegistrationId) -> Option<Vec<String>> {
        (self.0)(csr, registration_id)
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Issuer")
    }
}
