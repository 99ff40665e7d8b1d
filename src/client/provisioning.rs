//! The client that owns its parts.

use alloc::boxed::Box;
use core::fmt;
use core::mem;
use core::ops::ControlFlow;

use crate::assignment::Assignment;
#[cfg(feature = "x509")]
use crate::attestation::ClientCertificate;
use crate::attestation::{Attestation, KeySlot};
use crate::client::drive::{Hooks, drive};
use crate::error::{Error, StoreError, TransportErrorKind};
use crate::hub::AssignmentStore;
use crate::registration::{Event, Registration, RegistrationSettings, SavedSession, Session, Wait};
use crate::time::Clock;
use crate::transport::Transport;

pub(super) type WaitHook = Box<dyn FnMut(&Wait) -> ControlFlow<()> + Send>;
pub(super) type Observer = Box<dyn FnMut(Event) + Send>;

/// A blocking client that registers a device and returns its hub.
///
/// ```no_run
/// use azure_iot_dps::{DeviceKey, IdScope, ProvisioningClient, RegistrationId};
///
/// # #[cfg(any(feature = "https", feature = "mqtt"))]
/// # fn provision(device_key: &str) -> Result<(), Box<dyn std::error::Error>> {
/// let mut client = ProvisioningClient::new(
///     IdScope::new("0ne00002193")?,
///     RegistrationId::new("sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6")?,
///     DeviceKey::from_base64(device_key)?,
/// );
/// let assignment = client.register()?;
/// println!("{} at {}", assignment.device_id(), assignment.hub());
/// # Ok(())
/// # }
/// ```
pub struct ProvisioningClient {
    pub(super) settings: RegistrationSettings,
    pub(super) attestation: Attestation,
    pub(super) transport: Box<dyn Transport + Send>,
    pub(super) clock: Box<dyn Clock + Send>,
    pub(super) hooks: ClientHooks,
    pub(super) session: Session,
    pub(super) store_error: Option<StoreError>,
    /// The certificate, for the events about its properties.
    #[cfg(feature = "x509")]
    pub(super) certificate: Option<ClientCertificate>,
}

/// The wait hook and the observer that the client was built with.
#[derive(Default)]
pub(super) struct ClientHooks {
    pub(super) wait: Option<WaitHook>,
    pub(super) observer: Option<Observer>,
}

impl Hooks for ClientHooks {
    fn wait(&mut self, wait: &Wait) -> ControlFlow<()> {
        self.wait.as_mut().map_or(ControlFlow::Continue(()), |hook| hook(wait))
    }

    fn event(&mut self, event: Event) {
        if let Some(observer) = &mut self.observer {
            observer(event);
        }
    }
}

impl ProvisioningClient {
    /// Registers the device and blocks until it is assigned to a hub.
    ///
    /// A call never takes longer than the deadline, and can be repeated at any time. Each call is a
    /// new registration, except after one that ended at its deadline while the service was still
    /// assigning: the next call polls that operation first. If the last call did not end in an
    /// assignment, its backoff continues.
    ///
    /// # Errors
    ///
    /// Returns the reason why the device is not assigned. [`Error::retry_after`] says whether and
    /// when to call again. An earlier call may fail at once, without a request.
    pub fn register(&mut self) -> Result<Assignment, Error> {
        self.run(false)
    }

    /// Looks up the existing assignment of the device, or returns `None` if there is none.
    ///
    /// A lookup registers nothing and is not billed. It blocks like [`register`](Self::register).
    ///
    /// # Errors
    ///
    /// Returns the errors of [`register`](Self::register).
    pub fn status_lookup(&mut self) -> Result<Option<Assignment>, Error> {
        match self.run(true) {
            Ok(assignment) => Ok(Some(assignment)),
            Err(Error::NotAssigned) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Loads the stored assignment, or registers the device and stores the new one.
    ///
    /// Call it at every boot. If it registers, it blocks like [`register`](Self::register).
    ///
    /// It also registers if the store is damaged, holds the assignment of another endpoint, ID
    /// scope or registration ID, or one that was made with a key that the client does not have. A
    /// record that a later version of this crate wrote, such as before a firmware rollback, is
    /// neither read nor replaced; [`register_and_store`](Self::register_and_store) replaces it. An
    /// error of the store does not fail the call: the device registers, and
    /// [`store_error`](Self::store_error) returns the error.
    ///
    /// ```
    /// # use azure_iot_dps::hub::AssignmentStore;
    /// # use azure_iot_dps::{Assignment, Error, ProvisioningClient};
    /// # fn boot(
    /// #     client: &mut ProvisioningClient,
    /// #     mut store: impl AssignmentStore,
    /// # ) -> Result<Assignment, Error> {
    /// let assignment = client.load_or_register(&mut store)?;
    /// if let Some(problem) = client.store_error() {
    ///     eprintln!("the store failed: {problem}");
    /// }
    /// # Ok(assignment)
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the errors of [`register`](Self::register). Wait for [`Error::retry_after`] before
    /// the next call.
    pub fn load_or_register(&mut self, store: &mut dyn AssignmentStore) -> Result<Assignment, Error> {
        self.store_error = None;
        let restored = store.load().and_then(|record| Assignment::from_record(&record, &self.settings));
        let error = match restored {
            Ok(Some(assignment)) if self.attestation.kind().holds(assignment.key_used()) => {
                self.session.set_key(assignment.key_used().unwrap_or(KeySlot::Primary));
                self.tell(Event::Restored);
                return Ok(assignment);
            }
            // There is none, or the device no longer has its key.
            Ok(_) => return self.register_and_store(store),
            Err(error) => error,
        };
        self.tell(Event::NotRestored);
        let result = match error {
            StoreError::LaterFormat { .. } => self.register(),
            _ => self.register_and_store(store),
        };
        self.store_error.get_or_insert(error);
        result
    }

    /// Registers the device regardless of the store, and stores the assignment.
    ///
    /// Call it on [`Advice::Register`](crate::hub::Advice::Register). It blocks like
    /// [`register`](Self::register).
    ///
    /// The stored assignment stays until the device has a new one. If the new one cannot be stored,
    /// the old one is cleared if possible, so that the next boot does not use an outdated
    /// assignment. While another process is writing the store, it is not cleared.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`register`](Self::register). Wait for [`Error::retry_after`] before
    /// the next call.
    pub fn register_and_store(&mut self, store: &mut dyn AssignmentStore) -> Result<Assignment, Error> {
        self.store_error = None;
        let assignment = self.register()?;
        self.store(&assignment, store);
        Ok(assignment)
    }

    /// Looks up the assignment, and stores it if it has changed.
    ///
    /// Call it on [`Advice::LookUp`](crate::hub::Advice::LookUp). A lookup is not billed. It blocks
    /// like [`register`](Self::register).
    ///
    /// If the device has no assignment, or the transport's protocol has no lookup, the device
    /// registers instead. The certificates of the stored assignment are kept, because a lookup does
    /// not return them.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`register`](Self::register). Wait for [`Error::retry_after`] before
    /// the next call.
    pub fn look_up_or_register(&mut self, store: &mut dyn AssignmentStore) -> Result<Assignment, Error> {
        self.store_error = None;
        let mut found = match self.run(true) {
            Ok(found) => found,
            Err(Error::NotAssigned) => return self.register_and_store(store),
            Err(Error::Transport(error)) if error.kind() == TransportErrorKind::Unsupported => {
                return self.register_and_store(store);
            }
            Err(error) => return Err(error),
        };
        let stored = store.load().and_then(|record| Assignment::from_record(&record, &self.settings));
        match stored {
            Ok(Some(stored)) if found.is_same_hub(&stored) => return Ok(found.with_certificates_of(stored)),
            Ok(Some(stored)) => found = found.with_certificates_of(stored),
            // Do not replace a record that this version does not understand.
            Err(error @ StoreError::LaterFormat { .. }) => {
                self.store_error = Some(error);
                return Ok(found);
            }
            Ok(None) | Err(_) => {}
        }
        self.store(&found, store);
        Ok(found)
    }

    /// Returns the store's error in the last call that used a store.
    ///
    /// These are [`load_or_register`](Self::load_or_register),
    /// [`register_and_store`](Self::register_and_store) and
    /// [`look_up_or_register`](Self::look_up_or_register). They succeed without the store.
    #[must_use]
    pub fn store_error(&self) -> Option<&StoreError> {
        self.store_error.as_ref()
    }

    /// Replaces the device's attestation, after its keys were rolled.
    pub fn set_attestation(&mut self, attestation: impl Into<Attestation>) {
        self.attestation = attestation.into();
        self.session.forget_credentials();
    }

    /// Ends all pauses after refusals and failures, so that the next call sends at once.
    ///
    /// Use it after the enrollment was repaired. Otherwise a call that comes too early fails with
    /// [`Error::TooEarly`].
    pub fn forget_refusal(&mut self) {
        self.session.forget_refusal();
    }

    /// Returns the state that can be kept across a reboot.
    pub fn save_session(&mut self) -> SavedSession {
        let uptime = self.clock.now().uptime;
        self.session.save(uptime)
    }

    /// Restores the state that was kept across a reboot.
    ///
    /// Do not restore a session that was saved with other keys.
    pub fn restore_session(&mut self, saved: SavedSession) {
        let uptime = self.clock.now().uptime;
        self.session.replace_saved(saved, uptime);
    }

    fn store(&mut self, assignment: &Assignment, store: &mut dyn AssignmentStore) {
        if let Err(error) = store.save(&assignment.to_record(&self.settings)) {
            if !matches!(error, StoreError::Busy) {
                // Report the first error only.
                let _ = store.clear();
            }
            self.tell(Event::NotStored);
            self.store_error = Some(error);
        }
    }

    fn tell(&mut self, event: Event) {
        #[cfg(feature = "log")]
        event.log(&self.settings.registration_id);
        self.hooks.event(event);
    }

    fn run(&mut self, status_lookup: bool) -> Result<Assignment, Error> {
        #[cfg(feature = "x509")]
        if let Some(certificate) = &self.certificate {
            let notes = certificate.notes(self.clock.now().unix.filter(|unix| unix.is_plausible()));
            notes.for_each(|note| self.tell(Event::CertificateNote { note }));
        }
        let Self { settings, attestation, transport, clock, hooks, session, .. } = self;
        session.use_keys(|| attestation.fingerprint());
        let mut registration = Registration::resume(settings, attestation.kind(), mem::take(session));
        if status_lookup {
            registration = registration.status_lookup();
        }
        let sign = |key, message: &[u8]| attestation.sign(key, message);
        let result = drive(&mut registration, sign, transport, clock, hooks);
        *session = registration.into_session();
        session.note_keys(|| attestation.fingerprint());
        result
    }
}

impl fmt::Debug for ProvisioningClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProvisioningClient")
            .field("settings", &self.settings)
            .field("attestation", &self.attestation)
            .finish_non_exhaustive()
    }
}
