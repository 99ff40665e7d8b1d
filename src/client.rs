//! The blocking client: a loop around the state machine.

use alloc::boxed::Box;
use core::fmt;
use core::ops::ControlFlow;
use core::time::Duration;

use serde::Serialize;

use crate::assignment::{Assignment, KeyUsed, PayloadError};
use crate::error::{Error, StoreError};
use crate::hub::AssignmentStore;
use crate::identity::{Endpoint, IdScope, Product, RegistrationId};
use crate::key::Signer;
use crate::registration::{
    Backoff, Carryover, Event, Observer, Pause, Registration, RegistrationSettings, RetryPolicy, Step,
};
use crate::time::Clock;
#[cfg(feature = "std")]
use crate::time::{Now, UnixTime};
use crate::transport::Transport;

/// The longest that the client sleeps without asking the wait hook.
const SLICE: Duration = Duration::from_secs(1);

type WaitHook = Box<dyn FnMut(&Pause) -> ControlFlow<()> + Send>;

/// Registers a device and blocks until it has its hub.
///
/// ```no_run
/// use azure_iot_dps::{DeviceKey, IdScope, ProvisioningClient, RegistrationId};
///
/// # #[cfg(feature = "https")]
/// # fn provision(device_key: &str) -> Result<(), Box<dyn std::error::Error>> {
/// let mut client = ProvisioningClient::new(
///     IdScope::new("0ne00002193")?,
///     RegistrationId::new("sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6")?,
///     DeviceKey::from_base64(device_key)?,
/// )?;
/// let assignment = client.register()?;
/// println!("{} at {}", assignment.device_id(), assignment.hub());
/// # Ok(())
/// # }
/// ```
pub struct ProvisioningClient {
    settings: RegistrationSettings,
    signer: Box<dyn Signer + Send>,
    second_signer: Option<Box<dyn Signer + Send>>,
    transport: Box<dyn Transport + Send>,
    clock: Box<dyn Clock + Send>,
    wait: Option<WaitHook>,
    observer: Option<Box<Observer<'static>>>,
    carryover: Carryover,
    store_error: Option<StoreError>,
}

impl ProvisioningClient {
    /// For this device, with the defaults that the methods of the builder name.
    ///
    /// # Errors
    ///
    /// Those of [`ProvisioningClientBuilder::build`].
    #[cfg(feature = "https")]
    pub fn new(
        id_scope: IdScope,
        registration_id: RegistrationId,
        signer: impl Signer + Send + 'static,
    ) -> Result<Self, BuildError> {
        Self::builder(id_scope, registration_id, signer).build()
    }

    /// To choose more than the device and its key.
    #[must_use]
    pub fn builder(
        id_scope: IdScope,
        registration_id: RegistrationId,
        signer: impl Signer + Send + 'static,
    ) -> ProvisioningClientBuilder {
        ProvisioningClientBuilder {
            settings: RegistrationSettings::new(id_scope, registration_id),
            signer: Box::new(signer),
            second_signer: None,
            transport: None,
            clock: None,
            wait: None,
            observer: None,
        }
    }

    /// Registers the device and waits until it is assigned to a hub.
    ///
    /// Takes no longer than the deadline. May be called as often as need be: each call is a registration of its own, but it
    /// goes on with the backoff that the last one had reached, if that did not end in an assignment.
    ///
    /// # Errors
    ///
    /// Why the device has no hub. [`Error::is_transient`] tells whether another call can help, [`Error::retry_after`] when:
    /// one that comes earlier may fail at once.
    pub fn register(&mut self) -> Result<Assignment, Error> {
        self.run(false)
    }

    /// The assignment that the device has already, without registering: a registration status lookup, which is not billed.
    /// `None` where there is none.
    ///
    /// # Errors
    ///
    /// As for [`register`](Self::register).
    pub fn registration_status(&mut self) -> Result<Option<Assignment>, Error> {
        match self.run(true) {
            Ok(assignment) => Ok(Some(assignment)),
            Err(Error::NotAssigned) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The stored assignment, or where there is none, one that is registered and stored: what a device calls at every boot.
    ///
    /// A store of another endpoint, ID scope or registration ID counts as empty, and so does a damaged one. One that a later
    /// version of this crate wrote, as after a firmware was rolled back, is neither read nor replaced
    /// ([`reassign`](Self::reassign) replaces it). Whatever is wrong with a store does not keep the device from its hub: it
    /// registers, as it would without, and [`store_error`](Self::store_error) tells.
    ///
    /// ```
    /// # use azure_iot_dps::{Assignment, AssignmentStore, Error, ProvisioningClient};
    /// # fn boot(client: &mut ProvisioningClient, mut store: impl AssignmentStore) -> Result<Assignment, Error> {
    /// let assignment = client.assignment(&mut store)?;
    /// if let Some(problem) = client.store_error() {
    ///     eprintln!("the stored assignment was of no use: {problem}");
    /// }
    /// # Ok(assignment)
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`register`](Self::register). Before another call wait for [`Error::retry_after`].
    pub fn assignment(&mut self, store: &mut dyn AssignmentStore) -> Result<Assignment, Error> {
        self.store_error = None;
        let restored = store.load().and_then(|record| Assignment::from_record(&record, &self.settings));
        let error = match restored {
            Ok(Some(assignment)) => {
                self.carryover.key = assignment.key_used();
                self.tell(Event::Restored);
                return Ok(assignment);
            }
            Ok(None) => return self.reassign(store),
            Err(error) => error,
        };
        self.tell(Event::NotRestored);
        let result = match error {
            StoreError::LaterFormat { .. } => self.register(),
            _ => self.reassign(store),
        };
        self.store_error.get_or_insert(error);
        result
    }

    /// Registers, whatever is stored, and stores the assignment: what a device calls when it is told to
    /// ([`Advice::Register`](crate::Advice::Register)).
    ///
    /// What is stored stays there until the device has another assignment. If that cannot be stored, the one before is cleared,
    /// where that can be done: the next boot must not go by what is out of date.
    ///
    /// # Errors
    ///
    /// As for [`register`](Self::register). Before another call wait for [`Error::retry_after`].
    pub fn reassign(&mut self, store: &mut dyn AssignmentStore) -> Result<Assignment, Error> {
        self.store_error = None;
        let assignment = self.register()?;
        if let Err(error) = store.save(&assignment.to_record(&self.settings)) {
            if !matches!(error, StoreError::Busy) {
                // What went wrong first is what counts.
                let _ = store.clear();
            }
            self.tell(Event::NotStored);
            self.store_error = Some(error);
        }
        Ok(assignment)
    }

    /// What was wrong with the store, where the last [`assignment`](Self::assignment) or [`reassign`](Self::reassign) had to do
    /// without it.
    #[must_use]
    pub fn store_error(&self) -> Option<&StoreError> {
        self.store_error.as_ref()
    }

    /// Replaces the device's keys, after they were rolled.
    pub fn set_keys<S: Signer + Send + 'static>(&mut self, signer: S, second_signer: Option<S>) {
        self.signer = Box::new(signer);
        self.second_signer = second_signer.map(|signer| Box::new(signer) as _);
        self.carryover.key = KeyUsed::Primary;
    }

    /// How far the backoff has come, to be kept across a reboot.
    pub fn backoff(&mut self) -> Backoff {
        let uptime = self.clock.now().uptime;
        self.carryover.backoff(uptime)
    }

    /// Goes on with the backoff that was kept across a reboot.
    pub fn restore_backoff(&mut self, backoff: Backoff) {
        let uptime = self.clock.now().uptime;
        let Carryover { clock_correction, key, .. } = self.carryover;
        self.carryover = Carryover { clock_correction, key, ..Carryover::restore(backoff, uptime) };
    }

    fn tell(&mut self, event: Event) {
        #[cfg(feature = "log")]
        event.log(&self.settings.registration_id);
        if let Some(observer) = &mut self.observer {
            observer(event);
        }
    }

    fn run(&mut self, look_up: bool) -> Result<Assignment, Error> {
        let Self { settings, signer, second_signer, transport, clock, wait, observer, carryover, store_error: _ } =
            self;
        let mut registration = Registration::resume(settings, &**signer, *carryover);
        if look_up {
            registration = registration.look_up();
        }
        if let Some(second_signer) = second_signer {
            registration = registration.second_signer(&**second_signer);
        }
        if let Some(observer) = observer {
            registration = registration.observer(&mut **observer);
        }
        let result = drive(&mut registration, transport, clock, wait);
        *carryover = registration.carryover();
        result
    }
}

fn drive(
    registration: &mut Registration<'_, dyn Signer + Send>,
    transport: &mut dyn Transport,
    clock: &mut dyn Clock,
    wait: &mut Option<WaitHook>,
) -> Result<Assignment, Error> {
    loop {
        let now = clock.now();
        match registration.step(now)? {
            Step::Send(request) => {
                if wait.as_mut().is_some_and(|hook| hook(&Pause::REQUEST).is_break()) {
                    return Err(Error::Cancelled);
                }
                // What the signer and the hook took goes off the request's time.
                let taken = clock.now().uptime.saturating_sub(now.uptime);
                if taken >= request.time_limit() {
                    continue;
                }
                let request = request.shortened_by(taken);
                let answer = transport.send(&request);
                registration.receive(answer, clock.now())?;
            }
            Step::Wait(pause) => {
                if wait.as_mut().is_some_and(|hook| hook(&pause).is_break()) {
                    return Err(Error::Cancelled);
                }
                // What the hook took goes off the wait.
                let taken = clock.now().uptime.saturating_sub(now.uptime);
                clock.sleep(pause.duration().saturating_sub(taken).min(SLICE));
            }
            Step::Done(assignment) => return Ok(assignment),
        }
    }
}

impl fmt::Debug for ProvisioningClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProvisioningClient").field("settings", &self.settings).finish_non_exhaustive()
    }
}

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
    /// [`ControlFlow::Break`], as [`Error::Cancelled`]. It need not sleep: the clock does.
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
        let clock = clock.or_else(|| Some(Box::new(SystemClock::new())));
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

/// The system's clocks, and a thread's sleep.
#[cfg(feature = "std")]
#[derive(Clone, Debug)]
pub struct SystemClock {
    started: std::time::Instant,
}

#[cfg(feature = "std")]
impl SystemClock {
    /// Its uptime counts from here on.
    #[must_use]
    pub fn new() -> Self {
        Self { started: std::time::Instant::now() }
    }
}

#[cfg(feature = "std")]
impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(feature = "std")]
impl Clock for SystemClock {
    fn now(&mut self) -> Now {
        // Before 1970 is as good as not knowing the time.
        let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok();
        Now { unix: unix.map(|since| UnixTime::from_secs(since.as_secs())), uptime: self.started.elapsed() }
    }

    fn sleep(&mut self, pause: Duration) {
        std::thread::sleep(pause);
    }
}
