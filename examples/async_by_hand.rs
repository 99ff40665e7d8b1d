//! Drives a registration from async code: the state machine does no I/O, so whoever has an executor writes this loop.
//!
//! `register` is what is meant to be copied. Below it, TLS and HTTP over an async socket: as much of it as the service needs, by
//! hand, where an application would take the client that it has. It runs against a simulated service.

mod support;

use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_io::{Async, Timer};
use azure_iot_dps::attestation::AttestationKind;
use azure_iot_dps::error::{TransportError, TransportErrorKind};
use azure_iot_dps::key::Signer;
use azure_iot_dps::protocol::{Request, Response};
use azure_iot_dps::registration::{Registration, RegistrationSettings, Step};
use azure_iot_dps::simulator::Simulator;
use azure_iot_dps::{Assignment, Clock, DeviceKey, Error, RegistrationId, SystemClock};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use support::{Result, http, print};

/// The whole client, but for the network.
async fn register(
    settings: &RegistrationSettings,
    key: &DeviceKey,
    network: &mut Network,
) -> std::result::Result<Assignment, Error> {
    let mut clock = SystemClock::new();
    let mut registration = Registration::new(settings, AttestationKind::SymmetricKey);
    loop {
        let advanced = registration.advance(clock.now());
        show_events(&mut registration);
        advanced?;
        match registration.step(clock.now())? {
            // A chip behind an async bus would be awaited here.
            Step::Sign(request) => {
                let signature = key.sign(request.message());
                registration.signed(signature);
            }
            Step::Send(request) => {
                let answer = network.send(&request).await;
                let received = registration.receive(answer, clock.now());
                show_events(&mut registration);
                received?;
            }
            Step::Wait(pause) => {
                Timer::after(pause.duration()).await;
            }
            Step::Done(assignment) => return Ok(assignment),
        }
    }
}

fn show_events(registration: &mut Registration<'_>) {
    while let Some(event) = registration.next_event() {
        eprintln!("{event}");
    }
}

/// HTTPS over one connection, which is kept.
struct Network {
    config: Arc<ClientConfig>,
    connection: Option<Connection>,
}

impl Network {
    /// Keeps the time limit, and drops the connection if anything goes wrong.
    async fn send(&mut self, request: &Request<'_>) -> std::result::Result<Response<'static>, TransportError> {
        match within(request.time_limit(), self.exchange(request)).await {
            None => Err(TransportErrorKind::TimedOut.into()),
            Some(result) => result.map_err(|error| TransportError::new(TransportErrorKind::Other).with_source(error)),
        }
    }

    async fn exchange(&mut self, request: &Request<'_>) -> io::Result<Response<'static>> {
        if let Some(mut kept) = self.connection.take()
            && let Ok(response) = kept.ask(request).await
        {
            self.connection = Some(kept);
            return Ok(response);
        }
        // There was none, or it has died meanwhile. A request is safe to send again.
        let mut connection = Connection::open(Arc::clone(&self.config), request).await?;
        let response = connection.ask(request).await?;
        self.connection = Some(connection);
        Ok(response)
    }
}

/// What comes of the future, unless the time is up before.
async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut timer) = (pin!(future), pin!(Timer::after(limit)));
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending => timer.as_mut().poll(context).map(|_| None),
    })
    .await
}

/// TLS over a socket.
struct Connection {
    socket: Async<TcpStream>,
    tls: ClientConnection,
}

impl Connection {
    async fn open(config: Arc<ClientConfig>, request: &Request<'_>) -> io::Result<Self> {
        let (host, port) = (request.endpoint().host().as_str().to_owned(), request.http().port());
        let mut result = Err(io::ErrorKind::NotFound.into());
        // The system's lookup blocks: an application would have an async one. And one address may lead nowhere.
        for address in std::net::ToSocketAddrs::to_socket_addrs(&(host.as_str(), port))? {
            let connected = within(Duration::from_secs(10), Async::<TcpStream>::connect(address)).await;
            result = connected.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()));
            if result.is_ok() {
                break;
            }
        }
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        let mut tls = ClientConnection::new(config, name).map_err(io::Error::other)?;
        // A request may be larger than the buffer would be.
        tls.set_buffer_limit(None);
        Ok(Self { socket: result?, tls })
    }

    async fn ask(&mut self, request: &Request<'_>) -> io::Result<Response<'static>> {
        let body = request.body().unwrap_or_default();
        let (head, endpoint, length) = (request.http(), request.endpoint(), body.len());
        let (method, target) = (head.method(), head.target());
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {endpoint}\r\nContent-Length: {length}\r\n");
        head.headers().for_each(|(name, value)| text.extend([name, ": ", value, "\r\n"]));
        text.push_str("\r\n");
        self.tls.writer().write_all(text.as_bytes())?;
        self.tls.writer().write_all(body)?;
        self.read_response().await
    }

    /// Moves TLS records both ways until there are bytes to be read.
    async fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        let Self { socket, tls } = self;
        loop {
            while tls.wants_write() {
                socket.write_with(|mut socket| tls.write_tls(&mut socket)).await?;
            }
            let mut chunk = [0; 2048];
            match tls.reader().read(&mut chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => {
                    buffer.extend(chunk.iter().take(length));
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if socket.read_with(|mut socket| tls.read_tls(&mut socket)).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            tls.process_new_packets().map_err(io::Error::other)?;
        }
    }

    async fn read_response(&mut self) -> io::Result<Response<'static>> {
        const LIMIT: usize = 128 * 1024;
        let mut bytes = Vec::new();
        loop {
            self.read(&mut bytes).await?;
            if let Some(response) = http::parse(&bytes)? {
                return Ok(response);
            }
            if bytes.len() > LIMIT {
                return Err(io::Error::other("the answer is too large"));
            }
        }
    }
}

fn main() -> ExitCode {
    support::exit(pollster::block_on(run()))
}

async fn run() -> Result<()> {
    let service = Simulator::builder().retry_after(Duration::from_secs(1)).build();
    let server = service.serve()?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(server.ca_pem().as_bytes())?)?;
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(ring).with_safe_default_protocol_versions()?;
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());

    let registration_id = RegistrationId::new("async-device-1")?;
    let key = service.device_key(&registration_id).ok_or("the simulator has no key for the device")?;
    let settings = RegistrationSettings::new(service.id_scope(), registration_id).endpoint(server.endpoint());
    let assignment = register(&settings, &key, &mut Network { config, connection: None }).await?;
    print(&format!("assigned hub: {}\ndevice ID:    {}\n", assignment.hub(), assignment.device_id()))
}
