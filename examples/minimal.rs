//! The shortest complete program: it takes variables, and prints the hub and the device ID.

use azure_iot_dps::{Assignment, DeviceKey, HttpsTransport, IdScope, ProvisioningClient, RegistrationId, Roots};
use std::{env, error::Error, process::ExitCode, time::Duration};

/// Parses a variable. An empty one counts as not set, and an error names it.
fn given<T, E: Error>(name: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<Option<T>, String> {
    let text = env::var(name).unwrap_or_default();
    let parsed = (!text.is_empty()).then(|| parse(&text)).transpose();
    parsed.map_err(|error| format!("{name}: {error}"))
}

fn required<T, E: Error>(name: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<T, String> {
    given(name, parse)?.ok_or_else(|| format!("the variable {name} is not set"))
}

fn provision() -> Result<Assignment, Box<dyn Error>> {
    let mut client = ProvisioningClient::builder(
        required("PROVISIONING_IDSCOPE", |text| IdScope::new(text))?,
        required("PROVISIONING_REGISTRATION_ID", |text| RegistrationId::new(text))?,
        required("PROVISIONING_SYMMETRIC_KEY", DeviceKey::from_base64)?,
    )
    .deadline(Duration::from_secs(60))
    .observer(|event| eprintln!("{event}"));
    if let Some(endpoint) = given("PROVISIONING_HOST", str::parse)? {
        client = client.endpoint(endpoint);
    }
    if let Some(file) = env::var_os("PROVISIONING_CA_CERT").filter(|file| !file.is_empty()) {
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
