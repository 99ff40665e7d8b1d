//! The HTTP side of the simulator: turns a request into a question, and an answer into a response.

use azure_iot_dps::protocol::Response;

use crate::journal::Asked;
use crate::service::{Addressee, Answer, Credentials, ErrorCode, Question, Unknown};
use crate::state::Reply;
use crate::wire::{http_date, percent_decode};

/// The hub, asked by a device rather than a module.
const HUB: Addressee<'_> = Addressee::Hub { module_id: None };

/// A complete request.
pub(crate) struct HttpRequest<'a> {
    pub(crate) method: &'a str,
    /// Path and query, as sent.
    pub(crate) target: &'a str,
    pub(crate) headers: Vec<(&'a str, &'a str)>,
    pub(crate) body: &'a [u8],
    /// The client certificate with its chain, as DER.
    pub(crate) certificates: &'a [Vec<u8>],
}

impl<'a> HttpRequest<'a> {
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// Returns whether the content type is JSON, in any charset.
    fn is_json(&self) -> bool {
        let media_type = self.header("content-type").and_then(|value| value.split(';').next());
        media_type.is_some_and(|media_type| media_type.trim_ascii().eq_ignore_ascii_case("application/json"))
    }

    fn path(&self) -> &'a str {
        self.target.split_once('?').map_or(self.target, |(path, _)| path)
    }

    /// Returns a parameter of the query, not decoded.
    fn parameter(&self, name: &str) -> Option<&'a str> {
        let (_, query) = self.target.split_once('?')?;
        query.split('&').filter_map(|pair| pair.split_once('=')).find(|(it, _)| *it == name).map(|(_, value)| value)
    }

    /// Returns what the hub is asked about a device.
    fn asked_of_hub(&self, device_id: String, path: &[&str]) -> Result<Asked, Unknown> {
        match (self.method, path) {
            // Some clients end the path with a slash, like the topic of MQTT.
            ("POST", ["messages", "events"] | ["messages", "events", ""]) => Ok(Asked::SendMessage { device_id }),
            ("GET", ["messages", "devicebound"]) => Ok(Asked::ReceiveMessage { device_id }),
            ("DELETE", ["messages", "devicebound", lock_token]) => {
                Ok(Asked::CompleteMessage { device_id, lock_token: (*lock_token).to_owned() })
            }
            (_, ["messages", "events" | "devicebound", ..]) => Err(Unknown::Method),
            _ => Err(Unknown::Resource),
        }
    }

    /// Returns the question, and an error if the service and the hub do not know it.
    pub(crate) fn question(&self) -> (Question<'a>, Result<(), Unknown>) {
        let segments: Vec<&'a str> = self.path().split('/').skip(1).collect();
        let (to, asked) = match &segments[..] {
            ["devices", device_id, rest @ ..] => (HUB, self.asked_of_hub(percent_decode(device_id), rest)),
            [id_scope, "registrations", registration_id, rest @ ..] => {
                let registration_id = percent_decode(registration_id);
                let asked = match (self.method, rest) {
                    ("PUT", ["register"]) => Ok(Asked::Register { registration_id }),
                    ("GET", ["operations", operation_id]) => {
                        Ok(Asked::OperationStatus { registration_id, operation_id: percent_decode(operation_id) })
                    }
                    ("POST", []) => Ok(Asked::StatusLookup { registration_id }),
                    (_, [] | ["register"] | ["operations", _]) => Err(Unknown::Method),
                    _ => Err(Unknown::Resource),
                };
                (Addressee::Service { id_scope }, asked)
            }
            _ => (Addressee::Service { id_scope: "" }, Err(Unknown::Resource)),
        };
        let (asked, known) = match asked {
            Ok(asked) if matches!(to, Addressee::Service { .. }) && !self.body.is_empty() && !self.is_json() => {
                (asked, Err(Unknown::MediaType))
            }
            Ok(asked) => (asked, Ok(())),
            Err(unknown) => (Asked::Other { text: format!("{} {}", self.method, self.target) }, Err(unknown)),
        };
        let (api_version, token) = (self.parameter("api-version"), self.header("authorization"));
        let credentials = Credentials { token, certificates: self.certificates };
        (Question { asked, to, api_version, credentials, body: self.body, id_in_body: true }, known)
    }
}

/// The header that repeats the error code of the service.
const ERROR_CODE: &str = "x-ms-error-code";

/// A complete answer.
#[derive(Clone, Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl HttpAnswer {
    #[cfg(feature = "server")]
    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// Makes an answer of the service or the hub, with its usual headers and what a test scripted.
    pub(crate) fn from_reply(reply: Reply, id_scope: &str) -> Self {
        let answer = Self::from_answer(reply.answer, id_scope).scripted(reply.headers, reply.body);
        if reply.bare { answer.bare() } else { answer }
    }

    fn from_answer(answer: Answer, id_scope: &str) -> Self {
        let Answer { status, retry_after, json, message, error_code, location, request_id, date } = answer;
        let etag = message.as_ref().map(|message| ("ETag", format!("\"{}\"", message.lock_token)));
        let body = message.map_or(json, |message| message.body);
        let headers = [
            (!body.is_empty() && etag.is_none())
                .then(|| ("Content-Type", "application/json; charset=utf-8".to_owned())),
            etag,
            retry_after.map(|delay| ("Retry-After", delay.as_secs().to_string())),
            error_code.map(|code| match code {
                ErrorCode::Service(code) => (ERROR_CODE, code.to_string()),
                ErrorCode::Hub(name) => ("iothub-errorcode", name.to_owned()),
            }),
            location.map(|location| ("Location", format!("/{id_scope}/registrations/{location}"))),
            Some(("Date", http_date(date))),
            Some(("x-ms-request-id", request_id)),
            Some(("Strict-Transport-Security", "max-age=31536000; includeSubDomains".to_owned())),
        ];
        Self { status, headers: headers.into_iter().flatten().collect(), body }
    }

    /// Removes the header that repeats the error code, and sends the body in chunks.
    ///
    /// Some errors of the service look like this.
    fn bare(mut self) -> Self {
        self.headers.retain(|(name, _)| *name != ERROR_CODE);
        self.headers.push(("Transfer-Encoding", "chunked".to_owned()));
        self
    }

    /// Replaces headers and body by those that a test scripted.
    fn scripted(mut self, headers: Vec<(&'static str, String)>, body: Option<Vec<u8>>) -> Self {
        if let Some(body) = body {
            self.body = body;
            self.headers.retain(|(name, _)| !matches!(*name, "Content-Type" | ERROR_CODE));
        }
        self.headers.retain(|(name, _)| !headers.iter().any(|(it, _)| it.eq_ignore_ascii_case(name)));
        self.headers.extend(headers);
        self
    }

    pub(crate) fn into_response(self) -> Response<'static> {
        let response = Response::new(self.status, self.body);
        self.headers.into_iter().fold(response, |response, (name, value)| response.with_header(name, value))
    }

    #[cfg(feature = "server")]
    pub(crate) fn with_header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}
