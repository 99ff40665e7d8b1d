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

/// The longest time that passes between two calls of the wait hook while nothing is sent.
const SLICE: Duration = Duration::from_secs(1);

/// The hooks that [`drive`] calls while it blocks. Both methods do nothing by default; `()` has the defaults.
pub trait Hooks {
    /// Called before every second or less of waiting, with what is left of the wait and why, and before every request, with a
    /// wait of zero. May feed a watchdog, show progress, or end the registration with [`ControlFlow::Break`], as
    /// [`Error::Cancelled`]. It need not sleep: the clock does.
    fn wait(&mut self, wait: &Wait) -> ControlFlow<()> {
        let _ = wait;
        ControlFlow::Continue(())
    }

    /// Called with every event, as it happens.
    fn event(&mut self, event: Event) {
        let _ = event;
    }
}

impl Hooks for () {}

/// Drives a registration to its end, and blocks meanwhile. All parts are borrowed, and none has to be `Send`.
///
/// `sign` signs a message with one of the device's keys; with an X.509 certificate it is never called.
///
/// ```
/// use azure_iot_dps::attestation::AttestationKind;
/// use azure_iot_dps::client::drive;
/// use azure_iot_dps::key::Signer;
/// use azure_iot_dps::registration::{Registration, RegistrationSettings, Session};
/// use azure_iot_dps::{Assignment, Clock, Error, Transport};
/// use std::rc::Rc;
///
/// /// A chip that other parts of the firmware hold, too, and a modem that is borrowed.
/// fn register(
///     settings: &RegistrationSettings,
///     session: &mut Session,
///     chip: &Rc<dyn Signer>,
///     modem: &mut dyn Transport,
///     clock: &mut dyn Clock,
/// ) -> Result<Assignment, Error> {
///     let before = std::mem::take(session);
///     let mut registration = Registration::resume(settings, AttestationKind::SymmetricKey, before);
///     let result = drive(&mut registration, |_, message| chip.sign(message), modem, clock, &mut ());
///     *session = registration.into_session();
///     result
/// }
/// ```
///
/// # Errors
///
/// Those of [`Registration::step`] and [`Registration::receive`], and [`Error::Cancelled`] where the hook said so.
pub fn drive(
    registration: &mut Registration<'_>,
    mut sign: impl FnMut(KeySlot, &[u8]) -> Result<[u8; 32], SignerError>,
    transport: &mut (impl Transport + ?Sized),
    clock: &mut (impl Clock + ?Sized),
    hooks: &mut (impl Hooks + ?Sized),
) -> Result<Assignment, Error> {
    // Whether the hook was called for the request at hand.
    let mut hooked = false;
    loop {
        let now = clock.now();
        let advanced = registration.advance(now);
        tell(registration, hooks);
        advanced?;
        match registration.step(now)? {
            Step::Sign(request) => {
                let signature = sign(request.key(), request.message());
                registration.signed(signature);
            }
            // The time of a request counts from when it is handed out: it is asked for again behind the hook.
            Step::Send(_) if !hooked => {
                pass(hooks, &Wait::BEFORE_REQUEST)?;
                hooked = true;
            }
            Step::Send(request) => {
                hooked = false;
                let answer = transport.send(&request);
                let received = registration.receive(answer, clock.now());
                tell(registration, hooks);
                received?;
            }
            Step::Wait(wait) => {
                pass(hooks, &wait)?;
                // What the hook took goes off the wait.
                let taken = clock.now().uptime.saturating_sub(now.uptime);
                clock.sleep(wait.duration().saturating_sub(taken).min(SLICE));
            }
            Step::Done(assignment) => return Ok(assignment),
        }
    }
}

fn tell(registration: &mut Registration<'_>, hooks: &mut (impl Hooks + ?Sized)) {
    while let Some(event) = registration.next_event() {
        hooks.event(event);
    }
}

fn pass(hooks: &mut (impl Hooks + ?Sized), wait: &Wait) -> Result<(), Error> {
    match hooks.wait(wait) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Cancelled),
    }
}
