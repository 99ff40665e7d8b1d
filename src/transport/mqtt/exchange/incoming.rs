//! Handles the packets that an exchange receives.

use super::{Exchange, SUBSCRIPTION, Stage};
use crate::error::{TransportError, TransportErrorKind as Kind};
use crate::protocol::Response;
use crate::protocol::mqtt::{ANSWERS, Answer};
use crate::transport::mqtt::packet::{Frame, FrameError, FromClient, FromServer, Publish, REFUSED};

/// The largest accepted packet. An answer has at most 96 KB. Its topic and the packet's fields add
/// to that.
const MAX_PACKET: usize = 128 * 1024 + 1024;

impl Exchange {
    pub(super) fn take_in(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        if bytes.is_empty() {
            return Err(TransportError::new(Kind::AnswerBroken).with_source("the peer closed the MQTT connection"));
        }
        let mut input = core::mem::take(&mut self.input);
        input.extend(bytes);
        let mut rest = &input[..];
        while let Some((frame, length)) = Frame::first(rest, MAX_PACKET).map_err(broken)? {
            self.receive(FromServer::decode(frame).map_err(broken)?)?;
            rest = rest.get(length..).unwrap_or_default();
        }
        let done = input.len().saturating_sub(rest.len());
        input.drain(..done);
        if !input.is_empty() {
            self.input = input;
        }
        Ok(())
    }

    fn receive(&mut self, packet: FromServer<'_>) -> Result<(), TransportError> {
        match (packet, self.stage) {
            (FromServer::ConnAck { code, .. }, Stage::Connecting) => self.connected(code),
            (_, Stage::Connecting) => Err(broken(FrameError::Malformed("a packet before the CONNACK"))),
            (FromServer::ConnAck { .. }, _) => Err(broken(FrameError::Malformed("a second CONNACK"))),
            (FromServer::SubAck { packet_id: SUBSCRIPTION, codes }, Stage::Subscribing) => self.subscribed(codes),
            (FromServer::Publish(publish), _) => self.arrived(publish),
            (FromServer::PingResp, _) => {
                self.ping_sent = None;
                Ok(())
            }
            // The answer does not depend on these acknowledgements.
            (FromServer::SubAck { .. } | FromServer::PubAck(_) | FromServer::UnsubAck(_), _) => Ok(()),
        }
    }

    fn connected(&mut self, code: u8) -> Result<(), TransportError> {
        let why = match code {
            0 => {
                self.stage = Stage::Subscribing;
                let filters = [(ANSWERS, 1)].into();
                return self.put(&FromClient::Subscribe { packet_id: SUBSCRIPTION, filters });
            }
            4 | 5 => {
                self.stage = Stage::Over;
                self.answer = Some(Response::unauthorized());
                return Ok(());
            }
            1 => "CONNACK 1: unacceptable protocol version",
            2 => "CONNACK 2: the client ID was rejected",
            3 => "CONNACK 3: the server is unavailable",
            _ => "CONNACK with an unknown return code",
        };
        Err(TransportError::new(Kind::ConnectionRefused).with_source(why))
    }

    fn subscribed(&mut self, codes: &[u8]) -> Result<(), TransportError> {
        match codes {
            [0..=2] => {
                self.publish();
                Ok(())
            }
            [REFUSED] => {
                Err(TransportError::new(Kind::ConnectionRefused)
                    .with_source("SUBACK 128: the subscription was refused"))
            }
            _ => Err(broken(FrameError::Malformed("a SUBACK that does not match the subscription"))),
        }
    }

    /// Acknowledges a message, and stores it if it is the answer.
    fn arrived(&mut self, publish: Publish<'_>) -> Result<(), TransportError> {
        if let Some(packet_id) = publish.packet_id {
            self.put(&FromClient::PubAck(packet_id))?;
        }
        if self.stage == Stage::Asking
            && let Some(answer) = Answer::parse(publish.topic, publish.payload).filter(|it| it.rid() == Some(self.rid))
        {
            self.stage = Stage::Answered;
            self.answer = Some(answer.into_response().into_owned());
        }
        Ok(())
    }
}

fn broken(error: FrameError) -> TransportError {
    match error {
        FrameError::Malformed(what) => TransportError::new(Kind::AnswerBroken).with_source(what),
        FrameError::TooLarge => Kind::AnswerTooLarge.into(),
    }
}
