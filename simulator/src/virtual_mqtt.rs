//! MQTT in virtual time: a connection as bytes in and bytes out, and a transport on top of it.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use azure_iot_dps::Transport;
use azure_iot_dps::error::{TransportError, TransportErrorKind};
use azure_iot_dps::protocol::{Request, Response};
use azure_iot_dps::transport::mqtt::Exchange;

use crate::front::mqtt::{Action, Session};
use crate::handle::Simulator;
use crate::lock::lock;

/// An MQTT connection to the simulator, in virtual time.
///
/// [`Simulator::mqtt`] creates it. It serves to test the MQTT stack of a firmware without a socket.
///
/// ```
/// use azure_iot_dps_simulator::Simulator;
/// use std::time::Duration;
///
/// const CONNECT: &[u8] = b"\x10\x3c\x00\x04MQTT\x04\x82\x00\xe6\x00\x03dev\
///     \x00\x2b0ne00002193/registrations/dev/api-version=1";
/// const CONNACK: &[u8] = b"\x20\x02\x00\x00";
/// const PINGREQ: &[u8] = b"\xc0\x00";
/// const PINGRESP: &[u8] = b"\xd0\x00";
///
/// let sim = Simulator::builder().build();
/// let mut connection = sim.mqtt();
/// let second = Duration::from_secs(1);
/// connection.write(CONNECT);
/// assert_eq!(connection.read(second).as_deref(), Some(CONNACK));
/// connection.write(PINGREQ);
/// assert_eq!(connection.read(second).as_deref(), Some(PINGRESP));
/// assert_eq!(connection.read(second), None); // Nothing comes within a second.
/// # assert_eq!(sim.clock().elapsed(), second);
/// ```
pub struct SimulatorMqtt {
    simulator: Simulator,
    session: Session,
    actions: VecDeque<Action>,
    closed: bool,
}

impl Simulator {
    /// Opens an MQTT connection without a network, at the time of [`Simulator::clock`].
    ///
    /// The user name of the CONNECT packet chooses the service or its hub.
    #[must_use]
    pub fn mqtt(&self) -> SimulatorMqtt {
        self.mqtt_with(Vec::new())
    }

    fn mqtt_with(&self, certificates: Vec<Vec<u8>>) -> SimulatorMqtt {
        let (simulator, session) = (self.clone(), Session::new(certificates, self.unix()));
        SimulatorMqtt { simulator, session, actions: VecDeque::new(), closed: false }
    }

    /// Creates a transport that asks this service over MQTT, without a network.
    #[must_use]
    pub fn mqtt_transport(&self) -> SimulatorMqttTransport {
        SimulatorMqttTransport { simulator: self.clone(), certificates: Vec::new(), connection: None }
    }
}

impl SimulatorMqtt {
    /// Sends bytes to the simulator. They are lost if it has closed the connection.
    pub fn write(&mut self, bytes: &[u8]) {
        if !self.closed {
            let actions = self.session.receive(&mut lock(&self.simulator.state), bytes, self.simulator.unix());
            self.actions.extend(actions);
        }
    }

    /// Receives the next bytes from the simulator.
    ///
    /// Empty bytes mean that the simulator has closed the connection. Returns `None` if nothing
    /// comes within `time_limit`; then that much virtual time has passed.
    pub fn read(&mut self, time_limit: Duration) -> Option<Vec<u8>> {
        let clock = self.simulator.clock();
        let until = self.simulator.unix().saturating_add(time_limit);
        loop {
            let now = self.simulator.unix();
            let left = until.saturating_sub(now);
            if self.closed {
                return Some(Vec::new());
            }
            if self.actions.is_empty() {
                self.actions.extend(self.session.poll(&mut lock(&self.simulator.state), now));
            }
            match self.actions.pop_front() {
                Some(Action::Send(bytes)) if bytes.is_empty() => {}
                Some(Action::Send(bytes)) => return Some(bytes),
                Some(Action::Close) => self.closed = true,
                Some(Action::Wait(pause)) if pause <= left => clock.advance(pause),
                Some(Action::Wait(pause)) => {
                    clock.advance(left);
                    self.actions.push_front(Action::Wait(pause.saturating_sub(left)));
                    return None;
                }
                None => match self.session.deadline().map(|deadline| deadline.saturating_sub(now)) {
                    Some(pause) if pause <= left => clock.advance(pause),
                    _ => {
                        clock.advance(left);
                        return None;
                    }
                },
            }
        }
    }
}

impl Drop for SimulatorMqtt {
    fn drop(&mut self) {
        self.session.end(&mut lock(&self.simulator.state));
    }
}

impl fmt::Debug for SimulatorMqtt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatorMqtt").field("closed", &self.closed).finish_non_exhaustive()
    }
}

/// A transport that asks the simulator over MQTT, without a network.
///
/// [`Simulator::mqtt_transport`] creates it.
///
/// ```
/// use azure_iot_dps_simulator::Simulator;
/// use azure_iot_dps::{DeviceKey, ProvisioningClient, RegistrationId};
///
/// let sim = Simulator::builder().build();
/// let id = RegistrationId::new("my-device")?;
/// let key = DeviceKey::from_base64(&sim.device_key(&id).ok_or("no key")?)?;
/// let builder = ProvisioningClient::builder(sim.id_scope(), id, key);
/// let assignment = builder.build_with(sim.mqtt_transport(), sim.clock()).register()?;
/// assert_eq!(assignment.device_id().as_str(), "my-device");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SimulatorMqttTransport {
    simulator: Simulator,
    certificates: Vec<Vec<u8>>,
    connection: Option<(SimulatorMqtt, Exchange)>,
}

impl SimulatorMqttTransport {
    /// Sets the client certificate to present: the chain as DER, leaf first. Default: none.
    ///
    /// The simulator takes it for granted that the device has the private key.
    #[must_use]
    pub fn certificate(self, chain: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self { certificates: chain.into_iter().collect(), ..self }
    }
}

impl Transport for SimulatorMqttTransport {
    fn send<'b>(&'b mut self, request: &Request<'_>) -> Result<Response<'b>, TransportError> {
        let clock = self.simulator.clock();
        let until = clock.elapsed().saturating_add(request.time_limit());
        let (mut stream, mut exchange) = match self.connection.take() {
            Some((stream, mut exchange)) if exchange.carries(request, clock.elapsed()) => {
                exchange.send(request)?;
                (stream, exchange)
            }
            _ => (self.simulator.mqtt_with(self.certificates.clone()), Exchange::new(request)?),
        };
        loop {
            let output = exchange.output();
            if !output.is_empty() {
                let length = output.len();
                stream.write(output);
                exchange.written(length, clock.elapsed());
            }
            if let Some(answer) = exchange.take_answer() {
                self.connection = Some((stream, exchange));
                return Ok(answer);
            }
            let bytes = stream.read(until.saturating_sub(clock.elapsed())).ok_or(TransportErrorKind::TimedOut)?;
            exchange.read(&bytes)?;
        }
    }
}
