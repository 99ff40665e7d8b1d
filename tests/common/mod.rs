//! Code that several tests share: a device, and a driver of its state machine in virtual time.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    clippy::panic,
    clippy::unchecked_time_subtraction,
    clippy::unnecessary_wraps,
    reason = "each suite uses a part, a test may panic, and a script is made of results"
)]

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use azure_iot_dps::attestation::{AttestationKind, KeySlot};
use azure_iot_dps::error::{StoreError, TransportError, TransportErrorKind};
use azure_iot_dps::hub::AssignmentStore;
use azure_iot_dps::key::{Signer, SignerError};
use azure_iot_dps::protocol::Response;
use azure_iot_dps::registration::{Registration, RegistrationSettings, RetryPolicy, Session, Step};
use azure_iot_dps::time::{Clock, Now, UnixTime};
use azure_iot_dps::{Assignment, DeviceKey, Error, Event, IdScope, RegistrationId, Transport};
use azure_iot_dps_simulator::{Simulator, SymmetricKey};
use sha2::{Digest, Sha256};

pub const KEY: &str = "miuSB501eJKWtdSGawOlw0wbqw7z4flDPUIeAsCTiWs=";
/// 2026-01-01T00:00:00Z.
pub const NEW_YEAR: u64 = 1_767_225_600;

pub fn id(text: &str) -> RegistrationId {
    RegistrationId::new(text).expect("a valid registration ID")
}

pub fn scope() -> IdScope {
    IdScope::new("0ne00002193").expect("a valid ID scope")
}

pub fn key() -> DeviceKey {
    KEY.parse().expect("a valid key")
}

/// Returns the same key, for an enrollment of the simulator.
pub fn enrolled_key() -> SymmetricKey {
    SymmetricKey::from_base64(KEY).expect("a valid key")
}

/// Returns the key of a device that has an enrollment.
pub fn key_of(sim: &Simulator, registration_id: &RegistrationId) -> DeviceKey {
    sim.device_key(registration_id).expect("an enrollment").parse().expect("a valid key")
}

pub fn settings() -> RegistrationSettings {
    RegistrationSettings::new(scope(), id("dev-01"))
}

pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A policy whose waits are longer than any deadline, so that a registration ends with its first
/// failure.
pub const NO_SECOND_TRY: RetryPolicy = RetryPolicy::DEFAULT.first_wait(AGES).max_wait(AGES);
const AGES: Duration = Duration::from_secs(1_000_000_000);

/// Returns whether a test passes with a short time limit in seconds, or else with a longer one, which
/// a machine that is busy may need.
pub fn in_time(passes: impl Fn(u64) -> bool) -> bool {
    [2, 10, 50].into_iter().any(passes)
}

/// Returns New Year, `uptime` seconds after power-on.
pub fn at(uptime: u64) -> Now {
    Now { unix: Some(UnixTime::from_secs(NEW_YEAR + uptime)), uptime: seconds(uptime) }
}

/// A clock that advances by `sleep`, or when a test sets it.
#[derive(Clone, Default)]
pub struct Virtual(Arc<Mutex<Duration>>);

impl Virtual {
    pub fn pass(&self, time: Duration) {
        *self.0.lock().expect("not poisoned") += time;
    }
}

impl Clock for Virtual {
    fn now(&mut self) -> Now {
        let uptime = *self.0.lock().expect("not poisoned");
        Now { unix: Some(UnixTime::from_secs(NEW_YEAR).saturating_add(uptime)), uptime }
    }

    fn sleep(&mut self, pause: Duration) {
        self.pass(pause);
    }
}

pub type Answer = Result<Response<'static>, TransportErrorKind>;

pub fn answer(status: u16, body: &str) -> Response<'static> {
    Response::new(status, body.as_bytes().to_vec()).with_header("Content-Type", "application/json; charset=utf-8")
}

pub fn assigning() -> Answer {
    Ok(answer(202, r#"{"operationId":"5.3","status":"assigning"}"#))
}

pub fn assigning_after(retry_after: &'static str) -> Answer {
    assigning().map(|answer| answer.with_header("Retry-After", retry_after))
}

pub const ASSIGNED: &str = r#"{"operationId":"5.3","status":"assigned","registrationState":{"registrationId":"dev-01",
    "createdDateTimeUtc":"2026-01-01T00:00:01.5163352Z","assignedHub":"my-hub.azure-devices.net","deviceId":"dev-01",
    "status":"assigned","substatus":"initialAssignment","lastUpdatedDateTimeUtc":"2026-01-01T00:00:02.7370676Z",
    "etag":"IjY5MDAz","payload":{"colour":"red"},"symmetricKey":{"enrollmentGroupId":"my-group"}}}"#;

pub fn assigned() -> Answer {
    Ok(answer(200, ASSIGNED))
}

/// Returns an error in the service's format.
pub fn refused(status: u16, code: u32) -> Answer {
    let body = format!(
        r#"{{"errorCode":{code},"trackingId":"2cb8f317","message":"So it is","timestampUtc":"2026-01-01T00:00:00.1573304Z"}}"#
    );
    Ok(answer(status, &body).with_header("x-ms-request-id", "6a7b"))
}

pub fn html(status: u16) -> Answer {
    Ok(Response::new(status, b"<html>Please log in</html>".to_vec()).with_header("Content-Type", "text/html"))
}

/// A request that was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub at: Duration,
    pub method: &'static str,
    pub target: String,
    pub authorization: String,
    pub body: Option<String>,
    pub time_limit: Duration,
    pub expires_at: UnixTime,
}

/// The requests, events and result of a registration.
#[derive(Debug)]
pub struct Run {
    pub result: Result<Assignment, Error>,
    pub sent: Vec<Sent>,
    pub events: Vec<Event>,
    pub ended_at: Duration,
    pub session: Session,
    pub unused: usize,
}

impl Run {
    pub fn error(&self) -> &Error {
        self.result.as_ref().expect_err("the registration was to fail")
    }

    /// Returns the pauses between the requests.
    pub fn gaps(&self) -> Vec<Duration> {
        self.sent.windows(2).map(|pair| pair[1].at - pair[0].at).collect()
    }

    pub fn gap_seconds(&self) -> Vec<u64> {
        self.gaps().iter().map(Duration::as_secs).collect()
    }
}

/// Returns the next step that is not `Sign`. Signs with the key if necessary.
pub fn step<'r>(registration: &'r mut Registration<'_>, key: &impl Signer, now: Now) -> Result<Step<'r>, Error> {
    step_with(registration, |_, message| key.sign(message), now)
}

/// Returns the next step like [`step`], for a device with several keys.
pub fn step_with<'r>(
    registration: &'r mut Registration<'_>,
    sign: impl Fn(KeySlot, &[u8]) -> Result<[u8; 32], SignerError>,
    now: Now,
) -> Result<Step<'r>, Error> {
    let signature = match act(registration, now)? {
        Step::Sign(request) => Some(sign(request.key(), request.message())),
        Step::Wait(wait) => return Ok(Step::Wait(wait)),
        Step::Done(assignment) => return Ok(Step::Done(assignment)),
        Step::Send(_) | Step::Event(_) => None,
    };
    if let Some(signature) = signature {
        registration.signed(signature);
    }
    act(registration, now)
}

/// Sends the first request of a registration, and returns the status of the answer.
pub fn ask(transport: &mut dyn Transport, settings: &RegistrationSettings) -> Result<u16, TransportError> {
    let mut registration = Registration::new(settings, AttestationKind::SymmetricKey);
    let Ok(Step::Send(request)) = step(&mut registration, &key(), at(0)) else { panic!("the first step sends") };
    transport.send(&request).map(|answer| answer.status())
}

/// Returns the next step that is no event.
pub fn act<'r>(registration: &'r mut Registration<'_>, now: Now) -> Result<Step<'r>, Error> {
    act_telling(registration, now, &mut Vec::new())
}

/// Returns the next step like [`act`], and adds the events before it to `told`.
pub fn act_telling<'r>(
    registration: &'r mut Registration<'_>,
    now: Now,
    told: &mut Vec<Event>,
) -> Result<Step<'r>, Error> {
    loop {
        match registration.step(now)? {
            Step::Event(event) => told.push(event),
            Step::Wait(wait) => return Ok(Step::Wait(wait)),
            Step::Done(assignment) => return Ok(Step::Done(assignment)),
            Step::Sign(_) | Step::Send(_) => break,
        }
    }
    // Until it is done, the same step again.
    registration.step(now)
}

/// A driver of a registration in virtual time. It takes a script of answers and repeats the last
/// one.
pub struct Drive<'a, S: Signer + ?Sized = DeviceKey> {
    pub settings: &'a RegistrationSettings,
    pub signer: &'a S,
    pub session: Session,
    pub start: Now,
    /// The time until each answer.
    pub latency: Duration,
}

impl<S: Signer + ?Sized> Drive<'_, S> {
    pub fn run(&self, script: impl IntoIterator<Item = Answer>) -> Run {
        let mut script: VecDeque<Answer> = script.into_iter().collect();
        let mut registration = Registration::resume(self.settings, AttestationKind::SymmetricKey, self.session.clone());
        let mut now = self.start;
        let pass = |now: &mut Now, time: Duration| {
            now.uptime += time;
            now.unix = self.start.unix.map(|unix| unix.saturating_add(now.uptime - self.start.uptime));
        };
        let (mut sent, mut told) = (Vec::new(), Vec::new());
        let result = loop {
            assert!(sent.len() < 10_000, "a registration sends no end of requests");
            match registration.step(now) {
                Ok(Step::Sign(request)) => {
                    let signature = self.signer.sign(request.message());
                    registration.signed(signature);
                }
                Ok(Step::Send(request)) => {
                    let (latency, time_limit) = (self.latency, request.time_limit());
                    let (head, token) = (request.http(), request.token().expect("a token"));
                    sent.push(Sent {
                        at: now.uptime,
                        method: head.method(),
                        target: head.target().to_string(),
                        authorization: token.as_str().into(),
                        body: request.body().map(|body| String::from_utf8(body.to_vec()).expect("UTF-8")),
                        time_limit: request.time_limit(),
                        expires_at: token.expires_at(),
                    });
                    pass(&mut now, latency.min(time_limit));
                    let next = if script.len() > 1 { script.pop_front() } else { script.front().cloned() };
                    let next = next.expect("the script is not empty");
                    let answer = if latency <= time_limit { next } else { Err(TransportErrorKind::TimedOut) }
                        .map_err(TransportError::new);
                    registration.receive(answer, now);
                }
                Ok(Step::Wait(wait)) => {
                    assert!(!wait.duration().is_zero(), "a wait of nothing is a busy loop");
                    pass(&mut now, wait.duration());
                }
                Ok(Step::Event(event)) => told.push(event),
                Ok(Step::Done(assignment)) => break Ok(assignment),
                Err(error) => break Err(error),
            }
        };
        let session = registration.into_session();
        Run { result, sent, events: told, ended_at: now.uptime, session, unused: script.len() - 1 }
    }
}

/// Registers from power-on at New Year, with a correct clock and a key in memory.
pub fn drive(settings: &RegistrationSettings, script: impl IntoIterator<Item = Answer>) -> Run {
    let signer = &key();
    let run =
        Drive { settings, signer, session: Session::default(), start: at(0), latency: Duration::ZERO }.run(script);
    assert_eq!(run.unused, 0, "the script went on: {:?}", run.result);
    run
}

/// Creates an empty folder of this name for one test.
pub fn folder(name: &str) -> std::path::PathBuf {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

pub fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().map(|digit| u8::try_from(digit.to_digit(16).expect("hex")).expect("fits")).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Computes HMAC-SHA256 by its definition. Source: RFC 2104, section 2.
pub fn hmac_by_definition(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    if key.len() > 64 {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().into()
}

/// A store in memory.
#[derive(Default)]
pub struct Memory(pub Vec<u8>);

impl AssignmentStore for Memory {
    fn load(&mut self) -> Result<Cow<'_, [u8]>, StoreError> {
        Ok((&self.0).into())
    }

    fn save(&mut self, record: &[u8]) -> Result<(), StoreError> {
        self.0 = record.into();
        Ok(())
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        self.0.clear();
        Ok(())
    }
}
