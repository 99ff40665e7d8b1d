//! Registers from async code: drives the state machine with tokio, and sends its requests with
//! reqwest.
//!
//! The guide's chapter `async_code` shows the loop. The example uses a simulated service inside the
//! process.

#[allow(unreachable_pub, reason = "as in a program's library")]
#[rustfmt::skip]
#[path = "../../src/guide/async_by_hand.rs"]
mod guide;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::time::Duration;

use azure_iot_dps::DeviceKey;
use azure_iot_dps::RegistrationId;
use azure_iot_dps::registration::RegistrationSettings;
use azure_iot_dps_simulator::Simulator;
use guide::register;
use support::{Result, print};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    support::exit(run().await)
}

async fn run() -> Result<()> {
    // As built here, reqwest uses the process's default crypto provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let service = Simulator::builder().assigning_polls(1).retry_after(Duration::from_secs(1)).build();
    let server = service.serve()?;
    let roots = reqwest::Certificate::from_pem_bundle(server.ca_pem().as_bytes())?;
    let http = reqwest::Client::builder()
        .tls_certs_only(roots)
        .redirect(reqwest::redirect::Policy::none())
        .https_only(true)
        .no_proxy()
        .build()?;

    let registration_id = RegistrationId::new("async-device-1")?;
    let key = service.device_key(&registration_id).ok_or("the simulator has no key for the device")?;
    let key = DeviceKey::from_base64(&key)?;
    let settings = RegistrationSettings::new(service.id_scope(), registration_id).endpoint(server.endpoint());
    let assignment = register(&settings, &key, &http).await?;
    print(&format!("assigned hub: {}\ndevice ID:    {}\n", assignment.hub(), assignment.device_id()))
}
