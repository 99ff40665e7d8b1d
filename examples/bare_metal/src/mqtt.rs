//! The MQTT transport: the crate's exchange of packets, over TLS.

use alloc::boxed::Box;
use alloc::sync::Arc;

use azure_iot_dps::Transport;
use azure_iot_dps::error::{TransportError, TransportErrorKind as Kind};
use azure_iot_dps::protocol::{Request, Response};
use azure_iot_dps::transport::mqtt::Exchange;
use rustls::ClientConfig;

use crate::board::uptime;
use crate::tls::Tls;

/// MQTT over one persistent connection.
pub struct Mqtt {
    config: Arc<ClientConfig>,
    connection: Option<(Box<Tls>, Exchange)>,
}

impl Mqtt {
    pub fn new(config: Arc<ClientConfig>) -> Self {
        Self { config, connection: None }
    }
}

impl Transport for Mqtt {
    fn send<'b>(&'b mut self, request: &Request<'_>) -> Result<Response<'b>, TransportError> {
        let until = uptime() + request.time_limit();
        let (mut tls, mut exchange) = match self.connection.take() {
            Some((tls, mut exchange)) if exchange.carries(request, uptime()) => {
                exchange.send(request)?;
                (tls, exchange)
            }
            _ => {
                let (host, port) = (request.endpoint().host().as_str(), request.mqtt().port());
                (Tls::connect(&self.config, host, port, until)?, Exchange::new(request)?)
            }
        };
        loop {
            let length = exchange.output().len();
            if length > 0 {
                tls.write_all(exchange.output(), until)?;
                exchange.written(length, uptime());
            }
            if let Some(answer) = exchange.take_answer() {
                self.connection = Some((tls, exchange));
                return Ok(answer);
            }
            // A write may already have received data.
            if tls.received.is_empty() && !tls.read(until)? {
                return Err(TransportError::from(Kind::AnswerBroken).with_source("the service closed the connection"));
            }
            exchange.read(&tls.received)?;
            tls.received.clear();
        }
    }
}
