//! The device that an example speaks for: from arguments and variables, or a simulated one.

use std::any::Any;
use std::error::Error;
use std::path::{Path, PathBuf};

#[cfg(feature = "x509")]
use azure_iot_dps::attestation::ClientCertificate;
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
    /// A file with the device's certificate and its chain, PEM, in the place of a key [variables: `CERTIFICATE_FILE`,
    /// `X509_CERT_FILE`]
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// A file with the certificate's private key, PEM [variables: `KEY_FILE`, `X509_KEY_FILE`] [default: the file
    /// of the certificate]
    #[arg(long, value_name = "FILE")]
    private_key: Option<PathBuf>,
    /// A file with certificate authorities to trust in addition, PEM or DER [variable: `PROVISIONING_CA_CERT`]
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
}

/// How the service is reached.
#[derive(Args, Default)]
pub struct TransportArguments {
    /// What carries the requests
    #[arg(long = "transport", value_enum, default_value_t)]
    kind: TransportKind,
    /// The port for MQTT over WebSocket [default: 443, or a simulated service's]
    #[arg(long, value_name = "PORT")]
    websocket_port: Option<u16>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum TransportKind {
    /// HTTP over TLS, to port 443
    #[default]
    Https,
    /// MQTT over TLS, to port 8883; needs `--features mqtt`
    Mqtt,
    /// MQTT over WebSocket, to port 443; needs `--features mqtt-websocket`
    MqttWs,
    /// MQTT over TLS and, where that cannot be reached, over WebSocket; needs `--features mqtt-websocket`
    MqttAuto,
}

impl TransportKind {
    /// The feature that the program lacks for it.
    fn missing_feature(self) -> Option<&'static str> {
        let (feature, is_there) = match self {
            Self::Https => return None,
            Self::Mqtt => ("mqtt", cfg!(feature = "mqtt")),
            Self::MqttWs | Self::MqttAuto => ("mqtt-websocket", cfg!(feature = "mqtt-websocket")),
        };
        (!is_there).then_some(feature)
    }
}

/// What a device proves itself with.
pub enum Identity {
    Key(DeviceKey),
    #[cfg(feature = "x509")]
    Certificate(ClientCertificate),
}

/// A device and the service that it asks.
pub struct Device {
    /// Where the service answers, over HTTPS.
    pub endpoint: Endpoint,
    /// Where it answers over MQTT, if that is elsewhere.
    mqtt_endpoint: Option<Endpoint>,
    /// Where it takes WebSocket, if that is not 443.
    websocket_port: Option<u16>,
    pub id_scope: IdScope,
    pub registration_id: RegistrationId,
    pub identity: Identity,
    /// The bundled certificate authorities, and those of a file.
    pub roots: Roots,
    /// The environment's, for the service and the hub alike; none for a simulated service.
    pub proxy: Option<Proxy>,
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
        let file = |argument: &Option<PathBuf>, names: [&str; 2]| match argument {
            Some(file) => Ok(Some(file.clone())),
            None => Ok(variable(names[0])?.or(variable(names[1])?).map(PathBuf::from)),
        };
        let certificate: Result<_> = file(&self.certificate, ["CERTIFICATE_FILE", "X509_CERT_FILE"]);
        let private_key: Result<_> = file(&self.private_key, ["KEY_FILE", "X509_KEY_FILE"]);
        let (certificate, private_key) = (certificate?, private_key?);
        let ca_cert = match &self.ca_cert {
            Some(file) => Some(file.clone()),
            None => variable("PROVISIONING_CA_CERT")?.map(PathBuf::from),
        };
        let roots = || ca_cert.as_deref().map_or(Ok(Roots::bundled()), roots);
        if let Some(certificate) = certificate {
            let Some(id_scope) = id_scope else {
                return Err(not_set(["PROVISIONING_IDSCOPE (or --id-scope)"].into_iter()));
            };
            let (identity, own_id) = by_certificate(&certificate, private_key.as_deref())?;
            return Ok(Device {
                endpoint: host.as_deref().map_or(Ok(Endpoint::GLOBAL), str::parse)?,
                id_scope: IdScope::new(id_scope)?,
                registration_id: registration_id.map_or(Ok(own_id), RegistrationId::new)?,
                identity,
                roots: roots()?,
                proxy: Proxy::from_environment()?,
                mqtt_endpoint: None,
                websocket_port: None,
                hub_endpoint: None,
                _service: None,
            });
        }
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
            identity: Identity::Key(DeviceKey::from_base64(&key)?),
            roots: roots()?,
            proxy: Proxy::from_environment()?,
            mqtt_endpoint: None,
            websocket_port: None,
            hub_endpoint: None,
            _service: None,
        })
    }
}

impl Device {
    /// Where the service answers over this transport.
    pub fn endpoint_over(&self, transport: &TransportArguments) -> &Endpoint {
        match (transport.kind, &self.mqtt_endpoint) {
            (TransportKind::Mqtt | TransportKind::MqttAuto, Some(endpoint)) => endpoint,
            _ => &self.endpoint,
        }
    }

    /// The same, in words.
    pub fn address_over(&self, transport: &TransportArguments) -> String {
        match transport.kind {
            TransportKind::MqttWs => {
                format!("{}, WebSocket at port {}", self.endpoint.host(), self.websocket_port(transport))
            }
            _ => self.endpoint_over(transport).to_string(),
        }
    }

    fn websocket_port(&self, transport: &TransportArguments) -> u16 {
        transport.websocket_port.or(self.websocket_port).unwrap_or(443)
    }

    /// A client for it, over HTTPS.
    pub fn client(&self) -> Result<ProvisioningClientBuilder> {
        self.client_over(&TransportArguments::default())
    }

    /// A client for it, over this transport.
    pub fn client_over(&self, transport: &TransportArguments) -> Result<ProvisioningClientBuilder> {
        let (id_scope, registration_id) = (self.id_scope.clone(), self.registration_id.clone());
        let client = match &self.identity {
            Identity::Key(key) => ProvisioningClient::builder(id_scope, registration_id, key.clone()),
            #[cfg(feature = "x509")]
            Identity::Certificate(certificate) => {
                certificate.check(&registration_id)?;
                ProvisioningClient::builder_with_certificate(id_scope, certificate)?
            }
        };
        let client = client.endpoint(self.endpoint_over(transport).clone());
        if let Some(feature) = transport.kind.missing_feature() {
            return Err(format!("this transport: the program was built without `--features {feature}`").into());
        }
        #[cfg(feature = "mqtt")]
        if transport.kind != TransportKind::Https {
            return Ok(self.over_mqtt(client, transport));
        }
        let builder = HttpsTransport::builder().roots(self.roots.clone()).proxy(self.proxy.clone());
        #[cfg(feature = "x509")]
        let builder = builder.certificate(self.certificate().cloned());
        Ok(client.transport(builder.build()))
    }

    #[cfg(feature = "mqtt")]
    fn over_mqtt(
        &self,
        client: ProvisioningClientBuilder,
        transport: &TransportArguments,
    ) -> ProvisioningClientBuilder {
        let builder = azure_iot_dps::MqttTransport::builder().roots(self.roots.clone()).proxy(self.proxy.clone());
        #[cfg(feature = "x509")]
        let builder = builder.certificate(self.certificate().cloned());
        #[cfg(feature = "mqtt-websocket")]
        let builder = {
            use azure_iot_dps::transport::MqttRoute;
            let route = match transport.kind {
                TransportKind::MqttWs => MqttRoute::WebSocket,
                TransportKind::MqttAuto => MqttRoute::Auto,
                _ => MqttRoute::Tls,
            };
            builder.route(route).websocket_port(self.websocket_port(transport))
        };
        client.transport(builder.build())
    }

    /// The device's key, for an example that needs one.
    #[cfg_attr(not(feature = "x509"), allow(clippy::unnecessary_wraps, reason = "only a certificate has none"))]
    pub fn key(&self) -> Result<&DeviceKey> {
        match &self.identity {
            Identity::Key(key) => Ok(key),
            #[cfg(feature = "x509")]
            Identity::Certificate(_) => Err("this example wants a symmetric key, not a certificate".into()),
        }
    }

    #[cfg(feature = "x509")]
    fn certificate(&self) -> Option<&ClientCertificate> {
        match &self.identity {
            Identity::Certificate(certificate) => Some(certificate),
            Identity::Key(_) => None,
        }
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

/// A device with a certificate, whose common name is the registration ID.
#[cfg(feature = "x509")]
fn by_certificate(chain: &Path, private_key: Option<&Path>) -> Result<(Identity, RegistrationId)> {
    let certificate = ClientCertificate::files(chain, private_key.unwrap_or(chain))?;
    let registration_id = certificate.registration_id()?;
    Ok((Identity::Certificate(certificate), registration_id))
}

#[cfg(not(feature = "x509"))]
fn by_certificate(_: &Path, _: Option<&Path>) -> Result<(Identity, RegistrationId)> {
    Err("a certificate: this program was built without `--features x509`".into())
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
        identity: Identity::Key(sim.device_key(&registration_id).ok_or("the simulator has no key for the device")?),
        registration_id,
        roots: Roots::pem(server.ca_pem().as_bytes())?,
        proxy: None,
        mqtt_endpoint: server.mqtt_endpoint(),
        websocket_port: server.endpoint().port(),
        hub_endpoint: Some(server.endpoint()),
        _service: Some(Box::new(server)),
    })
}

#[cfg(not(feature = "simulator-server"))]
fn simulated_device() -> Result<Device> {
    eprintln!("To try it against a simulated service, run it with `--features simulator-server`.");
    Err(not_set(["PROVISIONING_IDSCOPE", "PROVISIONING_REGISTRATION_ID", KEY_VARIABLE].into_iter()))
}
