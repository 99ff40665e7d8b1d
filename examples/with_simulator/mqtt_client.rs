//! Provisions over an MQTT client that the program already has, here rumqttc.
//!
//! `RumqttcTransport` is meant to be copied. The example uses a simulated service.

mod support;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use azure_iot_dps::error::{TransportError, TransportErrorKind};
use azure_iot_dps::protocol::{Request, Response, mqtt};
use azure_iot_dps::{DeviceKey, ProvisioningClient, RegistrationId, Transport};
use azure_iot_dps_simulator::Simulator;
use rumqttc::{
    Client, ConnectReturnCode, Connection, ConnectionError, Event, MqttOptions, Packet, QoS, TlsConfiguration,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use support::Result;
use support::progress::show_events;

/// The largest packet, in bytes. Requests and answers have at most 96 KB.
const MAX_PACKET: usize = 128 * 1024;

struct RumqttcTransport {
    tls: Arc<ClientConfig>,
    session: Option<Session>,
}

/// A connection, which is used until the token changes or it fails.
struct Session {
    client: Client,
    connection: Connection,
    password: Option<String>,
    rid: u32,
}

impl Transport for RumqttcTransport {
    fn send<'b>(&'b mut self, request: &Request<'_>) -> std::result::Result<Response<'b>, TransportError> {
        let until = Instant::now() + request.time_limit();
        let password = request.mqtt().password();
        let session = self.session.take().filter(|session| session.password.as_deref() == password);
        let mut session = session.unwrap_or_else(|| self.connect(request));
        let answer = match session.ask(request, until) {
            Err(Failure::Unauthorized) => return Ok(Response::unauthorized()),
            Err(Failure::Transport(error)) => return Err(error),
            Ok(answer) => answer,
        };
        self.session = Some(session);
        Ok(answer)
    }
}

impl RumqttcTransport {
    fn connect(&self, request: &Request<'_>) -> Session {
        let message = request.mqtt();
        let host = request.endpoint().host().as_str();
        let mut options = MqttOptions::new(message.client_id(), host, message.port());
        options.set_credentials(message.user_name().to_string(), message.password().unwrap_or_default());
        options.set_transport(rumqttc::Transport::tls_with_config(TlsConfiguration::Rustls(Arc::clone(&self.tls))));
        options.set_max_packet_size(MAX_PACKET, MAX_PACKET);
        options.set_keep_alive(Duration::from_secs(230));
        let (client, connection) = Client::new(options, 4);
        Session { client, connection, password: message.password().map(String::from), rid: 0 }
    }
}

/// The reason why there is no answer.
enum Failure {
    Unauthorized,
    Transport(TransportError),
}

impl Session {
    /// Subscribes if necessary, publishes the request, and waits for its answer.
    fn ask(&mut self, request: &Request<'_>, until: Instant) -> std::result::Result<Response<'static>, Failure> {
        let message = request.mqtt();
        if self.rid == 0 {
            self.client.subscribe(mqtt::ANSWERS, QoS::AtLeastOnce).map_err(other)?;
            while !matches!(self.next(until)?, Packet::SubAck(_)) {}
        }
        self.rid += 1;
        let topic = message.topic(self.rid).ok_or(Failure::Transport(TransportErrorKind::Unsupported.into()))?;
        let topic = topic.to_string();
        self.client.publish(topic, QoS::AtLeastOnce, false, message.payload()).map_err(other)?;
        loop {
            // Ignore everything that is not an answer to this request.
            if let Packet::Publish(publish) = self.next(until)?
                && let Some(answer) = mqtt::Answer::parse(&publish.topic, publish.payload.to_vec())
                && answer.rid() == Some(self.rid)
            {
                return Ok(answer.into_response());
            }
        }
    }

    /// Waits for the next packet.
    fn next(&mut self, until: Instant) -> std::result::Result<Packet, Failure> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.connection.recv_timeout(left) {
                Ok(Ok(Event::Incoming(packet))) => return Ok(packet),
                Ok(Ok(Event::Outgoing(_))) => {}
                Ok(Err(ConnectionError::ConnectionRefused(
                    ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
                ))) => return Err(Failure::Unauthorized),
                Ok(Err(error)) => return Err(Failure::Transport(explain(error))),
                Err(_) => return Err(Failure::Transport(TransportErrorKind::TimedOut.into())),
            }
        }
    }
}

fn other(error: rumqttc::ClientError) -> Failure {
    Failure::Transport(TransportError::new(TransportErrorKind::Other).with_source(error))
}

fn explain(error: ConnectionError) -> TransportError {
    let kind = match &error {
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => TransportErrorKind::TimedOut,
        ConnectionError::Tls(_) => TransportErrorKind::Tls,
        ConnectionError::ConnectionRefused(_) => TransportErrorKind::ConnectionRefused,
        ConnectionError::Io(_) => TransportErrorKind::CannotConnect,
        _ => TransportErrorKind::AnswerBroken,
    };
    TransportError::new(kind).with_source(error)
}

fn main() -> ExitCode {
    support::exit(run())
}

fn run() -> Result<()> {
    let sim = Simulator::builder().assigning_polls(1).retry_after(Duration::from_secs(1)).build();
    let server = sim.serve()?;
    let endpoint = server.mqtt_endpoint().ok_or("the simulator does not speak MQTT")?;
    let registration_id = RegistrationId::new("mqtt-device")?;
    let key = sim.device_key(&registration_id).ok_or("the simulator has no key for the device")?;
    let key = DeviceKey::from_base64(&key)?;

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(server.ca_pem().as_bytes())?)?;
    // Name the crypto provider, because the program may contain two.
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();

    let transport = RumqttcTransport { tls: Arc::new(tls), session: None };
    let assignment = ProvisioningClient::builder(sim.id_scope(), registration_id, key)
        .endpoint(endpoint)
        .observer(show_events())
        .transport(transport)
        .build()
        .register()?;
    support::print(&format!("{} is assigned to {}\n", assignment.device_id(), assignment.hub()))
}
