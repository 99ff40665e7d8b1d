//! The builder of the client.

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

/// A builder for a [`ProvisioningClient`].
///
/// With the feature `https` or `mqtt` there is a default transport and a default clock, and `build`
/// creates the client. Without them, [`build_with`](Self::build_with) takes both.
///
/// ```
/// use azure_iot_dps::{DeviceKey, ProvisioningClient};
/// use std::time::Duration;
/// # use azure_iot_dps::{Clock, protocol::Response, time::Now, transport::FnTransport};
/// # struct Ticks(Duration);
/// # impl Clock for Ticks {
/// #     fn now(&mut self) -> Now { Now { unix: None, uptime: self.0 } }
/// #     fn sleep(&mut self, pause: Duration) { self.0 += pause; }
/// # }
/// # let (modem, ticks) = (FnTransport::new(|_| Ok(Response::new(200, &br#"{"status":"assigned",
/// #     "registrationState":{"assignedHub":"hub.example","deviceId":"my-device"}}"#[..]
/// # ))), Ticks(Duration::ZERO));
///
/// let key: DeviceKey = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=".parse()?;
/// let mut client = ProvisioningClient::builder("0ne00002193".parse()?, "my-device".parse()?, key)
///     .deadline(Duration::from_secs(120))
///     .model_id("dtmi:com:example:Thermostat;1")?
///     .build_with(modem, ticks);
/// assert_eq!(client.register()?.hub().as_str(), "hub.example");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    /// The default transport is `HttpsTransport`, or `MqttTransport` in a build without the feature
    /// `https`. Any crate of the same build may enable `https`: call
    /// [`transport`](ProvisioningClientBuilder::transport) if the choice matters.
    #[cfg(any(feature = "https", feature = "mqtt"))]
    #[must_use]
    pub fn new(id_scope: IdScope, registration_id: RegistrationId, attestation: impl Into<Attestation>) -> Self {
        Self::builder(id_scope, registration_id, attestation).build()
    }

    /// Creates a builder, to change more than the device and its key.
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

    /// Creates a client for the device of this certificate, with default settings.
    ///
    /// It uses the default transport and the system's clock.
    ///
    /// # Errors
    ///
    /// Returns an error if the certificate's common name is not a valid registration ID.
    #[cfg(all(feature = "x509", any(feature = "https", feature = "mqtt")))]
    pub fn with_certificate(id_scope: IdScope, certificate: &ClientCertificate) -> Result<Self, CertificateError> {
        Ok(Self::builder_with_certificate(id_scope, certificate)?.build())
    }

    /// Creates a builder for the device of this certificate, whose common name is the registration
    /// ID.
    ///
    /// The default transport presents the certificate. Pass it to any other transport through that
    /// transport's own builder, unless the transport holds its own certificate.
    ///
    /// # Errors
    ///
    /// Returns an error if the certificate's common name is not a valid registration ID.
    #[cfg(feature = "x509")]
    pub fn builder_with_certificate(
        id_scope: IdScope,
        certificate: &ClientCertificate,
    ) -> Result<ProvisioningClientBuilder, CertificateError> {
        let registration_id = certificate.registration_id()?;
        let builder = Self::builder(id_scope, registration_id, Attestation::x509());
        Ok(ProvisioningClientBuilder { certificate: Some(certificate.clone()), ..builder })
    }
}

impl ProvisioningClientBuilder {
    /// Sets the service endpoint. Default: [`Endpoint::GLOBAL`].
    #[must_use]
    pub fn endpoint(self, endpoint: Endpoint) -> Self {
        Self { settings: self.settings.endpoint(endpoint), ..self }
    }

    /// Sets the payload for the service's custom allocation policy: any JSON value. Default: none.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RegistrationSettings::payload`].
    pub fn payload<T: Serialize + ?Sized>(self, payload: &T) -> Result<Self, PayloadError> {
        Ok(Self { settings: self.settings.payload(payload)?, ..self })
    }

    /// Sets the payload from JSON text, which is sent unchanged except for surrounding whitespace.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RegistrationSettings::payload_json`].
    pub fn payload_json(self, json: &str) -> Result<Self, PayloadError> {
        Ok(Self { settings: self.settings.payload_json(json)?, ..self })
    }

    /// Sets the device's IoT Plug and Play model, which is sent as the payload. Default: none.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RegistrationSettings::model_id`].
    pub fn model_id(self, model_id: &str) -> Result<Self, PayloadError> {
        Ok(Self { settings: self.settings.model_id(model_id)?, ..self })
    }

    /// Requests a certificate with a signing request as DER. Default: none.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RegistrationSettings::certificate_signing_request`].
    pub fn certificate_signing_request(self, der: &[u8]) -> Result<Self, PayloadError> {
        Ok(Self { settings: self.settings.certificate_signing_request(der)?, ..self })
    }

    /// Sets the retry policy. Default: [`RetryPolicy::DEFAULT`].
    #[must_use]
    pub fn retry(self, retry: RetryPolicy) -> Self {
        Self { settings: self.settings.retry(retry), ..self }
    }

    /// Sets the deadline of one [`register`](ProvisioningClient::register). Default: 15 min.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        Self { settings: self.settings.deadline(deadline), ..self }
    }

    /// Sets the lifetime of a token. Default: 1 h. See [`RegistrationSettings::token_lifetime`].
    #[must_use]
    pub fn token_lifetime(self, token_lifetime: Duration) -> Self {
        Self { settings: self.settings.token_lifetime(token_lifetime), ..self }
    }

    /// Sets whether to use the service's time if the device's clock is wrong or missing. Default:
    /// on.
    #[must_use]
    pub fn clock_correction(self, clock_correction: bool) -> Self {
        Self { settings: self.settings.clock_correction(clock_correction), ..self }
    }

    /// Sets the product in the `User-Agent` header, or over MQTT in the user name. Default: none.
    #[must_use]
    pub fn product(self, product: &Product) -> Self {
        Self { settings: self.settings.product(product), ..self }
    }

    /// Sets the transport. Default: `HttpsTransport`, or `MqttTransport` without the feature
    /// `https`.
    #[cfg(any(feature = "https", feature = "mqtt"))]
    #[must_use]
    pub fn transport(self, transport: impl Transport + Send + 'static) -> Self {
        Self { transport: Some(Box::new(transport)), ..self }
    }

    /// Sets the clock. Default: the system's clock.
    #[cfg(any(feature = "https", feature = "mqtt"))]
    #[must_use]
    pub fn clock(self, clock: impl Clock + Send + 'static) -> Self {
        Self { clock: Some(Box::new(clock)), ..self }
    }

    /// Sets the wait hook. Default: none.
    ///
    /// The client calls the hook at least once per second while it waits, with the rest of the wait
    /// and the reason, and before every request, with a wait of zero. The hook may feed a watchdog,
    /// show progress, or end the registration with [`ControlFlow::Break`], which returns
    /// [`Error::Cancelled`](crate::Error::Cancelled). It does not have to sleep: the clock does.
    ///
    /// The longest time between two calls is that of one request: at most 70 s, with the default
    /// transport 55 s.
    #[must_use]
    pub fn wait(mut self, hook: impl FnMut(&Wait) -> ControlFlow<()> + Send + 'static) -> Self {
        self.hooks.wait = Some(Box::new(hook));
        self
    }

    /// Sets the observer, which is called with every event as it happens. Default: none.
    #[must_use]
    pub fn observer(mut self, observer: impl FnMut(Event) + Send + 'static) -> Self {
        self.hooks.observer = Some(Box::new(observer));
        self
    }

    /// Creates the client. It sends nothing yet.
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

    /// Creates the client with this transport and this clock. It sends nothing yet.
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
