//! The shortest complete program: it takes variables, and prints the hub and the device ID.

use azure_iot_dps::{Assignment, DeviceKey, HttpsTransport, IdScope, ProvisioningClient, RegistrationId, Roots};
use std::{env, error::Error, process::ExitCode, time::Duration};

fn provision() -> Result<Assignment, Box<dyn Error>> {
    let given = |name| env::var(name).ok().filter(|text| !text.is_empty());
    let required = |name| given(name).ok_or_else(|| format!("the variable {name} is not set"));
    let mut client = ProvisioningClient::builder(
        IdScope::new(required("PROVISIONING_IDSCOPE")?)?,
        RegistrationId::new(required("PROVISIONING_REGISTRATION_ID")?)?,
        DeviceKey::from_base64(&required("PROVISIONING_SYMMETRIC_KEY")?)?,
    )
    .deadline(Duration::from_secs(60))
    .observer(|event| eprintln!("{event}"));
    if let Some(host) = given("PROVISIONING_HOST") {
        client = client.endpoint(host.parse()?);
    }
    if let Some(file) = given("PROVISIONING_CA_CERT") {
        client = client.transport(HttpsTransport::builder().roots(Roots::file(file)?).build());
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
