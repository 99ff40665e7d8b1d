//! How a client registers, chosen before it is built.

use alloc::boxed::Box;
use core::fmt;
use core::ops::ControlFlow;
use core::time::Duration;

use serde::Serialize;

use super::{ProvisioningClient, WaitHook};
use crate::assignment::PayloadError;
use crate::identity::{Endpoint, IdScope, Product, RegistrationId};
use crate::key::Signer;
use crate::registration::{Carryover, Event, Observer, Pause, RegistrationSettings, RetryPolicy};
use crate::time::Clock;
use crate::transport::Transport;

/// Chooses how a [`ProvisioningClient`] registers.
pub struct ProvisioningClientBuilder {
    settings: RegistrationSettings,
    signer: Box<dyn Signer + Send>,
    second_signer: Option<Box<dyn Signer + Send>>,
    transport: Option<Box<dyn Transport + Send>>,
    clock: Option<Box<dyn Clock + Send>>,
    wait: Option<WaitHook>,
    observer: Option<Box<Observer<'static>>>,
}

impl ProvisioningClientBuilder {
    pub(super) fn new(id_scope: IdScope, registration_id: RegistrationId, signer: Box<dyn Signer + Send>) -> Self {
        Self {
            settings: RegistrationSettings::new(id_scope, registration_id),
            signer,
            second_signer: None,
            transport: None,
            clock: None,
            wait: None,
            observer: None,
        }
    }

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

    /// The enrollment's other key, tried once where the service refuses the first one and the clock is not to blame; the
    /// next registration begins with the one that worked. Default none.
    #[must_use]
    pub fn second_key(self, signer: impl Signer + Send + 'static) -> Self {
        Self { second_signer: Some(Box::new(signer)), ..self }
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

    /// What the device calls itself in the `User-Agent` header. Default nothing.
    #[must_use]
    pub fn product(self, product: &Product) -> Self {
        Self { settings: self.settings.product(product), ..self }
    }

    /// The network stack. Default an `HttpsTransport` (feature `https`).
    #[must_use]
    pub fn transport(self, transport: impl Transport + Send + 'static) -> Self {
        Self { transport: Some(Box::new(transport)), ..self }
    }

    /// The clock. Default the system's (feature `std`).
    #[must_use]
    pub fn clock(self, clock: impl Clock + Send + 'static) -> Self {
        Self { clock: Some(Box::new(clock)), ..self }
    }

    /// The wait hook: called before every second or less of waiting, with what is left of the wait and why, and before every
    /// request, with a wait of nothing. It may feed a watchdog, show progress, or end the registration with
    /// [`ControlFlow::Break`], as [`Error::Cancelled`](crate::Error::Cancelled). It need not sleep: the clock does.
    ///
    /// The longest time between two calls is that of one request: at most 70 s, with the default transport 55 s. Default none.
    #[must_use]
    pub fn wait(self, hook: impl FnMut(&Pause) -> ControlFlow<()> + Send + 'static) -> Self {
        Self { wait: Some(Box::new(hook)), ..self }
    }

    /// Whom to tell what happens. Default nobody.
    #[must_use]
    pub fn observer(self, observer: impl FnMut(Event) + Send + 'static) -> Self {
        Self { observer: Some(Box::new(observer)), ..self }
    }

    /// The client. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// Without the feature `https` there is no default transport, without `std` no default clock: they must be given.
    pub fn build(self) -> Result<ProvisioningClient, BuildError> {
        let Self { settings, signer, second_signer, transport, clock, wait, observer } = self;
        #[cfg(feature = "https")]
        let transport = transport.or_else(|| Some(Box::new(crate::transport::https::HttpsTransport::new())));
        #[cfg(feature = "std")]
        let clock = clock.or_else(|| Some(Box::new(super::SystemClock::new())));
        Ok(ProvisioningClient {
            settings,
            signer,
            second_signer,
            transport: transport.ok_or(BuildError::NoTransport)?,
            clock: clock.ok_or(BuildError::NoClock)?,
            wait,
            observer,
            carryover: Carryover::default(),
            store_error: None,
        })
    }
}

impl fmt::Debug for ProvisioningClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProvisioningClientBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Why no client could be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There is no default transport without the feature `https`.
    #[error("no transport was given, and without the feature `https` there is no default one")]
    NoTransport,
    /// There is no default clock without the feature `std`.
    #[error("no clock was given, and without the feature `std` there is no default one")]
    NoClock,
}
