//! The checks of TLS: the chain, its verdict, and the parameters of the connection.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use azure_iot_dps::Roots;
use azure_iot_dps::time::{Clock, UnixTime};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime as TlsTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, ProtocolVersion, RootCertStore,
    SignatureScheme, StreamOwned,
};

use crate::certificates::Chain;
use crate::limits::Channel;
use crate::report::{Check, describe};

/// A connection to the service.
pub(crate) type Stream = StreamOwned<ClientConnection, Box<dyn Channel>>;

/// The result of a handshake.
pub(crate) struct Handshake {
    /// The certificates that were presented, trusted or not.
    presented: Vec<CertificateDer<'static>>,
    pub(crate) stream: io::Result<Stream>,
}

/// Does a handshake at the present time, or as if it were another time.
pub(crate) fn handshake(lower: Box<dyn Channel>, host: &str, roots: &Roots, at: Option<UnixTime>) -> Handshake {
    let verifier = match Recorder::new(roots, at) {
        Ok(verifier) => Arc::new(verifier),
        Err(error) => return Handshake { presented: Vec::new(), stream: Err(error) },
    };
    let stream = connect(lower, host, Arc::clone(&verifier));
    let presented = std::mem::take(&mut *verifier.presented.lock().unwrap_or_else(PoisonError::into_inner));
    Handshake { presented, stream }
}

fn connect(mut lower: Box<dyn Channel>, host: &str, verifier: Arc<Recorder>) -> io::Result<Stream> {
    // The steps before the handshake, such as the tunnel through a proxy, have their own limits.
    lower.begin_step();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    // This verifier records the chain, and leaves the verdict to the usual one.
    let config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(io::Error::other)?;
    let mut tls = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut lower)?;
    }
    Ok(StreamOwned::new(tls, lower))
}

/// A verifier that records the chain before it asks the usual verifier.
#[derive(Debug)]
struct Recorder {
    verifier: Arc<WebPkiServerVerifier>,
    at: Option<UnixTime>,
    presented: Mutex<Vec<CertificateDer<'static>>>,
}

impl Recorder {
    fn new(roots: &Roots, at: Option<UnixTime>) -> io::Result<Self> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.certificates().map(|der| CertificateDer::from(der.to_vec())));
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::new(default_provider()));
        let verifier = builder.build().map_err(io::Error::other)?;
        Ok(Self { verifier, at, presented: Mutex::default() })
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: TlsTime,
    ) -> Result<ServerCertVerified, Error> {
        let all = std::iter::once(leaf).chain(others);
        *self.presented.lock().unwrap_or_else(PoisonError::into_inner) =
            all.map(|certificate| certificate.clone().into_owned()).collect();
        let at = self.at.map(|at| std::time::Duration::from_secs(at.as_secs()));
        let now = at.map_or(now, TlsTime::since_unix_epoch);
        self.verifier.verify_server_cert(leaf, others, name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// The outcome of the check of TLS.
pub(crate) enum Outcome {
    Open(Box<Stream>),
    /// The chain is trusted, but not valid at the present time. It would be at this one.
    OnlyAt(UnixTime),
    Failed,
}

/// Judges a handshake with the service at this port.
pub(crate) fn judge(handshake: Handshake, host: &str, port: u16, roots: &Roots) -> (Check, Outcome) {
    let mut chain = Chain::new(&handshake.presented, roots);
    let complete = |check: Check, chain: &Chain| {
        check.fact("port", port).fact("chain", chain.to_json()).fact("trusted_root", chain.root_to_json())
    };
    let error = match handshake.stream {
        Ok(stream) => {
            let version = match stream.conn.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
                Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
                _ => "TLS",
            };
            let suite = stream.conn.negotiated_cipher_suite().map(|suite| suite.suite());
            let suite = suite.and_then(|suite| suite.as_str()).unwrap_or("unknown cipher suite");
            let check = Check::pass("tls", format!("{host}:{port}: {version}, {suite}\n{}", chain.to_text()));
            let check = check.fact("version", version).fact("cipher_suite", suite);
            return (complete(check, &chain), Outcome::Open(stream.into()));
        }
        Err(error) => error,
    };
    let now = azure_iot_dps::SystemClock::new().now().unix.unwrap_or(UnixTime::EPOCH);
    let problem = Problem::of(&error, &mut chain, host, now);
    let outcome = match problem.kind {
        "expired" | "not_valid_yet" => chain.nearest_valid_time(now).map_or(Outcome::Failed, Outcome::OnlyAt),
        _ => Outcome::Failed,
    };
    let detail = format!("{host}:{port}: {}\n{}", problem.detail, chain.to_text());
    let check = Check::fail("tls", detail, problem.what_to_do).fact("problem", problem.kind);
    (complete(check, &chain), outcome)
}

/// The reason why there is no TLS.
struct Problem {
    kind: &'static str,
    detail: String,
    what_to_do: String,
}

impl Problem {
    fn of(error: &io::Error, chain: &mut Chain, host: &str, now: UnixTime) -> Self {
        let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
            return Self::of_io(error, host);
        };
        match tls {
            Error::InvalidCertificate(error) => Self::of_certificate(error, chain, host, now),
            Error::AlertReceived(alert) => Self {
                kind: "refused",
                detail: format!("the server refused the handshake: {alert:?}"),
                what_to_do: "Check that no gateway on the way breaks TLS, and that this is a provisioning service."
                    .into(),
            },
            Error::InvalidMessage(_) | Error::InappropriateMessage { .. } | Error::PeerMisbehaved(_) => Self {
                kind: "not_tls",
                detail: format!("what answers does not speak TLS properly: {tls}"),
                what_to_do: format!(
                    "Find out what answers for {host}: a captive portal, a gateway, or a proxy that takes \
                     over the port."
                ),
            },
            _ => Self {
                kind: "other",
                detail: format!("the handshake failed: {tls}"),
                what_to_do: "Check the cause that the error names.".into(),
            },
        }
    }

    fn of_io(error: &io::Error, host: &str) -> Self {
        Self {
            kind: "broken",
            detail: format!("no handshake: {}", describe(error)),
            what_to_do: format!(
                "The port is open, but the connection does not last: a firewall probably blocks TLS to {host} \
                 by its name. Ask the network's operator to allow it."
            ),
        }
    }

    fn of_certificate(error: &CertificateError, chain: &mut Chain, host: &str, now: UnixTime) -> Self {
        let set_clock = |state: &str| {
            format!(
                "Compare the clock with the right time, and set it if it is wrong. If it is right, the \
                 certificate {state}: tell the operator of the service, or of the gateway that presents it."
            )
        };
        let (kind, detail, what_to_do) = match error {
            // A trusted root with the issuer's name and another key makes the signature a bad one.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                let issuer = chain.last_issuer().unwrap_or_else(|| "(unknown)".into());
                let namesake = if chain.forget_root() { ", the name of a trusted root with another key" } else { "" };
                let detail = format!(
                    "the certificate is not trusted: no trusted root issued it. Its issuer is {issuer}{namesake}"
                );
                let what_to_do = format!(
                    "If that issuer belongs to this network, the network inspects TLS: exempt {host} from the \
                     inspection, or trust the issuer's root with --ca-cert, here and on the device. If it \
                     belongs to the service, update the device's roots."
                );
                ("unknown_issuer", detail, what_to_do)
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                let names = match error {
                    CertificateError::NotValidForNameContext { presented, .. } => presented.join(", "),
                    _ => "other names".into(),
                };
                let what_to_do =
                    "Check the host name, and that no captive portal, gateway or DNS entry leads elsewhere.";
                ("wrong_name", format!("the certificate is for {names}, not for {host}"), what_to_do.into())
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                ("expired", format!("a certificate has expired: the clock here says {now}"), set_clock("has expired"))
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                let detail = format!("a certificate is not valid yet: the clock here says {now}");
                ("not_valid_yet", detail, set_clock("was issued too early"))
            }
            _ => {
                let what_to_do =
                    "Find out what answers instead of the service: its own certificates do not have this fault.";
                ("bad_certificate", format!("the certificate is not accepted: {error}"), what_to_do.into())
            }
        };
        Self { kind, detail, what_to_do }
    }
}
