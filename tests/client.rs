//! The blocking client against the simulator, in virtual time.
#![allow(clippy::expect_used, clippy::panic, clippy::unchecked_time_subtraction, reason = "a test may panic")]

mod common;
#[path = "common/over.rs"]
mod over;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use azure_iot_dps::error::TransportErrorKind;
use azure_iot_dps::registration::WaitReason;
use azure_iot_dps::time::{Now, UnixTime};
use azure_iot_dps::transport::FnTransport;
use azure_iot_dps::{Clock, DeviceKey, Error, Event, ProvisioningClient, ProvisioningClientBuilder, RetryPolicy};
use azure_iot_dps_simulator::{EnrollmentGroup, Simulator};
use common::{assigned, id, key, scope, seconds};

fn client(sim: &Simulator, name: &str) -> ProvisioningClientBuilder {
    let registration_id = id(name);
    let key = common::key_of(sim, &registration_id);
    ProvisioningClient::builder(sim.id_scope(), registration_id, key)
}

fn demo() -> Simulator {
    Simulator::builder().build()
}

fn a_device_boots_and_gets_its_hub_in_no_time() {
    let sim = Simulator::builder().assigning_polls(5).build();
    let assignment =
        client(&sim, "dev-01").build_with(over::transport(&sim), sim.clock()).register().expect("assigned");
    assert_eq!(assignment.device_id().as_str(), "dev-01");
    assert_eq!(assignment.enrollment_group_id(), Some("demo"));
    assert_eq!(sim.clock().elapsed(), seconds(6 * 3));
}

fn a_second_register_on_the_same_client_works_as_well_as_the_first() {
    let sim = demo();
    let mut client = client(&sim, "dev-01").build_with(over::transport(&sim), sim.clock());
    let first = client.register().expect("assigned");
    let second = client.register().expect("assigned again");
    assert_eq!((first.hub(), first.substatus()), (second.hub(), second.substatus()));
    assert_ne!(first.created_at(), second.created_at(), "each registration is a new one");
}

fn a_wrong_key_is_refused_with_its_code_and_tracking_id() {
    let sim = demo();
    let client = ProvisioningClient::builder(sim.id_scope(), id("dev-01"), key());
    let error = client.build_with(over::transport(&sim), sim.clock()).register().expect_err("refused");
    assert_eq!((error.status(), error.error_code()), (Some(401), Some(401_002)));
    assert!(error.tracking_id().is_some() && error.timestamp().is_some());
    // MQTT has no header for it.
    assert_eq!(error.request_id().is_some(), over::over() == over::Over::Https);
    assert!(!error.is_transient());
}

fn a_failed_register_leaves_a_client_that_works() {
    let sim = demo();
    let registration_id = id("dev-01");
    let key = common::key_of(&sim, &registration_id);
    let broken = Arc::new(AtomicU32::new(3));
    let (mut inner, failures) = (over::transport(&sim), Arc::clone(&broken));
    let transport = FnTransport::new(move |request| {
        use azure_iot_dps::Transport;
        if failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(TransportErrorKind::CannotConnect.into());
        }
        let answer = inner.send(request)?;
        Ok(azure_iot_dps::protocol::Response::new(answer.status(), answer.body().to_vec()))
    });
    let builder = ProvisioningClient::builder(sim.id_scope(), registration_id, key);
    let mut client = builder.deadline(seconds(10)).build_with(transport, sim.clock());
    let tries = (1..=9).find(|_| match client.register() {
        Ok(_) => true,
        Err(error) => {
            assert!(error.is_transient());
            sim.clock().advance(error.retry_after().expect("it says when"));
            false
        }
    });
    assert_eq!((tries, broken.load(Ordering::SeqCst)), (Some(3), 0));
}

#[test]
fn the_backoff_outlives_a_register_that_failed_and_success_clears_it() {
    let sim = demo();
    let works = Arc::new(AtomicU32::new(0));
    let switch = Arc::clone(&works);
    let transport = FnTransport::new(move |_| {
        if switch.load(Ordering::SeqCst) == 1 {
            assigned().map_err(Into::into)
        } else {
            Err(TransportErrorKind::CannotConnect.into())
        }
    });
    let builder = ProvisioningClient::builder(scope(), id("dev-01"), key());
    let mut client = builder.deadline(seconds(20)).build_with(transport, sim.clock());
    let mut waits = Vec::new();
    for _ in 0..4 {
        let error = client.register().expect_err("nothing works");
        waits.push(error.retry_after().expect("it says when"));
        sim.clock().advance(*waits.last().expect("just pushed"));
    }
    assert!(waits.is_sorted(), "{waits:?}");
    assert!(waits[3] > seconds(60), "{waits:?}");
    works.store(1, Ordering::SeqCst);
    client.register().expect("assigned");
    works.store(0, Ordering::SeqCst);
    let error = client.register().expect_err("nothing works");
    assert!(error.retry_after().expect("it says when") <= seconds(40), "{error:?}");
}

fn the_wait_hook_is_called_for_every_second_of_a_wait_and_told_why() {
    let sim = Simulator::builder().assigning_polls(0).retry_after(seconds(4)).build();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&calls);
    let hook = move |pause: &azure_iot_dps::registration::Wait| {
        log.lock().expect("not poisoned").push((pause.duration().as_secs(), pause.reason()));
        ControlFlow::Continue(())
    };
    client(&sim, "dev-01").wait(hook).build_with(over::transport(&sim), sim.clock()).register().expect("assigned");
    let why = WaitReason::Assigning;
    let request = (0, WaitReason::Request);
    assert_eq!(*calls.lock().expect("not poisoned"), [request, (4, why), (3, why), (2, why), (1, why), request]);
}

fn the_wait_hook_cancels_within_a_second_and_a_later_register_works_again() {
    let sim = Simulator::builder().retry_after(seconds(60)).build();
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    let hook = move |_: &azure_iot_dps::registration::Wait| {
        if count.fetch_add(1, Ordering::SeqCst) == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let mut client = client(&sim, "dev-01").wait(hook).build_with(over::transport(&sim), sim.clock());
    let error = client.register().expect_err("cancelled");
    assert!(matches!(error, Error::Cancelled) && !error.is_transient());
    assert_eq!(sim.clock().elapsed(), seconds(2));
    client.register().expect("assigned");
}

fn no_sleep_is_longer_than_a_second() {
    struct Strict(azure_iot_dps_simulator::SimulatorClock);
    impl Clock for Strict {
        fn now(&mut self) -> Now {
            self.0.now()
        }
        fn sleep(&mut self, pause: std::time::Duration) {
            assert!(pause <= seconds(1));
            self.0.sleep(pause);
        }
    }
    let sim = Simulator::builder().retry_after(seconds(30)).build();
    client(&sim, "dev-01").build_with(over::transport(&sim), Strict(sim.clock())).register().expect("assigned");
}

#[test]
fn what_a_slow_hook_or_signer_takes_goes_off_the_time_there_is() {
    struct Slow(azure_iot_dps_simulator::SimulatorClock, DeviceKey);
    impl azure_iot_dps::key::Signer for Slow {
        fn sign(&self, message: &[u8]) -> Result<[u8; 32], azure_iot_dps::key::SignerError> {
            self.0.advance(seconds(5));
            self.1.sign(message)
        }
    }
    let sim = demo();
    let limits = Arc::new(Mutex::new(Vec::new()));
    let (seen, hook_clock) = (Arc::clone(&limits), sim.clock());
    let transport = FnTransport::new(move |request| {
        seen.lock().expect("not poisoned").push(request.time_limit());
        common::assigning().map_err(Into::into)
    });
    let hook = move |_: &azure_iot_dps::registration::Wait| {
        hook_clock.advance(std::time::Duration::from_millis(1500));
        ControlFlow::Continue(())
    };
    let signer = Slow(sim.clock(), key());
    let builder = ProvisioningClient::builder(scope(), id("dev-01"), signer);
    let mut client = builder.wait(hook).deadline(seconds(20)).build_with(transport, sim.clock());
    client.register().expect_err("never assigned");
    // 5 s for the signer, 1.5 s for the hook.
    assert_eq!(limits.lock().expect("not poisoned")[0], std::time::Duration::from_millis(13_500));
    // What the hook itself takes last is its own.
    assert!(sim.clock().elapsed() < seconds(22), "{:?}", sim.clock().elapsed());
}

#[test]
fn the_observer_is_told_of_a_request_before_it_is_sent() {
    let sim = demo();
    let log = Arc::new(Mutex::new(Vec::new()));
    let (told, sent) = (Arc::clone(&log), Arc::clone(&log));
    let transport = FnTransport::new(move |_| {
        sent.lock().expect("not poisoned").push("sent".to_owned());
        assigned().map_err(Into::into)
    });
    let observer = move |event: Event| told.lock().expect("not poisoned").push(format!("{event:?}"));
    let builder = ProvisioningClient::builder(scope(), id("dev-01"), key());
    builder.observer(observer).build_with(transport, sim.clock()).register().expect("assigned");
    let expected = ["Registering { request: 1 }", "sent", "Answered { status: 200 }", "Assigned"];
    assert_eq!(*log.lock().expect("not poisoned"), expected);
}

fn a_device_whose_clock_is_years_behind_is_assigned_all_the_same() {
    struct Behind(azure_iot_dps_simulator::SimulatorClock, Option<u64>);
    impl Clock for Behind {
        fn now(&mut self) -> Now {
            let Now { uptime, .. } = self.0.now();
            Now { unix: self.1.map(|start| UnixTime::from_secs(start + uptime.as_secs())), uptime }
        }
        fn sleep(&mut self, pause: std::time::Duration) {
            self.0.sleep(pause);
        }
    }
    for start in [None, Some(0), Some(1_700_000_000)] {
        let sim = demo();
        let mut client = client(&sim, "dev-01").build_with(over::transport(&sim), Behind(sim.clock(), start));
        client.register().expect("assigned");
    }
}

#[test]
fn the_settings_of_the_builder_reach_the_service() {
    let sim = demo();
    let log = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&log);
    let transport = FnTransport::new(move |request| {
        let agent = request.http().headers().find(|(name, _)| *name == "User-Agent").expect("is sent").1.to_owned();
        let body = String::from_utf8_lossy(request.body().expect("a register request")).into_owned();
        let entry = (
            request.endpoint().to_string(),
            body,
            agent,
            request.token().expect("a token").expires_at().as_secs(),
            request.time_limit(),
        );
        seen.lock().expect("not poisoned").push(entry);
        assigned().map_err(Into::into)
    });
    let builder = ProvisioningClient::builder(scope(), id("dev-01"), key());
    let mut client = builder
        .endpoint("dps.example:8443".parse().expect("valid"))
        .payload(&[1, 2])
        .expect("serializes")
        .retry(RetryPolicy::DEFAULT)
        .deadline(seconds(33))
        .token_lifetime(seconds(600))
        .clock_correction(false)
        .product(&"acme/1".parse().expect("valid"))
        .build_with(transport, sim.clock());
    client.register().expect("assigned");
    let log = log.lock().expect("not poisoned");
    let (endpoint, body, agent, expires_at, time_limit) = &log[0];
    assert_eq!(
        (endpoint.as_str(), body.as_str()),
        ("dps.example:8443", r#"{"registrationId":"dev-01","payload":[1,2]}"#)
    );
    assert!(agent.starts_with("azure-iot-dps/") && agent.ends_with("acme/1"), "{agent}");
    assert_eq!((*expires_at, *time_limit), (common::NEW_YEAR + 600, seconds(33)));
}

#[test]
fn a_payload_that_is_not_json_is_refused_by_the_builder() {
    let sim = demo();
    assert!(client(&sim, "dev-01").payload_json("{colour: red}").is_err());
    client(&sim, "dev-01").payload_json(r#"{"colour":"red"}"#).expect("JSON");
}

fn two_devices_share_a_service_and_each_gets_its_own_name() {
    let group = EnrollmentGroup::new("line-7", common::enrolled_key());
    let sim = Simulator::builder().group(group).build();
    for name in ["dev-01", "dev-02"] {
        let assignment =
            client(&sim, name).build_with(over::transport(&sim), sim.clock()).register().expect("assigned");
        assert_eq!((assignment.device_id().as_str(), assignment.enrollment_group_id()), (name, Some("line-7")));
    }
}

fn the_debug_text_of_a_client_names_the_device_and_no_key() {
    let key: DeviceKey = common::KEY.parse().expect("a key");
    let sim = demo();
    let client = ProvisioningClient::builder(scope(), id("dev-01"), key).build_with(over::transport(&sim), sim.clock());
    let text = format!("{client:?}");
    assert!(text.contains("dev-01") && !text.contains(&common::KEY[..8]), "{text}");
}

over_both! {
    a_device_boots_and_gets_its_hub_in_no_time,
    a_second_register_on_the_same_client_works_as_well_as_the_first,
    a_wrong_key_is_refused_with_its_code_and_tracking_id,
    a_failed_register_leaves_a_client_that_works,
    the_wait_hook_is_called_for_every_second_of_a_wait_and_told_why,
    the_wait_hook_cancels_within_a_second_and_a_later_register_works_again,
    no_sleep_is_longer_than_a_second,
    a_device_whose_clock_is_years_behind_is_assigned_all_the_same,
    two_devices_share_a_service_and_each_gets_its_own_name,
    the_debug_text_of_a_client_names_the_device_and_no_key,
}
