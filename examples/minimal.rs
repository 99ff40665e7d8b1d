//! The shortest program that provisions a device: the README's, word for word.

use azure_iot_dps::{Assignment, DeviceKey, HttpsTransport, IdScope, ProvisioningClient, RegistrationId, Roots};
use std::{env, error::Error, process::ExitCode, time::Duration};

fn provision() -> Result<Assignment, Box<dyn Error>> {
    let required = |name| env::var(name).map_err(|_| format!("the variable {name} is not set"));
    let mut client = ProvisioningClient::builder(
        IdScope::new(required("PROVISIONING_IDSCOPE")?)?,
        RegistrationId::new(required("PROVISIONING_REGISTRATION_ID")?)?,
        DeviceKey::from_base64(&required("PROVISIONING_SYMMETRIC_KEY")?)?,
    )
    .deadline(Duration::from_secs(60));
    if let Ok(host) = env::var("PROVISIONING_HOST") {
        client = client.endpoint(host.parse()?);
    }
    if let Ok(file) = env::var("PROVISIONING_CA_CERT") {
        let pem = std::fs::read(&file).map_err(|error| format!("{file}: {error}"))?;
        client = client.transport(HttpsTransport::builder().roots(Roots::pem(&pem)?).build());
    }
    Ok(client.build().register()?)
}

fn main() -> ExitCode {
    match provision() {
        Ok(assignment) => println!("{} {}", assignment.hub(), assignment.device_id()),
        Err(error) => {
            let causes = std::iter::successors(Some(&*error), |&error| error.source());
            causes.for_each(|cause| eprintln!("{cause}"));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
