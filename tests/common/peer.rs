//! A TLS peer that answers with any bytes that a test wants.
#![allow(dead_code, unreachable_pub, clippy::expect_used, reason = "each suite uses a part, and a test may panic")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

#[cfg(feature = "https")]
use azure_iot_dps::HttpsTransport;
use azure_iot_dps::{Endpoint, Roots};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};

/// A request that the peer received.
pub struct Exchange<'a> {
    /// The number of the request on the whole peer, from 0.
    pub number: usize,
    /// The number of the request on its connection, from 0.
    pub on_connection: usize,
    /// The head and the body.
    pub text: &'a str,
}

pub type Stream = StreamOwned<ServerConnection, TcpStream>;

#[derive(Default)]
pub struct Log {
    pub requests: Vec<String>,
    pub handshakes: Vec<Option<HandshakeKind>>,
    /// The number of bytes received within TLS, if the protocol is MQTT.
    pub bytes: usize,
    /// The number of connections that have ended.
    pub ended: usize,
}

/// A peer on loopback with a certificate for `localhost`. It lives as long as the test does.
pub struct Peer {
    pub port: u16,
    ca_pem: String,
    log: Arc<Mutex<Log>>,
}

impl Peer {
    /// Starts a peer that answers each request with `answer`, which closes the connection with
    /// `Break`.
    pub fn new(answer: impl Fn(&Exchange<'_>, &mut Stream) -> ControlFlow<()> + Send + Sync + 'static) -> Self {
        Self::with_validity(|_| {}, answer)
    }

    /// Starts a peer like [`new`](Self::new), with a changed certificate.
    pub fn with_validity(
        change: impl FnOnce(&mut CertificateParams),
        answer: impl Fn(&Exchange<'_>, &mut Stream) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Self {
        Self::serving(change, move |stream, log| serve(stream, log, &answer))
    }

    /// Starts a peer that serves each connection with `serve`.
    pub fn serving(
        change: impl FnOnce(&mut CertificateParams),
        serve: impl Fn(&mut Stream, &Mutex<Log>) + Send + Sync + 'static,
    ) -> Self {
        let configure = |chain, key| {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
            builder.and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key)).expect("valid")
        };
        Self::serving_with(change, configure, serve)
    }

    /// Starts a peer like [`serving`](Self::serving), with this TLS configuration.
    pub fn serving_with(
        change: impl FnOnce(&mut CertificateParams),
        configure: impl FnOnce(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) -> ServerConfig,
        serve: impl Fn(&mut Stream, &Mutex<Log>) + Send + Sync + 'static,
    ) -> Self {
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate().expect("a key");
        let ca_pem = ca.self_signed(&ca_key).expect("a certificate").pem();
        let mut leaf = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        change(&mut leaf);
        let leaf_key = KeyPair::generate().expect("a key");
        let certificate = leaf.signed_by(&leaf_key, &Issuer::new(ca, ca_key)).expect("a certificate");
        let key = PrivatePkcs8KeyDer::from(leaf_key.serialize_der()).into();
        let config = Arc::new(configure(vec![certificate.der().clone()], key));

        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let log = Arc::new(Mutex::new(Log::default()));
        let (seen, serve) = (Arc::clone(&log), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, serve, config) = (Arc::clone(&seen), Arc::clone(&serve), Arc::clone(&config));
                std::thread::spawn(move || {
                    stream.set_nodelay(true).expect("a socket");
                    let connection = ServerConnection::new(config).expect("a connection");
                    serve(&mut StreamOwned::new(connection, stream), &seen);
                    seen.lock().expect("not poisoned").ended += 1;
                });
            }
        });
        Self { port, ca_pem, log }
    }

    /// Starts a peer that answers every request with the same bytes, and keeps the connection.
    pub fn saying(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::new(move |_, stream| say(stream, &bytes))
    }

    pub fn endpoint(&self) -> Endpoint {
        format!("localhost:{}", self.port).parse().expect("valid")
    }

    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    pub fn roots(&self) -> Roots {
        Roots::pem(self.ca_pem.as_bytes()).expect("PEM")
    }

    #[cfg(feature = "https")]
    pub fn transport(&self) -> HttpsTransport {
        HttpsTransport::builder().roots(self.roots()).build()
    }

    /// Returns the requests so far, with heads and bodies.
    pub fn requests(&self) -> Vec<String> {
        self.log.lock().expect("not poisoned").requests.clone()
    }

    /// Returns the number of bytes received within TLS, if the protocol is MQTT.
    pub fn bytes(&self) -> usize {
        self.log.lock().expect("not poisoned").bytes
    }

    /// Waits until this number of connections have ended.
    pub fn wait_for_ends(&self, ended: usize) {
        while self.log.lock().expect("not poisoned").ended < ended {
            std::thread::yield_now();
        }
    }

    /// Returns the kind of each connection's handshake.
    pub fn handshakes(&self) -> Vec<Option<HandshakeKind>> {
        self.log.lock().expect("not poisoned").handshakes.clone()
    }
}

/// Sends bytes. Closes the connection if that fails.
pub fn say(stream: &mut Stream, bytes: &[u8]) -> ControlFlow<()> {
    match stream.write_all(bytes).and_then(|()| stream.flush()) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    }
}

/// Returns an HTTP answer with this body, which keeps the connection.
pub fn http(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

/// Answers each request on an HTTP connection.
pub fn serve(stream: &mut Stream, log: &Mutex<Log>, answer: &dyn Fn(&Exchange<'_>, &mut Stream) -> ControlFlow<()>) {
    for on_connection in 0.. {
        let Some(text) = read_request(stream) else { return };
        let number = {
            let mut log = log.lock().expect("not poisoned");
            if on_connection == 0 {
                log.handshakes.push(stream.conn.handshake_kind());
            }
            log.requests.push(text.clone());
            log.requests.len() - 1
        };
        if answer(&Exchange { number, on_connection, text: &text }, stream).is_break() {
            return;
        }
    }
}

/// Reads the head and the body of the next request, if there is one.
fn read_request(stream: &mut Stream) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length:")).map_or(Ok(0), |text| text.trim().parse());
    let mut body = vec![0; length.ok()?];
    stream.read_exact(&mut body).ok()?;
    bytes.extend(body);
    String::from_utf8(bytes).ok()
}
