//! The settings of a registration: the device, its payload, and time limits.

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

/// The most bytes that the service accepts in a request. Source: Microsoft, "Azure IoT Hub DPS
/// quotas and limits".
const MAX_REQUEST: usize = 96 * 1024;

/// The settings of a registration: everything except the key and the time.
///
/// One value serves any number of registrations of the device.
///
/// ```
/// use azure_iot_dps::registration::RegistrationSettings;
/// use std::time::Duration;
///
/// let settings = RegistrationSettings::new("0ne00002193".parse()?, "my-device".parse()?)
///     .deadline(Duration::from_secs(120))
///     .payload(&serde_json::json!({ "site": "north" }))?;
/// # let _ = settings;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    /// Creates settings for this device, with the defaults that each method names.
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

    /// Sets the service endpoint. Default: [`Endpoint::GLOBAL`].
    #[must_use]
    pub fn endpoint(self, endpoint: Endpoint) -> Self {
        Self { endpoint, ..self }
    }

    /// Sets the payload for the service's custom allocation policy: any JSON value. Default: none.
    ///
    /// The service's published description allows objects only; the service itself accepts any
    /// JSON.
    ///
    /// # Errors
    ///
    /// Returns an error if the value cannot be written as JSON, or if the request would be larger
    /// than the 96 KiB that the service accepts.
    pub fn payload<T: Serialize + ?Sized>(self, payload: &T) -> Result<Self, PayloadError> {
        let json = serde_json::to_string(payload).map_err(|error| PayloadError::Serialize(JsonError::new(&error)))?;
        self.checked_payload(&json)
    }

    /// Sets the payload from JSON text, which is sent unchanged except for surrounding whitespace.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not JSON, or if the request would be larger than the 96 KiB
    /// that the service accepts.
    pub fn payload_json(self, json: &str) -> Result<Self, PayloadError> {
        let result = serde_json::from_str::<IgnoredAny>(json);
        result.map_err(|error| PayloadError::Syntax(JsonError::new(&error)))?;
        self.checked_payload(json.trim())
    }

    fn checked_payload(self, json: &str) -> Result<Self, PayloadError> {
        Self { payload: Some(json.into()), ..self }.checked()
    }

    /// Sets the device's IoT Plug and Play model, such as `dtmi:com:example:Thermostat;1`. Default:
    /// none.
    ///
    /// The model is sent as the payload `{"modelId":"..."}`, and replaces any other payload.
    ///
    /// # Errors
    ///
    /// Returns an error if the request would be larger than the 96 KiB that the service accepts.
    pub fn model_id(self, model_id: &str) -> Result<Self, PayloadError> {
        #[derive(Serialize)]
        struct Model<'a> {
            #[serde(rename = "modelId")]
            model_id: &'a str,
        }
        self.payload(&Model { model_id })
    }

    /// Requests a certificate with a PKCS#10 signing request as DER. Default: none.
    ///
    /// The common name of the request must be the registration ID.
    /// [`Assignment::certificates`](crate::Assignment::certificates) returns the issued chain. The
    /// request uses api-version 2026-11-01.
    ///
    /// # Errors
    ///
    /// Returns an error if the request would be larger than the 96 KiB that the service accepts.
    pub fn certificate_signing_request(self, der: &[u8]) -> Result<Self, PayloadError> {
        Self { csr: Some(base64_encode(der).into()), ..self }.checked()
    }

    /// Checks that a register request is not larger than the service accepts.
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

    /// Returns a fingerprint of everything that a registration asks for: the device, the kind of
    /// attestation, the payload and the signing request.
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

    /// Returns the body of a register request.
    pub(crate) fn body(&self) -> Vec<u8> {
        let registration_id = self.registration_id.as_str();
        register(registration_id, self.payload.as_deref(), self.csr.as_deref())
    }

    pub(crate) fn api_version(&self) -> &'static str {
        if self.csr.is_some() { CSR_API_VERSION } else { API_VERSION }
    }

    /// Sets the retry policy. Default: [`RetryPolicy::DEFAULT`].
    #[must_use]
    pub fn retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// Sets the deadline of a registration, which limits all requests and waits. Default: 15 min.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Sets the lifetime of a token. Default: 1 h.
    ///
    /// It is clamped to at least 5 min ([`MIN_TOKEN_LIFETIME`]) and at most 365 days
    /// ([`MAX_TOKEN_LIFETIME`]). A token is signed again when less than 2 min of it are left.
    ///
    /// [`MIN_TOKEN_LIFETIME`]: crate::sas::MIN_TOKEN_LIFETIME
    /// [`MAX_TOKEN_LIFETIME`]: crate::sas::MAX_TOKEN_LIFETIME
    #[must_use]
    pub fn token_lifetime(self, token_lifetime: Duration) -> Self {
        Self { token_lifetime: clamp_lifetime(token_lifetime), ..self }
    }

    /// Sets whether to use the service's time if the device's clock is wrong or missing. Default:
    /// on.
    #[must_use]
    pub fn clock_correction(self, clock_correction: bool) -> Self {
        Self { clock_correction, ..self }
    }

    /// Sets the product in the `User-Agent` header. Default: none.
    ///
    /// It follows this crate's name and version, and with the feature `std` the operating system
    /// and the architecture.
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
