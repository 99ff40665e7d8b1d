//! One connection to the service.

use core::time::Duration;
use std::time::Instant;

use super::channel::Channel;
use crate::error::TransportError;
#[cfg(feature = "mqtt-websocket")]
use crate::error::TransportErrorKind;
use crate::protocol::{Request, Response};
use crate::transport::mqtt::Exchange;
use crate::transport::net::{after, explain_io, is_hang_up};

/// The time limit for ending a connection.
const FAREWELL_LIMIT: Duration = Duration::from_secs(1);

/// A byte stream, and the MQTT exchange on it.
pub(super) struct Connection {
    channel: Channel,
    exchange: Exchange,
    /// The generation of the roots and the certificate with which the connection was made.
    generation: u64,
}

/// The failure of a connection.
pub(super) struct Broken {
    pub(super) error: TransportError,
    /// Whether the peer hung up.
    pub(super) is_hang_up: bool,
}

impl From<std::io::Error> for Broken {
    fn from(error: std::io::Error) -> Self {
        let is_hang_up = is_hang_up(&error);
        Self { error: explain_io(error), is_hang_up }
    }
}

impl Connection {
    pub(super) fn new(channel: Channel, exchange: Exchange, generation: u64) -> Self {
        Self { channel, exchange, generation }
    }

    /// Begins another request, if this connection can carry it and belongs to this generation.
    pub(super) fn take(&mut self, request: &Request<'_>, generation: u64, now: Duration) -> bool {
        self.generation == generation && self.exchange.carries(request, now) && self.exchange.send(request).is_ok()
    }

    /// Returns whether the service may have received the request.
    pub(super) fn has_asked(&self) -> bool {
        self.exchange.has_asked()
    }

    /// Writes and reads until the answer has arrived.
    pub(super) fn run(
        &mut self,
        request: &Request<'_>,
        beginning: Instant,
        until: Instant,
    ) -> Result<Response<'static>, Broken> {
        self.channel.set_deadline(until);
        let mut buffer = [0; 2048];
        loop {
            // An answer is valid even if its acknowledgement cannot be written.
            let written = self.write(beginning);
            if let Some(answer) = self.exchange.take_answer() {
                return Ok(answer);
            }
            written.map_err(|error| self.explain(error, request))?;
            let length = self.channel.read(&mut buffer).map_err(|error| self.explain(error, request))?;
            let read = buffer.get(..length).unwrap_or_default();
            self.exchange.read(read).map_err(|error| Broken { error, is_hang_up: read.is_empty() })?;
        }
    }

    fn write(&mut self, beginning: Instant) -> Result<(), std::io::Error> {
        let length = self.exchange.output().len();
        if length > 0 {
            self.channel.send(self.exchange.output())?;
            self.exchange.written(length, beginning.elapsed());
        }
        Ok(())
    }

    /// Adds the reason of a peer that closed its WebSocket, if it gave one.
    #[cfg(feature = "mqtt-websocket")]
    fn explain(&self, error: std::io::Error, request: &Request<'_>) -> Broken {
        let signature = request.token().map_or("", crate::sas::SasToken::signature);
        match self.channel.why_it_ended(signature) {
            Some(why) => Broken {
                error: TransportError::new(TransportErrorKind::AnswerBroken).with_source(why),
                is_hang_up: is_hang_up(&error),
            },
            None => error.into(),
        }
    }

    #[cfg(not(feature = "mqtt-websocket"))]
    #[allow(clippy::unused_self, reason = "TLS without WebSocket gives no reason")]
    fn explain(&self, error: std::io::Error, _: &Request<'_>) -> Broken {
        error.into()
    }
}

/// Ends the connection, so that the service does not wait for a device that is gone.
impl Drop for Connection {
    fn drop(&mut self) {
        self.channel.set_deadline(after(FAREWELL_LIMIT));
        self.exchange.disconnect();
        // The peer may be gone already.
        if self.write(Instant::now()).is_ok() {
            self.channel.close();
        }
    }
}
