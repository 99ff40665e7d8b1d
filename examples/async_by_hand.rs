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
use azure_iot_dps::simulator::Simulator;
use azure_iot_dps::{
    Assignment, Clock, DeviceKey, Endpoint, Error, Registration, RegistrationId, RegistrationSettings, Request,
    Response, Step, SystemClock, TransportError, TransportErrorKind,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use support::{Result, print};

/// The whole client, but for the network.
async fn register(
    settings: &RegistrationSettings,
    key: &DeviceKey,
    network: &mut Network,
) -> std::result::Result<Assignment, Error> {
    let mut clock = SystemClock::new();
    let mut show = |event| eprintln!("{event}");
    let mut registration = Registration::new(settings, key).observer(&mut show);
    loop {
        match registration.step(clock.now())? {
            Step::Send(request) => {
                let answer = network.send(&request).await;
                registration.receive(answer, clock.now())?;
            }
            Step::Wait(pause) => {
                Timer::after(pause.duration()).await;
            }
            Step::Done(assignment) => return Ok(assignment),
        }
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
        let mut connection = Connection::open(Arc::clone(&self.config), request.endpoint()).await?;
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
    async fn open(config: Arc<ClientConfig>, endpoint: &Endpoint) -> io::Result<Self> {
        let host = endpoint.host().as_str().to_owned();
        let mut result = Err(io::ErrorKind::NotFound.into());
        // The system's look-up blocks: an application would have an async one. And one address may lead nowhere.
        for address in std::net::ToSocketAddrs::to_socket_addrs(&(host.as_str(), endpoint.port()))? {
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
        let (method, target, endpoint) = (request.method(), request.target(), request.endpoint());
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {endpoint}\r\nContent-Length: {}\r\n", body.len());
        request.headers().for_each(|(name, value)| text.extend([name, ": ", value, "\r\n"]));
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
            if let Some(response) = parse(&bytes)? {
                return Ok(response);
            }
            if bytes.len() > LIMIT {
                return Err(io::Error::other("the answer is too large"));
            }
        }
    }
}

/// The answer, once it is whole.
fn parse(bytes: &[u8]) -> io::Result<Option<Response<'static>>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(start) = answer.parse(bytes).map_err(io::Error::other)? else { return Ok(None) };
    let headers = answer.headers.iter().filter_map(|it| Some((it.name, std::str::from_utf8(it.value).ok()?)));
    let header = |wanted: &str| headers.clone().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|it| it.1);
    let rest = bytes.get(start..).unwrap_or_default();
    let body = match (header("transfer-encoding"), header("content-length").map(str::parse)) {
        (Some("chunked"), _) => unchunk(rest)?,
        (None, Some(Ok(length))) => rest.get(..length).map(|body| (body.to_vec(), length)),
        _ => return Err(io::Error::other("an answer without a length")),
    };
    let Some((body, length)) = body else { return Ok(None) };
    if rest.len() > length {
        return Err(io::Error::other("more than one answer"));
    }
    let response = Response::new(answer.code.unwrap_or_default(), body);
    Ok(Some(headers.fold(response, |response, (name, value)| response.with_header(name, value.to_owned()))))
}

/// The body out of its chunks, as the service sends it, and how long it was with them; `None` until it is whole.
fn unchunk(mut rest: &[u8]) -> io::Result<Option<(Vec<u8>, usize)>> {
    let (mut body, whole) = (Vec::new(), rest.len());
    loop {
        let size = httparse::parse_chunk_size(rest).map_err(|_| io::Error::other("a chunk without a size"))?;
        let httparse::Status::Complete((start, size)) = size else { return Ok(None) };
        let end =
            usize::try_from(size).ok().and_then(|size| start.checked_add(size)).ok_or(io::ErrorKind::InvalidData)?;
        let Some(chunk) = rest.get(start..end) else { return Ok(None) };
        let Some(after) = rest.get(end..).and_then(|rest| rest.get(2..)) else { return Ok(None) };
        body.extend(chunk);
        rest = after;
        if size == 0 {
            return Ok(Some((body, whole.saturating_sub(rest.len()))));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_last_byte_is_there_whichever_way_it_is_framed() {
        for text in [
            "HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\nRetry-After: 3\r\n\r\n{1,2}",
            "HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\nRetry-After: 3\r\n\r\n3\r\n{1,\r\n2\r\n2}\r\n0\r\n\r\n",
        ] {
            for length in 0..text.len() {
                assert!(parse(&text.as_bytes()[..length]).unwrap().is_none(), "{length}");
            }
            let response = parse(text.as_bytes()).unwrap().unwrap();
            assert_eq!((response.status(), response.body()), (202, &b"{1,2}"[..]));
            assert_eq!(response.retry_after(), Some(Duration::from_secs(3)));
        }
    }

    #[test]
    fn an_answer_that_has_no_end_or_goes_on_behind_it_is_an_error() {
        for text in [
            "HTTP/1.1 200 OK\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
