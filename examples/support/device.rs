//! The device that an example speaks for: from arguments and variables, or a simulated one.

use std::any::Any;
use std::error::Error;
use std::path::{Path, PathBuf};

use azure_iot_dps::transport::RootsError;
use azure_iot_dps::{
    DeviceKey, Endpoint, HttpsTransport, IdScope, ProvisioningClient, ProvisioningClientBuilder, Proxy, RegistrationId,
    Roots,
};
use clap::{Args, ValueEnum};

use super::{Result, key_text, sentence, variable};

#[derive(Args)]
pub struct DeviceArguments {
    /// The service's host name, with a port if need be [variable: `PROVISIONING_HOST`] [default:
    /// global.azure-devices-provisioning.net]
    #[arg(long)]
    host: Option<String>,
    /// The ID scope of the DPS instance [variable: `PROVISIONING_IDSCOPE`]
    #[arg(long)]
    id_scope: Option<String>,
    /// The registration ID of the device [variable: `PROVISIONING_REGISTRATION_ID`]
    #[arg(long)]
    registration_id: Option<String>,
    /// A file with the device's key in base64 [otherwise: the variable `PROVISIONING_SYMMETRIC_KEY`]
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// A file with certificate authorities to trust in addition, PEM or DER [variable: `PROVISIONING_CA_CERT`]
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
}

/// What carries the requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TransportKind {
    #[default]
    Https,
    Mqtt,
}

/// A device and the service that it asks.
pub struct Device {
    /// Where the service answers, over HTTPS.
    pub endpoint: Endpoint,
    /// Where it answers over MQTT, if that is elsewhere.
    mqtt_endpoint: Option<Endpoint>,
    pub id_scope: IdScope,
    pub registration_id: RegistrationId,
    pub key: DeviceKey,
    /// The bundled certificate authorities, and those of a file.
    pub roots: Roots,
    /// The simulated hub, if this is a simulated device.
    pub hub_endpoint: Option<Endpoint>,
    /// Keeps a simulated service running.
    _service: Option<Box<dyn Any>>,
}

const KEY_VARIABLE: &str = "PROVISIONING_SYMMETRIC_KEY";

impl DeviceArguments {
    /// From the arguments and variables, or a simulated one if nothing is set at all.
    pub fn device(&self) -> Result<Device> {
        let given = |argument: &Option<String>, name| match argument {
            Some(argument) => Ok(Some(argument.clone())),
            None => variable(name),
        };
        let host = given(&self.host, "PROVISIONING_HOST")?;
        let id_scope = given(&self.id_scope, "PROVISIONING_IDSCOPE")?;
        let registration_id = given(&self.registration_id, "PROVISIONING_REGISTRATION_ID")?;
        let key = key_text(self.key_file.as_deref(), KEY_VARIABLE)?;
        let ca_cert = match &self.ca_cert {
            Some(file) => Some(file.clone()),
            None => variable("PROVISIONING_CA_CERT")?.map(PathBuf::from),
        };
        let missing = [
            (id_scope.is_none(), "PROVISIONING_IDSCOPE (or --id-scope)"),
            (registration_id.is_none(), "PROVISIONING_REGISTRATION_ID (or --registration-id)"),
            (key.is_none(), "PROVISIONING_SYMMETRIC_KEY (or --key-file)"),
        ];
        let (Some(id_scope), Some(registration_id), Some(key)) = (id_scope, registration_id, key) else {
            if host.is_none() && ca_cert.is_none() && missing.iter().all(|(missing, _)| *missing) {
                return simulated_device();
            }
            return Err(not_set(missing.into_iter().filter_map(|(missing, name)| missing.then_some(name))));
        };
        Ok(Device {
            endpoint: host.as_deref().map_or(Ok(Endpoint::GLOBAL), str::parse)?,
            id_scope: IdScope::new(id_scope)?,
            registration_id: RegistrationId::new(registration_id)?,
            key: DeviceKey::from_base64(&key)?,
            roots: ca_cert.as_deref().map_or(Ok(Roots::bundled()), roots)?,
            mqtt_endpoint: None,
            hub_endpoint: None,
            _service: None,
        })
    }
}

impl Device {
    /// Where the service answers over this transport.
    pub fn endpoint_over(&self, transport: TransportKind) -> &Endpoint {
        match (transport, &self.mqtt_endpoint) {
            (TransportKind::Mqtt, Some(endpoint)) => endpoint,
            _ => &self.endpoint,
        }
    }

    /// A client for it, over HTTPS.
    pub fn client(&self) -> Result<ProvisioningClientBuilder> {
        self.client_over(TransportKind::Https)
    }

    /// A client for it and, unless the service is simulated, through the environment's proxy.
    pub fn client_over(&self, transport: TransportKind) -> Result<ProvisioningClientBuilder> {
        let proxy = if self.is_simulated() { None } else { Proxy::from_environment()? };
        let (id_scope, registration_id) = (self.id_scope.clone(), self.registration_id.clone());
        let client = ProvisioningClient::builder(id_scope, registration_id, self.key.clone());
        let client = client.endpoint(self.endpoint_over(transport).clone());
        let roots = self.roots.clone();
        match transport {
            TransportKind::Https => Ok(client.transport(HttpsTransport::builder().roots(roots).proxy(proxy).build())),
            #[cfg(feature = "mqtt")]
            TransportKind::Mqtt => {
                use azure_iot_dps::MqttTransport;
                Ok(client.transport(MqttTransport::builder().roots(roots).proxy(proxy).build()))
            }
            #[cfg(not(feature = "mqtt"))]
            TransportKind::Mqtt => Err("--transport mqtt: this program was built without `--features mqtt`".into()),
        }
    }

    pub fn is_simulated(&self) -> bool {
        self.hub_endpoint.is_some()
    }
}

/// The bundled ones, and those of this file.
fn roots(file: &Path) -> Result<Roots> {
    match Roots::file(file) {
        Ok(roots) => Ok(roots.and_bundled()),
        Err(error @ RootsError::File { .. }) => Err(error.into()),
        // The others do not name the file.
        Err(error) => Err(format!("{}: {}", file.display(), sentence(&error)).into()),
    }
}

fn not_set<'a>(names: impl Iterator<Item = &'a str>) -> Box<dyn Error> {
    format!("not set: {}", names.collect::<Vec<_>>().join(", ")).into()
}

#[cfg(feature = "simulator-server")]
fn simulated_device() -> Result<Device> {
    use azure_iot_dps::simulator::Simulator;
    use std::time::Duration;

    eprintln!("Nothing is set, so this asks a simulated service inside this process. For a real one, set");
    eprintln!("PROVISIONING_IDSCOPE, PROVISIONING_REGISTRATION_ID and PROVISIONING_SYMMETRIC_KEY.");
    let sim = Simulator::builder().assigning_polls(1).retry_after(Duration::from_secs(1)).build();
    let server = sim.serve()?;
    let registration_id = RegistrationId::new("simulated-device-1")?;
    Ok(Device {
        endpoint: server.endpoint(),
        id_scope: sim.id_scope(),
        key: sim.device_key(&registration_id).ok_or("the simulator has no key for the device")?,
        registration_id,
        roots: Roots::pem(server.ca_pem().as_bytes())?,
        mqtt_endpoint: server.mqtt_endpoint(),
        hub_endpoint: Some(server.endpoint()),
        _service: Some(Box::new(server)),
    })
}

#[cfg(not(feature = "simulator-server"))]
fn simulated_device() -> Result<Device> {
    eprintln!("To try it against a simulated service, run it with `--features simulator-server`.");
    Err(not_set(["PROVISIONING_IDSCOPE", "PROVISIONING_REGISTRATION_ID", KEY_VARIABLE].into_iter()))
}
