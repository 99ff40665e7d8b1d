//! Signs a SAS token for any resource with a device's key.
//!
//! Use it to send a request by hand, or to find the reason of a 401.

mod support;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use azure_iot_dps::sas::{MAX_TOKEN_LIFETIME, Resource};
use azure_iot_dps::time::UnixTime;
use azure_iot_dps::{Clock, DeviceKey, SasToken, SystemClock};
use clap::{Args, Parser, value_parser};
use support::{Named, Result};

/// Signs a SAS token and prints it alone on a line.
///
/// The device's key comes from `PROVISIONING_SYMMETRIC_KEY` or --key-file, never from an argument,
/// because process lists show arguments.
#[derive(Parser)]
struct Arguments {
    /// The resource, not percent-encoded: `{idScope}/registrations/{registrationId}` or
    /// `{hub}/devices/{deviceId}`
    #[arg(long, value_name = "URI")]
    resource: String,
    /// The key name (`skn`): `registration` for DPS, none for a hub
    #[arg(long, value_name = "NAME")]
    key_name: Option<String>,
    #[command(flatten)]
    expiry: Expiry,
    /// A file with the device's key in base64
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Expiry {
    /// The expiry of the token, in seconds since 1970
    #[arg(long, value_name = "UNIX")]
    expires_at: Option<u64>,
    /// The lifetime of the token from now on, 1 to 31536000 (365 days)
    #[arg(long, value_name = "SECONDS", value_parser = value_parser!(u64).range(1..=MAX_TOKEN_LIFETIME.as_secs()))]
    ttl: Option<u64>,
}

fn main() -> ExitCode {
    support::exit(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<()> {
    let key = Named::required_key(arguments.key_file.as_deref(), "PROVISIONING_SYMMETRIC_KEY")?;
    let key = key.parse(DeviceKey::from_base64)?;
    let expires_at = match arguments.expiry {
        Expiry { expires_at: Some(expires_at), .. } => UnixTime::from_secs(expires_at),
        Expiry { ttl, .. } => {
            let now = SystemClock::new().now().unix.ok_or("the system's clock is before 1970")?;
            now.saturating_add(Duration::from_secs(ttl.unwrap_or_default()))
        }
    };
    let resource = Resource::uri(&arguments.resource);
    let resource = arguments.key_name.as_deref().map_or(resource, |name| resource.with_key_name(name));
    support::print(&format!("{}\n", SasToken::sign(resource, &key, expires_at)?.as_str()))
}
