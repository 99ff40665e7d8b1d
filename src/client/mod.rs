//! The blocking client: a loop around the state machine.

mod builder;
#[cfg(feature = "std")]
mod system_clock;

use alloc::boxed::Box;
use core::fmt;
use core::ops::ControlFlow;
use core::time::Duration;

pub use builder::{BuildError, ProvisioningClientBuilder};
#[cfg(feature = "std")]
pub use system_clock::SystemClock;

use crate::assignment::{Assignment, KeyUsed};
use crate::error::{Error, StoreError};
use crate::hub::AssignmentStore;
use crate::identity::{IdScope, RegistrationId};
use crate::key::Signer;
use crate::registration::{Backoff, Carryover, Event, Observer, Pause, Registration, RegistrationSettings, Step};
use crate::time::Clock;
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
        ProvisioningClientBuilder::new(id_scope, registration_id, Box::new(signer))
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
