//! What a registration says about the device, and how long it may take.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::Serialize;
use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};

use crate::assignment::{JsonError, PayloadError};
use crate::attestation::AttestationKind;
use crate::encoding::base64_encode;
use crate::identity::{Endpoint, IdScope, Product, RegistrationId};
use crate::protocol::json::register;
use crate::protocol::{API_VERSION, CSR_API_VERSION};
use crate::registration::retry::RetryPolicy;
use crate::sas::{DEFAULT_TOKEN_LIFETIME, clamp_lifetime};

/// The most bytes that the service takes in a request. Source: Microsoft, "Azure IoT Hub DPS quotas and limits".
const MAX_REQUEST: usize = 96 * 1024;

/// All that a registration needs to know apart from the key and the time.
///
/// One value serves any number of registrations of the device.
#[derive(Clone, Debug)]
pub struct RegistrationSettings {
    pub(crate) endpoint: Endpoint,
    pub(crate) id_scope: IdScope,
    pub(crate) registration_id: RegistrationId,
    pub(crate) payload: Option<Box<str>>,
    pub(crate) csr: Option<Box<str>>,
    pub(crate) retry: RetryPolicy,
    pub(crate) deadline: Duration,
    pub(crate) token_lifetime: Duration,
    pub(crate) clock_correction: bool,
    pub(crate) user_agent: Box<str>,
}

impl RegistrationSettings {
    /// For this device, with the defaults that each method names.
    #[must_use]
    pub fn new(id_scope: IdScope, registration_id: RegistrationId) -> Self {
        Self {
            endpoint: Endpoint::GLOBAL,
            id_scope,
            registration_id,
            payload: None,
            csr: None,
            retry: RetryPolicy::DEFAULT,
            deadline: Duration::from_secs(15 * 60),
            token_lifetime: DEFAULT_TOKEN_LIFETIME,
            clock_correction: true,
            user_agent: user_agent(None).into(),
        }
    }

    /// Which service to ask. Default [`Endpoint::GLOBAL`].
    #[must_use]
    pub fn endpoint(self, endpoint: Endpoint) -> Self {
        Self { endpoint, ..self }
    }

    /// What to tell the service's custom allocation policy: anything that is JSON. Default nothing.
    ///
    /// The service's published description knows objects only; the service itself takes any JSON.
    ///
    /// # Errors
    ///
    /// The value cannot be written as JSON, or the request would be larger than the 96 KiB that the service takes.
    pub fn payload<T: Serialize + ?Sized>(self, payload: &T) -> Result<Self, PayloadError> {
        let json = serde_json::to_string(payload).map_err(|error| PayloadError::Serialize(JsonError::new(&error)))?;
        self.checked_payload(&json)
    }

    /// The same from JSON text, which is sent as it is.
    ///
    /// # Errors
    ///
    /// The text is not JSON, or the request would be larger than the 96 KiB that the service takes.
    pub fn payload_json(self, json: &str) -> Result<Self, PayloadError> {
        let result = serde_json::from_str::<IgnoredAny>(json);
        result.map_err(|error| PayloadError::Syntax(JsonError::new(&error)))?;
        self.checked_payload(json.trim())
    }

    fn checked_payload(self, json: &str) -> Result<Self, PayloadError> {
        Self { payload: Some(json.into()), ..self }.checked()
    }

    /// Tells the service the IoT Plug and Play model of the device, `dtmi:com:example:Thermostat;1`, as the payload
    /// `{"modelId":"..."}`. Default nothing.
    ///
    /// # Errors
    ///
    /// The request would be larger than the 96 KiB that the service takes.
    pub fn model_id(self, model_id: &str) -> Result<Self, PayloadError> {
        #[derive(Serialize)]
        struct Model<'a> {
            #[serde(rename = "modelId")]
            model_id: &'a str,
        }
        self.payload(&Model { model_id })
    }

    /// Asks for a certificate too: a PKCS#10 signing request as DER, whose common name is the registration ID. The chain
    /// comes as [`Assignment::certificates`](crate::Assignment::certificates). Sent with api-version 2026-11-01. Default none.
    ///
    /// # Errors
    ///
    /// The request would be larger than the 96 KiB that the service takes.
    pub fn certificate_signing_request(self, der: &[u8]) -> Result<Self, PayloadError> {
        Self { csr: Some(base64_encode(der).into()), ..self }.checked()
    }

    /// Only if a register request fits what the service takes.
    fn checked(self) -> Result<Self, PayloadError> {
        match self.body().len() {
            0..=MAX_REQUEST => Ok(self),
            length => Err(PayloadError::TooLarge { length, limit: MAX_REQUEST }),
        }
    }

    /// Returns a fingerprint of the endpoint, the ID scope and the registration ID.
    pub(crate) fn device(&self) -> [u8; 8] {
        first_8(self.hash_of_device())
    }

    /// Returns a fingerprint of all that a registration asks for: the device, the kind of proof, the payload and the signing request.
    pub(crate) fn fingerprint(&self, kind: AttestationKind) -> [u8; 8] {
        let payload = self.payload.as_deref().unwrap_or_default();
        let hash = self.hash_of_device();
        let hash = hash.chain_update([u8::from(kind.uses_tokens())]);
        let hash = hash.chain_update(self.csr.as_deref().unwrap_or_default());
        first_8(hash.chain_update("/").chain_update(payload))
    }

    fn hash_of_device(&self) -> Sha256 {
        let Self { endpoint, id_scope, registration_id, .. } = self;
        Sha256::new()
            .chain_update(endpoint.host().as_str())
            .chain_update(endpoint.port().unwrap_or_default().to_be_bytes())
            .chain_update(id_scope.as_str())
            .chain_update("/")
            .chain_update(registration_id.as_str())
            .chain_update("/")
    }

    /// The body of a register request.
    pub(crate) fn body(&self) -> Vec<u8> {
        let registration_id = self.registration_id.as_str();
        register(registration_id, self.payload.as_deref(), self.csr.as_deref())
    }

    pub(crate) fn api_version(&self) -> &'static str {
        if self.csr.is_some() { CSR_API_VERSION } else { API_VERSION }
    }

    /// How to wait after failures. Default [`RetryPolicy::DEFAULT`].
    #[must_use]
    pub fn retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// How long a registration may take in all: nothing that it does outlasts this. Default 15 min.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// The lifetime of a token. Default 1 h; clamped to 5 min ([`MIN_TOKEN_LIFETIME`]) at least and 365 days
    /// ([`MAX_TOKEN_LIFETIME`]) at most.
    ///
    /// A token is signed anew when less than 2 min of it are left.
    ///
    /// [`MIN_TOKEN_LIFETIME`]: crate::sas::MIN_TOKEN_LIFETIME
    /// [`MAX_TOKEN_LIFETIME`]: crate::sas::MAX_TOKEN_LIFETIME
    #[must_use]
    pub fn token_lifetime(self, token_lifetime: Duration) -> Self {
        Self { token_lifetime: clamp_lifetime(token_lifetime), ..self }
    }

    /// Whether to sign again with the service's time where a 401 shows that the device's clock is to blame. Default on.
    #[must_use]
    pub fn clock_correction(self, clock_correction: bool) -> Self {
        Self { clock_correction, ..self }
    }

    /// What the device calls itself in the `User-Agent` header, behind this crate's name and version, and with `std` the
    /// operating system and the architecture. Default nothing.
    #[must_use]
    pub fn product(self, product: &Product) -> Self {
        Self { user_agent: user_agent(Some(product)).into(), ..self }
    }
}

fn first_8(hash: Sha256) -> [u8; 8] {
    hash.finalize().first_chunk().copied().unwrap_or_default()
}

fn user_agent(product: Option<&Product>) -> String {
    let mut text = String::from(concat!("azure-iot-dps/", env!("CARGO_PKG_VERSION")));
    #[cfg(feature = "std")]
    text.extend([" (", std::env::consts::OS, "; ", std::env::consts::ARCH, ")"]);
    text.extend(product.into_iter().flat_map(|product| [" ", product.as_str()]));
    text
}
