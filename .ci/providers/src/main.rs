//! Registers over HTTPS and MQTT, loads a certificate, and asks rumqttc for its default TLS. Prints a line for each.
//!
//! `providers HTTPS_ENDPOINT MQTT_ENDPOINT CA KEY CERTIFICATE [install]`. With `install`, it first makes aws-lc-rs the default provider
//! of the process.

use std::env;
use std::error::Error;
use std::time::Duration;

use azure_iot_dps::attestation::ClientCertificate;
use azure_iot_dps::{
    DeviceKey, HttpsTransport, IdScope, MqttTransport, ProvisioningClient, RegistrationId, Roots, Transport,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [https, mqtt, ca, key, certificate, install @ ..] = arguments.as_slice() else {
        return Err("usage: providers HTTPS_ENDPOINT MQTT_ENDPOINT CA KEY CERTIFICATE [install]".into());
    };
    if !install.is_empty() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
    let roots = Roots::file(ca)?;
    println!("https: {}", register(https, key, HttpsTransport::builder().roots(roots.clone()).build())?);
    println!("mqtt: {}", register(mqtt, key, MqttTransport::builder().roots(roots).build())?);
    let loaded = ClientCertificate::files(certificate, certificate);
    println!("certificate: {}", loaded.map_or_else(|error| error.to_string(), |_| "loaded".into()));
    let configured = std::panic::catch_unwind(rumqttc::Transport::tls_with_default_config);
    println!("rumqttc: {}", if configured.is_ok() { "configured" } else { "panicked" });
    Ok(())
}

/// Returns the hub, or the error with its causes.
fn register(endpoint: &str, key: &str, transport: impl Transport + Send + 'static) -> Result<String, Box<dyn Error>> {
    let (id_scope, id) = (IdScope::new("0ne00002193")?, RegistrationId::new("dev-01")?);
    let client = ProvisioningClient::builder(id_scope, id, DeviceKey::from_base64(key)?).endpoint(endpoint.parse()?);
    let result = client.transport(transport).deadline(Duration::from_secs(60)).build().register();
    Ok(match &result {
        Ok(assignment) => assignment.hub().to_string(),
        Err(error) => {
            let causes = std::iter::successors(Some(error as &dyn Error), |&error| error.source());
            causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
        }
    })
}
