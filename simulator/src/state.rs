//! The service and the faults between it and its devices.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use azure_iot_dps::time::UnixTime;

use crate::hub_state::Mailboxes;
use crate::journal::{Asked, Journal, Record};
use crate::script::{Effect, Script};
use crate::service::{Addressee, Answer, Question, Service, Unknown};

/// An answer and how it arrives.
#[derive(Debug)]
#[cfg_attr(not(feature = "server"), allow(dead_code, reason = "only a real connection can be cut in the middle"))]
pub(crate) enum Delivery {
    /// The answer arrives after a delay, and then the connection is closed or not.
    Whole { reply: Reply, after: Duration, close: bool },
    /// The answer arrives before the acknowledgement of the request.
    OutOfOrder(Reply),
    /// So many bytes of the answer arrive.
    Cut { reply: Reply, bytes: usize },
    /// These bytes arrive in the place of the protocol.
    Garbage(Vec<u8>),
    /// Nothing arrives.
    Nothing,
}

/// An answer, with the headers and the body that a test has scripted.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    /// Headers of HTTP.
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<Vec<u8>>,
    /// The answer lacks the header that repeats the error code.
    pub(crate) bare: bool,
}

impl Reply {
    fn new(answer: Answer) -> Self {
        Self { answer, headers: Vec::new(), body: None, bare: false }
    }
}

/// The service and the pending faults of each device.
#[derive(Debug)]
pub(crate) struct State {
    service: Service,
    /// By registration ID in lower case.
    scripts: BTreeMap<String, Script>,
    /// The messages of the hub for its devices.
    pub(crate) mailboxes: Mailboxes,
    journal: Arc<Journal>,
}

impl State {
    pub(crate) fn new(service: Service, journal: Arc<Journal>) -> Self {
        Self { service, scripts: BTreeMap::new(), mailboxes: Mailboxes::default(), journal }
    }

    pub(crate) fn service(&self) -> &Service {
        &self.service
    }

    #[cfg(feature = "server")]
    pub(crate) fn service_mut(&mut self) -> &mut Service {
        &mut self.service
    }

    /// Returns the script of a device.
    pub(crate) fn script(&mut self, key: &str) -> &mut Script {
        self.scripts.entry(key.into()).or_default()
    }

    /// Answers a question that comes at this time since 1970, and returns how the answer arrives.
    pub(crate) fn deliver(&mut self, question: &Question<'_>, known: Result<(), Unknown>, now: Duration) -> Delivery {
        let key = self.service.device_of(&question.asked);
        let to_service = matches!(question.to, Addressee::Service { .. });
        let effect = self.scripts.get_mut(&key).and_then(|script| script.next(to_service, now));
        let bare = self.service.settings().bare_errors && to_service;
        let mut reply = |date: Duration| {
            let answer = match known {
                Ok(()) => self.service.answer(question, &mut self.mailboxes, now),
                Err(unknown) => self.service.refuse_unknown(&question.to, unknown, now),
            };
            let bare = bare && answer.status >= 400;
            Reply { bare, ..Reply::new(Answer { date, ..answer }) }
        };
        let whole = |reply| Delivery::Whole { reply, after: Duration::ZERO, close: false };
        let delivery = match effect {
            None => whole(reply(now)),
            Some(Effect::DropBefore | Effect::RefuseConnection(_)) => Delivery::Nothing,
            Some(Effect::RefuseKey) => whole(Reply::new(self.service.refuse_key(now))),
            Some(Effect::Garbage(bytes)) => Delivery::Garbage(bytes),
            Some(Effect::Answer { status, headers, body }) => {
                whole(Reply { headers, body, ..Reply::new(self.service.scripted(status, now)) })
            }
            Some(Effect::CutAfter(bytes)) => Delivery::Cut { reply: reply(now), bytes },
            Some(Effect::DropAfter) => Delivery::Whole { reply: reply(now), after: Duration::ZERO, close: true },
            Some(Effect::Slow(after)) => Delivery::Whole { reply: reply(now), after, close: false },
            Some(Effect::OutOfOrder) => Delivery::OutOfOrder(reply(now)),
            Some(Effect::DateOff(seconds)) => {
                whole(reply(Duration::from_secs(now.as_secs().saturating_add_signed(seconds))))
            }
        };
        let status = match &delivery {
            Delivery::Whole { reply, .. } | Delivery::OutOfOrder(reply) => Some(reply.answer.status),
            _ => None,
        };
        self.note(question.asked.clone(), question.body, status, now);
        delivery
    }

    /// Returns the return code that refuses the MQTT connection of the device that asks this.
    pub(crate) fn next_connection(&mut self, asked: &Asked) -> Option<u8> {
        let key = self.service.device_of(asked);
        self.scripts.get_mut(&key)?.next_connection()
    }

    /// Writes the request into the journal.
    pub(crate) fn note(&self, asked: Asked, body: &[u8], status: Option<u16>, now: Duration) {
        let at = UnixTime::from_secs(now.as_secs());
        self.journal.write(Record::Request { at, asked, body: body.into(), status });
    }
}
