use std::time::{Duration, Instant};

use azure_iot_dps::hub::{Advice, AssignmentStore, HubFailure, Reconnection};
use azure_iot_dps::time::UnixTime;
use azure_iot_dps::{Assignment, Clock, DeviceKey, Endpoint, HubCredentials, ProvisioningClient};
use rumqttc::{
    Client, Connection, ConnectionError, Event, MqttOptions, Packet, QoS, RecvTimeoutError,
    StateError, TlsConfiguration, TlsError,
};
use rustls::AlertDescription as Alert;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A device with its provisioning client, and what it needs to reach its hub.
pub struct Device<C, S> {
    pub client: ProvisioningClient,
    pub store: S,
    pub clock: C,
    pub key: DeviceKey,
    pub tls: TlsConfiguration,
    /// A gateway to connect to instead of the hub.
    pub gateway: Option<Endpoint>,
}

/// What the application does with the connection.
pub trait Application {
    /// Returns the next message to send, called once per second. `Err` ends the device.
    fn message(&mut self) -> std::result::Result<Option<String>, Finished>;
    /// Takes a cloud-to-device message.
    fn received(&mut self, payload: &[u8]);
    /// Reports progress.
    fn progress(&mut self, what: &str);
}

/// The application has nothing more to do.
pub struct Finished;

/// Why a connection ended.
enum End {
    Finished,
    /// The token is about to expire.
    Renewal,
    Failed(HubFailure),
    Lost,
}

impl<C: Clock, S: AssignmentStore> Device<C, S> {
    /// Runs the device until the application is finished.
    pub fn run(&mut self, application: &mut impl Application) -> Result<()> {
        // Loads the assignment, or registers and stores it.
        let mut assignment = self.client.load_or_register(&mut self.store)?;
        let mut reconnection = Reconnection::new(assignment.registration_id().clone());
        loop {
            application.progress(&format!("connecting to {}", assignment.hub()));
            let advice = match self.connect(&assignment, &mut reconnection, application)? {
                End::Finished => return Ok(()),
                End::Renewal => continue,
                End::Failed(failure) => reconnection.failed(failure, self.clock.now()),
                End::Lost => reconnection.lost(self.clock.now()),
            };
            application.progress(&format!("{advice:?}"));
            // If the service cannot be reached, the known hub is still the best one.
            let asked = match advice {
                Advice::Retry { after } => {
                    self.clock.sleep(after);
                    continue;
                }
                Advice::Register => self.client.register_and_store(&mut self.store),
                // Also an advice of a later version.
                _ => self.client.look_up_or_register(&mut self.store),
            };
            match asked {
                Ok(found) => assignment = found,
                Err(error) => application.progress(&error.to_string()),
            }
        }
    }

    /// Connects to the hub, and serves the connection until it ends.
    fn connect(
        &mut self,
        assignment: &Assignment,
        reconnection: &mut Reconnection,
        application: &mut impl Application,
    ) -> Result<End> {
        let mut credentials = HubCredentials::new(assignment, self.key.clone())?;
        let login = credentials.mqtt(self.time(assignment))?;
        let options = super::options(&login, self.gateway.as_ref(), &self.tls);
        let (hub, mut connection) = client(options);
        let device = format!("devices/{}/messages", assignment.device_id());

        // Do not poll with a short timeout before the CONNACK: a timeout aborts the connecting.
        loop {
            match connection.recv_timeout(Duration::from_secs(35)) {
                Ok(Ok(Event::Incoming(Packet::ConnAck(_)))) => break,
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Ok(End::Failed(failure(&error))),
                Err(_) => return Ok(End::Failed(HubFailure::UNREACHABLE)),
            }
        }
        application.progress("connected");
        reconnection.connected(self.clock.now());
        hub.try_subscribe(format!("{device}/devicebound/#"), QoS::AtLeastOnce)?;

        let mut next = Instant::now();
        loop {
            if credentials.needs_renewal(self.time(assignment)) {
                application.progress("the token expires soon");
                disconnect(&hub, &mut connection, application);
                return Ok(End::Renewal);
            }
            if Instant::now() >= next {
                next += Duration::from_secs(1);
                match application.message() {
                    Ok(None) => {}
                    Ok(Some(message)) => {
                        // `publish` would wait for this thread, which serves the connection.
                        let topic = format!("{device}/events/");
                        if hub.try_publish(topic, QoS::AtLeastOnce, false, message).is_err() {
                            return Ok(End::Lost);
                        }
                    }
                    Err(Finished) => {
                        disconnect(&hub, &mut connection, application);
                        return Ok(End::Finished);
                    }
                }
            }
            match connection.recv_timeout(Duration::from_millis(200)) {
                Ok(Ok(Event::Incoming(Packet::Publish(message)))) => {
                    application.received(&message.payload);
                }
                Ok(Ok(_)) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => return Ok(End::Lost),
            }
        }
    }

    /// Returns the time, as the device's clock or the service tells it.
    fn time(&mut self, assignment: &Assignment) -> UnixTime {
        assignment.time_at(self.clock.now()).unwrap_or(UnixTime::EPOCH)
    }
}

/// Creates a client that may take 30 s to connect. rumqttc's 5 s are short on a mobile network.
fn client(options: MqttOptions) -> (Client, Connection) {
    let (client, mut connection) = Client::new(options, 10);
    let mut network = connection.eventloop.network_options();
    network.set_connection_timeout(30);
    connection.eventloop.set_network_options(network);
    (client, connection)
}

/// Sends what is pending, and disconnects, within 5 seconds.
fn disconnect(hub: &Client, connection: &mut Connection, application: &mut impl Application) {
    let until = Instant::now() + Duration::from_secs(5);
    if hub.try_disconnect().is_err() {
        return;
    }
    let left = || until.saturating_duration_since(Instant::now());
    while let Ok(Ok(event)) = connection.recv_timeout(left()) {
        // rumqttc has acknowledged what arrives now.
        if let Event::Incoming(Packet::Publish(message)) = event {
            application.received(&message.payload);
        }
    }
}

/// Translates an error of rumqttc for `Reconnection`.
pub fn failure(error: &ConnectionError) -> HubFailure {
    match error {
        ConnectionError::ConnectionRefused(code) => HubFailure::connack(*code as u8),
        ConnectionError::Tls(TlsError::TLS(error)) => failure_of_tls(error),
        ConnectionError::Tls(TlsError::Io(error))
        | ConnectionError::Io(error)
        | ConnectionError::MqttState(StateError::Io(error)) => {
            // rustls reports alerts through `io::Error`.
            let error = error.get_ref().and_then(|error| error.downcast_ref());
            error.map_or(HubFailure::UNREACHABLE, failure_of_tls)
        }
        _ => HubFailure::UNREACHABLE,
    }
}

fn failure_of_tls(error: &rustls::Error) -> HubFailure {
    match error {
        rustls::Error::AlertReceived(
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::CertificateRequired,
        ) => HubFailure::CERTIFICATE_REFUSED,
        _ => HubFailure::UNREACHABLE,
    }
}
