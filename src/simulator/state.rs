//! The service with all that goes wrong on the way to it.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::simulator::front::http::{HttpAnswer, HttpRequest};
use crate::simulator::journal::{Journal, Record};
use crate::simulator::script::{Effect, Script};
use crate::simulator::service::{Addressee, Answer, Service};
use crate::time::UnixTime;

/// An answer and what happens to it on its way.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "simulator-server"),
    allow(dead_code, reason = "only a real connection can be cut in the middle")
)]
pub(super) enum Delivery {
    /// It arrives, after that long; then the connection is closed or not.
    Whole { answer: HttpAnswer, after: Duration, close: bool },
    /// So many bytes of it arrive.
    Cut { answer: HttpAnswer, bytes: usize },
    /// These bytes arrive, which are no HTTP.
    Garbage(Vec<u8>),
    /// Nothing arrives.
    Nothing,
}

/// The service, and what is in store for each device.
#[derive(Debug)]
pub(super) struct State {
    service: Service,
    /// By registration ID in lower case.
    scripts: BTreeMap<String, Script>,
    journal: Arc<Journal>,
}

impl State {
    pub(super) fn new(service: Service, journal: Arc<Journal>) -> Self {
        Self { service, scripts: BTreeMap::new(), journal }
    }

    pub(super) fn service(&self) -> &Service {
        &self.service
    }

    #[cfg(feature = "simulator-server")]
    pub(super) fn service_mut(&mut self) -> &mut Service {
        &mut self.service
    }

    /// What is in store for a device.
    pub(super) fn script(&mut self, key: &str) -> &mut Script {
        self.scripts.entry(key.into()).or_default()
    }

    /// Answers a request that comes at this time since 1970, and says how the answer arrives.
    pub(super) fn deliver(&mut self, request: &HttpRequest<'_>, now: Duration) -> Delivery {
        let (question, known) = request.question();
        let key = self.service.device_of(&question.asked);
        let to_service = matches!(question.to, Addressee::Service { .. });
        let effect = self.scripts.get_mut(&key).and_then(|script| script.next(to_service, now));
        let id_scope = self.service.settings().id_scope.clone();
        let bare = self.service.settings().bare_errors && to_service;
        let mut answer = |date: Duration| {
            let answer = match known {
                Ok(()) => self.service.answer(&question, now),
                Err(unknown) => self.service.refuse_unknown(&question.to, unknown, now),
            };
            let answer = HttpAnswer::from_answer(Answer { date, ..answer }, id_scope.as_str());
            if bare && answer.status >= 400 { answer.bare() } else { answer }
        };
        let whole = |answer| Delivery::Whole { answer, after: Duration::ZERO, close: false };
        let delivery = match effect {
            None => whole(answer(now)),
            Some(Effect::DropBefore) => Delivery::Nothing,
            Some(Effect::RefuseKey) => whole(HttpAnswer::from_answer(self.service.refuse_key(now), id_scope.as_str())),
            Some(Effect::Garbage(bytes)) => Delivery::Garbage(bytes),
            Some(Effect::Answer { status, headers, body }) => {
                let answer = HttpAnswer::from_answer(self.service.scripted(status, now), id_scope.as_str());
                whole(answer.scripted(headers, body))
            }
            Some(Effect::CutAfter(bytes)) => Delivery::Cut { answer: answer(now), bytes },
            Some(Effect::DropAfter) => Delivery::Whole { answer: answer(now), after: Duration::ZERO, close: true },
            Some(Effect::Slow(after)) => Delivery::Whole { answer: answer(now), after, close: false },
            Some(Effect::DateOff(seconds)) => {
                whole(answer(Duration::from_secs(now.as_secs().saturating_add_signed(seconds))))
            }
        };
        self.journal.write(Record::Request {
            at: UnixTime::from_secs(now.as_secs()),
            asked: question.asked,
            body: request.body.into(),
            status: if let Delivery::Whole { answer, .. } = &delivery { Some(answer.status) } else { None },
        });
        delivery
    }
}
