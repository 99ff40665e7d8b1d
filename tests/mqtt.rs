//! Provisioning over MQTT, in virtual time.
#![cfg(feature = "simulator")]
#![allow(clippy::expect_used, clippy::panic, clippy::unchecked_time_subtraction, reason = "a test may panic")]

mod common;

use azure_iot_dps::ProvisioningClient;
use azure_iot_dps::simulator::Simulator;
use common::id;

#[test]
fn a_device_registers_over_mqtt() {
    let sim = Simulator::builder().assigning_polls(2).build();
    let key = sim.device_key(&id("dev-01")).expect("a key");
    let client = ProvisioningClient::builder(sim.id_scope(), id("dev-01"), key);
    let assignment = client.build_with(sim.mqtt_transport(), sim.clock()).register().expect("assigned");
    assert_eq!(assignment.device_id().as_str(), "dev-01");
    println!("{:?}", sim.records());
}
