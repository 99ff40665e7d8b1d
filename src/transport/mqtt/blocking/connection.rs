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

/// The longest that taking leave may last.
const FAREWELL_LIMIT: Duration = Duration::from_secs(1);

/// A connection, with what was said on it.
pub(super) struct Connection {
    channel: Channel,
    exchange: Exchange,
    /// Of what is trusted.
    generation: u64,
}

/// Why a connection did not bring the answer.
pub(super) struct Broken {
    pub(super) error: TransportError,
    /// The peer went away.
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

    /// Takes another request, if that can be carried as things are trusted now.
    pub(super) fn take(&mut self, request: &Request<'_>, generation: u64, now: Duration) -> bool {
        self.generation == generation && self.exchange.carries(request, now) && self.exchange.send(request).is_ok()
    }

    /// Whether the service has the request, or may have it.
    pub(super) fn has_asked(&self) -> bool {
        self.exchange.has_asked()
    }

    /// Writes and reads until the answer is there.
    pub(super) fn run(
        &mut self,
        request: &Request<'_>,
        beginning: Instant,
        until: Instant,
    ) -> Result<Response<'static>, Broken> {
        self.channel.set_deadline(until);
        let mut buffer = [0; 2048];
        loop {
            // An answer counts though its acknowledgement comes too late.
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

    /// A peer that closes a WebSocket may say why.
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
    #[allow(clippy::unused_self, reason = "TLS alone has no last word")]
    fn explain(&self, error: std::io::Error, _: &Request<'_>) -> Broken {
        error.into()
    }
}

/// Takes leave, so that the service need not wait for a device that is gone.
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
