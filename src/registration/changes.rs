//! What an outcome changes in a registration.

use alloc::boxed::Box;
use core::time::Duration;

use crate::error::{DeadlineExceeded, Error, Failure, ServiceError, StillAssigning};
use crate::registration::event::{Event, WaitReason};
use crate::registration::machine::{Goal, LastFailure, Phase, Registration};
use crate::registration::outcome::Outcome;
use crate::registration::session::PendingOperation;
use crate::sas::SasToken;
use crate::time::{ClockCorrection, Now};

impl Registration<'_> {
    pub(super) fn act_on(&mut self, outcome: Outcome, retry_after: Option<Duration>, now: Now) -> Result<(), Error> {
        let repeated = self.attempts.is_repeated(&outcome);
        match outcome {
            Outcome::Assigned(assignment) => {
                self.session.clear_backoff();
                if self.goal == Goal::Register {
                    self.session.operation = None;
                }
                self.tell(Event::Assigned);
                self.phase = Phase::Assigned(assignment);
                Ok(())
            }
            Outcome::Assigning { operation_id, request_id } => {
                self.poll_later(operation_id, request_id, retry_after, now)
            }
            Outcome::ClockWrong { service_time, error } => {
                let (device_time, uptime) = (now.unix, now.uptime);
                self.session.clock_correction = Some(ClockCorrection { service_time, device_time, uptime });
                self.tokens.clear();
                self.tell(Event::ClockCorrected { service_time });
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
            Outcome::GaveUp(error) => {
                // The next registration does not come back at once.
                let wait = self.back_off(retry_after, now);
                Err(error.with_retry_after(wait).into())
            }
            Outcome::NotAssigned => Err(Error::NotAssigned),
            Outcome::Final(error) => {
                self.forget_what_did_not_help(&error);
                Err(error)
            }
        }
    }

    /// Tries again what was corrected: at once the first time, after a backoff from then on.
    fn correct(&mut self, repeated: bool, error: ServiceError, now: Now) -> Result<(), Error> {
        if !repeated {
            self.phase = Phase::Ready;
            return Ok(());
        }
        let reason = WaitReason::Refused { status: error.status() };
        self.retry_later(error.into(), reason, None, now)
    }

    /// After a final 401, neither the other key nor the other time was right: the next registration begins where this one did.
    /// What the service refused is not asked about again.
    fn forget_what_did_not_help(&mut self, error: &Error) {
        if let Error::Service(error) = error
            && error.status() == 401
        {
            (self.session.key, self.session.clock_correction) = self.began_with;
        }
        if self.goal == Goal::Register && !matches!(error, Error::Transport(_)) {
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
        let ask_at = Duration::ZERO;
        match (&mut self.session.operation, operation_id) {
            (Some(operation), Some(id)) => (operation.id, operation.ask_at) = (id, ask_at),
            (Some(operation), None) => operation.ask_at = ask_at,
            (operation @ None, Some(id)) => {
                *operation = Some(PendingOperation { id, fingerprint: self.settings.fingerprint(self.kind), ask_at });
            }
            (None, None) => {}
        }
        let wait = self.settings.retry.poll(self.bounded(retry_after), self.attempts.zero_waits());
        let result = self.wait(wait, WaitReason::Assigning, now);
        if let (Err(_), Some(operation)) = (&result, &mut self.session.operation) {
            // This call does not get to ask; the next one does, when the service wants to be asked.
            operation.ask_at = now.uptime.saturating_add(wait);
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
        let wait = self.back_off(retry_after, now);
        self.last_failure = LastFailure::Failed(failure);
        self.wait(wait, reason, now)
    }

    /// One failure more; how long to wait for that.
    fn back_off(&mut self, retry_after: Option<Duration>, now: Now) -> Duration {
        let wait = self.settings.retry.backoff(self.session.failures, self.bounded(retry_after), self.jitter(now));
        self.session.failures = self.session.failures.saturating_add(1);
        self.session.not_before = now.uptime.saturating_add(wait);
        wait
    }

    /// No header can silence a device for much longer than one deadline: a wrong one must not cost a trip to the site.
    fn bounded(&self, retry_after: Option<Duration>) -> Option<Duration> {
        retry_after.map(|delay| delay.min(self.settings.deadline))
    }

    fn wait(&mut self, wait: Duration, reason: WaitReason, now: Now) -> Result<(), Error> {
        if wait >= self.time_left(now) {
            return Err(self.out_of_time(wait));
        }
        if !wait.is_zero() {
            self.tell(Event::Waiting { duration: wait, reason });
        }
        self.phase = Phase::Waiting { until: now.uptime.saturating_add(wait), reason };
        Ok(())
    }

    pub(super) fn out_of_time(&mut self, retry_after: Duration) -> Error {
        let last = match core::mem::replace(&mut self.last_failure, LastFailure::None) {
            LastFailure::None => None,
            LastFailure::Failed(failure) => Some(failure),
            LastFailure::Assigning(request_id) => {
                let operation_id = self.session.operation.as_ref().map(|operation| &*operation.id);
                let secret = self.tokens.token().map_or("", SasToken::signature);
                Some(StillAssigning::new(operation_id, request_id.as_deref(), secret).into())
            }
        };
        DeadlineExceeded::new(self.settings.deadline, retry_after, last).into()
    }
}
