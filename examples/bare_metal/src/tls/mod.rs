//! TLS 1.2 and 1.3 with the API of rustls that does no I/O.
//!
//! Replace it with your vendor's TLS if there is one: esp-mbedtls, a modem's, a secure element's.
//! It must check the chain, the name and the time, distinguish a close from a broken connection,
//! and use a cryptographically secure random generator.

mod config;
mod provider;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::error::Error;
use core::mem;
use core::time::Duration;

use azure_iot_dps::error::{TransportError, TransportErrorKind as Kind};
pub use config::config;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, WriteTraffic,
};
use rustls::{AlertDescription, CertificateError, ClientConfig};

use crate::board::{say, uptime};
use crate::net::Stream;

/// The time limit for sending a close_notify.
const FAREWELL_LIMIT: Duration = Duration::from_secs(1);
/// The buffer for an encrypted alert, in bytes. An alert takes less.
const ALERT: usize = 64;
/// The maximum number of bytes in one read.
const READ: usize = 1460;
/// The maximum number of bytes that wait for decryption.
///
/// TLS allows records of 16 KB, but the service's certificates and answers take less than 6 KB, and
/// the heap is small.
const MAX_INCOMING: usize = 8 * 1024;

/// A TLS connection.
pub struct Tls {
    stream: Stream,
    session: UnbufferedClientConnection,
    /// Received bytes that are not decrypted yet.
    incoming: Vec<u8>,
    /// Decrypted bytes. The caller takes them out. A write may receive some, too.
    pub received: Vec<u8>,
    /// Whether the peer has sent a close_notify.
    is_closed: bool,
}

/// The purpose of a call.
enum Goal<'a> {
    Handshake,
    Write(&'a [u8]),
    Read,
    /// Sends a close_notify, or the alert that explains an error.
    Close,
}

/// The result of a step.
enum Next {
    Again,
    /// More input is needed.
    Read,
    Done,
    /// The peer has sent a close_notify.
    Closed,
}

impl Tls {
    /// Connects, and completes the TLS handshake.
    pub fn connect(
        config: &Arc<ClientConfig>,
        host: &str,
        port: u16,
        until: Duration,
    ) -> Result<Box<Self>, TransportError> {
        let mut tls = Self::start(config, host, port, until)?;
        tls.run(&Goal::Handshake, until)?;
        Ok(tls)
    }

    /// Connects. As a separate function it frees its stack before the handshake, which needs most.
    #[inline(never)]
    fn start(config: &Arc<ClientConfig>, host: &str, port: u16, until: Duration) -> Result<Box<Self>, TransportError> {
        let name = ServerName::try_from(String::from(host)).map_err(|_| Kind::NameNotResolved)?;
        let session = UnbufferedClientConnection::new(Arc::clone(config), name).map_err(|error| explain(&error))?;
        let stream = Stream::connect(host, port, until)?;
        Ok(Box::new(Self { stream, session, incoming: Vec::new(), received: Vec::new(), is_closed: false }))
    }

    pub fn write_all(&mut self, bytes: &[u8], until: Duration) -> Result<(), TransportError> {
        self.run(&Goal::Write(bytes), until).map(|_| ())
    }

    /// Waits until more is [`received`](Self::received).
    ///
    /// Returns `false` if the peer has sent a close_notify. A connection that ends without one is
    /// an error.
    pub fn read(&mut self, until: Duration) -> Result<bool, TransportError> {
        self.run(&Goal::Read, until)
    }

    /// Runs until the goal is reached. Prints the source of an error: an event shows only the kind.
    fn run(&mut self, goal: &Goal<'_>, until: Duration) -> Result<bool, TransportError> {
        let result = self.drive(goal, until);
        if let Some(why) = result.as_ref().err().and_then(Error::source) {
            say!("TLS: {why}");
        }
        result
    }

    fn drive(&mut self, goal: &Goal<'_>, until: Duration) -> Result<bool, TransportError> {
        let mut outgoing = Vec::new();
        while !self.is_closed {
            match self.step(goal, &mut outgoing, until)? {
                Next::Again => {}
                Next::Read if matches!(goal, Goal::Close) => return Ok(true),
                Next::Read => self.read_more(until)?,
                Next::Done => return Ok(true),
                Next::Closed => self.is_closed = true,
            }
        }
        match goal {
            Goal::Read | Goal::Close => Ok(false),
            Goal::Handshake | Goal::Write(_) => {
                Err(TransportError::from(Kind::AnswerBroken).with_source("the peer has closed the connection"))
            }
        }
    }

    fn step(&mut self, goal: &Goal<'_>, outgoing: &mut Vec<u8>, until: Duration) -> Result<Next, TransportError> {
        let status = self.session.process_tls_records(&mut self.incoming);
        let mut discard = status.discard;
        let next = match status.state.map_err(|error| explain(&error))? {
            ConnectionState::EncodeTlsData(data) => encode(data, outgoing)?,
            ConnectionState::TransmitTlsData(data) => {
                self.stream.write_all(&mem::take(outgoing), until)?;
                data.done();
                Next::Again
            }
            ConnectionState::BlockedHandshake => Next::Read,
            ConnectionState::WriteTraffic(traffic) => match goal {
                Goal::Handshake => Next::Done,
                Goal::Write(bytes) => {
                    self.stream.write_all(&encrypt(traffic, bytes)?, until)?;
                    Next::Done
                }
                Goal::Read => Next::Read,
                Goal::Close => {
                    self.stream.write_all(&farewell(traffic)?, until)?;
                    Next::Done
                }
            },
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record.map_err(|error| explain(&error))?;
                    discard += record.discard;
                    self.received.extend_from_slice(record.payload);
                }
                if matches!(goal, Goal::Read) { Next::Done } else { Next::Again }
            }
            ConnectionState::PeerClosed | ConnectionState::Closed => Next::Closed,
            _ => return Err(Kind::Tls.into()),
        };
        self.incoming.drain(..discard.min(self.incoming.len()));
        Ok(next)
    }

    fn read_more(&mut self, until: Duration) -> Result<(), TransportError> {
        let held = self.incoming.len();
        if held > MAX_INCOMING {
            return Err(TransportError::from(Kind::AnswerTooLarge).with_source("a TLS record that is too long"));
        }
        self.incoming.try_reserve_exact(READ).map_err(|_| Kind::AnswerTooLarge)?;
        self.incoming.resize(held + READ, 0);
        let read = self.stream.read(self.incoming.get_mut(held..).unwrap_or_default(), until);
        // Removes the bytes that were not filled, also after an error.
        self.incoming.truncate(held + read.as_ref().map_or(0, |length| *length));
        match read? {
            0 => Err(TransportError::from(Kind::AnswerBroken).with_source("the connection ended without close_notify")),
            _ => Ok(()),
        }
    }
}

/// Sends a close_notify, so that the peer can distinguish a close from a broken connection.
impl Drop for Tls {
    fn drop(&mut self) {
        // The peer may be gone already.
        let _ = self.drive(&Goal::Close, uptime() + FAREWELL_LIMIT);
    }
}

fn encode<Data>(mut data: EncodeTlsData<'_, Data>, outgoing: &mut Vec<u8>) -> Result<Next, TransportError> {
    let start = outgoing.len();
    // An empty buffer makes it return the size that it needs.
    let Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) = data.encode(&mut []) else {
        return Err(Kind::Tls.into());
    };
    outgoing.resize(start + required_size, 0);
    let written = data.encode(outgoing.get_mut(start..).unwrap_or_default()).map_err(|_| Kind::Tls)?;
    outgoing.truncate(start + written);
    Ok(Next::Again)
}

fn encrypt<Data>(mut traffic: WriteTraffic<'_, Data>, bytes: &[u8]) -> Result<Vec<u8>, TransportError> {
    let Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) = traffic.encrypt(bytes, &mut [])
    else {
        return Err(Kind::Tls.into());
    };
    let mut record = vec![0; required_size];
    let written = traffic.encrypt(bytes, &mut record).map_err(|_| Kind::Tls)?;
    record.truncate(written);
    Ok(record)
}

fn farewell<Data>(mut traffic: WriteTraffic<'_, Data>) -> Result<Vec<u8>, TransportError> {
    let mut record = vec![0; ALERT];
    let written = traffic.queue_close_notify(&mut record).map_err(|_| Kind::Tls)?;
    record.truncate(written);
    Ok(record)
}

fn explain(error: &rustls::Error) -> TransportError {
    let (kind, why) = match error {
        rustls::Error::InvalidCertificate(error) => return explain_certificate(error),
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::UnknownCA,
        ) => (Kind::CertificateRefused, "the server's alert says so"),
        rustls::Error::AlertReceived(_) => (Kind::Tls, "the server sent an alert"),
        rustls::Error::PeerIncompatible(_) => {
            (Kind::Tls, "the server supports no version or cipher suite of the board")
        }
        rustls::Error::PeerMisbehaved(_) => (Kind::Tls, "the server does not follow the protocol"),
        rustls::Error::DecryptError => (Kind::Tls, "a record cannot be decrypted"),
        _ => (Kind::Tls, "an error of the TLS stack"),
    };
    TransportError::from(kind).with_source(why)
}

/// Explains the error in short texts. Those of rustls would take more flash.
fn explain_certificate(error: &CertificateError) -> TransportError {
    let why = match error {
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => return Kind::ClockNotSet.into(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => "it is for another name",
        CertificateError::UnknownIssuer => "no root is known for it",
        CertificateError::BadSignature => "a signature is wrong",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it is for another purpose"
        }
        _ => "its chain is not valid",
    };
    TransportError::from(Kind::CertificateNotTrusted).with_source(why)
}
