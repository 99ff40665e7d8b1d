//! The MQTT form of a request, and the parsing of an answer from a topic and a payload.
//!
//! With an MQTT client, these types are all that a transport needs. With a byte stream only, use
//! [`mqtt::Exchange`](crate::transport::mqtt::Exchange). The service speaks MQTT 3.1.1 over TLS:
//!
//! 1. CONNECT with [`client_id`](Message::client_id), [`user_name`](Message::user_name) and
//!    [`password`](Message::password). A new token needs a new connection. Return code 3 is a
//!    transient failure. Return codes 4 and 5 are [`Response::unauthorized`].
//! 2. SUBSCRIBE to [`ANSWERS`] with QoS 1.
//! 3. PUBLISH each [`payload`](Message::payload) to its [`topic`](Message::topic) with QoS 1.
//! 4. The answer is the message for which [`Answer::parse`] finds the same `$rid`. Ignore all other
//!    messages.
//!
//! ```
//! use azure_iot_dps::error::{TransportError, TransportErrorKind};
//! use azure_iot_dps::protocol::{Request, Response, mqtt};
//! # struct Modem;
//! # impl Modem {
//! #     fn connect(
//! #         &mut self, _: &str, _: u16, _: &str, _: &str, _: Option<&str>,
//! #     ) -> Result<(), u16> { Ok(()) }
//! #     fn subscribe(&mut self, _: &str, _: u8) -> Result<(), u16> { Ok(()) }
//! #     fn publish(&mut self, _: &str, _: &[u8], _: u8) -> Result<(), u16> { Ok(()) }
//! #     fn next_message(&mut self) -> Result<(String, Vec<u8>), u16> {
//! #         Ok(("$dps/registrations/res/202/?$rid=7&retry-after=3".into(), b"{}".to_vec()))
//! #     }
//! # }
//!
//! fn send(modem: &mut Modem, request: &Request<'_>) -> Result<Response<'static>, TransportError> {
//!     const QOS: u8 = 1;
//!     let broken = |_code| TransportErrorKind::AnswerBroken;
//!     let message = request.mqtt();
//!     let topic = message.topic(7).ok_or(TransportErrorKind::Unsupported)?;
//!     let host = request.endpoint().host().as_str();
//!     let (id, user_name) = (message.client_id(), message.user_name().to_string());
//!     let connected = modem.connect(host, message.port(), id, &user_name, message.password());
//!     connected.map_err(broken)?;
//!     modem.subscribe(mqtt::ANSWERS, QOS).map_err(broken)?;
//!     modem.publish(&topic.to_string(), message.payload(), QOS).map_err(broken)?;
//!     loop {
//!         let (topic, payload) = modem.next_message().map_err(broken)?;
//!         match mqtt::Answer::parse(&topic, payload) {
//!             Some(answer) if answer.rid() == Some(7) => return Ok(answer.into_response()),
//!             _ => {}
//!         }
//!     }
//! }
//! ```
//!
//! Sources: Microsoft, "Communicate with your DPS using the MQTT protocol", and captures of the
//! official clients.

use alloc::borrow::Cow;
use core::fmt;

use crate::encoding::percent_encode;
use crate::protocol::request::{Operation, Request};
use crate::protocol::response::Response;
use crate::sas::SasToken;

/// The default port of MQTT over TLS, used if an endpoint has no port.
pub const DEFAULT_PORT: u16 = 8883;

/// The topic filter of all answers. Subscribe to it with QoS 1.
pub const ANSWERS: &str = "$dps/registrations/res/#";

/// The prefix of an answer's topic.
const ANSWER_PREFIX: &str = "$dps/registrations/res/";

/// The MQTT form of a request: the values for CONNECT and PUBLISH.
///
/// [`Request::mqtt`] creates it.
///
/// ```
/// # use azure_iot_dps::attestation::AttestationKind;
/// # use azure_iot_dps::registration::{Registration, RegistrationSettings, Step};
/// # let settings = RegistrationSettings::new("0ne00002193".parse()?, "my-device".parse()?);
/// # let mut registration = Registration::new(&settings, AttestationKind::X509);
/// # let now = azure_iot_dps::time::Now { unix: None, uptime: core::time::Duration::ZERO };
/// # while matches!(registration.step(now)?, Step::Event(_)) {}
/// # let Step::Send(request) = registration.step(now)? else { panic!("no request") };
/// let message = request.mqtt();
/// assert_eq!((message.client_id(), message.port()), ("my-device", 8883));
/// assert_eq!(message.password(), None); // The device has a certificate.
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Message<'a>(Request<'a>);

impl<'a> Request<'a> {
    /// Returns the MQTT form of the request.
    #[must_use]
    pub fn mqtt(&self) -> Message<'a> {
        Message(*self)
    }
}

impl<'a> Message<'a> {
    /// Returns the TCP port to connect to: that of the endpoint, or else 8883.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.endpoint().port().unwrap_or(DEFAULT_PORT)
    }

    /// Returns the client ID, which is the registration ID.
    #[must_use]
    pub fn client_id(&self) -> &'a str {
        self.0.registration_id().as_str()
    }

    /// Returns the user name, made of ID scope, registration ID, API version and user agent.
    #[must_use]
    pub fn user_name(&self) -> UserName<'a> {
        UserName(self.0)
    }

    /// Returns the password, which is the SAS token and thus secret.
    ///
    /// Returns `None` if a client certificate proves the device's identity.
    #[must_use]
    pub fn password(&self) -> Option<&'a str> {
        self.0.token().map(SasToken::as_str)
    }

    /// Returns the topic to publish to. The answer repeats the number `rid`.
    ///
    /// Returns `None` for a status lookup, which MQTT does not have. A transport then returns
    /// [`Unsupported`](crate::error::TransportErrorKind::Unsupported).
    #[must_use]
    pub fn topic(&self, rid: u32) -> Option<Topic<'a>> {
        match self.0.operation() {
            Operation::Register => Some(Topic { operation_id: None, rid }),
            Operation::OperationStatus { operation_id } => Some(Topic { operation_id: Some(operation_id), rid }),
            Operation::StatusLookup => None,
        }
    }

    /// Returns the payload to publish, which is empty if the operation has none.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.0.body().unwrap_or_default()
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("user_name", &self.user_name())
            .field("operation", &self.0.operation())
            .field("payload_len", &self.payload().len())
            .finish_non_exhaustive()
    }
}

/// An MQTT user name, written by `Display`.
///
/// ```
/// # use azure_iot_dps::attestation::AttestationKind;
/// # use azure_iot_dps::registration::{Registration, RegistrationSettings, Step};
/// # let settings = RegistrationSettings::new("0ne00002193".parse()?, "my-device".parse()?);
/// # let mut registration = Registration::new(&settings, AttestationKind::X509);
/// # let now = azure_iot_dps::time::Now { unix: None, uptime: core::time::Duration::ZERO };
/// # while matches!(registration.step(now)?, Step::Event(_)) {}
/// # let Step::Send(request) = registration.step(now)? else { panic!("no request") };
/// let user_name = request.mqtt().user_name().to_string();
/// let start = "0ne00002193/registrations/my-device/api-version=2021-06-01&ClientVersion=";
/// assert!(user_name.starts_with(start));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct UserName<'a>(Request<'a>);

impl fmt::Display for UserName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Request { id_scope, registration_id, api_version, user_agent, .. } = self.0;
        let client_version = percent_encode(user_agent);
        write!(f, "{id_scope}/registrations/{registration_id}/api-version={api_version}&ClientVersion={client_version}")
    }
}

impl fmt::Debug for UserName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserName({self})")
    }
}

/// A topic to publish to, written by `Display`.
///
/// ```
/// # use azure_iot_dps::attestation::AttestationKind;
/// # use azure_iot_dps::registration::{Registration, RegistrationSettings, Step};
/// # let settings = RegistrationSettings::new("0ne00002193".parse()?, "my-device".parse()?);
/// # let mut registration = Registration::new(&settings, AttestationKind::X509);
/// # let now = azure_iot_dps::time::Now { unix: None, uptime: core::time::Duration::ZERO };
/// # while matches!(registration.step(now)?, Step::Event(_)) {}
/// # let Step::Send(request) = registration.step(now)? else { panic!("no request") };
/// let topic = request.mqtt().topic(1).map(|topic| topic.to_string());
/// assert_eq!(topic.as_deref(), Some("$dps/registrations/PUT/iotdps-register/?$rid=1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Topic<'a> {
    /// The ID of the operation to poll, or `None` to register.
    operation_id: Option<&'a str>,
    rid: u32,
}

impl fmt::Display for Topic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rid = self.rid;
        match self.operation_id.map(percent_encode) {
            None => write!(f, "$dps/registrations/PUT/iotdps-register/?$rid={rid}"),
            Some(operation_id) => {
                const POLL: &str = "$dps/registrations/GET/iotdps-get-operationstatus";
                write!(f, "{POLL}/?$rid={rid}&operationId={operation_id}")
            }
        }
    }
}

impl fmt::Debug for Topic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({self})")
    }
}

/// An answer of the service, parsed from the topic and the payload of a message.
///
/// ```
/// use azure_iot_dps::protocol::mqtt::Answer;
/// use core::time::Duration;
///
/// let topic = "$dps/registrations/res/202/?$rid=1&retry-after=3";
/// let payload = br#"{"operationId":"5.3","status":"assigning"}"#;
/// let answer = Answer::parse(topic, &payload[..]).ok_or("not an answer")?;
/// assert_eq!(answer.rid(), Some(1));
/// let response = answer.into_response();
/// assert_eq!((response.status(), response.retry_after()), (202, Some(Duration::from_secs(3))));
///
/// assert!(Answer::parse("devices/my-device/messages/devicebound/", &b"hello"[..]).is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Answer<'b> {
    rid: Option<u32>,
    response: Response<'b>,
}

impl<'b> Answer<'b> {
    /// Parses the topic of a message. Returns `None` if it is not the topic of an answer.
    ///
    /// A parameter with an invalid value counts as absent.
    #[must_use]
    pub fn parse(topic: &str, payload: impl Into<Cow<'b, [u8]>>) -> Option<Self> {
        let (status, parameters) = topic.strip_prefix(ANSWER_PREFIX)?.split_once('/')?;
        let three_digits = status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit());
        let status = status.parse().ok().filter(|status| three_digits && (100..600).contains(status))?;
        let mut answer = Self { rid: None, response: Response::new(status, payload) };
        for parameter in parameters.strip_prefix('?')?.split('&') {
            match parameter.split_once('=') {
                Some(("$rid", value)) => answer.rid = digits(value),
                Some((name, value)) if name.eq_ignore_ascii_case("retry-after") => {
                    // Only the delay itself is kept, so nothing is borrowed from the topic.
                    answer.response = answer.response.with_retry_after_text(value);
                }
                _ => {}
            }
        }
        Some(answer)
    }

    /// Returns the number of the request that this answers.
    ///
    /// Returns `None` if the topic has no number, or one that is not a `u32`.
    #[must_use]
    pub fn rid(&self) -> Option<u32> {
        self.rid
    }

    /// Returns the response, which a [`Transport`](crate::Transport) returns in turn.
    #[must_use]
    pub fn into_response(self) -> Response<'b> {
        self.response
    }
}

/// Parses a number without a sign.
fn digits(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}
