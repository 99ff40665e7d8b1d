//! The device of an example: from arguments and variables, or a simulated one.

use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "x509")]
use azure_iot_dps::attestation::ClientCertificate;
use azure_iot_dps::identity::DeviceId;
use azure_iot_dps::{
    DeviceKey, Endpoint, HttpsTransport, IdScope, ProvisioningClient, ProvisioningClientBuilder, Proxy, RegistrationId,
    Roots,
};
use azure_iot_dps_simulator::{Simulator, SimulatorServer};
use clap::{Args, ValueEnum};

use super::Result;
use super::given::Given;

#[derive(Args)]
pub struct DeviceArguments {
    /// The service's host name, with an optional port [variable: `PROVISIONING_HOST`] [default:
    /// global.azure-devices-provisioning.net]
    #[arg(long)]
    pub host: Option<String>,
    /// The ID scope of the DPS instance [variable: `PROVISIONING_IDSCOPE`]
    #[arg(long)]
    pub id_scope: Option<String>,
    /// The registration ID of the device [variable: `PROVISIONING_REGISTRATION_ID`]
    #[arg(long)]
    pub registration_id: Option<String>,
    /// A file with the device's key in base64 [otherwise: the variable
    /// `PROVISIONING_SYMMETRIC_KEY`]
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// A file with the device's certificate and its chain as PEM, instead of a key [variables:
    /// `CERTIFICATE_FILE`, `X509_CERT_FILE`]
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// A file with the certificate's private key as PEM [variables: `KEY_FILE`, `X509_KEY_FILE`]
    /// [default: the file of the certificate]
    #[arg(long, value_name = "FILE")]
    pub private_key: Option<PathBuf>,
    /// A file with additional certificate authorities to trust, PEM or DER [variable:
    /// `PROVISIONING_CA_CERT`]
    #[arg(long, value_name = "FILE")]
    pub ca_cert: Option<PathBuf>,
}

/// The arguments that select the transport to the service.
#[derive(Args, Default)]
pub struct TransportArguments {
    /// The transport of the requests
    #[arg(long = "transport", value_enum, default_value_t)]
    kind: TransportKind,
    /// The port for MQTT over WebSocket [default: 443, or the port of a simulated service]
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
    /// MQTT over TLS or, if that cannot connect, over WebSocket; needs `--features mqtt-websocket`
    MqttAuto,
}

impl TransportKind {
    /// Returns the feature that this kind needs and that the program lacks.
    fn missing_feature(self) -> Option<&'static str> {
        let (feature, is_there) = match self {
            Self::Https => return None,
            Self::Mqtt => ("mqtt", cfg!(feature = "mqtt")),
            Self::MqttWs | Self::MqttAuto => ("mqtt-websocket", cfg!(feature = "mqtt-websocket")),
        };
        (!is_there).then_some(feature)
    }
}

/// The proof of a device's identity.
pub enum Identity {
    Key(DeviceKey),
    #[cfg(feature = "x509")]
    Certificate(ClientCertificate),
}

/// A device, and the service at which it registers.
pub struct Device {
    /// The service's endpoint for HTTPS.
    pub endpoint: Endpoint,
    /// The service's endpoint for MQTT, if it is a different one.
    mqtt_endpoint: Option<Endpoint>,
    /// The service's port for WebSocket, if it is not 443.
    websocket_port: Option<u16>,
    pub id_scope: IdScope,
    pub registration_id: RegistrationId,
    pub identity: Identity,
    /// The bundled root certificates, and those of a file.
    pub roots: Roots,
    /// The proxy of the environment, for the service and the hub. A simulated service has none.
    pub proxy: Option<Proxy>,
    /// The simulated hub, if this is a simulated device.
    pub hub_endpoint: Option<Endpoint>,
    /// The simulated service, if this is a simulated device.
    simulated: Option<Simulated>,
}

type Simulated = (Simulator, SimulatorServer);

impl DeviceArguments {
    /// Returns the device of the arguments and variables, or a simulated one if none of them is
    /// set.
    pub fn device(&self) -> Result<Device> {
        let given = Given::of(self)?;
        if given.is_nothing() { Device::simulated() } else { Device::of(&given) }
    }
}

impl Device {
    /// Returns the device that is given.
    pub fn of(given: &Given) -> Result<Self> {
        let (id_scope, identity, registration_id) = given.identity()?;
        Ok(Self {
            endpoint: given.endpoint()?,
            id_scope,
            registration_id,
            identity,
            roots: given.roots()?,
            proxy: Proxy::from_environment()?,
            mqtt_endpoint: None,
            websocket_port: None,
            hub_endpoint: None,
            simulated: None,
        })
    }

    /// Returns the service's endpoint for this transport.
    pub fn endpoint_over(&self, transport: &TransportArguments) -> &Endpoint {
        match (transport.kind, &self.mqtt_endpoint) {
            (TransportKind::Mqtt | TransportKind::MqttAuto, Some(endpoint)) => endpoint,
            _ => &self.endpoint,
        }
    }

    /// Describes the service's endpoint for this transport.
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

    /// Creates a client over HTTPS.
    pub fn client(&self) -> Result<ProvisioningClientBuilder> {
        self.client_over(&TransportArguments::default())
    }

    /// Creates a client over this transport.
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
            return Err(format!("--transport: the program was built without `--features {feature}`").into());
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

    /// Returns the gateway to a simulated hub over MQTT.
    pub fn hub_mqtt_gateway(&self) -> Option<&Endpoint> {
        self.simulated.as_ref().and(self.mqtt_endpoint.as_ref())
    }

    /// Has a simulated hub send a message to the device. Returns whether there is such a hub.
    pub fn send_to_device(&self, message: &str) -> bool {
        match &self.simulated {
            Some((sim, _)) => {
                let device_id = DeviceId::new(self.registration_id.as_str());
                device_id.is_ok_and(|device_id| sim.send_to_device(&device_id, message.as_bytes()))
            }
            None => false,
        }
    }

    /// Returns the device's key, or an error if the device has a certificate.
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

impl Device {
    /// Starts a simulated service inside the process, and returns its device.
    pub fn simulated() -> Result<Self> {
        eprintln!("Nothing is set, so this asks a simulated service inside this process. For a real one, set");
        eprintln!("PROVISIONING_IDSCOPE, PROVISIONING_REGISTRATION_ID and PROVISIONING_SYMMETRIC_KEY.");
        let sim = Simulator::builder().assigning_polls(1).retry_after(Duration::from_secs(1)).build();
        let server = sim.serve()?;
        let registration_id = RegistrationId::new("simulated-device-1")?;
        let key = sim.device_key(&registration_id).ok_or("the simulator has no key for the device")?;
        Ok(Device {
            endpoint: server.endpoint(),
            id_scope: sim.id_scope(),
            identity: Identity::Key(DeviceKey::from_base64(&key)?),
            registration_id,
            roots: Roots::pem(server.ca_pem().as_bytes())?,
            proxy: None,
            mqtt_endpoint: server.mqtt_endpoint(),
            websocket_port: server.endpoint().port(),
            hub_endpoint: Some(server.endpoint()),
            simulated: Some((sim, server)),
        })
    }
}
