//! The loop around a registration.

use core::ops::ControlFlow;
use core::time::Duration;

use crate::assignment::Assignment;
use crate::attestation::KeySlot;
use crate::error::Error;
use crate::key::SignerError;
use crate::registration::{Event, Registration, Step, Wait};
use crate::time::Clock;
use crate::transport::Transport;

/// The longest time between two calls of the wait hook while nothing is sent.
const SLICE: Duration = Duration::from_secs(1);

/// The hooks that [`drive`] calls while it blocks.
///
/// Both methods do nothing by default. `()` implements the trait with these defaults.
///
/// ```
/// use azure_iot_dps::client::Hooks;
/// use azure_iot_dps::registration::{Event, Wait};
/// use std::ops::ControlFlow;
/// # struct Watchdog(u32);
/// # impl Watchdog { fn feed(&mut self) { self.0 += 1; } }
///
/// struct Board {
///     watchdog: Watchdog,
/// }
///
/// impl Hooks for Board {
///     fn wait(&mut self, _wait: &Wait) -> ControlFlow<()> {
///         self.watchdog.feed();
///         ControlFlow::Continue(())
///     }
///
///     fn event(&mut self, event: Event) {
///         println!("{event}");
///     }
/// }
/// ```
pub trait Hooks {
    /// Handles a wait: called at least once per second of waiting, and before every request.
    ///
    /// `wait` holds the rest of the wait and the reason; before a request it is a wait of zero. The
    /// hook may feed a watchdog, show progress, or end the registration with
    /// [`ControlFlow::Break`], which returns [`Error::Cancelled`]. It does not have to sleep: the
    /// clock does.
    fn wait(&mut self, wait: &Wait) -> ControlFlow<()> {
        let _ = wait;
        ControlFlow::Continue(())
    }

    /// Handles an event, as it happens.
    fn event(&mut self, event: Event) {
        let _ = event;
    }
}

impl Hooks for () {}

/// Drives a registration to its end, and blocks until then.
///
/// All parts are borrowed, and none has to be `Send`. `sign` signs a message with one of the
/// device's keys. It is never called for a device with an X.509 certificate.
///
/// ```
/// use azure_iot_dps::attestation::AttestationKind;
/// use azure_iot_dps::client::drive;
/// use azure_iot_dps::key::Signer;
/// use azure_iot_dps::registration::{Registration, RegistrationSettings, Session};
/// use azure_iot_dps::{Assignment, Clock, Error, Transport};
/// use std::rc::Rc;
///
/// /// The chip is shared with other parts of the firmware, and the modem is borrowed.
/// fn register(
///     settings: &RegistrationSettings,
///     session: &mut Session,
///     chip: &Rc<dyn Signer>,
///     modem: &mut dyn Transport,
///     clock: &mut dyn Clock,
/// ) -> Result<Assignment, Error> {
///     let before = std::mem::take(session);
///     let kind = AttestationKind::SymmetricKey;
///     let mut registration = Registration::resume(settings, kind, before);
///     let sign = |_, message: &[u8]| chip.sign(message);
///     let result = drive(&mut registration, sign, modem, clock, &mut ());
///     *session = registration.into_session();
///     result
/// }
/// ```
///
/// # Errors
///
/// Returns the errors of [`Registration::step`], and [`Error::Cancelled`] if the wait hook returned
/// [`ControlFlow::Break`].
pub fn drive(
    registration: &mut Registration<'_>,
    mut sign: impl FnMut(KeySlot, &[u8]) -> Result<[u8; 32], SignerError>,
    transport: &mut (impl Transport + ?Sized),
    clock: &mut (impl Clock + ?Sized),
    hooks: &mut (impl Hooks + ?Sized),
) -> Result<Assignment, Error> {
    // Whether the hook was called for the current request.
    let mut hooked = false;
    loop {
        let now = clock.now();
        match registration.step(now)? {
            Step::Sign(request) => {
                let signature = sign(request.key(), request.message());
                registration.signed(signature);
            }
            // The time limit counts from when the request is handed out, so ask again after the
            // hook.
            Step::Send(_) if !hooked => {
                pass(hooks, &Wait::BEFORE_REQUEST)?;
                hooked = true;
            }
            Step::Send(request) => {
                hooked = false;
                let response = transport.send(&request);
                registration.receive(response, clock.now());
            }
            Step::Wait(wait) => {
                pass(hooks, &wait)?;
                // The time that the hook took is part of the wait.
                let taken = clock.now().uptime.saturating_sub(now.uptime);
                clock.sleep(wait.duration().saturating_sub(taken).min(SLICE));
            }
            Step::Event(event) => hooks.event(event),
            Step::Done(assignment) => return Ok(assignment),
        }
    }
}

fn pass(hooks: &mut (impl Hooks + ?Sized), wait: &Wait) -> Result<(), Error> {
    match hooks.wait(wait) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Cancelled),
    }
}
