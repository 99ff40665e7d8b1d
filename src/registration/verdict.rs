//! What an answer means: the one place where it is decided what is final and what is tried again.
//!
//! | answer | verdict |
//! | --- | --- |
//! | `assigned` with a hub and a device ID | done |
//! | `assigning`, `unassigned`, a status unheard of, or an operation ID alone | poll |
//! | `failed`, `disabled` | final |
//! | 401 whose `Date` shows that the token was expired | sign again with the service's time, once |
//! | another 401, where there is a second key | sign again with that, once |
//! | 404 on a poll | register again, once |
//! | 404 on a status lookup | there is no assignment |
//! | 409, 412 in the service's error format | try again, a few times |
//! | 3xx, 408, 429, 5xx in the service's error format | try again |
//! | any other error in the service's format | final |
//! | all else: HTML, nothing, JSON that makes no sense | try again |

use alloc::boxed::Box;

use crate::assignment::{Assignment, Run};
use crate::error::{Error, Refusal, ServiceError, UnexpectedAnswer};
use crate::key::Signer;
use crate::protocol::Response;
use crate::protocol::wire::{Body, RegistrationState, Status};
use crate::registration::event::WaitReason;
use crate::registration::{CONFLICT_RETRIES, Goal, Registration};
use crate::sas::SasToken;
use crate::time::UnixTime;

/// What to make of an answer.
pub(super) enum Verdict {
    /// The device has its hub.
    Assigned(Box<Assignment>),
    /// The service is at it; the operation's ID, where the answer names it.
    Assigning { operation_id: Option<Box<str>> },
    /// The token was refused for a wrong clock.
    ClockIsWrong { service_time: UnixTime },
    /// The key was refused, and there is another one.
    TryOtherKey,
    /// There is no assignment to look up.
    NotAssigned,
    /// The service knows nothing of the operation that was polled.
    OperationUnknown,
    /// It is over.
    Refused(ServiceError),
    /// It may be otherwise in a while.
    TryAgain(Error, WaitReason),
    /// There was no answer.
    Unanswered,
}

/// A 401 that is the clock's fault.
#[derive(Clone, Copy)]
struct ClockFault {
    /// The service's time, if it is to be used.
    correctable: Option<UnixTime>,
}

impl<S: Signer + ?Sized> Registration<'_, S> {
    pub(super) fn judge(&mut self, response: &Response<'_>) -> Verdict {
        let body = Body::parse(response.body());
        // The service may put its error code into a header and nothing into the body.
        let Some(body) = body.or_else(|| response.error_code().map(|_| Body::default())) else {
            return self.unexpected(response, "the body is not JSON of the device API");
        };
        let error_code = body.any_error_code().or(response.error_code());
        if self.goal == Goal::LookUp && (200..=299).contains(&response.status()) {
            return self.judge_state(response, &body);
        }
        match (response.status(), body.status(), error_code) {
            (200..=299, ..) | (_, Some(Status::Failed | Status::Disabled), _) => self.judge_status(response, &body),
            (.., Some(error_code)) => self.judge_error(response, &body, error_code),
            (.., None) => self.unexpected(response, "an error without an error code"),
        }
    }

    /// The answer to a registration status lookup: the bare result.
    fn judge_state(&self, response: &Response<'_>, body: &Body<'_>) -> Verdict {
        let Some(state) = RegistrationState::parse(response.body()) else {
            return self.unexpected(response, "the body is not a registration result");
        };
        let refused =
            |refusal| Verdict::Refused(ServiceError::ended(refusal, response, body, Some(&state), self.signature()));
        match state.status() {
            Some(Status::Assigned) => self.assigned(response, &state),
            Some(Status::Failed) => refused(Refusal::Failed),
            Some(Status::Disabled) => refused(Refusal::Disabled),
            Some(_) => Verdict::NotAssigned,
            None => self.unexpected(response, "a registration result without a status"),
        }
    }

    fn assigned(&self, response: &Response<'_>, state: &RegistrationState<'_>) -> Verdict {
        let run = Run {
            requests: self.requests,
            request_id: response.request_id().map(Box::from),
            key_used: self.carryover.key,
            clock_correction: self.carryover.clock_correction,
        };
        match Assignment::from_wire(state, &self.settings.registration_id, run) {
            Some(assignment) => Verdict::Assigned(Box::new(assignment)),
            None => self.unexpected(response, "assigned, but without a valid hub, device ID or certificate"),
        }
    }

    fn judge_status(&self, response: &Response<'_>, body: &Body<'_>) -> Verdict {
        let refused = |refusal| {
            Verdict::Refused(ServiceError::ended(
                refusal,
                response,
                body,
                body.registration_state.as_ref(),
                self.signature(),
            ))
        };
        match body.status() {
            Some(Status::Failed) => refused(Refusal::Failed),
            Some(Status::Disabled) => refused(Refusal::Disabled),
            Some(Status::Assigned) => {
                let Some(state) = &body.registration_state else {
                    return self.unexpected(response, "assigned, but without a registration result");
                };
                self.assigned(response, state)
            }
            Some(Status::Unassigned | Status::Assigning | Status::Unknown) | None => {
                let operation_id = body.operation_id.as_ref().map(|id| &*id.0).filter(|id| is_operation_id(id));
                if operation_id.is_none() && self.operation_id.is_none() {
                    return self.unexpected(response, "neither assigned nor an operation to ask about");
                }
                Verdict::Assigning { operation_id: operation_id.map(Box::from) }
            }
        }
    }

    fn judge_error(&mut self, response: &Response<'_>, body: &Body<'_>, error_code: u32) -> Verdict {
        let status = response.status();
        if status == 401 {
            let clock = self.clock_fault(response);
            if let Some(service_time) = clock.and_then(|fault| fault.correctable) {
                return Verdict::ClockIsWrong { service_time };
            }
            if clock.is_none() && self.credential.has_second_signer() && !self.key_switched {
                return Verdict::TryOtherKey;
            }
        }
        if status == 404 && self.operation_id.is_some() && !self.started_over {
            return Verdict::OperationUnknown;
        }
        if status == 404 && self.goal == Goal::LookUp {
            return Verdict::NotAssigned;
        }
        let error = ServiceError::refused(response, body, error_code, self.signature());
        if matches!(status, 409 | 412) {
            self.conflicts = self.conflicts.saturating_add(1);
            if self.conflicts > CONFLICT_RETRIES {
                return Verdict::Refused(error);
            }
        }
        if error.is_transient() {
            Verdict::TryAgain(error.into(), WaitReason::Refused { status })
        } else {
            Verdict::Refused(error)
        }
    }

    /// Whether a 401 is to be blamed on the clock: the token was expired when it came to the service, as its `Date` shows, or
    /// as it must have been if the device has no clock.
    fn clock_fault(&self, response: &Response<'_>) -> Option<ClockFault> {
        let token = self.credential.token()?;
        let signed_blindly = token.expires_at() <= UnixTime::EPOCH.saturating_add(self.settings.token_lifetime);
        let expired = match response.date() {
            Some(service_time) => token.is_expired_at(service_time),
            None => signed_blindly,
        };
        let may_correct = self.settings.clock_correction && !self.clock_corrected;
        expired.then(|| ClockFault { correctable: response.date().filter(|_| may_correct) })
    }

    fn unexpected(&self, response: &Response<'_>, problem: &'static str) -> Verdict {
        let error = UnexpectedAnswer::new(response, problem, self.signature()).into();
        Verdict::TryAgain(error, WaitReason::UnexpectedAnswer { status: response.status() })
    }

    fn signature(&self) -> &str {
        self.credential.token().map_or("", SasToken::signature)
    }
}

/// Longer than any that was seen by far; a request must fit the buffers of small transports.
const LONGEST_OPERATION_ID: usize = 512;

/// `.` and `..` would change the path that they become part of, encoded or not.
fn is_operation_id(id: &str) -> bool {
    !matches!(id, "" | "." | "..") && id.len() <= LONGEST_OPERATION_ID
}
