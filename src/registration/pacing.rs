//! The time of the next step.

use core::time::Duration;

use crate::error::{DeadlineExceeded, Error, Failure, StillAssigning};
use crate::registration::event::{Event, WaitReason};
use crate::registration::machine::{Goal, LastFailure, Next, Phase, Registration};
use crate::registration::refusal::{Pace, Refusal};
use crate::registration::retry::{Jitter, MAX_RETRY_AFTER};
use crate::registration::step::Wait;
use crate::sas::SasToken;
use crate::time::{Now, Pause};

impl<'a> Registration<'a> {
    /// Begins with the wait that an earlier registration left.
    pub(super) fn begin(&mut self, now: Now) -> Result<Next<'a>, Error> {
        self.session.begin(self.settings, self.kind, now);
        self.began_with = (self.session.key, self.session.clock_correction);
        if let Some(refusal) = self.session.refusal {
            match refusal.pause.left(now.uptime) {
                Duration::ZERO => self.session.refusal = None,
                left => return Err(refusal.too_early(left).into()),
            }
        }
        let polls = self.session.operation.as_ref().filter(|_| self.goal == Goal::Register).map(|it| it.pause);
        if polls.is_some() {
            self.last_failure = LastFailure::Assigning(None);
        }
        let [refused, assigning] = [self.session.pause, polls.unwrap_or_default()];
        let (pause, reason) = if !self.session.spread && refused.is_over(now.uptime) && polls.is_none() {
            let spread = Pause::new(self.settings.retry.spread(self.jitter(now)), now.uptime);
            // Drawn once: a registration that ends at a shorter deadline does not draw again.
            (self.session.spread, self.session.pause) = (true, spread);
            (spread, WaitReason::FirstSpread)
        } else if assigning.left(now.uptime) > refused.left(now.uptime) {
            (assigning, WaitReason::Assigning)
        } else {
            (refused, WaitReason::EarlierFailure)
        };
        if !pause.is_over(now.uptime) {
            self.tell(Event::Waiting { duration: pause.left(now.uptime), reason });
        }
        self.go_on_waiting(pause, reason, now)
    }

    pub(super) fn go_on_waiting(&mut self, pause: Pause, reason: WaitReason, now: Now) -> Result<Next<'a>, Error> {
        match pause.left(now.uptime) {
            Duration::ZERO => self.next_request(now),
            left if left >= self.time_left(now) => Err(self.out_of_time(left)),
            left => {
                self.phase = Phase::Waiting { pause: pause.seen_at(now.uptime), reason };
                Ok(Next::Wait(Wait::new(left, reason)))
            }
        }
    }

    /// Waits before the next request, if the deadline allows it.
    pub(super) fn wait(&mut self, wait: Duration, reason: WaitReason, now: Now) -> Result<(), Error> {
        if wait >= self.time_left(now) {
            return Err(self.out_of_time(wait));
        }
        if !wait.is_zero() {
            self.tell(Event::Waiting { duration: wait, reason });
        }
        self.phase = Phase::Waiting { pause: Pause::new(wait, now.uptime), reason };
        Ok(())
    }

    /// Counts a failure, and returns the wait after it.
    pub(super) fn back_off(&mut self, retry_after: Option<Duration>, now: Now) -> Duration {
        // Registrations that fail after `assigning` count as consecutive failures, too.
        let attempt = self.session.failures.max(self.session.refusals);
        let wait = self.settings.retry.backoff(attempt, bounded(retry_after), self.jitter(now));
        self.session.failures = self.session.failures.saturating_add(1);
        self.session.pause = Pause::new(wait, now.uptime);
        wait
    }

    /// Counts a refusal, and returns how long the device sends nothing after it.
    pub(super) fn stay_quiet(
        &mut self,
        pace: Pace,
        error: &Error,
        retry_after: Option<Duration>,
        now: Now,
    ) -> Duration {
        let floor = bounded(retry_after).unwrap_or_default();
        let wait = pace.pause(self.session.refusals, floor, self.jitter(now));
        // A refused lookup says nothing about registrations, unless the credentials were refused.
        if self.goal == Goal::StatusLookup && error.status() != Some(401) {
            return wait;
        }
        self.session.refusals = self.session.refusals.saturating_add(1);
        let pause = Pause::new(wait, now.uptime);
        match pace {
            Pace::Minutes => self.session.pause = pause,
            Pace::Clock => (self.session.pause, self.session.blamed_clock) = (pause, Some(now)),
            Pace::Key | Pace::Repair => {
                self.session.refusal = Some(Refusal::new(pause, error, self.settings.device()));
            }
        }
        wait
    }

    /// Returns the wait before the next poll.
    pub(super) fn until_poll(&self, retry_after: Option<Duration>) -> Duration {
        self.settings.retry.poll(bounded(retry_after), self.attempts.zero_waits())
    }

    /// Updates the deadline, in case the uptime jumps back.
    pub(super) fn look_at_the_deadline(&mut self, now: Now) {
        let deadline = self.deadline.unwrap_or(Pause::new(self.settings.deadline, now.uptime));
        self.deadline = Some(deadline.seen_at(now.uptime));
    }

    pub(super) fn time_left(&self, now: Now) -> Duration {
        self.deadline.unwrap_or_default().left(now.uptime)
    }

    fn jitter(&self, now: Now) -> Jitter<'a> {
        Jitter { registration_id: &self.settings.registration_id, now }
    }

    pub(super) fn out_of_time(&mut self, retry_after: Duration) -> Error {
        let last = match core::mem::replace(&mut self.last_failure, LastFailure::None) {
            LastFailure::None => None,
            LastFailure::Failed(failure) => Some(failure),
            LastFailure::Assigning(request_id) => {
                let operation_id = self.session.operation.as_ref().map(|operation| &*operation.id);
                let secret = self.tokens.token().map_or("", SasToken::signature);
                Some(Failure::from(StillAssigning::new(operation_id, request_id.as_deref(), secret)))
            }
        };
        DeadlineExceeded::new(self.settings.deadline, retry_after, last).into()
    }
}

fn bounded(retry_after: Option<Duration>) -> Option<Duration> {
    retry_after.map(|delay| delay.min(MAX_RETRY_AFTER))
}
