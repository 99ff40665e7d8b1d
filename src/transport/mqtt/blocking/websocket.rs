//! MQTT over WebSocket. Sources: RFC 6455; MQTT 3.1.1, section 6.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use std::io::{self, Cursor, Read, Write};

use rustls::crypto::SecureRandom;
use tungstenite::http::{Request, header};
use tungstenite::{Error, HandshakeError};
use zeroize::Zeroizing;

use crate::crypto::provider;
use crate::encoding::base64_encode;
use crate::error::{TransportError, TransportErrorKind as Kind, sanitize};
use crate::identity::HostName;
use crate::transport::mqtt::frames::{self, Close, Frames, Misframed, NORMAL, Word};
use crate::transport::net::{TlsStream, Told, explain_io, read_head};

/// The path at which the service and the hub accept WebSocket.
const PATH: &str = "/$iothub/websocket";
const PROTOCOL: &str = "mqtt";
/// The port of HTTPS, which the header `Host` omits.
const HTTPS_PORT: u16 = 443;

/// A WebSocket that carries MQTT.
pub(super) struct WebSocket {
    stream: TlsStream,
    frames: Frames,
    random: &'static dyn SecureRandom,
    /// The peer's close frame.
    peer_close: Option<Close>,
    /// The peer's violation. Bytes before it are still returned.
    broken: Option<Misframed>,
    /// Whether a close frame was sent. Nothing may follow it.
    close_sent: bool,
}

impl WebSocket {
    /// Opens a WebSocket on this stream.
    pub(super) fn open(stream: TlsStream, host: &HostName, port: u16) -> Result<Self, TransportError> {
        let provider = provider().map_err(|error| TransportError::new(Kind::NoCryptoProvider).with_source(error))?;
        let random = provider.secure_random;
        let mut key = [0; 16];
        random.fill(&mut key).map_err(|_| explain_io(no_random_numbers()))?;
        let request = request(host, port, &base64_encode(&key));
        let request = request.map_err(|error| TransportError::new(Kind::Other).with_source(error))?;
        let stream = HeadFirst { stream, head: Cursor::default() };
        let (websocket, answer) = tungstenite::client(request, stream).map_err(explain)?;
        if let Some(extension) = answer.headers().get(header::SEC_WEBSOCKET_EXTENSIONS) {
            let extension = sanitize(&String::from_utf8_lossy(extension.as_bytes()), "");
            let why = format!("the server uses a WebSocket extension that was not offered: {extension}");
            return Err(TransportError::new(Kind::AnswerBroken).with_source(Told(why)));
        }
        let stream = websocket.into_inner().stream;
        Ok(Self { stream, frames: Frames::new(), random, peer_close: None, broken: None, close_sent: false })
    }

    pub(super) fn stream(&mut self) -> &mut TlsStream {
        &mut self.stream
    }

    /// Reads bytes of MQTT, and answers pings and close frames.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.peer_close.is_some() {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            if let Some(broken) = self.broken {
                return Err(io::Error::new(io::ErrorKind::InvalidData, broken));
            }
            let length = self.stream.read(buffer)?;
            if length == 0 {
                return Ok(0);
            }
            let mut words = Vec::new();
            let (kept, result) = self.frames.unframe(buffer.get_mut(..length).unwrap_or_default(), &mut words);
            let answered = words.into_iter().try_for_each(|word| self.answer(word));
            if let Err(broken) = result {
                self.broken = Some(broken);
                // The peer may be gone already.
                let _ = self.close_with(broken.code());
            }
            if kept > 0 {
                return Ok(kept);
            }
            answered?;
        }
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.put(|mask| frames::binary(bytes, mask))
    }

    /// Closes the WebSocket and TLS.
    pub(super) fn close(&mut self) {
        // The peer may be gone already.
        let _ = self.close_with(NORMAL);
        self.stream.close();
    }

    /// Returns why the connection ended, for an error message.
    ///
    /// The token's signature is replaced where the peer repeats it.
    pub(super) fn why_it_ended(&self, signature: &str) -> Option<Told> {
        if let Some(broken) = self.broken {
            return Some(Told(broken.to_string()));
        }
        let close = self.peer_close.as_ref()?;
        let code = close.code.map_or_else(|| "no code".into(), |code| format!("code {code}"));
        let reason = sanitize(&close.reason, signature);
        let colon = if reason.is_empty() { "" } else { ": " };
        Some(Told(format!("the server closed the WebSocket with {code}{colon}{reason}")))
    }

    fn answer(&mut self, word: Word) -> io::Result<()> {
        match word {
            Word::Ping(content) => self.put(|mask| frames::pong(&content, mask)),
            Word::Close(close) => {
                let code = close.code.unwrap_or(NORMAL);
                self.peer_close = Some(close);
                // The peer may not wait for the answer.
                let _ = self.close_with(code);
                Ok(())
            }
        }
    }

    fn close_with(&mut self, code: u16) -> io::Result<()> {
        let sent = self.put(|mask| frames::close(code, mask));
        self.close_sent = true;
        sent
    }

    fn put(&mut self, frame: impl FnOnce([u8; 4]) -> Vec<u8>) -> io::Result<()> {
        if self.close_sent {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut mask = [0; 4];
        self.random.fill(&mut mask).map_err(|_| no_random_numbers())?;
        // The frame contains its mask, so it reveals the token.
        let frame = Zeroizing::new(frame(mask));
        self.stream.write_all(&frame)?;
        self.stream.flush()
    }
}

fn no_random_numbers() -> io::Error {
    io::Error::other("the system provides no random numbers, which WebSocket needs")
}

fn request(host: &HostName, port: u16, key: &str) -> Result<Request<()>, tungstenite::http::Error> {
    let authority = if port == HTTPS_PORT { host.as_str().into() } else { format!("{host}:{port}") };
    Request::get(format!("wss://{authority}{PATH}"))
        .header(header::HOST, authority)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, key)
        .header(header::SEC_WEBSOCKET_PROTOCOL, PROTOCOL)
        .body(())
}

fn explain<R: tungstenite::handshake::HandshakeRole>(error: HandshakeError<R>) -> TransportError {
    let (kind, why) = match error {
        HandshakeError::Failure(Error::Io(error)) => return explain_io(error),
        HandshakeError::Failure(Error::Http(answer)) => {
            (Kind::CannotConnect, format!("the server refuses WebSocket: it answered {}", answer.status().as_u16()))
        }
        HandshakeError::Failure(error) => {
            let error = sanitize(&error.to_string(), "");
            (Kind::AnswerBroken, format!("the server does not speak WebSocket: {error}"))
        }
        HandshakeError::Interrupted(_) => return TransportError::new(Kind::TimedOut),
    };
    TransportError::new(kind).with_source(Told(why))
}

/// A stream that reads exactly the head of the answer: the next byte belongs to the first frame.
struct HeadFirst {
    stream: TlsStream,
    head: Cursor<Vec<u8>>,
}

impl Read for HeadFirst {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.head.get_ref().is_empty() {
            self.head = Cursor::new(read_head(&mut self.stream)?);
        }
        self.head.read(buffer)
    }
}

impl Write for HeadFirst {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
