//! Tests properties of the types at compile time, such as `Send`.
#![cfg(feature = "https")]

mod common;

use azure_iot_dps::key::Signer;
use azure_iot_dps::protocol::{Request, Response};
use azure_iot_dps::registration::{Registration, RegistrationSettings, Session};
use azure_iot_dps::{
    Assignment, Attestation, DeviceKey, Endpoint, Error, GroupKey, HttpsTransport, KeyDerivation, ProvisioningClient,
    RetryPolicy, SasToken, Transport,
};

fn is_send<T: Send>() {}
fn is_sync<T: Sync>() {}

#[test]
fn a_client_can_be_moved_to_another_thread_and_named_in_a_struct() {
    struct Device {
        _client: ProvisioningClient,
    }
    is_send::<Device>();
}

#[test]
fn keys_can_be_shared_between_threads() {
    is_send::<GroupKey>();
    is_sync::<GroupKey>();
    is_send::<DeviceKey>();
    is_sync::<DeviceKey>();
    is_send::<KeyDerivation>();
    is_sync::<KeyDerivation>();
    is_send::<SasToken>();
    is_sync::<SasToken>();
}

#[test]
fn one_derivation_serves_many_threads() {
    let derivation = KeyDerivation::new(&common::KEY.parse().expect("a key"));
    let expected = derivation.derive_base64(&common::id("dev-7"));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(derivation.derive_base64(&common::id("dev-7")).as_str(), expected.as_str()));
        }
    });
}

#[test]
fn a_registration_can_wait_in_a_future_that_moves_between_threads() {
    is_send::<Registration<'static>>();
    is_send::<azure_iot_dps::transport::mqtt::Exchange>();
    is_send::<HttpsTransport>();
    #[cfg(feature = "mqtt")]
    is_send::<azure_iot_dps::MqttTransport>();
    is_send::<ProvisioningClient>();
    is_send::<Attestation>();
    is_send::<Session>();
    is_send::<Assignment>();
    is_send::<Error>();
    is_sync::<Error>();
}

#[test]
fn errors_and_what_is_returned_by_value_stay_small() {
    let word = size_of::<usize>();
    assert!(size_of::<Error>() <= 4 * word, "{}", size_of::<Error>());
    assert!(size_of::<Result<(), Error>>() <= 4 * word);
    assert!(size_of::<Request<'_>>() <= 20 * word, "{}", size_of::<Request<'_>>());
    assert!(size_of::<Response<'_>>() <= 20 * word, "{}", size_of::<Response<'_>>());
}

#[test]
fn transports_and_signers_are_object_safe() {
    let transport: Box<dyn Transport + Send> = Box::new(HttpsTransport::new());
    let signer: &dyn Signer = &common::key();
    assert!(signer.sign(b"").is_ok());
    drop(transport);
}

#[test]
fn policies_and_endpoints_can_be_constants() {
    const POLICY: RetryPolicy = RetryPolicy::DEFAULT.poll_interval(std::time::Duration::from_secs(5));
    const ENDPOINT: Endpoint = Endpoint::CHINA;
    assert_ne!(POLICY, RetryPolicy::default());
    assert_ne!(ENDPOINT, Endpoint::default());
}

#[test]
fn settings_serve_any_number_of_registrations() {
    let settings: RegistrationSettings = common::settings();
    for _ in 0..3 {
        common::drive(&settings, [common::assigned()]).result.expect("assigned");
    }
}
