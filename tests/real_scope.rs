//! Registers with a real DPS instance. Ignored by default: see `.github/CONTRIBUTING.md`.
#![cfg(all(feature = "https", feature = "ring"))]
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]

use std::env;
use std::time::Duration;

use azure_iot_dps::{DeviceKey, Endpoint, Event, IdScope, ProvisioningClient, RegistrationId};

#[test]
#[ignore = "needs a real scope: PROVISIONING_IDSCOPE, PROVISIONING_REGISTRATION_ID, PROVISIONING_SYMMETRIC_KEY"]
fn a_device_registers_with_a_real_scope() {
    register_over(azure_iot_dps::HttpsTransport::new());
}

#[cfg(feature = "mqtt")]
#[test]
#[ignore = "needs a real scope: PROVISIONING_IDSCOPE, PROVISIONING_REGISTRATION_ID, PROVISIONING_SYMMETRIC_KEY"]
fn a_device_registers_with_a_real_scope_over_mqtt() {
    register_over(azure_iot_dps::MqttTransport::new());
}

fn register_over(transport: impl azure_iot_dps::Transport + Send + 'static) {
    let required = |name: &str| env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let host = env::var("PROVISIONING_HOST").ok().filter(|host| !host.is_empty());
    let registration_id = RegistrationId::new(required("PROVISIONING_REGISTRATION_ID")).expect("a registration ID");
    let mut client = ProvisioningClient::builder(
        IdScope::new(required("PROVISIONING_IDSCOPE")).expect("an ID scope"),
        registration_id.clone(),
        DeviceKey::from_base64(&required("PROVISIONING_SYMMETRIC_KEY")).expect("a key"),
    )
    .endpoint(host.map_or(Endpoint::GLOBAL, |host| host.parse().expect("a host")))
    .deadline(Duration::from_secs(120))
    .transport(transport)
    .observer(|event: Event| println!("{event:?}"))
    .build();
    let assignment = client.register().expect("assigned");
    println!("{assignment:#?}");
    assert_eq!(assignment.registration_id(), &registration_id);
    assert!(assignment.hub().as_str().contains('.'));
    assert!(assignment.created_at().is_some() && assignment.updated_at().is_some());
    // Register the same device again with the same client.
    assert_eq!(client.register().expect("assigned again").hub(), assignment.hub());
}
