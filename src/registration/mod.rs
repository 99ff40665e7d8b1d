//! The state machine of a registration: register, wait, poll, until the device has its hub or it is clear that it gets none.
//!
//! It does no I/O and reads no clock. Whoever drives it asks for the next [`Step`], carries the request or lets the time
//! pass, and hands in the answer. The blocking client is this loop:
//!
//! ```
//! # use azure_iot_dps::{Assignment, Clock, Error, Pause, Registration, Signer, Step, Transport};
//! # fn run(registration: &mut Registration<'_, dyn Signer>, transport: &mut dyn Transport, clock: &mut dyn Clock,
//! #     mut wait: impl FnMut(Pause) -> Result<(), Error>) -> Result<Assignment, Error> {
//! loop {
//!     match registration.step(clock.now())? {
//!         Step::Send(request) => {
//!             let answer = transport.send(&request);
//!             registration.receive(answer, clock.now())?;
//!         }
//!         Step::Wait(pause) => wait(pause)?,
//!         Step::Done(assignment) => return Ok(assignment),
//!     }
//! }
//! # }
//! ```

mod credential;
mod event;
mod retry;
mod settings;
mod step;
mod verdict;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::time::Duration;

pub use event::{Event, WaitReason};
pub use retry::{Backoff, Carryover, RetryPolicy};
pub use settings::RegistrationSettings;
pub use step::{Pause, Step};

use crate::assignment::{Assignment, KeyUsed};
use crate::error::{DeadlineExceeded, Error, TransportError};
use crate::key::Signer;
use crate::protocol::wire::Register;
use crate::protocol::{Operation, Request, Response, Target};
use crate::time::{ClockCorrection, Now, UnixTime};
use credential::Credential;
pub(crate) use retry::Jitter;
use verdict::Verdict;

/// The most that one request may take: 10 s to resolve the name, 30 s to connect, 30 s to get the answer.
const REQUEST_LIMIT: Duration = Duration::from_secs(10 + 30 + 30);
/// How often "the same identity is registering elsewhere" (409, 412) is tried again.
const CONFLICT_RETRIES: u8 = 4;

/// Somebody who is told what happens: a display, a watchdog, a log.
pub type Observer<'a> = dyn FnMut(Event) + Send + 'a;

/// One registration, from the first request to the assignment.
///
/// Dropping it at any point is fine; a register request that was sent is safe to send again.
pub struct Registration<'a, S: Signer + ?Sized> {
    settings: &'a RegistrationSettings,
    credential: Credential<'a, S>,
    goal: Goal,
    body: Vec<u8>,
    target: String,
    operation_id: Option<Box<str>>,
    phase: Phase,
    /// The uptime at which the time is over; set by the first step.
    ends_at: Option<Duration>,
    carryover: Carryover,
    clock_corrected: bool,
    /// What was known about the time before this registration.
    earlier_correction: Option<ClockCorrection>,
    key_switched: bool,
    conflicts: u8,
    zero_waits: u8,
    started_over: bool,
    requests: u32,
    last_failure: Option<Error>,
    observer: Option<&'a mut Observer<'a>>,
}

/// What a registration is after.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goal {
    Register,
    LookUp,
}

enum Phase {
    New,
    Ready,
    Sent,
    Waiting { until: Duration, reason: WaitReason },
    Assigned(Box<Assignment>),
    Ended,
}

impl<'a, S: Signer + ?Sized> Registration<'a, S> {
    /// Prepares a registration; its deadline counts from the first [`step`](Self::step).
    #[must_use]
    pub fn new(settings: &'a RegistrationSettings, signer: &'a S) -> Self {
        Self::resume(settings, signer, Carryover::default())
    }

    /// The same, going on from what an earlier registration of this device learnt.
    #[must_use]
    pub fn resume(settings: &'a RegistrationSettings, signer: &'a S, carryover: Carryover) -> Self {
        Self {
            settings,
            credential: Credential::new(signer),
            goal: Goal::Register,
            body: settings.body(),
            target: String::new(),
            operation_id: None,
            phase: Phase::New,
            ends_at: None,
            carryover,
            clock_corrected: false,
            earlier_correction: None,
            key_switched: false,
            conflicts: 0,
            zero_waits: 0,
            started_over: false,
            requests: 0,
            last_failure: None,
            observer: None,
        }
    }

    /// What to do next, at this time.
    ///
    /// A token is signed in here when one is needed. The time limit of a request counts from `now`: where the signer is slow,
    /// as a TPM can be, its time goes off it.
    ///
    /// # Errors
    ///
    /// The deadline has passed, the signer failed, or the registration had ended already.
    pub fn step(&mut self, now: Now) -> Result<Step<'_>, Error> {
        match core::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Assigned(assignment) => Ok(Step::Done(*assignment)),
            Phase::Ended => Err(Error::Ended),
            Phase::New => self.begin(now),
            Phase::Ready | Phase::Sent => self.request(now),
            Phase::Waiting { until, reason } => self.go_on_waiting(until, reason, now),
        }
    }

    /// Takes what came of the request of the last [`Step::Send`]. What comes without having been asked for is ignored.
    ///
    /// # Errors
    ///
    /// The service refused for good, or the next try would come too late for the deadline.
    pub fn receive(&mut self, answer: Result<Response<'_>, TransportError>, now: Now) -> Result<(), Error> {
        if !matches!(self.phase, Phase::Sent) {
            return Ok(());
        }
        self.phase = Phase::Ended;
        self.tell(match &answer {
            Ok(response) => Event::Answered { status: response.status() },
            Err(error) => Event::Unanswered { kind: error.kind() },
        });
        let (verdict, retry_after) = match &answer {
            Ok(response) => (self.judge(response), response.retry_after()),
            Err(_) => (Verdict::Unanswered, None),
        };
        match (verdict, answer) {
            (Verdict::Assigned(assignment), _) => {
                self.carryover.clear_backoff();
                self.tell(Event::Assigned);
                self.phase = Phase::Assigned(assignment);
                Ok(())
            }
            (Verdict::Assigning { operation_id }, _) => {
                self.operation_id = operation_id.or(self.operation_id.take());
                self.poll_later(retry_after, now)
            }
            (Verdict::ClockIsWrong { service_time }, _) => {
                let (device_time, uptime) = (now.unix, now.uptime);
                self.carryover.clock_correction = Some(ClockCorrection { service_time, device_time, uptime });
                self.clock_corrected = true;
                self.credential.discard_token();
                self.tell(Event::ClockCorrected { service_time });
                self.phase = Phase::Ready;
                Ok(())
            }
            (Verdict::TryOtherKey, _) => {
                self.key_switched = true;
                self.credential.discard_token();
                self.carryover.key = self.carryover.key.other();
                self.tell(Event::KeySwitched { key: self.carryover.key });
                self.phase = Phase::Ready;
                Ok(())
            }
            (Verdict::OperationUnknown, _) => {
                self.started_over = true;
                self.operation_id = None;
                self.phase = Phase::Ready;
                Ok(())
            }
            (Verdict::Refused(error), _) if error.is_transient() => {
                // Tried often enough for now; the next registration does not come back at once.
                let wait = self.back_off(retry_after, now);
                Err(error.with_retry_after(wait).into())
            }
            (Verdict::Refused(error), _) => {
                if error.http_status() == 401 {
                    // Neither the other key nor the other time was right: the next registration begins where this one did.
                    if self.key_switched {
                        self.carryover.key = self.carryover.key.other();
                    }
                    self.carryover.clock_correction = self.earlier_correction;
                }
                Err(error.into())
            }
            (Verdict::NotAssigned, _) => Err(Error::NotAssigned),
            (Verdict::TryAgain(error, reason), _) => self.retry_later(error, reason, retry_after, now),
            (Verdict::Unanswered, Err(error)) => {
                let reason = WaitReason::Unanswered { kind: error.kind() };
                self.retry_later(error.into(), reason, None, now)
            }
            (Verdict::Unanswered, Ok(_)) => Err(Error::Ended),
        }
    }

    /// Asks for the assignment that the device has already, without registering: a registration status lookup, which is not
    /// billed. It ends in the assignment, or in [`Error::NotAssigned`] where there is none.
    #[must_use]
    pub fn look_up(self) -> Self {
        let registration_id = self.settings.registration_id.as_str();
        let body = Register { registration_id, payload: None, csr: None }.to_bytes();
        Self { goal: Goal::LookUp, body, ..self }
    }

    /// The enrollment's other key: tried once where the service refuses the first one and the clock is not to blame.
    #[must_use]
    pub fn second_signer(self, signer: &'a S) -> Self {
        Self { credential: self.credential.with_second_signer(signer), ..self }
    }

    /// Whom to tell what happens, as it happens.
    #[must_use]
    pub fn observer(self, observer: &'a mut Observer<'a>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// What was learnt so far, for [`Registration::resume`].
    #[must_use]
    pub fn carryover(&self) -> Carryover {
        self.carryover
    }

    /// Waits out what an earlier registration had to wait for.
    fn begin(&mut self, now: Now) -> Result<Step<'_>, Error> {
        // No more than a registration can bring about: the clock may be another one than then.
        let longest = self.settings.deadline.saturating_add(self.settings.retry.longest());
        // A clock that was set meanwhile is right again.
        self.carryover.clock_correction =
            self.carryover.clock_correction.filter(|correction| correction.still_holds(now));
        self.earlier_correction = self.carryover.clock_correction;
        if !self.credential.has_second_signer() {
            self.carryover.key = KeyUsed::Primary;
        }
        let held = self.carryover.not_before.saturating_sub(now.uptime).min(longest);
        let first = !self.carryover.spread && held.is_zero() && self.goal == Goal::Register;
        let (wait, reason) = if first {
            let wait = self.settings.retry.spread(self.jitter(now));
            // Drawn once: a deadline that is shorter does not make for another draw.
            (self.carryover.spread, self.carryover.not_before) = (true, now.uptime.saturating_add(wait));
            (wait, WaitReason::FirstSpread)
        } else {
            (held, WaitReason::EarlierRefusal)
        };
        if wait.is_zero() {
            return self.request(now);
        }
        self.tell(Event::Waiting { duration: wait, reason });
        self.go_on_waiting(now.uptime.saturating_add(wait), reason, now)
    }

    fn go_on_waiting(&mut self, until: Duration, reason: WaitReason, now: Now) -> Result<Step<'_>, Error> {
        match until.saturating_sub(now.uptime) {
            Duration::ZERO => self.request(now),
            left if left >= self.time_left(now) => Err(self.out_of_time(left)),
            left => {
                self.phase = Phase::Waiting { until, reason };
                Ok(Step::Wait(Pause::new(left, reason)))
            }
        }
    }

    fn request(&mut self, now: Now) -> Result<Step<'_>, Error> {
        let time_limit = self.time_left(now).min(REQUEST_LIMIT);
        if time_limit.is_zero() {
            return Err(self.out_of_time(Duration::ZERO));
        }
        self.credential.renew_token(self.settings, self.carryover.key, self.wall_clock(now))?;
        self.requests = self.requests.saturating_add(1);
        let request = self.requests;
        self.tell(match (self.goal, &self.operation_id) {
            (Goal::LookUp, _) => Event::LookingUp { request },
            (Goal::Register, None) => Event::Registering { request },
            (Goal::Register, Some(_)) => Event::Polling { request },
        });
        let operation = match (self.goal, &self.operation_id) {
            (Goal::LookUp, _) => Operation::StatusLookup,
            (Goal::Register, None) => Operation::Register,
            (Goal::Register, Some(operation_id)) => Operation::OperationStatus { operation_id },
        };
        let RegistrationSettings { id_scope, registration_id, endpoint, .. } = self.settings;
        let api_version = self.settings.api_version();
        self.target.clear();
        // Writing to a `String` cannot fail.
        let _ = write!(self.target, "{}", Target { operation, id_scope, registration_id, api_version });
        let Some(token) = self.credential.token() else { return Err(Error::Ended) };

        self.phase = Phase::Sent;
        Ok(Step::Send(Request {
            operation,
            endpoint,
            id_scope,
            registration_id,
            target: &self.target,
            token,
            user_agent: &self.settings.user_agent,
            body: (!matches!(operation, Operation::OperationStatus { .. })).then_some(&self.body[..]),
            time_limit,
        }))
    }

    /// The time of day: the device's own, unless it was found to be wrong.
    fn wall_clock(&self, now: Now) -> Option<UnixTime> {
        match self.carryover.clock_correction {
            Some(correction) => Some(correction.time_at(now.uptime)),
            None => now.unix,
        }
    }

    fn time_left(&mut self, now: Now) -> Duration {
        let ends_at = *self.ends_at.get_or_insert(now.uptime.saturating_add(self.settings.deadline));
        ends_at.saturating_sub(now.uptime)
    }

    fn poll_later(&mut self, retry_after: Option<Duration>, now: Now) -> Result<(), Error> {
        self.carryover.clear_backoff();
        self.conflicts = 0;
        self.last_failure = None;
        self.zero_waits = if retry_after == Some(Duration::ZERO) { self.zero_waits.saturating_add(1) } else { 0 };
        let wait = self.settings.retry.poll(self.bounded(retry_after), self.zero_waits);
        self.wait(wait, WaitReason::Assigning, now)
    }

    fn retry_later(
        &mut self,
        error: Error,
        reason: WaitReason,
        retry_after: Option<Duration>,
        now: Now,
    ) -> Result<(), Error> {
        let wait = self.back_off(retry_after, now);
        self.last_failure = Some(error);
        self.wait(wait, reason, now)
    }

    fn jitter(&self, now: Now) -> Jitter<'a> {
        Jitter { registration_id: &self.settings.registration_id, now }
    }

    /// One failure more; how long to wait for that.
    fn back_off(&mut self, retry_after: Option<Duration>, now: Now) -> Duration {
        let wait = self.settings.retry.backoff(self.carryover.failures, self.bounded(retry_after), self.jitter(now));
        self.carryover.failures = self.carryover.failures.saturating_add(1);
        self.carryover.not_before = now.uptime.saturating_add(wait);
        wait
    }

    /// No header can silence a device for much longer than one deadline: a wrong one must not cost a trip to the site.
    fn bounded(&self, retry_after: Option<Duration>) -> Option<Duration> {
        retry_after.map(|delay| delay.min(self.settings.deadline))
    }

    fn wait(&mut self, wait: Duration, reason: WaitReason, now: Now) -> Result<(), Error> {
        let until = now.uptime.saturating_add(wait);
        if wait >= self.time_left(now) {
            self.carryover.not_before = until;
            return Err(self.out_of_time(wait));
        }
        if !wait.is_zero() {
            self.tell(Event::Waiting { duration: wait, reason });
        }
        self.phase = Phase::Waiting { until, reason };
        Ok(())
    }

    fn tell(&mut self, event: Event) {
        #[cfg(feature = "log")]
        event.log(&self.settings.registration_id);
        if let Some(observer) = &mut self.observer {
            observer(event);
        }
    }

    fn out_of_time(&mut self, retry_after: Duration) -> Error {
        DeadlineExceeded::new(self.settings.deadline, retry_after, self.last_failure.take()).into()
    }
}

impl<S: Signer + ?Sized> fmt::Debug for Registration<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("registration_id", &self.settings.registration_id)
            .field("operation_id", &self.operation_id)
            .field("requests", &self.requests)
            .field("carryover", &self.carryover)
            .finish_non_exhaustive()
    }
}
