//! The meaning of an answer: the one place that decides what is final and what is retried. It
//! changes nothing, and depends on its arguments only.
//!
//! | answer | outcome |
//! | --- | --- |
//! | `assigned` with a hub and a device ID | done |
//! | `assigned` with a result in which one of them is missing or unusable | final, paced by the hour |
//! | `assigning`, `unassigned`, an unknown status, or an operation ID alone | poll |
//! | `failed` | by its error code, as if that were the status: the rows below; without one, final, paced by the hour |
//! | `disabled` | final, paced by the hour |
//! | 401, and the service's time shows that the token was expired | sign again with the service's time |
//! | another 401, and the other key was not refused | sign again with the other key |
//! | 401, and the clock is at fault and cannot be corrected | final, paced by minutes or until the clock is set |
//! | another 401 | final, paced by the half hour: the service may still expect a key that was rolled |
//! | 404 on a poll | register again, up to four times |
//! | 404, 204 or `null` on a status lookup | there is no assignment |
//! | error code 4002xx: the allocation failed | final, paced by minutes |
//! | 409, 412 in the service's error format | retry, up to four times, then final, paced by minutes |
//! | 3xx, 408, 429, 5xx in the service's error format | retry |
//! | any other error in the service's format | final, paced by the hour |
//! | everything else: HTML, an empty body, unexpected JSON | retry |
//! | no answer, because the client certificate was refused in the handshake | final, paced by the half hour |
//! | no answer, because the proxy refused the connection | final, paced by minutes |
//! | no answer, because the protocol has no such operation, or the certificate is another device's | final |
//! | no answer for any other reason | retry |
//!
//! The service's error format is JSON with an `errorCode`, the header `x-ms-error-code`, or
//! [`Response::unauthorized`]. Retries end at the deadline. The first correction of a kind in a
//! registration is tried at once, later ones after a backoff. "Paced" means that the error says
//! when the next registration may be sent. An earlier one waits (minutes) or fails without a
//! request.

use alloc::boxed::Box;

use crate::assignment::{Assignment, Run, Unusable};
use crate::attestation::{AttestationKind, KeySlot};
use crate::error::{
    ClockFault, Error, ServiceError, ServiceErrorKind, TransportError, TransportErrorKind, UnexpectedAnswer,
};
use crate::protocol::json::{Body, RegistrationState, Status};
use crate::protocol::{Operation, Response};
use crate::registration::attempts::Attempts;
use crate::registration::event::WaitReason;
use crate::registration::outcome::Outcome;
use crate::registration::refusal::Pace;
use crate::registration::session::is_operation_id;
use crate::registration::settings::RegistrationSettings;
use crate::sas::SasToken;
use crate::time::{ClockCorrection, UnixTime, parse_rfc3339};

/// The request that was sent.
#[derive(Clone, Copy)]
pub(super) struct Sent<'s> {
    pub(super) operation: Operation<'s>,
    pub(super) token: Option<&'s SasToken>,
    /// The key that signed the token.
    pub(super) key: KeySlot,
}

/// The context of an answer.
#[derive(Clone, Copy)]
pub(super) struct Known<'k> {
    pub(super) settings: &'k RegistrationSettings,
    pub(super) kind: AttestationKind,
    pub(super) clock_correction: Option<ClockCorrection>,
    pub(super) attempts: Attempts,
}

/// Judges an answer, or the lack of one.
pub(super) fn judge(sent: Sent<'_>, answer: Result<&Response<'_>, TransportError>, known: Known<'_>) -> Outcome {
    match answer {
        Ok(response) => Judge { sent, response, known }.judge(),
        Err(error) if error.kind().is_transient() => {
            let reason = WaitReason::Unanswered { kind: error.kind() };
            Outcome::TryAgain(error.into(), reason)
        }
        Err(error) => match error.kind() {
            TransportErrorKind::CertificateRefused => {
                Outcome::Refused { error: Error::Transport(error), pace: Pace::Key }
            }
            TransportErrorKind::ProxyRefused => {
                Outcome::Refused { error: Error::Transport(error), pace: Pace::Minutes }
            }
            _ => Outcome::Final(Error::Transport(error)),
        },
    }
}

struct Judge<'j, 'b> {
    sent: Sent<'j>,
    response: &'j Response<'b>,
    known: Known<'j>,
}

impl Judge<'_, '_> {
    fn judge(&self) -> Outcome {
        if self.response.is_unauthorized() {
            return self.unauthorized(&Body::default(), None);
        }
        if self.tells_nothing() {
            return Outcome::NotAssigned;
        }
        let mut body = Body::default();
        // The service may send its error code in a header, with an empty body.
        if body.read(self.response.body()).is_none() && self.response.error_code().is_none() {
            return self.foreign("the body is not JSON of the device API");
        }
        let error_code = body.any_error_code().or(self.response.error_code());
        match (self.response.status(), body.status(), error_code) {
            (200..=299, ..) if self.sent.operation == Operation::StatusLookup => self.looked_up(&body),
            (200..=299, ..) | (_, Some(Status::Failed | Status::Disabled), _) => self.told(&body),
            (.., Some(error_code)) => self.refused(&body, error_code),
            (.., None) => self.foreign("an error without an error code"),
        }
    }

    /// Returns whether the answer to a status lookup says that there is no assignment.
    fn tells_nothing(&self) -> bool {
        self.sent.operation == Operation::StatusLookup
            && match self.response.status() {
                204 => true,
                200..=299 => self.response.body().trim_ascii() == b"null",
                _ => false,
            }
    }

    /// Judges the answer to a status lookup, which is a bare registration result.
    fn looked_up(&self, body: &Body<'_>) -> Outcome {
        let Some(state) = RegistrationState::parse(self.response.body()) else {
            return self.foreign("the body is not a registration result");
        };
        match state.status() {
            Some(Status::Assigned) => self.assigned(&state),
            // This is the end of the last registration, possibly days ago: there is nothing to
            // poll.
            Some(Status::Failed) => repair(self.ended(ServiceErrorKind::Failed, body, Some(&state))),
            Some(Status::Disabled) => repair(self.ended(ServiceErrorKind::Disabled, body, Some(&state))),
            Some(_) => Outcome::NotAssigned,
            None => self.foreign("a registration result without a status"),
        }
    }

    /// Judges the answer to a register request or a poll.
    fn told(&self, body: &Body<'_>) -> Outcome {
        let state = body.registration_state.as_ref();
        match body.status() {
            Some(Status::Failed) => self.by_what_it_says(self.ended(ServiceErrorKind::Failed, body, state)),
            Some(Status::Disabled) => repair(self.ended(ServiceErrorKind::Disabled, body, state)),
            Some(Status::Assigned) => match state {
                Some(state) => self.assigned(state),
                None => self.foreign("assigned, but without a registration result"),
            },
            Some(Status::Unassigned | Status::Assigning | Status::Unknown) | None => self.assigning(body),
        }
    }

    fn assigning(&self, body: &Body<'_>) -> Outcome {
        let operation_id = body.operation_id.as_ref().map(|id| &*id.0).filter(|id| is_operation_id(id));
        if operation_id.is_none() && !self.is_poll() {
            return self.foreign("neither an assignment nor an operation ID");
        }
        let request_id = self.response.request_id().map(Box::from);
        Outcome::Assigning { operation_id: operation_id.map(Box::from), request_id }
    }

    fn assigned(&self, state: &RegistrationState<'_>) -> Outcome {
        let run = Run {
            requests: self.known.attempts.requests(),
            request_id: self.response.request_id().map(Box::from),
            key_used: self.known.kind.uses_tokens().then_some(self.sent.key),
            clock_correction: self.known.clock_correction,
        };
        match Assignment::from_json(state, &self.known.settings.registration_id, run) {
            Ok(assignment) => Outcome::Assigned(assignment),
            Err(unusable) => self.unusable(unusable),
        }
    }

    /// Judges an error in the service's own format.
    fn refused(&self, body: &Body<'_>, error_code: u32) -> Outcome {
        let status = self.response.status();
        if status == 401 {
            return self.unauthorized(body, Some(error_code));
        }
        if status == 404 && self.sent.operation == Operation::StatusLookup {
            return Outcome::NotAssigned;
        }
        let error = ServiceError::refused(self.response, body, Some(error_code), self.secret());
        if status == 404 && self.is_poll() && !self.known.attempts.enough_operations_lost() {
            return Outcome::OperationLost(error);
        }
        self.by_what_it_says(error)
    }

    /// Judges an error by its status, and a failed registration by its error code.
    fn by_what_it_says(&self, error: ServiceError) -> Outcome {
        let status = error.says();
        let pace = match status {
            Some(409 | 412) if self.known.attempts.enough_conflicts() => Pace::Minutes,
            _ if error.is_of_the_allocation() => Pace::Minutes,
            Some(status) if error.is_transient() => {
                return Outcome::TryAgain(error.into(), WaitReason::Refused { status });
            }
            Some(401) => Pace::Key,
            _ => Pace::Repair,
        };
        Outcome::Refused { error: error.into(), pace }
    }

    fn unauthorized(&self, body: &Body<'_>, error_code: Option<u32>) -> Outcome {
        let fault = self.clock_fault(self.service_time(body));
        let error = ServiceError::refused(self.response, body, error_code, self.secret()).with_clock_fault(fault);
        let error = error.by_certificate(!self.known.kind.uses_tokens());
        match fault {
            Some(ClockFault::Wrong { service_time }) if self.known.settings.clock_correction => {
                Outcome::ClockWrong { service_time, error }
            }
            // Without the service's time, either the key or the clock may be at fault.
            None | Some(ClockFault::NotSet) if self.has_other_key() => Outcome::KeyRefused(error),
            None => Outcome::Refused { error: error.into(), pace: Pace::Key },
            Some(_) => Outcome::Refused { error: error.into(), pace: Pace::Clock },
        }
    }

    /// Returns the service's time: from the answer's header, or else from the error body.
    fn service_time(&self, body: &Body<'_>) -> Option<UnixTime> {
        let timestamp = || parse_rfc3339(&body.timestamp_utc.as_ref()?.0);
        self.response.date().or_else(timestamp)
    }

    /// Returns how the device's clock caused a 401: the token was expired by the service's time, or
    /// it expires before 2026.
    fn clock_fault(&self, service_time: Option<UnixTime>) -> Option<ClockFault> {
        let token = self.sent.token?;
        match service_time {
            Some(service_time) => token.is_expired_at(service_time).then_some(ClockFault::Wrong { service_time }),
            None => token.is_expired_at(UnixTime::THIS_CRATE).then_some(ClockFault::NotSet),
        }
    }

    fn has_other_key(&self) -> bool {
        let two_keys = self.known.kind == AttestationKind::SymmetricKeyPair;
        two_keys && !self.known.attempts.is_refused(self.sent.key.other())
    }

    fn is_poll(&self) -> bool {
        matches!(self.sent.operation, Operation::OperationStatus { .. })
    }

    /// Creates the error of a registration that has ended.
    fn ended(&self, kind: ServiceErrorKind, body: &Body<'_>, state: Option<&RegistrationState<'_>>) -> ServiceError {
        let error = ServiceError::ended(kind, self.response, body, state, self.secret());
        error.by_certificate(!self.known.kind.uses_tokens())
    }

    fn unusable(&self, unusable: Unusable) -> Outcome {
        repair(Error::UnexpectedAnswer(UnexpectedAnswer::unusable(self.response, unusable, self.secret())))
    }

    fn foreign(&self, problem: &'static str) -> Outcome {
        let answer = UnexpectedAnswer::foreign(self.response, problem, self.secret());
        Outcome::TryAgain(answer.into(), WaitReason::UnexpectedAnswer { status: self.response.status() })
    }

    /// Returns the signature that was sent, to remove it from the answer's texts.
    fn secret(&self) -> &str {
        self.sent.token.map_or("", SasToken::signature)
    }
}

/// Ends the registration with a refusal that an operator must repair.
fn repair(error: impl Into<Error>) -> Outcome {
    Outcome::Refused { error: error.into(), pace: Pace::Repair }
}
