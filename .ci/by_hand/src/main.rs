//! Registers a device with ureq alone. It has no retries, no checks of what the service answers, no correction of the clock and no
//! errors of its own.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, fs, thread};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use sha2::Sha256;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let variable = |name| env::var(name).map_err(|_| format!("the variable {name} is not set"));
    let (id_scope, id) = (variable("PROVISIONING_IDSCOPE")?, variable("PROVISIONING_REGISTRATION_ID")?);
    let host = env::var("PROVISIONING_HOST").unwrap_or("global.azure-devices-provisioning.net".into());
    let mut tls = TlsConfig::builder();
    if let Ok(file) = env::var("PROVISIONING_CA_CERT") {
        tls = tls.root_certs(RootCerts::new_with_certs(&[Certificate::from_pem(&fs::read(file)?)?]));
    }
    let config = Agent::config_builder().tls_config(tls.build()).http_status_as_error(false);
    let agent: Agent = config.timeout_global(Some(Duration::from_secs(60))).build().into();

    let expires_at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + 3600;
    let path = format!("{id_scope}/registrations/{id}");
    let resource = utf8_percent_encode(&path, NON_ALPHANUMERIC);
    let mut mac = Hmac::<Sha256>::new_from_slice(&STANDARD.decode(variable("PROVISIONING_SYMMETRIC_KEY")?)?)?;
    mac.update(format!("{resource}\n{expires_at}").as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    let signature = utf8_percent_encode(&signature, NON_ALPHANUMERIC);
    let token = format!("SharedAccessSignature sr={resource}&sig={signature}&se={expires_at}&skn=registration");

    let url = format!("https://{host}/{path}/register?api-version=2021-06-01");
    let request = agent.put(url).header("Authorization", &token).header("Content-Type", "application/json");
    let answer = request.send(format!(r#"{{"registrationId":"{id}"}}"#))?.into_body().read_to_string()?;
    let mut answer: Value = serde_json::from_str(&answer)?;
    while answer["status"] == "assigning" {
        thread::sleep(Duration::from_secs(2));
        let operation = answer["operationId"].as_str().unwrap_or_default();
        let url = format!("https://{host}/{path}/operations/{operation}?api-version=2021-06-01");
        let text = agent.get(url).header("Authorization", &token).call()?.into_body().read_to_string()?;
        answer = serde_json::from_str(&text)?;
    }
    let state = &answer["registrationState"];
    match (state["assignedHub"].as_str(), state["deviceId"].as_str()) {
        (Some(hub), Some(device_id)) => println!("{hub} {device_id}"),
        _ => return Err(answer.to_string().into()),
    }
    Ok(())
}
