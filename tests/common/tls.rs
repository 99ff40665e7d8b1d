//! TLS connections to the simulator's server, for tests that send any bytes.
#![allow(dead_code, unreachable_pub, clippy::expect_used, reason = "each suite uses a part, and a test may panic")]

use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use azure_iot_dps_simulator::SimulatorServer;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Connects to this port of the server.
pub fn connect(server: &SimulatorServer, port: u16) -> Stream {
    connect_to(server.ca_pem(), port)
}

/// Connects to this port of a server whose certificates this authority signs.
pub fn connect_to(ca_pem: &str, port: u16) -> Stream {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).expect("PEM")).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let tls = ClientConnection::new(Arc::new(config), name).expect("a connection");
    let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connects");
    // If the server wrongly keeps a connection open, the test fails instead of hanging.
    tcp.set_read_timeout(Some(Duration::from_secs(120))).expect("a limit");
    StreamOwned::new(tls, tcp)
}

/// Connects to the HTTPS port.
pub fn connect_to_https(server: &SimulatorServer) -> Stream {
    connect(server, server.endpoint().port().expect("a port"))
}
