//! The changes that an outcome makes to a registration.

use alloc::boxed::Box;
use core::time::Duration;

use crate::error::{Error, Failure, ServiceError, ServiceErrorKind};
use crate::registration::event::{Event, WaitReason};
use crate::registration::machine::{Goal, LastFailure, Phase, Registration};
use crate::registration::outcome::Outcome;
use crate::registration::session::PendingOperation;
use crate::time::{ClockCorrection, Now, Pause};

impl Registration<'_> {
    pub(super) fn act_on(&mut self, outcome: Outcome, retry_after: Option<Duration>, now: Now) -> Result<(), Error> {
        let repeated = self.attempts.is_repeated(&outcome);
        match outcome {
            Outcome::Assigned(assignment) => {
                self.session.forget_refusal();
                self.tell(Event::Assigned);
                self.phase = Phase::Assigned(assignment);
                Ok(())
            }
            Outcome::Assigning { operation_id, request_id } => {
                self.poll_later(operation_id, request_id, retry_after, now)
            }
            Outcome::ClockWrong { service_time, error } => {
                self.correct_clock(ClockCorrection::new(service_time, now));
                self.tokens.clear();
                self.correct(repeated, error, now)
            }
            Outcome::KeyRefused(error) => {
                self.session.key = self.session.key.other();
                self.tokens.clear();
                self.tell(Event::KeySwitched { key: self.session.key });
                self.correct(repeated, error, now)
            }
            Outcome::OperationLost(error) => {
                self.session.operation = None;
                self.tell(Event::OperationLost);
                self.correct(repeated, error, now)
            }
            Outcome::TryAgain(failure, reason) => self.retry_later(failure, reason, retry_after, now),
            Outcome::Refused { error, pace } => {
                self.forget_what_did_not_help(&error);
                let wait = self.stay_quiet(pace, &error, retry_after, now);
                Err(error.with_retry_after(wait))
            }
            Outcome::NotAssigned => Err(Error::NotAssigned),
            Outcome::Final(error) => Err(error),
        }
    }

    /// Uses the service's time from now on.
    pub(super) fn correct_clock(&mut self, correction: ClockCorrection) {
        if self.session.clock_correction != Some(correction) {
            self.session.clock_correction = Some(correction);
            self.tell(Event::ClockCorrected { service_time: correction.service_time });
        }
    }

    /// Retries after a correction: at once the first time, after a backoff later.
    fn correct(&mut self, repeated: bool, error: ServiceError, now: Now) -> Result<(), Error> {
        if !repeated {
            self.phase = Phase::Ready;
            return Ok(());
        }
        let reason = WaitReason::Refused { status: error.status() };
        self.retry_later(error.into(), reason, None, now)
    }

    /// Drops what did not help. After a final 401, the next registration begins with the key and
    /// the time that this one began with. A refused operation is not polled again.
    fn forget_what_did_not_help(&mut self, error: &Error) {
        if error.status() == Some(401) {
            (self.session.key, self.session.clock_correction) = self.began_with;
        }
        if self.goal == Goal::Register {
            self.session.operation = None;
        }
    }

    fn poll_later(
        &mut self,
        operation_id: Option<Box<str>>,
        request_id: Option<Box<str>>,
        retry_after: Option<Duration>,
        now: Now,
    ) -> Result<(), Error> {
        self.session.clear_backoff();
        self.last_failure = LastFailure::Assigning(request_id);
        let pause = Pause::NONE;
        match (&mut self.session.operation, operation_id) {
            (Some(operation), Some(id)) => (operation.id, operation.pause) = (id, pause),
            (Some(operation), None) => operation.pause = pause,
            (operation @ None, Some(id)) => {
                *operation = Some(PendingOperation { id, fingerprint: self.settings.fingerprint(self.kind), pause });
            }
            (None, None) => {}
        }
        let wait = self.until_poll(retry_after);
        let result = self.wait(wait, WaitReason::Assigning, now);
        if let (Err(_), Some(operation)) = (&result, &mut self.session.operation) {
            // This registration has no time left to poll; the next one polls when the service asks
            // for it.
            operation.pause = Pause::new(wait, now.uptime);
        }
        result
    }

    fn retry_later(
        &mut self,
        failure: Failure,
        reason: WaitReason,
        retry_after: Option<Duration>,
        now: Now,
    ) -> Result<(), Error> {
        if let Failure::Service(error) = &failure
            && error.kind() == ServiceErrorKind::Failed
        {
            // The operation has ended: the next request registers anew, which is billed.
            self.session.operation = None;
            self.session.refusals = self.session.refusals.saturating_add(1);
        }
        let wait = self.back_off(retry_after, now);
        self.last_failure = LastFailure::Failed(failure);
        self.wait(wait, reason, now)
    }
}
