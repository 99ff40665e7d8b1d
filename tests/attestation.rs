//! Tests every proof of identity: one key, two keys, a slow chip, a certificate in the transport's
//! TLS.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]
#![allow(clippy::unnecessary_wraps, reason = "a script is made of results")]

mod common;

use azure_iot_dps::attestation::{AttestationKind, KeySlot};
use azure_iot_dps::client::drive;
use azure_iot_dps::error::{ServiceErrorKind, TransportErrorKind};
use azure_iot_dps::hub::CredentialsError;
use azure_iot_dps::key::{Signer, SignerError};
use azure_iot_dps::protocol::{Request, Response};
use azure_iot_dps::registration::{Registration, Session, Step, WaitReason};
use azure_iot_dps::sas::{MAX_TOKEN_LIFETIME, Resource};
use azure_iot_dps::time::{Clock, Now, UnixTime};
use azure_iot_dps::transport::FnTransport;
use azure_iot_dps::{
    Assignment, Attestation, DeviceKey, Error, Event, HubCredentials, ProvisioningClient, SasToken, Transport,
};
use common::{NEW_YEAR, answer, assigned, assigning, at, id, key, refused, scope, seconds, settings, step_with};

fn other_key() -> DeviceKey {
    DeviceKey::from_bytes(&[7; 32]).expect("a key")
}

fn both_keys() -> Attestation {
    Attestation::symmetric_keys(key(), other_key())
}

fn unauthorized() -> common::Answer {
    Ok(Response::unauthorized())
}

/// A clock that advances only while the client waits.
struct Virtual(u64);

impl Clock for Virtual {
    fn now(&mut self) -> Now {
        at(self.0)
    }

    fn sleep(&mut self, pause: std::time::Duration) {
        self.0 += pause.as_secs().max(1);
    }
}

/// The result of a registration, and the key that signed each of its requests.
struct Outcome {
    result: Result<Assignment, Error>,
    signed_by: Vec<Option<KeySlot>>,
    session: Session,
}

/// Registers with a script of answers. The last answer is repeated.
fn register(attestation: &Attestation, session: Session, script: Vec<common::Answer>) -> Outcome {
    let settings = settings();
    let keys = [(KeySlot::Primary, key()), (KeySlot::Secondary, other_key())];
    let mut signed_by = Vec::new();
    let mut script = script.into_iter().peekable();
    let mut transport = FnTransport::new(|request: &Request<'_>| {
        let token = request.token().map(|token| SasToken::parse(token.as_str()).expect("a token"));
        let signer = |token: &SasToken| keys.iter().find(|(_, key)| token.verify(key)).map(|(slot, _)| *slot);
        signed_by.push(token.as_ref().and_then(signer));
        let answer = script.next().expect("the script is not over");
        answer.map_err(Into::into)
    });
    let mut registration = Registration::resume(&settings, attestation.kind(), session);
    let sign = |key, message: &[u8]| attestation.sign(key, message);
    let result = drive(&mut registration, sign, &mut transport, &mut Virtual(0), &mut ());
    let session = registration.into_session();
    Outcome { result, signed_by, session }
}

// X.509: the TLS stack proves it

#[test]
fn a_certificate_needs_no_signature_and_its_requests_carry_no_token() {
    let transport = FnTransport::new(|request: &Request<'_>| {
        assert!(request.token().is_none());
        let names: Vec<&str> = request.http().headers().map(|(name, _)| name).collect();
        assert!(!names.contains(&"Authorization"), "{names:?}");
        match request.http().method() {
            "PUT" => assigning().map_err(Into::into),
            _ => assigned().map_err(Into::into),
        }
    });
    let client = ProvisioningClient::builder(scope(), id("dev-01"), Attestation::x509());
    let assignment = client.build_with(transport, Virtual(0)).register().expect("assigned");
    assert_eq!((assignment.key_used(), assignment.requests()), (None, 2));
}

#[test]
fn a_certificate_that_is_refused_is_final_whatever_the_clock_and_in_whatever_words() {
    let late = refused(401, 401_002).map(|answer| answer.with_header("Date", "Fri, 01 Jan 2100 00:00:00 GMT"));
    for answer in [unauthorized(), refused(401, 401_002), late] {
        let outcome = register(&Attestation::x509(), Session::default(), vec![answer]);
        let error = outcome.result.expect_err("refused");
        assert_eq!((error.status(), error.is_transient()), (Some(401), false));
        assert_eq!(outcome.signed_by, [None]);
    }
}

#[test]
fn a_device_with_a_certificate_is_remembered_as_one_across_a_boot() {
    let outcome = register(&Attestation::x509(), Session::default(), vec![assigned()]);
    let record = outcome.result.expect("assigned").to_record(&settings());
    let restored = Assignment::from_record(&record, &settings()).expect("whole").expect("is there");
    assert_eq!(restored.key_used(), None);
    let error = HubCredentials::new(&restored, key()).expect_err("no key let it in");
    assert_eq!(error, CredentialsError::NoSymmetricKey);
    assert_eq!(
        HubCredentials::with_keys(&restored, key(), other_key()).expect_err("no key let it in"),
        CredentialsError::NoSymmetricKey
    );
}

#[test]
fn a_certificate_signs_nothing() {
    assert!(Attestation::x509().sign(KeySlot::Primary, b"m").is_err());
    assert!(!AttestationKind::X509.uses_tokens() && AttestationKind::SymmetricKey.uses_tokens());
}

// A refusal without a word, as a CONNACK is

#[test]
fn an_explicit_refusal_leads_to_the_secondary_key() {
    let outcome = register(&both_keys(), Session::default(), vec![unauthorized(), assigned()]);
    assert_eq!(outcome.result.expect("assigned").key_used(), Some(KeySlot::Secondary));
    assert_eq!(outcome.signed_by, [Some(KeySlot::Primary), Some(KeySlot::Secondary)]);
}

#[test]
fn an_explicit_refusal_of_all_keys_is_final_and_the_next_registration_begins_with_the_first() {
    let outcome = register(&both_keys(), Session::default(), vec![unauthorized(), unauthorized()]);
    let error = outcome.result.expect_err("refused");
    let Error::Service(service) = &error else { panic!("{error:?}") };
    assert_eq!((service.kind(), service.status(), service.error_code()), (ServiceErrorKind::Request, 401, None));
    assert!(!error.is_transient());
    assert_eq!(error.to_string(), "the service refused the request with status 401");
    let mut session = outcome.session;
    session.forget_refusal();
    let again = register(&both_keys(), session, vec![assigned()]);
    assert_eq!(again.signed_by, [Some(KeySlot::Primary)]);
}

#[test]
fn an_explicit_refusal_with_the_services_time_corrects_the_clock() {
    let late = Ok(Response::unauthorized().with_date(UnixTime::from_secs(NEW_YEAR + 36_000)));
    let outcome = register(&Attestation::from(key()), Session::default(), vec![late, assigned()]);
    let assignment = outcome.result.expect("assigned");
    assert_eq!(assignment.clock_correction().and_then(|it| it.offset_seconds()), Some(36_000));
    assert_eq!(outcome.signed_by, [Some(KeySlot::Primary); 2]);
}

#[test]
fn an_http_401_that_is_not_the_services_is_tried_again_with_the_same_key() {
    let portal = Ok(answer(401, "<html>"));
    let outcome = register(&both_keys(), Session::default(), vec![portal, assigned()]);
    assert_eq!(outcome.result.expect("assigned").key_used(), Some(KeySlot::Primary));
}

// Two keys

#[test]
fn a_key_that_is_rolled_in_the_middle_of_a_registration_is_replaced_by_the_other_and_back() {
    let no = || refused(401, 401_002);
    let script = vec![no(), assigning(), no(), assigning(), assigned()];
    let outcome = register(&both_keys(), Session::default(), script);
    assert_eq!(outcome.result.expect("assigned").key_used(), Some(KeySlot::Primary));
    let [primary, secondary] = [KeySlot::Primary, KeySlot::Secondary].map(Some);
    assert_eq!(outcome.signed_by, [primary, secondary, secondary, primary, primary]);
}

#[test]
fn from_the_second_change_of_keys_on_the_backoff_is_waited_first() {
    let (settings, keys) = (settings(), both_keys());
    let mut registration = Registration::new(&settings, keys.kind());
    let mut now = at(0);
    let mut waits = Vec::new();
    for next in [refused(401, 401_002), assigning(), refused(401, 401_002), assigned()] {
        loop {
            match step_with(&mut registration, |key, message| keys.sign(key, message), now).expect("goes on") {
                Step::Send(_) => break,
                Step::Wait(wait) => {
                    waits.push(wait.reason());
                    now = at(now.uptime.as_secs() + wait.duration().as_secs() + 1);
                }
                step => panic!("{step:?}"),
            }
        }
        registration.receive(next.map_err(Into::into), now);
    }
    assert_eq!(waits, [WaitReason::Assigning, WaitReason::Refused { status: 401 }]);
    let done = step_with(&mut registration, |key, message| keys.sign(key, message), now);
    assert!(matches!(done, Ok(Step::Done(_))), "{done:?}");
}

// The keys for the hub

#[test]
fn credentials_for_the_hub_cannot_sign_with_the_key_that_the_service_refused() {
    let outcome = register(&both_keys(), Session::default(), vec![unauthorized(), assigned()]);
    let assignment = outcome.result.expect("assigned");
    let error = HubCredentials::new(&assignment, key()).expect_err("that one was refused");
    assert_eq!(error, CredentialsError::SecondaryKeyRequired);
    assert_eq!(error.to_string(), "the service accepted the device's secondary key: both keys are needed");
    let mut credentials = HubCredentials::with_keys(&assignment, key(), other_key()).expect("both keys");
    let token = credentials.token(UnixTime::from_secs(NEW_YEAR)).expect("signs");
    assert!(token.verify(&other_key()) && !token.verify(&key()));
}

#[test]
fn a_hub_with_a_port_keeps_it_in_the_token_and_the_user_name_and_not_for_mqtt() {
    let body = r#"{"status":"assigned","registrationState":{"assignedHub":"localhost:443","deviceId":"d;1"}}"#;
    let outcome = register(&Attestation::from(key()), Session::default(), vec![Ok(answer(200, body))]);
    let assignment = outcome.result.expect("assigned");
    let mut credentials = HubCredentials::new(&assignment, key()).expect("one key");
    let token = credentials.token(UnixTime::from_secs(NEW_YEAR)).expect("signs");
    assert_eq!(token.resource_uri(), "localhost:443/devices/d;1");
    assert!(token.as_str().contains("sr=localhost%3A443%2Fdevices%2Fd%3B1&"), "{token:?}");
    let login = credentials.mqtt(UnixTime::from_secs(NEW_YEAR)).expect("signs");
    assert_eq!((login.host(), login.port()), ("localhost", 8883));
    assert_eq!(login.user_name(), "localhost:443/d;1/?api-version=2021-04-12");
}

// Signing is a step

#[test]
fn what_is_to_be_signed_stays_the_same_while_somebody_is_signing_it() {
    let settings = settings();
    let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
    let mut messages = Vec::new();
    for uptime in [0, 5, 60] {
        let Ok(Step::Sign(request)) = common::act(&mut registration, at(uptime)) else {
            panic!("it asks for a signature")
        };
        assert_eq!(request.key(), KeySlot::Primary);
        messages.push(request.message().to_vec());
    }
    messages.dedup();
    assert_eq!(messages.len(), 1);
    registration.signed(key().sign(&messages[0]));
    // The time limit counts from when the request is handed out, so a slow chip does not shorten it.
    let Ok(Step::Send(request)) = common::act(&mut registration, at(90)) else { panic!("it sends") };
    assert_eq!(request.time_limit(), seconds(70));
    let token = SasToken::parse(request.token().expect("a token").as_str()).expect("a token");
    assert!(token.verify(&key()) && token.expires_at() == UnixTime::from_secs(NEW_YEAR + 3600));
}

#[test]
fn a_signature_that_nobody_asked_for_is_ignored() {
    let settings = settings();
    let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
    registration.signed(Err(SignerError::new("too early")));
    let Ok(Step::Sign(request)) = common::act(&mut registration, at(0)) else { panic!("it asks for a signature") };
    let signature = key().sign(request.message());
    registration.signed(signature);
    registration.signed(Err(SignerError::new("too late")));
    assert!(matches!(common::act(&mut registration, at(0)), Ok(Step::Send(_))));
}

#[test]
fn a_clock_that_jumps_at_every_reading_does_not_keep_a_device_signing_for_ever() {
    let settings = settings();
    let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
    let jumping = |reading: u64| Now { unix: Some(UnixTime::from_secs(reading * 1_000_000)), uptime: seconds(0) };
    let Ok(Step::Sign(request)) = common::act(&mut registration, jumping(1)) else { panic!("it asks for a signature") };
    let signature = key().sign(request.message());
    registration.signed(signature);
    assert!(matches!(registration.step(jumping(2)), Ok(Step::Event(Event::Registering { request: 1 }))));
    assert!(matches!(registration.step(jumping(3)), Ok(Step::Send(_))), "one signature, one request");
}

#[test]
fn a_prepared_token_is_the_token_that_signing_at_once_gives() {
    let (scope, id, expires_at) = (scope(), id("a:b.c_d-"), UnixTime::from_secs(u64::MAX));
    for resource in [Resource::registration(&scope, &id), Resource::uri("ä b").with_key_name("k=&"), Resource::uri("")]
    {
        let prepared = SasToken::prepare(resource, expires_at);
        assert_eq!(prepared.expires_at(), expires_at);
        let signature = key().sign(prepared.message()).expect("signs");
        let at_once = SasToken::sign(resource, &key(), expires_at).expect("signs");
        assert_eq!(prepared.finish(signature).as_str(), at_once.as_str());
    }
}

#[test]
fn a_tokens_lifetime_is_at_most_365_days_and_a_request_says_so() {
    let sent = |lifetime| {
        let settings = settings().token_lifetime(lifetime);
        common::drive(&settings, [assigned()]).sent[0].expires_at.as_secs() - NEW_YEAR
    };
    assert_eq!(sent(std::time::Duration::MAX), MAX_TOKEN_LIFETIME.as_secs());
    assert_eq!(sent(seconds(365 * 86_400)), 31_536_000);
    let assignment = common::drive(&settings(), [assigned()]).result.expect("assigned");
    let credentials = HubCredentials::new(&assignment, key()).expect("one key");
    let mut credentials = credentials.token_lifetime(std::time::Duration::MAX);
    let token = credentials.token(UnixTime::from_secs(NEW_YEAR)).expect("signs");
    assert_eq!(token.expires_at(), UnixTime::from_secs(NEW_YEAR + 31_536_000));
}

// Borrowed parts

/// The parts are borrowed and not `Send`: a modem that the firmware also uses otherwise, and a chip
/// in an `Rc`.
#[test]
fn a_borrowed_modem_and_a_shared_chip_register_a_device() {
    struct Modem<'m> {
        requests: &'m std::cell::Cell<u32>,
        buffer: std::rc::Rc<Vec<u8>>,
    }
    impl Transport for Modem<'_> {
        fn send<'b>(&'b mut self, _: &Request<'_>) -> Result<Response<'b>, azure_iot_dps::error::TransportError> {
            self.requests.set(self.requests.get() + 1);
            Ok(Response::new(200, &self.buffer[..]))
        }
    }
    let requests = std::cell::Cell::new(0);
    let mut modem = Modem { requests: &requests, buffer: std::rc::Rc::new(common::ASSIGNED.into()) };
    let chip: std::rc::Rc<dyn Signer> = std::rc::Rc::new(key());
    let settings = settings();
    let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
    let sign = |_, message: &[u8]| chip.sign(message);
    let assignment = drive(&mut registration, sign, &mut modem, &mut Virtual(0), &mut ()).expect("assigned");
    assert_eq!((assignment.device_id().as_str(), requests.get()), ("dev-01", 1));
}

#[test]
fn a_protocol_that_lacks_an_operation_ends_it_at_once() {
    let transport = FnTransport::new(|_| Err(TransportErrorKind::Unsupported.into()));
    let client = ProvisioningClient::builder(scope(), id("dev-01"), key());
    let mut client = client.build_with(transport, Virtual(0));
    let error = client.status_lookup().expect_err("not over MQTT");
    assert!(matches!(&error, Error::Transport(it) if it.kind() == TransportErrorKind::Unsupported), "{error:?}");
    assert!(!error.is_transient() && error.retry_after().is_none());
    assert_eq!(
        error.transport().map(azure_iot_dps::error::TransportError::kind),
        Some(TransportErrorKind::Unsupported)
    );
}

// Events

#[test]
fn events_come_before_the_step_and_before_the_error_and_each_comes_once() {
    let settings = settings();
    let mut registration = Registration::new(&settings, AttestationKind::X509);
    let event = |registration: &mut Registration<'_>| match registration.step(at(0)) {
        Ok(Step::Event(event)) => event,
        other => panic!("no event: {other:?}"),
    };
    assert_eq!(event(&mut registration), Event::Registering { request: 1 });
    assert!(matches!(registration.step(at(0)), Ok(Step::Send(_))));
    assert!(matches!(registration.step(at(0)), Ok(Step::Send(_))), "handed out again without an event");
    registration.receive(Ok(refused(400, 400_000).expect("a response")), at(0));
    assert_eq!(event(&mut registration), Event::Answered { status: 400 });
    let error = registration.step(at(0)).expect_err("final");
    assert_eq!(error.status(), Some(400));
    assert!(matches!(registration.step(at(0)), Err(Error::Ended)));

    let mut registration = Registration::new(&settings, AttestationKind::X509);
    assert!(matches!(common::act(&mut registration, at(0)), Ok(Step::Send(_))));
    registration.receive(Ok(assigned().expect("a response")), at(0));
    assert_eq!(event(&mut registration), Event::Answered { status: 200 });
    assert_eq!(event(&mut registration), Event::Assigned);
    assert!(matches!(registration.step(at(0)), Ok(Step::Done(_))));
}

#[test]
fn a_wait_that_an_earlier_call_left_and_that_passes_the_deadline_is_an_event_and_then_the_error() {
    let settings = settings().deadline(seconds(60));
    let mut registration = Registration::new(&settings, AttestationKind::X509);
    assert!(matches!(common::act(&mut registration, at(0)), Ok(Step::Send(_))));
    let throttled = refused(429, 429_001).map(|answer| answer.with_header("Retry-After", "600"));
    registration.receive(Ok(throttled.expect("a response")), at(0));
    while registration.step(at(0)).is_ok() {}
    let mut next = Registration::resume(&settings, AttestationKind::X509, registration.into_session());
    assert!(matches!(next.step(at(1)), Ok(Step::Event(Event::Waiting { .. }))));
    assert!(matches!(next.step(at(1)), Err(Error::DeadlineExceeded(_))));
    assert!(matches!(next.step(at(1)), Err(Error::Ended)));
}

#[test]
fn the_most_events_of_one_response_come_in_their_order() {
    let settings = settings();
    let keys = both_keys();
    let mut registration = Registration::new(&settings, keys.kind());
    // Ten minutes ahead: the token is still good, so the key is at fault.
    let late = refused(401, 401_002).map(|answer| answer.with_header("Date", "Thu, 01 Jan 2026 00:10:00 GMT"));
    for answer in [refused(401, 401_002), assigning(), late] {
        // From the poll on, the wait is over.
        let step = [at(0), at(9)].map(|now| {
            let step = step_with(&mut registration, |key, message| keys.sign(key, message), now);
            matches!(step, Ok(Step::Send(_)))
        });
        assert!(step[1]);
        registration.receive(answer.map_err(Into::into), at(0));
    }
    let mut told = Vec::new();
    let next = common::act_telling(&mut registration, at(0), &mut told);
    assert!(matches!(next, Ok(Step::Wait(_))), "{next:?}");
    assert!(
        matches!(
            told[..],
            [
                Event::Answered { status: 401 },
                Event::ClockCorrected { .. },
                Event::KeySwitched { .. },
                Event::Waiting { .. }
            ]
        ),
        "{told:?}"
    );
}

#[test]
fn a_registration_that_is_dropped_before_it_says_that_it_is_done_polls_again() {
    let settings = settings();
    let mut registration = Registration::new(&settings, AttestationKind::X509);
    for answer in [assigning(), assigned()] {
        let send = |registration: &mut Registration<'_>| match common::act(registration, at(9)) {
            Ok(Step::Wait(_)) => matches!(common::act(registration, at(99)), Ok(Step::Send(_))),
            step => matches!(step, Ok(Step::Send(_))),
        };
        assert!(send(&mut registration));
        registration.receive(answer.map_err(Into::into), at(9));
    }
    assert!(matches!(registration.step(at(99)), Ok(Step::Event(Event::Answered { status: 200 }))));
    let mut next = Registration::resume(&settings, AttestationKind::X509, registration.into_session());
    assert!(matches!(next.step(at(99)), Ok(Step::Event(Event::Polling { request: 1 }))));
}

#[test]
fn a_request_that_its_event_holds_back_is_not_sent_yet() {
    let settings = settings();
    let mut registration = Registration::new(&settings, AttestationKind::X509);
    assert!(matches!(registration.step(at(0)), Ok(Step::Event(Event::Registering { request: 1 }))));
    registration.receive(Ok(refused(400, 400_000).expect("a response")), at(0));
    let late = at(850);
    let Ok(Step::Send(request)) = registration.step(late) else { panic!("the response was not asked for") };
    assert_eq!(request.time_limit(), seconds(50), "it counts from when the request is handed out");
}
