//! The order of the steps of a registration.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::assignment::Assignment;
use crate::attestation::{AttestationKind, KeySlot};
use crate::error::{Error, Failure, TransportError};
use crate::key::SignerError;
use crate::protocol::json::register;
use crate::protocol::{Operation, Request, Response};
use crate::registration::attempts::Attempts;
use crate::registration::event::{Event, Events, WaitReason};
use crate::registration::judge::{Known, Sent, judge};
use crate::registration::session::Session;
use crate::registration::settings::RegistrationSettings;
use crate::registration::step::{SignRequest, Step, Wait};
use crate::sas::{Resource, SasToken, TokenCache, UnsignedToken};
use crate::time::{ClockCorrection, Now, Pause, UnixTime};

/// The longest time of one request: 10 s to resolve the name, 30 s to connect, 30 s to get the
/// answer.
const REQUEST_LIMIT: Duration = Duration::from_secs(10 + 30 + 30);

/// A registration, from the first request to the assignment.
///
#[doc = include_str!("loops.md")]
pub struct Registration<'a> {
    pub(super) settings: &'a RegistrationSettings,
    pub(super) kind: AttestationKind,
    pub(super) goal: Goal,
    body: Vec<u8>,
    pub(super) tokens: TokenCache,
    /// The message that [`Step::Sign`] asks to sign.
    unsigned: Option<UnsignedToken<'a>>,
    pub(super) phase: Phase,
    /// Whether the current request was counted and its event pushed, before it is handed out.
    announced: bool,
    /// The end of the registration. It is set at the first step.
    pub(super) deadline: Option<Pause>,
    pub(super) session: Session,
    /// The key and the time that this registration began with.
    pub(super) began_with: (KeySlot, Option<ClockCorrection>),
    pub(super) attempts: Attempts,
    pub(super) last_failure: LastFailure,
    events: Events,
}

/// The purpose of a registration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    Register,
    StatusLookup,
}

pub(super) enum Phase {
    New,
    Ready,
    Signing,
    /// A request is due, whatever the time does to its token.
    Due,
    /// The time when the request was handed out.
    Sent(Now),
    Waiting {
        pause: Pause,
        reason: WaitReason,
    },
    Assigned(Assignment),
    Failed(Error),
    Ended,
}

/// A step that borrows nothing yet.
pub(super) enum Next<'a> {
    Sign(UnsignedToken<'a>),
    Send { time_limit: Duration },
    Wait(Wait),
    Done(Assignment),
}

/// The last failure, for the error when the deadline ends the registration.
pub(super) enum LastFailure {
    None,
    Failed(Failure),
    /// The service was assigning. Holds its request ID.
    Assigning(Option<Box<str>>),
}

impl<'a> Registration<'a> {
    /// Creates a registration. Its deadline counts from the first step.
    #[must_use]
    pub fn new(settings: &'a RegistrationSettings, kind: AttestationKind) -> Self {
        Self::resume(settings, kind, Session::default())
    }

    /// Creates a registration that continues from the session of an earlier one of this device.
    ///
    /// If the service has accepted the earlier registration and the settings ask for the same, this
    /// one polls that operation first. It registers anew only if the service no longer knows the
    /// operation.
    #[must_use]
    pub fn resume(settings: &'a RegistrationSettings, kind: AttestationKind, session: Session) -> Self {
        Self {
            settings,
            kind,
            goal: Goal::Register,
            body: settings.body(),
            tokens: TokenCache::for_requests(settings.token_lifetime),
            unsigned: None,
            phase: Phase::New,
            announced: false,
            deadline: None,
            began_with: (session.key, session.clock_correction),
            session,
            attempts: Attempts::default(),
            last_failure: LastFailure::None,
            events: Events::default(),
        }
    }

    /// Turns the registration into a status lookup, which asks for an existing assignment.
    ///
    /// A lookup registers nothing and is not billed. It ends with the assignment, or with
    /// [`Error::NotAssigned`] if there is none.
    #[must_use]
    pub fn status_lookup(self) -> Self {
        let registration_id = self.settings.registration_id.as_str();
        let body = register(registration_id, None, None);
        Self { goal: Goal::StatusLookup, body, ..self }
    }

    /// Returns the next step at this time.
    ///
    /// Events come first, then the step or the error that they lead to. The time limit of a request
    /// counts from `now`. A call before the response was received returns the same request, or the
    /// rest of the same wait.
    ///
    /// # Errors
    ///
    /// Returns the error that ends the registration: the service's refusal,
    /// [`Error::DeadlineExceeded`] if the deadline has passed or the current wait would pass it,
    /// [`Error::TooEarly`] if a pause after a refusal is not over, [`Error::Signer`] if the signer
    /// failed, and [`Error::Ended`] after the registration has ended.
    pub fn step(&mut self, now: Now) -> Result<Step<'_>, Error> {
        if let Some(event) = self.events.pop() {
            return Ok(Step::Event(event));
        }
        let was_due = matches!(self.phase, Phase::Due);
        let next = self.next(now);
        // A step or an error that has caused an event is held back until the event is out.
        if let Some(event) = self.events.pop() {
            self.hold_back(next, was_due);
            return Ok(Step::Event(event));
        }
        Ok(match next? {
            Next::Sign(unsigned) => {
                let unsigned = self.unsigned.insert(unsigned);
                Step::Sign(SignRequest { key: self.session.key, message: unsigned.message() })
            }
            Next::Send { time_limit } => Step::Send(self.request(time_limit)),
            Next::Wait(wait) => Step::Wait(wait),
            Next::Done(assignment) => Step::Done(assignment),
        })
    }

    /// Keeps a step or an error for the next call. A request that is held back is not sent yet: its
    /// token is checked again, unless it was signed for this request.
    fn hold_back(&mut self, next: Result<Next<'a>, Error>, was_due: bool) {
        self.phase = match next {
            Ok(Next::Sign(unsigned)) => {
                self.unsigned = Some(unsigned);
                Phase::Ready
            }
            Ok(Next::Send { .. }) if was_due => Phase::Due,
            Ok(Next::Send { .. }) => Phase::Ready,
            // The phase is the wait already.
            Ok(Next::Wait(_)) => return,
            Ok(Next::Done(assignment)) => Phase::Assigned(assignment),
            Err(error) => Phase::Failed(error),
        };
    }

    /// Takes the signature for the last [`Step::Sign`], or the signer's error.
    ///
    /// After an error the next step fails. A signature that was not asked for is ignored.
    pub fn signed(&mut self, signature: Result<[u8; 32], SignerError>) {
        if !matches!(self.phase, Phase::Signing) {
            return;
        }
        self.phase = match (signature, self.unsigned.take()) {
            (Ok(signature), Some(unsigned)) => {
                self.tokens.insert(unsigned.finish(signature));
                Phase::Due
            }
            (Ok(_), None) => Phase::Ready,
            (Err(error), _) => Phase::Failed(error.into()),
        };
    }

    /// Takes the response to the last [`Step::Send`], or the transport's error.
    ///
    /// What follows from it is what the next [`step`](Self::step) returns; the delay of an error
    /// counts from `now`. A response that was not asked for is ignored.
    #[inline(never)] // Its stack frame must not add to that of a transport.
    pub fn receive(&mut self, response: Result<Response<'_>, TransportError>, now: Now) {
        let Phase::Sent(sent_at) = self.phase else { return };
        if let Err(error) = self.conclude(response, sent_at, now) {
            self.phase = Phase::Failed(error);
        }
    }

    fn conclude(&mut self, answer: Result<Response<'_>, TransportError>, sent_at: Now, now: Now) -> Result<(), Error> {
        self.look_at_the_deadline(now);
        self.session.seen = Some(now);
        (self.phase, self.announced) = (Phase::Ended, false);
        self.tell(match &answer {
            Ok(response) => Event::Answered { status: response.status() },
            Err(error) => Event::Unanswered { kind: error.kind() },
        });
        let retry_after = answer.as_ref().ok().and_then(Response::retry_after);
        let learnt = answer.as_ref().ok().and_then(|response| self.clock_correction(response, sent_at, now));
        let key = self.session.key;
        let sent = Sent { operation: self.operation(), token: self.tokens.token(), key };
        let known = Known {
            settings: self.settings,
            kind: self.kind,
            clock_correction: learnt.or(self.session.clock_correction),
            attempts: self.attempts,
        };
        let outcome = match answer {
            Ok(response) => judge(sent, Ok(&response), known),
            Err(error) => judge(sent, Err(error), known),
        };
        self.attempts.answered(&outcome, key, retry_after);
        if let Some(correction) = learnt
            && outcome.is_by_the_service()
        {
            self.correct_clock(correction);
        }
        self.act_on(outcome, retry_after, now)
    }

    /// Returns what the registration has learned so far, for [`Registration::resume`].
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Ends the registration, and returns what it has learned.
    #[must_use]
    pub fn into_session(self) -> Session {
        self.session
    }

    #[inline(never)] // As for `receive`.
    fn next(&mut self, now: Now) -> Result<Next<'a>, Error> {
        self.look_at_the_deadline(now);
        match core::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::New => self.begin(now),
            Phase::Ready | Phase::Signing => self.next_request(now),
            // Independent of the clock: each signature is used for one request.
            Phase::Due | Phase::Sent(_) => self.hand_out(now),
            Phase::Waiting { pause, reason } => self.go_on_waiting(pause, reason, now),
            Phase::Assigned(assignment) => {
                // Not before: a registration that is dropped polls this operation again.
                if self.goal == Goal::Register {
                    self.session.operation = None;
                }
                Ok(Next::Done(assignment))
            }
            Phase::Failed(error) => Err(error),
            Phase::Ended => Err(Error::Ended),
        }
    }

    /// Returns the request that is due, or the token that must be signed for it.
    pub(super) fn next_request(&mut self, now: Now) -> Result<Next<'a>, Error> {
        if self.time_left(now).is_zero() {
            return Err(self.out_of_time(Duration::ZERO));
        }
        // A device without a clock signs from the epoch; the service's 401 then tells it the time.
        let time = self.wall_clock(now).unwrap_or(UnixTime::EPOCH);
        if self.kind.uses_tokens() && !self.tokens.is_good_at(time) {
            self.phase = Phase::Signing;
            return Ok(Next::Sign(self.token_to_sign(time)));
        }
        self.hand_out(now)
    }

    /// Hands out the request, with the time that is left for it.
    fn hand_out(&mut self, now: Now) -> Result<Next<'a>, Error> {
        let time_limit = self.time_left(now).min(REQUEST_LIMIT);
        if time_limit.is_zero() {
            return Err(self.out_of_time(Duration::ZERO));
        }
        if !self.announced {
            self.attempts.sent();
            (self.announced, self.session.restored) = (true, 0);
            let request = self.attempts.requests();
            self.tell(match self.operation() {
                Operation::Register => Event::Registering { request },
                Operation::OperationStatus { .. } => Event::Polling { request },
                Operation::StatusLookup => Event::StatusLookup { request },
            });
        }
        self.phase = Phase::Sent(now);
        Ok(Next::Send { time_limit })
    }

    /// Keeps the message that is being signed for as long as it is valid.
    fn token_to_sign(&mut self, time: UnixTime) -> UnsignedToken<'a> {
        let RegistrationSettings { id_scope, registration_id, .. } = self.settings;
        let under_way = self.unsigned.take().filter(|it| self.tokens.is_good(it.expires_at(), time));
        under_way.unwrap_or_else(|| {
            SasToken::prepare(Resource::registration(id_scope, registration_id), self.tokens.expiry_at(time))
        })
    }

    fn operation(&self) -> Operation<'_> {
        match (self.goal, &self.session.operation) {
            (Goal::StatusLookup, _) => Operation::StatusLookup,
            (Goal::Register, None) => Operation::Register,
            (Goal::Register, Some(operation)) => Operation::OperationStatus { operation_id: &operation.id },
        }
    }

    fn request(&self, time_limit: Duration) -> Request<'_> {
        let operation = self.operation();
        Request {
            operation,
            endpoint: &self.settings.endpoint,
            id_scope: &self.settings.id_scope,
            registration_id: &self.settings.registration_id,
            api_version: self.settings.api_version(),
            user_agent: &self.settings.user_agent,
            token: self.tokens.token(),
            body: (!matches!(operation, Operation::OperationStatus { .. })).then_some(&self.body[..]),
            time_limit,
        }
    }

    /// Returns the correction from an answer whose date differs by more than a minute from the time
    /// that signs tokens. Every answer of the service counts: the token of a clock that is nearly
    /// an hour behind is accepted, but expires minutes later.
    fn clock_correction(&self, response: &Response<'_>, sent_at: Now, now: Now) -> Option<ClockCorrection> {
        let told = response.date().filter(|_| self.settings.clock_correction)?;
        let needed = ClockCorrection::is_needed(told, self.wall_clock(sent_at), self.wall_clock(now));
        needed.then(|| ClockCorrection::new(told, now))
    }

    /// Returns the time of day: the device's own, unless it was found to be wrong.
    fn wall_clock(&self, now: Now) -> Option<UnixTime> {
        match self.session.clock_correction {
            Some(correction) => Some(correction.time_at(now.uptime)),
            None => now.unix,
        }
    }

    pub(super) fn tell(&mut self, event: Event) {
        #[cfg(feature = "log")]
        event.log(&self.settings.registration_id);
        self.events.push(event);
    }
}

impl fmt::Debug for Registration<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("registration_id", &self.settings.registration_id)
            .field("attestation", &self.kind)
            .field("attempts", &self.attempts)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
