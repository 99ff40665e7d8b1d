//! Fuzzes the state machine with any answers, clocks, policies and sessions from flash.
//!
//! It compares the state machine with an independent implementation of the rules: it never waits
//! longer, never sends more requests, does nothing after its end, and reveals no secret.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use azure_iot_dps::attestation::AttestationKind;
use azure_iot_dps::error::{TransportError, TransportErrorKind};
use azure_iot_dps::key::{DeviceKey, Signer, SignerError};
use azure_iot_dps::protocol::{Operation, Response};
use azure_iot_dps::registration::{Registration, RegistrationSettings, RetryPolicy, SavedSession, Session, Step};
use azure_iot_dps::time::{Now, UnixTime};
use azure_iot_dps::{Assignment, Error};
use libfuzzer_sys::fuzz_target;

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

#[derive(Arbitrary, Debug)]
struct Input {
    calls: Vec<Call>,
    policy: [u16; 4],
    deadline: u16,
    kind: Kind,
    correction: bool,
    unix: Option<u32>,
    uptime: u64,
    saved: Option<Saved>,
}

#[derive(Arbitrary, Debug)]
struct Call {
    lookup: bool,
    /// Whether the session goes through flash first.
    reboot: bool,
    early: bool,
    moves: Vec<Move>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Kind {
    OneKey,
    TwoKeys,
    Certificate,
}

/// The content of flash, damaged or not.
#[derive(Arbitrary, Debug)]
struct Saved {
    failures: u32,
    wait: u64,
    refusals: u32,
    refused: Option<(u64, [u8; 8])>,
    saved_at: Option<u64>,
    restored: u8,
    operation: Option<(String, u64, [u8; 8])>,
}

impl Saved {
    fn read(&self) -> Option<SavedSession> {
        let time = |secs: u64| serde_json::json!({ "secs": secs, "nanos": 0 });
        let mut json =
            serde_json::json!({ "failures": self.failures, "wait": time(self.wait), "refusals": self.refusals });
        (json["saved_at"], json["restored"]) = (self.saved_at.into(), self.restored.into());
        if let Some((wait, device)) = self.refused {
            let reason = serde_json::json!({ "status": 401, "error_code": null, "device": device, "keys": null });
            json["refusal"] = serde_json::json!({ "wait": time(wait), "reason": reason });
        }
        if let Some((id, wait, fingerprint)) = &self.operation {
            json["operation"] = serde_json::json!({ "id": id, "fingerprint": fingerprint, "wait": time(*wait) });
        }
        serde_json::from_value(json).ok()
    }
}

#[derive(Arbitrary, Debug)]
enum Move {
    Answer {
        status: u16,
        body: Body,
        retry_after: Option<u32>,
        date: Option<u32>,
        delay: u8,
    },
    Unanswered {
        kind: u8,
        delay: u8,
    },
    /// The uptime jumps.
    Uptime(u64),
    /// The wall clock is set, or lost.
    Unix(Option<u32>),
    SignerFails,
    /// The caller asks for a step too early.
    Look,
}

#[derive(Arbitrary, Debug)]
enum Body {
    Assigning,
    Assigned,
    Failed(u32),
    Disabled,
    Error(u32),
    Bare { assigned: bool },
    Null,
    Html,
    Unauthorized,
    Raw(Vec<u8>),
}

impl Move {
    fn answer(&self, secret: &str) -> (Result<Response<'static>, TransportError>, Duration) {
        use TransportErrorKind as E;
        let (status, body, retry_after, date, delay) = match self {
            Self::Answer { status, body, retry_after, date, delay } => (*status, body, *retry_after, *date, *delay),
            Self::Unanswered { kind, delay } => {
                let kinds = [
                    E::NameNotResolved,
                    E::CannotConnect,
                    E::TimedOut,
                    E::Tls,
                    E::ClockNotSet,
                    E::Proxy,
                    E::Unsupported,
                ];
                return (Err(kinds[usize::from(*kind) % kinds.len()].into()), Duration::from_secs((*delay).into()));
            }
            _ => return (Err(E::Other.into()), Duration::ZERO),
        };
        let assigned = r#""status":"assigned","assignedHub":"h.example","deviceId":"d""#;
        let text = match body {
            Body::Assigning => r#"{"operationId":"5.3","status":"assigning"}"#.into(),
            Body::Assigned => {
                format!(r#"{{"operationId":"5.3","status":"assigned","registrationState":{{{assigned}}}}}"#)
            }
            Body::Failed(code) => {
                format!(r#"{{"status":"failed","registrationState":{{"errorCode":{code},"errorMessage":"{secret}"}}}}"#)
            }
            Body::Disabled => r#"{"status":"disabled"}"#.into(),
            // A service that repeats what it was sent.
            Body::Error(code) => format!(r#"{{"errorCode":{code},"trackingId":"{secret}","message":"no {secret}"}}"#),
            Body::Bare { assigned: true } => format!("{{{assigned}}}"),
            Body::Bare { assigned: false } => r#"{"status":"unassigned"}"#.into(),
            Body::Null => "null".into(),
            Body::Html => "<html>".into(),
            Body::Unauthorized | Body::Raw(_) => String::new(),
        };
        let mut response = match body {
            Body::Unauthorized => Response::unauthorized(),
            Body::Raw(bytes) => Response::new(status, bytes.clone()),
            _ => Response::new(status, text.into_bytes()),
        };
        if let Some(seconds) = retry_after {
            response = response.with_header("Retry-After", seconds.to_string());
        }
        if let Some(seconds) = date {
            response = response.with_date(UnixTime::from_secs(seconds.into()));
        }
        (Ok(response), Duration::from_secs(delay.into()))
    }
}

struct World<'a> {
    now: Now,
    policy: [Duration; 4],
    deadline: Duration,
    key: &'a DeviceKey,
    requests: u64,
}

impl World<'_> {
    fn pass(&mut self, time: Duration) {
        self.now.uptime = self.now.uptime.saturating_add(time);
        self.now.unix = self.now.unix.map(|unix| unix.saturating_add(time));
    }

    /// Returns the longest pause of the rules: a Retry-After of an hour and the longest backoff,
    /// the spread, the wait between two polls, or four hours.
    fn longest(&self) -> Duration {
        let [first, max, poll, spread] = self.policy;
        (HOUR + max.max(first).max(SECOND)).max(spread).max(poll).max(4 * HOUR)
    }

    /// Runs one registration to its end, or until there are no more moves.
    fn run(&mut self, registration: &mut Registration<'_>, moves: &[Move]) -> Option<Result<Assignment, Error>> {
        let (mut elapsed, mut jumped) = (Duration::ZERO, false);
        self.requests = 0;
        let mut moves = moves.iter();
        let mut left = 8_000;
        let mut last_secret = String::from("nothing");
        loop {
            left -= 1;
            assert!(left > 0, "it goes round in circles");
            let step = match registration.step(self.now) {
                Ok(step) => step,
                Err(error) => {
                    let told = format!("{error} {error:?} {}", error.support_info());
                    assert!(last_secret == "nothing" || !told.contains(&last_secret), "{told}");
                    return Some(Err(error));
                }
            };
            match step {
                Step::Event(_) => {}
                Step::Done(assignment) => return Some(Ok(assignment)),
                Step::Sign(request) => {
                    assert!(request.message().starts_with(b"0ne00002193%2Fregistrations%2Fdev-01\n"));
                    let signature = match moves.clone().next() {
                        Some(Move::SignerFails) => Err(SignerError::new("the chip is gone")),
                        _ => self.key.sign(request.message()),
                    };
                    registration.signed(signature);
                }
                Step::Wait(wait) => {
                    assert!(!wait.duration().is_zero(), "a wait of nothing is a busy loop");
                    assert!(wait.duration() <= self.longest(), "{wait:?}");
                    assert!(jumped || elapsed + wait.duration() < self.deadline, "beyond the deadline: {wait:?}");
                    match moves.clone().next() {
                        Some(Move::Uptime(uptime)) => {
                            (self.now.uptime, jumped) = (Duration::from_secs(*uptime >> 16), true);
                            moves.next();
                        }
                        Some(Move::Unix(unix)) => {
                            self.now.unix = unix.map(|unix| UnixTime::from_secs(unix.into()));
                            moves.next();
                        }
                        Some(Move::Look) => {
                            moves.next();
                        }
                        _ => {
                            elapsed += wait.duration();
                            self.pass(wait.duration());
                        }
                    }
                }
                Step::Send(request) => {
                    self.requests += 1;
                    let requests = self.requests;
                    let limit = request.time_limit();
                    assert!(!limit.is_zero() && limit <= Duration::from_secs(70), "{limit:?}");
                    assert!(jumped || elapsed + limit <= self.deadline, "beyond the deadline: {limit:?}");
                    // One request at once, one correction of each kind, two immediate polls, and then one per second.
                    assert!(jumped || requests <= 4 + 3 * (elapsed.as_secs() + 2), "{requests} in {elapsed:?}");
                    assert_eq!(
                        request.body().is_none(),
                        matches!(request.operation(), Operation::OperationStatus { .. })
                    );
                    let secret = request.token().map(|token| token.as_str().to_owned());
                    let secret = secret.as_deref().and_then(|token| token.split("sig=").nth(1)?.split('&').next());
                    let secret = secret.unwrap_or("nothing").to_owned();
                    let (answer, delay) = moves.next()?.answer(&secret);
                    let delay = delay.min(limit);
                    elapsed += delay;
                    self.pass(delay);
                    registration.receive(answer, self.now);
                    last_secret = secret;
                }
            }
        }
    }
}

fuzz_target!(|input: Input| {
    let policy = input.policy.map(|seconds| Duration::from_secs(seconds.into()));
    let [first, max, poll, spread] = policy;
    let deadline = Duration::from_secs(input.deadline.into());
    let retry = RetryPolicy::DEFAULT.first_wait(first).max_wait(max).poll_interval(poll).first_spread(spread);
    let (scope, id) = ("0ne00002193".parse().expect("valid"), "dev-01".parse().expect("valid"));
    let settings =
        RegistrationSettings::new(scope, id).retry(retry).deadline(deadline).clock_correction(input.correction);
    let kind = match input.kind {
        Kind::OneKey => AttestationKind::SymmetricKey,
        Kind::TwoKeys => AttestationKind::SymmetricKeyPair,
        Kind::Certificate => AttestationKind::X509,
    };
    let unix = input.unix.map(|unix| UnixTime::from_secs(unix.into()));
    let now = Now { unix, uptime: Duration::from_secs(input.uptime >> 16) };
    let key = DeviceKey::from_bytes(&[7; 32]).expect("a key");
    let mut world = World { now, policy, deadline, key: &key, requests: 0 };
    let mut session = Session::default();
    if let Some(saved) = input.saved.as_ref().and_then(Saved::read) {
        session = Session::restore(saved, now.uptime);
    }
    for call in input.calls.iter().take(8) {
        if call.reboot {
            let json = serde_json::to_vec(&session.save(world.now.uptime)).expect("serializes");
            let saved = serde_json::from_slice(&json).expect("reads what it wrote");
            session = Session::restore(saved, world.now.uptime);
        }
        let mut registration = Registration::resume(&settings, kind, session);
        if call.lookup {
            registration = registration.status_lookup();
        }
        let ended = world.run(&mut registration, &call.moves);
        if let Some(result) = &ended {
            assert!(matches!(registration.step(world.now), Err(Error::Ended)), "it has ended");
            let retry_after = result.as_ref().err().and_then(Error::retry_after);
            assert!(retry_after.is_none_or(|wait| wait <= world.longest()), "{result:?}");
            if let Err(Error::Service(error)) = result {
                assert!(error.retry_after().is_some_and(|wait| wait >= SECOND * 60), "a refusal is paced: {error:?}");
            }
        }
        session = registration.into_session();
        match ended {
            // After the time that the error names, the obstacle is gone.
            Some(Err(error)) if !call.early => world.pass(error.retry_after().unwrap_or_default()),
            _ => {}
        }
    }
    // No moves are left: a device that waits as told sends a request soon, whatever it has learned or restored.
    for _ in 0..3 {
        let mut registration = Registration::resume(&settings, kind, session);
        let answer = [Move::Unanswered { kind: 1, delay: 0 }];
        let Some(Err(error)) = world.run(&mut registration, &answer) else { return };
        if world.requests > 0 || !matches!(error, Error::TooEarly(_) | Error::DeadlineExceeded(_)) {
            return;
        }
        session = registration.into_session();
        world.pass(error.retry_after().expect("it says when"));
    }
    assert!(deadline.is_zero(), "three waits, and still nothing may be sent");
});
