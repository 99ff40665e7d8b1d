use core::time::Duration;

use azure_iot_dps::attestation::AttestationKind;
use azure_iot_dps::error::{TransportError, TransportErrorKind};
use azure_iot_dps::key::SignerError;
use azure_iot_dps::protocol::{Request, Response};
use azure_iot_dps::registration::{Registration, RegistrationSettings, Step};
use azure_iot_dps::time::Now;
use azure_iot_dps::transport::mqtt::Exchange;
use azure_iot_dps::{Assignment, Error};
use embassy_time::{Instant, Timer, with_timeout};
use embedded_io_async::{Read, Write};

/// The hardware: a secure element behind an async bus, and TLS over embassy-net or a modem.
#[allow(async_fn_in_trait, reason = "the executor has one thread")]
pub trait Board {
    type Stream: Read + Write;

    async fn hmac_sha256(&mut self, message: &[u8]) -> Result<[u8; 32], SignerError>;
    async fn connect(&mut self, host: &str, port: u16) -> Result<Self::Stream, TransportError>;
}

/// Registers over MQTT. Other tasks run whenever this awaits. Dropping the future cancels it.
pub async fn register<B: Board>(
    settings: &RegistrationSettings,
    board: &mut B,
) -> Result<Assignment, Error> {
    let mut registration = Registration::new(settings, AttestationKind::SymmetricKey);
    let mut connection = None;
    loop {
        // A board with a real-time clock gives its time, too.
        let now = Now { unix: None, uptime: uptime() };
        match registration.step(now)? {
            Step::Sign(request) => {
                let signature = board.hmac_sha256(request.message()).await;
                registration.signed(signature);
            }
            Step::Send(request) => {
                let limit = request.time_limit().try_into().unwrap_or(embassy_time::Duration::MAX);
                let answer = with_timeout(limit, ask(&mut connection, &request, board)).await;
                let answer = answer.unwrap_or_else(|_| Err(TransportErrorKind::TimedOut.into()));
                registration.receive(answer, Now { unix: None, uptime: uptime() });
            }
            Step::Wait(wait) => {
                let pause = wait.duration().try_into().unwrap_or(embassy_time::Duration::MAX);
                Timer::after(pause).await;
            }
            // An RTOS has a log for them.
            Step::Event(_) => {}
            Step::Done(assignment) => return Ok(assignment),
        }
    }
}

/// Sends a request over the connection that is kept, or over a new one.
async fn ask<B: Board>(
    connection: &mut Option<(B::Stream, Exchange)>,
    request: &Request<'_>,
    board: &mut B,
) -> Result<Response<'static>, TransportError> {
    let (mut stream, mut exchange) = match connection.take() {
        Some((stream, mut exchange)) if exchange.carries(request, uptime()) => {
            exchange.send(request)?;
            (stream, exchange)
        }
        _ => {
            let (host, port) = (request.endpoint().host().as_str(), request.mqtt().port());
            (board.connect(host, port).await?, Exchange::new(request)?)
        }
    };
    let mut buffer = [0; 512];
    loop {
        while !exchange.output().is_empty() {
            let written = stream.write(exchange.output()).await.map_err(broken)?;
            exchange.written(written, uptime());
        }
        stream.flush().await.map_err(broken)?;
        if let Some(answer) = exchange.take_answer() {
            *connection = Some((stream, exchange));
            return Ok(answer);
        }
        let length = stream.read(&mut buffer).await.map_err(broken)?;
        exchange.read(buffer.get(..length).unwrap_or_default())?;
    }
}

fn uptime() -> Duration {
    Instant::now().duration_since(Instant::MIN).into()
}

fn broken(error: impl core::fmt::Debug) -> TransportError {
    TransportError::new(TransportErrorKind::AnswerBroken).with_source_debug(error)
}
