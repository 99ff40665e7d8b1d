//! Registers from async code: runs the blocking client on a thread of tokio, and cancels it there.
//!
//! The guide's chapter `async_code` shows the two functions. The example uses a simulated service
//! inside the process.

#[allow(unreachable_pub, reason = "as in a program's library")]
#[rustfmt::skip]
#[path = "../../src/guide/async_blocking.rs"]
mod guide;
mod support;

use std::process::ExitCode;
use std::time::Duration;

use azure_iot_dps::{
    DeviceKey, Error, HttpsTransport, ProvisioningClient, ProvisioningClientBuilder, RegistrationId, Roots,
};
use azure_iot_dps_simulator::{Simulator, SimulatorServer};
use guide::{register, register_within};
use support::{Result, print, sentence};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    support::exit(run().await)
}

async fn run() -> Result<()> {
    let service = Simulator::builder().assigning_polls(1).retry_after(Duration::from_secs(1)).build();
    let server = service.serve()?;
    let (client, transport) = parts(&service, &server)?;
    let assignment = register(client.transport(transport).build()).await?;
    print(&format!("assigned hub: {}\ndevice ID:    {}\n", assignment.hub(), assignment.device_id()))?;

    // This service asks for a long wait.
    let service = Simulator::builder().assigning_polls(1).retry_after(Duration::from_secs(60)).build();
    let server = service.serve()?;
    let (client, transport) = parts(&service, &server)?;
    match register_within(Duration::from_secs(1), client, transport).await {
        Err(error) if matches!(error.downcast_ref(), Some(Error::Cancelled)) => {
            print(&format!("cancelled:    {}\n", sentence(&*error)))
        }
        other => Err(format!("not cancelled: {other:?}").into()),
    }
}

/// Returns a client of the simulated service, and the transport to it.
fn parts(service: &Simulator, server: &SimulatorServer) -> Result<(ProvisioningClientBuilder, HttpsTransport)> {
    let registration_id = RegistrationId::new("async-device-1")?;
    let key = service.device_key(&registration_id).ok_or("the simulator has no key for the device")?;
    let key = DeviceKey::from_base64(&key)?;
    let client = ProvisioningClient::builder(service.id_scope(), registration_id, key).endpoint(server.endpoint());
    let roots = Roots::pem(server.ca_pem().as_bytes())?;
    Ok((client, HttpsTransport::builder().roots(roots).build()))
}
