//! One MQTT connection without I/O: bytes in, bytes out, and time as an argument.

mod incoming;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::time::Duration;

use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use crate::error::{TransportError, TransportErrorKind as Kind};
use crate::protocol::{Request, Response};
use crate::transport::mqtt::packet::{Connect, FromClient, Publish, TooLong};

/// The keep-alive. Most waits between polls are shorter and need no ping. Azure's load balancers
/// drop connections that are idle for 4 minutes.
const KEEP_ALIVE: Duration = Duration::from_secs(230);
/// The time limit for the answer to a ping.
const PING_LIMIT: Duration = Duration::from_secs(30);

/// One MQTT connection to the service over any byte stream, sans-IO and without `std`.
///
/// The stream is TLS to port 8883. The exchange connects, subscribes, publishes a request,
/// acknowledges messages and finds the answer. It serves one request after another until
/// [`carries`](Self::carries) returns `false`, which means that a new connection is needed.
/// Messages that do not answer the current request are ignored.
///
/// An answer has at most 128 KiB. The exchange allocates no more memory for it than the bytes that
/// arrived. All times are those of one monotonic clock.
///
/// ```
/// use azure_iot_dps::error::{TransportError, TransportErrorKind};
/// use azure_iot_dps::protocol::{Request, Response};
/// use azure_iot_dps::transport::{Transport, mqtt::Exchange};
/// use core::time::Duration;
/// # struct Stream;
/// # impl Stream {
/// #     fn connect(_: &str, _: u16) -> Result<Self, u8> { Err(0) }
/// #     fn write(&mut self, _: &[u8]) -> Result<usize, u8> { Err(0) }
/// #     fn read(&mut self, _: &mut [u8], _: Duration) -> Result<usize, u8> { Err(0) }
/// # }
/// # fn uptime() -> Duration { Duration::ZERO }
///
/// struct OverTls {
///     connection: Option<(Stream, Exchange)>,
/// }
///
/// impl Transport for OverTls {
///     fn send<'b>(&'b mut self, request: &Request<'_>) -> Result<Response<'b>, TransportError> {
///         let until = uptime() + request.time_limit();
///         let (mut stream, mut exchange) = match self.connection.take() {
///             Some((stream, mut exchange)) if exchange.carries(request, uptime()) => {
///                 exchange.send(request)?;
///                 (stream, exchange)
///             }
///             _ => {
///                 let exchange = Exchange::new(request)?;
///                 let host = request.endpoint().host().as_str();
///                 let stream = Stream::connect(host, request.mqtt().port());
///                 (stream.map_err(|_| TransportErrorKind::CannotConnect)?, exchange)
///             }
///         };
///         let mut buffer = [0; 512];
///         loop {
///             while !exchange.output().is_empty() {
///                 let written = stream.write(exchange.output());
///                 let written = written.map_err(|_| TransportErrorKind::AnswerBroken)?;
///                 exchange.written(written, uptime());
///             }
///             if let Some(answer) = exchange.take_answer() {
///                 self.connection = Some((stream, exchange));
///                 return Ok(answer);
///             }
///             let left = until.saturating_sub(uptime());
///             let length = stream.read(&mut buffer, left);
///             let length = length.map_err(|_| TransportErrorKind::TimedOut)?;
///             exchange.read(&buffer[..length])?; // 0 bytes: the peer closed the stream.
///         }
///     }
/// }
/// ```
///
/// Source: OASIS, "MQTT Version 3.1.1".
pub struct Exchange {
    /// A hash of the endpoint, the user name and the password.
    login: [u8; 32],
    stage: Stage,
    /// The bytes to write, of which the first `written` ones are written.
    output: Vec<u8>,
    written: usize,
    /// The encoded message to publish after the subscription.
    message: Vec<u8>,
    /// The bytes of a packet that is not complete yet.
    input: Vec<u8>,
    /// The number of the last request, `$rid`.
    rid: u32,
    answer: Option<Response<'static>>,
    last_written: Option<Duration>,
    ping_sent: Option<Duration>,
    /// Whether the last request was published.
    asked: bool,
}

/// The progress of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Connecting,
    Subscribing,
    /// A request was published, and its answer has not arrived.
    Asking,
    Answered,
    /// The connection can no longer be used.
    Over,
}

/// The packet ID of the subscription. Messages have higher ones.
const SUBSCRIPTION: u16 = 1;

impl Exchange {
    /// Begins a connection, and a request on it.
    ///
    /// # Errors
    ///
    /// Returns [`Unsupported`](Kind::Unsupported) if MQTT does not have the operation, and
    /// [`Other`](Kind::Other) if a name or the body is too long for MQTT.
    pub fn new(request: &Request<'_>) -> Result<Self, TransportError> {
        let mut exchange = Self {
            login: login(request),
            stage: Stage::Connecting,
            output: Vec::new(),
            written: 0,
            message: Vec::new(),
            input: Vec::new(),
            rid: 0,
            answer: None,
            last_written: None,
            ping_sent: None,
            asked: false,
        };
        let message = request.mqtt();
        let user_name = text(message.user_name());
        exchange.prepare(request)?;
        exchange.put(&FromClient::Connect(Connect {
            clean_session: true,
            keep_alive: u16::try_from(KEEP_ALIVE.as_secs()).unwrap_or_default(),
            client_id: message.client_id(),
            user_name: Some(&user_name),
            password: message.password().map(str::as_bytes),
        }))?;
        Ok(exchange)
    }

    /// Returns whether this connection can carry the request.
    ///
    /// If not, close the stream and open a new one. The reasons are a change of the token, the
    /// device or the endpoint, a failed connection, an unanswered ping, an unfinished request, or
    /// that nothing was sent for the keep-alive of 230 s.
    #[must_use]
    pub fn carries(&self, request: &Request<'_>, now: Duration) -> bool {
        let alive = self.idle_for(now) < KEEP_ALIVE && self.ping_sent.is_none();
        self.stage == Stage::Answered && alive && self.login == login(request)
    }

    /// Begins another request on this connection. A late answer to the last request is ignored.
    ///
    /// # Errors
    ///
    /// Returns [`Unsupported`](Kind::Unsupported) if MQTT does not have the operation,
    /// [`Other`](Kind::Other) if the body is too long for MQTT, and
    /// [`AnswerBroken`](Kind::AnswerBroken) if the connection has ended.
    pub fn send(&mut self, request: &Request<'_>) -> Result<(), TransportError> {
        self.prepare(request)?;
        match self.stage {
            Stage::Connecting | Stage::Subscribing => {}
            Stage::Asking | Stage::Answered => self.publish(),
            Stage::Over => {
                return Err(TransportError::new(Kind::AnswerBroken).with_source("the MQTT connection has ended"));
            }
        }
        Ok(())
    }

    /// Returns the bytes to write to the stream. They may include a token.
    ///
    /// Every call of another method may add more.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        self.output.get(self.written..).unwrap_or_default()
    }

    /// Records that `length` bytes of [`output`](Self::output) were written.
    pub fn written(&mut self, length: usize, now: Duration) {
        if length == 0 {
            return;
        }
        self.last_written = Some(now);
        self.written = self.written.saturating_add(length);
        if self.written >= self.output.len() {
            self.output.zeroize();
            self.output = Vec::new();
            self.written = 0;
        }
    }

    /// Processes bytes that were read from the stream. No bytes mean that the peer closed it.
    ///
    /// # Errors
    ///
    /// Returns [`AnswerBroken`](Kind::AnswerBroken) if the peer closed the stream or violates MQTT
    /// 3.1.1, [`ConnectionRefused`](Kind::ConnectionRefused) if it refused the connection or the
    /// subscription, and [`AnswerTooLarge`](Kind::AnswerTooLarge) if a packet is too large. The
    /// connection can then no longer be used. Refused credentials are not an error but an answer,
    /// [`Response::unauthorized`].
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        let result = self.take_in(bytes);
        if result.is_err() {
            self.stage = Stage::Over;
        }
        result
    }

    /// Takes the answer to the last request, if it has arrived.
    ///
    /// Write [`output`](Self::output) first: the service waits for an acknowledgement.
    #[must_use]
    pub fn take_answer(&mut self) -> Option<Response<'static>> {
        self.answer.take()
    }

    /// Sends a ping if the keep-alive requires one.
    ///
    /// Call it at [`next_tick`](Self::next_tick), then write [`output`](Self::output). Without
    /// these calls, a connection that is idle for longer than the keep-alive is lost, and the next
    /// request needs a new one.
    ///
    /// # Errors
    ///
    /// Returns [`TimedOut`](Kind::TimedOut) if the peer has not answered the last ping within 30 s.
    pub fn tick(&mut self, now: Duration) -> Result<(), TransportError> {
        match self.ping_sent {
            Some(sent) if now.saturating_sub(sent) >= PING_LIMIT => {
                self.stage = Stage::Over;
                Err(TransportError::new(Kind::TimedOut).with_source("no answer to an MQTT ping"))
            }
            None if self.is_open() && self.idle_for(now) >= PING_INTERVAL => {
                self.ping_sent = Some(now);
                self.put(&FromClient::PingReq)
            }
            _ => Ok(()),
        }
    }

    /// Returns the time of the next call of [`tick`](Self::tick), or `None` if no call is needed.
    #[must_use]
    pub fn next_tick(&self) -> Option<Duration> {
        let ping = || self.last_written.map(|last| last.saturating_add(PING_INTERVAL));
        let due = self.ping_sent.map(|sent| sent.saturating_add(PING_LIMIT)).or_else(ping);
        due.filter(|_| self.is_open())
    }

    /// Ends the connection. Write [`output`](Self::output) afterwards, then close the stream.
    pub fn disconnect(&mut self) {
        if self.is_open() && self.put(&FromClient::Disconnect).is_ok() {
            self.stage = Stage::Over;
        }
    }

    /// Returns whether the last request was published, which needs an accepted connection.
    #[cfg(feature = "mqtt")]
    pub(super) fn has_asked(&self) -> bool {
        self.asked
    }

    fn is_open(&self) -> bool {
        !matches!(self.stage, Stage::Connecting | Stage::Over)
    }

    fn idle_for(&self, now: Duration) -> Duration {
        self.last_written.map_or(Duration::ZERO, |last| now.saturating_sub(last))
    }

    /// Encodes the message of a request, which is published later.
    fn prepare(&mut self, request: &Request<'_>) -> Result<(), TransportError> {
        self.answer = None;
        self.asked = false;
        self.rid = self.rid.wrapping_add(1);
        let message = request.mqtt();
        let topic = text(message.topic(self.rid).ok_or(Kind::Unsupported)?);
        // It is never 0 and never that of the subscription.
        let packet_id = u16::try_from(self.rid % 0xfff0).unwrap_or_default().saturating_add(SUBSCRIPTION + 1);
        self.message = Vec::new();
        let publish = Publish::new(&topic, message.payload(), packet_id);
        FromClient::Publish(publish).encode(&mut self.message).map_err(too_long)
    }

    fn put(&mut self, packet: &FromClient<'_>) -> Result<(), TransportError> {
        packet.encode(&mut self.output).map_err(too_long)
    }

    fn publish(&mut self) {
        self.stage = Stage::Asking;
        self.asked = true;
        if self.output.is_empty() {
            self.output = core::mem::take(&mut self.message);
        } else {
            self.output.append(&mut self.message);
        }
    }
}

/// The time after which a ping is sent, a little less than the keep-alive.
const PING_INTERVAL: Duration = KEEP_ALIVE.saturating_sub(Duration::from_secs(30));

/// Wipes the unsent bytes, which may include the token.
impl Drop for Exchange {
    fn drop(&mut self) {
        self.output.zeroize();
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("stage", &self.stage).field("rid", &self.rid).finish_non_exhaustive()
    }
}

/// Returns a hash of the endpoint, the user name and the token, so that none of them is stored.
fn login(request: &Request<'_>) -> [u8; 32] {
    struct Hashed(Sha256);
    impl Write for Hashed {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.update(text);
            Ok(())
        }
    }
    let message = request.mqtt();
    let mut hash = Hashed(Sha256::new());
    // Hashing does not fail. The names have no line breaks, so the separation is unambiguous.
    let _ = write!(hash, "{}\n{}\n", request.endpoint(), message.user_name());
    hash.0.chain_update(message.password().unwrap_or_default()).finalize().into()
}

/// Formats a value, usually in one allocation.
fn text(value: impl fmt::Display) -> String {
    const ROOM: usize = 160;
    let mut text = String::with_capacity(ROOM);
    // Writing to a `String` does not fail.
    let _ = write!(text, "{value}");
    text
}

fn too_long(_: TooLong) -> TransportError {
    TransportError::new(Kind::Other).with_source("the request is too long for MQTT")
}
