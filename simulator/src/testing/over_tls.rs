use std::time::Duration;

use azure_iot_dps::{DeviceKey, HttpsTransport, ProvisioningClient, RegistrationId, Roots};
use azure_iot_dps_simulator::Simulator;

pub fn register_over_tls() -> Result<(), Box<dyn std::error::Error>> {
    let sim = Simulator::builder().retry_after(Duration::ZERO).build();
    let server = sim.serve()?;
    let id = RegistrationId::new("my-device")?;
    let key = DeviceKey::from_base64(&sim.device_key(&id).ok_or("no key")?)?;

    let roots = Roots::pem(server.ca_pem().as_bytes())?;
    let mut client = ProvisioningClient::builder(sim.id_scope(), id, key)
        .endpoint(server.endpoint())
        .transport(HttpsTransport::builder().roots(roots).build())
        .build();
    assert_eq!(client.register()?.device_id().as_str(), "my-device");
    Ok(())
}
