//! How a client registers, chosen before it is built.

use alloc::boxed::Box;
use core::fmt;
use core::ops::ControlFlow;
use core::time::Duration;

use serde::Serialize;

use crate::assignment::PayloadError;
use crate::attestation::Attestation;
#[cfg(feature = "x509")]
use crate::attestation::{CertificateError, ClientCertificate};
use crate::client::provisioning::{ClientHooks, ProvisioningClient};
use crate::identity::{Endpoint, IdScope, Product, RegistrationId};
use crate::registration::{Event, RegistrationSettings, RetryPolicy, Session, Wait};
use crate::time::Clock;
#[cfg(feature = "https")]
use crate::transport::HttpsTransport as DefaultTransport;
#[cfg(all(feature = "mqtt", not(feature = "https")))]
use crate::transport::MqttTransport as DefaultTransport;
use crate::transport::Transport;

/// Chooses how a [`ProvisioningClient`] registers.
///
/// The features `https` and `mqtt` bring a default transport and a default clock, and `build` makes the client. Without them,
/// [`build_with`](Self::build_with) takes both.
pub struct ProvisioningClientBuilder {
    settings: RegistrationSettings,
    attestation: Attestation,
    hooks: ClientHooks,
    #[cfg(any(feature = "https", feature = "mqtt"))]
    transport: Option<Box<dyn Transport + Send>>,
    #[cfg(any(feature = "https", feature = "mqtt"))]
    clock: Option<Box<dyn Clock + Send>>,
    #[cfg(feature = "x509")]
    certificate: Option<ClientCertificate>,
}

impl ProvisioningClient {
    /// Creates a client with default settings, the default transport and the system's clock.
    ///
    /// The transport is an `HttpsTransport`, or an `MqttTransport` in a build without the feature `https`, which any crate of the same
    /// build may enable: say [`transport`](ProvisioningClientBuilder::transport) where it matters.
    #[cfg(any(feature = "https", feature = "mqtt"))]
    #[must_use]
    pub fn new(id_scope: IdScope, registration_id: RegistrationId, attestation: impl Into<Attestation>) -> Self {
        Self::builder(id_scope, registration_id, attestation).build()
    }

    /// Creates a builder, to choose more than the device and its key.
    #[must_use]
    pub fn builder(
        id_scope: IdScope,
        registration_id: RegistrationId,
        attestation: impl Into<Attestation>,
    ) -> ProvisioningClientBuilder {
        ProvisioningClientBuilder {
            settings: RegistrationSettings::new(id_scope, registration_id),
            attestation: attestation.into(),
            hooks: ClientHooks::default(),
            #[cfg(any(feature = "https", feature = "mqtt"))]
            transport: None,
            #[cfg(any(feature = "https", feature = "mqtt"))]
            clock: None,
            #[cfg(feature = "x509")]
            certificate: None,
        }
    }

    /// Creates a client for the device of this certificate, with default settings, the default transport and the system's clock.
    ///
    /// # Errors
    ///
    /// The certificate's common name is no registration ID.
    #[cfg(all(feature = "x509", any(feature = "https", feature = "mqtt")))]
    pub fn with_certificate(id_scope: IdScope, certificate: &ClientCertificate) -> Result<Self, CertificateError> {
        Ok(Self::builder_with_certificate(id_scope, certificate)?.build())
    }

    /// Creates a builder for the device of this certificate, whose common name is the registration ID.
    ///
    /// The default transport presents the certificate; another transport is given it by its own builder, or holds its own.
    ///
    /// # Errors
    ///
    /// The certificate's common name is no registration ID.
    #[cfg(feature = "x509")]
    pub fn builder_with_certificate(
        id_scope: IdScope,
        certificate: &ClientCertificate,
    ) -> Result<ProvisioningClientBuilder, CertificateError> {
        let registration_id = certificate.registration_id()?;
        let builder = Self::builder(id_scope, registration_id, Attestation::X509);
        Ok(ProvisioningClientBuilder { certificate: Some(certificate.clone()), ..builder })
    }
}

impl ProvisioningClientBuilder {
    /// Which service to ask. Default [`Endpoint::GLOBAL`].
    #[must_use]
    pub fn endpoint(self, endpoint: Endpoint) -> Self {
        Self { settings: self.settings.endpoint(endpoint), ..self }
    }

    /// What to tell the service's custom allocation policy: anything that is JSON. Default nothing.
    ///
    /// # Errors
    ///
    /// Those of [`RegistrationSettings::payload`].
    pub fn payload<T: Serialize + ?Sized>(self, payload: &T) -> Result<Self, PayloadError> {
        Ok(Self { settings: self.settings.payload(payload)?, ..self })
    }

    /// The same from JSON text, which is sent as it is.
    ///
    /// # Errors
    ///
    /// Those of [`RegistrationSettings::payload_json`].
    pub fn payload_json(self, json: &str) -> Result<Self, PayloadError> {
        Ok(Self { settings: self.settings.payload_json(json)?, ..self })
    }

    /// The IoT Plug and Play model of the device, as the payload. Default nothing.
    ///
    /// # Errors
    ///
    /// Those of [`RegistrationSettings::model_id`].
    pub fn model_id(self, model_id: &str) -> Result<Self, PayloadError> {
        Ok(Self { settings: self.settings.model_id(model_id)?, ..self })
    }

    /// Asks for a certificate too, with a signing request as DER. Default none.
    ///
    /// # Errors
    ///
    /// Those of [`RegistrationSettings::certificate_signing_request`].
    pub fn certificate_signing_request(self, der: &[u8]) -> Result<Self, PayloadError> {
        Ok(Self { settings: self.settings.certificate_signing_request(der)?, ..self })
    }

    /// How to wait after failures. Default [`RetryPolicy::DEFAULT`].
    #[must_use]
    pub fn retry(self, retry: RetryPolicy) -> Self {
        Self { settings: self.settings.retry(retry), ..self }
    }

    /// How long one [`register`](ProvisioningClient::register) may take in all. Default 15 min.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        Self { settings: self.settings.deadline(deadline), ..self }
    }

    /// How long a token is good for. Default 1 h; see [`RegistrationSettings::token_lifetime`].
    #[must_use]
    pub fn token_lifetime(self, token_lifetime: Duration) -> Self {
        Self { settings: self.settings.token_lifetime(token_lifetime), ..self }
    }

    /// Whether to go by the service's time where the device's clock proves wrong. Default on.
    #[must_use]
    pub fn clock_correction(self, clock_correction: bool) -> Self {
        Self { settings: self.settings.clock_correction(clock_correction), ..self }
    }

    /// What the device calls itself in the `User-Agent` header, or over MQTT in the user name. Default nothing.
    #[must_use]
    pub fn product(self, product: &Product) -> Self {
        Self { settings: self.settings.product(product), ..self }
    }

    /// The transport. Default an `HttpsTransport` with default settings; without the feature `https` an `MqttTransport`.
    #[cfg(any(feature = "https", feature = "mqtt"))]
    #[must_use]
    pub fn transport(self, transport: impl Transport + Send + 'static) -> Self {
        Self { transport: Some(Box::new(transport)), ..self }
    }

    /// The clock. Default the system's.
    #[cfg(any(feature = "https", feature = "mqtt"))]
    #[must_use]
    pub fn clock(self, clock: impl Clock + Send + 'static) -> Self {
        Self { clock: Some(Box::new(clock)), ..self }
    }

    /// The wait hook: called before every second or less of waiting, with what is left of the wait and why, and before every
    /// request, with a wait of zero. It may feed a watchdog, show progress, or end the registration with
    /// [`ControlFlow::Break`], as [`Error::Cancelled`](crate::Error::Cancelled). It need not sleep: the clock does.
    ///
    /// The longest time between two calls is that of one request: at most 70 s, with the default transport 55 s. Default none.
    #[must_use]
    pub fn wait(mut self, hook: impl FnMut(&Wait) -> ControlFlow<()> + Send + 'static) -> Self {
        self.hooks.wait = Some(Box::new(hook));
        self
    }

    /// The observer: called with every event, as it happens. Default none.
    #[must_use]
    pub fn observer(mut self, observer: impl FnMut(Event) + Send + 'static) -> Self {
        self.hooks.observer = Some(Box::new(observer));
        self
    }

    /// Creates the client. Nothing is sent yet.
    #[cfg(any(feature = "https", feature = "mqtt"))]
    #[must_use]
    pub fn build(mut self) -> ProvisioningClient {
        let (transport, clock) = (self.transport.take(), self.clock.take());
        let transport = transport.unwrap_or_else(|| {
            let builder = DefaultTransport::builder();
            #[cfg(feature = "x509")]
            let builder = builder.certificate(self.certificate.clone());
            Box::new(builder.build())
        });
        let clock = clock.unwrap_or_else(|| Box::new(crate::time::SystemClock::new()));
        self.build_with(transport, clock)
    }

    /// Creates the client with this transport and this clock. Nothing is sent yet.
    #[must_use]
    pub fn build_with(
        self,
        transport: impl Transport + Send + 'static,
        clock: impl Clock + Send + 'static,
    ) -> ProvisioningClient {
        ProvisioningClient {
            settings: self.settings,
            attestation: self.attestation,
            transport: Box::new(transport),
            clock: Box::new(clock),
            hooks: self.hooks,
            session: Session::default(),
            store_error: None,
            #[cfg(feature = "x509")]
            certificate: self.certificate,
        }
    }
}

impl fmt::Debug for ProvisioningClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProvisioningClientBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}
