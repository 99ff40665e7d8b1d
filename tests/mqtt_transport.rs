//! The transport over MQTT, through real TLS on loopback.
#![cfg(all(feature = "mqtt", feature = "bundled-roots", feature = "simulator-server"))]
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod common;

use azure_iot_dps::simulator::Simulator;
use azure_iot_dps::{MqttTransport, ProvisioningClient, Roots};
use common::{id, seconds};

#[test]
fn a_device_registers_over_mqtt_on_one_connection() {
    let sim = Simulator::builder().assigning_polls(1).retry_after(seconds(0)).build();
    let server = sim.serve().expect("serves");
    let key = sim.device_key(&id("dev-01")).expect("a key");
    let roots = Roots::pem(server.ca_pem().as_bytes()).expect("PEM");
    let mut client = ProvisioningClient::builder(sim.id_scope(), id("dev-01"), key)
        .endpoint(server.mqtt_endpoint().expect("serves MQTT"))
        .transport(MqttTransport::builder().roots(roots).build())
        .build();
    let assignment = client.register().expect("assigned");
    assert_eq!(assignment.device_id().as_str(), "dev-01");
    assert_eq!(server.connections(), 1);
}
