//! Implements a transport over the HTTP stack of a modem, as firmware would.
//!
//! The modem handles one request at a time and blocks. It has its own error codes, and its timeouts
//! are in whole seconds. The answers are in a receive buffer of fixed size, which the [`Response`]
//! borrows.
//!
//! `ModemTransport` is meant to be copied. The driver below it replaces that of a real modem, and
//! is connected to a simulated service. ESP-IDF's `esp_http_client` returns headers by name and
//! before the body: see [`Response::head`] and the guide's chapter `firmware`.

mod support;

use std::process::ExitCode;
use std::time::Duration;

use azure_iot_dps::error::{TransportError, TransportErrorKind};
use azure_iot_dps::protocol::{Request, Response};
use azure_iot_dps::{Clock, DeviceKey, ProvisioningClient, RegistrationId, Transport};
use azure_iot_dps_simulator::Simulator;
use support::{Result, print};

/// A transport over a modem.
struct ModemTransport {
    modem: Modem,
    /// The head of the last answer, followed by its body.
    buffer: [u8; 4096],
}

impl Transport for ModemTransport {
    fn send<'b>(&'b mut self, request: &Request<'_>) -> std::result::Result<Response<'b>, TransportError> {
        let started = self.modem.uptime();
        let endpoint = request.endpoint();
        self.modem.command(&format!("AT+HTTPPARA=\"HOST\",\"{endpoint}\"")).map_err(explain)?;
        self.modem.clear_headers();
        let http = request.http();
        for (name, value) in http.headers() {
            // One header contains the token. A driver that logs its commands must not log headers.
            self.modem.header(name, value);
        }
        // The rest of the time limit, rounded down to the modem's whole seconds.
        let left = request.time_limit().saturating_sub(self.modem.uptime().saturating_sub(started));
        if left < Duration::from_secs(1) {
            return Err(TransportErrorKind::TimedOut.into());
        }
        self.modem.command(&format!("AT+HTTPPARA=\"TIMEOUT\",{}", left.as_secs())).map_err(explain)?;
        let body = request.body().unwrap_or_default();
        let answer = self.modem.perform(http.method(), &http.target().to_string(), body).map_err(explain)?;

        let (head, body) = (answer.head, answer.body);
        let Some((head, rest)) = self.buffer.split_at_mut_checked(head) else {
            return Err(TransportErrorKind::AnswerTooLarge.into());
        };
        let Some(body) = rest.get_mut(..body) else { return Err(TransportErrorKind::AnswerTooLarge.into()) };
        self.modem.read(head, body);
        let head = std::str::from_utf8(head).map_err(|_| TransportErrorKind::AnswerBroken)?;
        // Pass all headers. The response keeps those that it needs, such as `Retry-After` and `Date`.
        let headers = head.lines().filter_map(|line| line.split_once(':'));
        let response = Response::new(answer.status, &*body);
        Ok(headers.fold(response, |response, (name, value)| response.with_header(name, value.trim())))
    }
}

/// Translates the modem's error codes, as its manual lists them.
fn explain(code: ModemError) -> TransportError {
    let kind = match code.0 {
        601 => TransportErrorKind::CannotConnect,
        602 => TransportErrorKind::TimedOut,
        603 => TransportErrorKind::NameNotResolved,
        606 => TransportErrorKind::Tls,
        607 => TransportErrorKind::CertificateNotTrusted,
        608 => TransportErrorKind::ClockNotSet,
        _ => TransportErrorKind::Other,
    };
    TransportError::new(kind).with_source(format!("+HTTPACTION: {}", code.0))
}

/// A driver that is connected to a simulated service instead of a radio.
struct Modem {
    service: Simulator,
    headers: Vec<(String, String)>,
    seconds: u64,
    head: String,
    body: Vec<u8>,
}

#[derive(Clone, Copy)]
struct ModemError(u16);

/// The status of an answer that waits in the modem, and the lengths of its head and body.
struct Answer {
    status: u16,
    head: usize,
    body: usize,
}

impl Modem {
    fn new(service: Simulator) -> Self {
        Self { service, headers: Vec::new(), seconds: 0, head: String::new(), body: Vec::new() }
    }

    fn command(&mut self, command: &str) -> std::result::Result<(), ModemError> {
        eprintln!("{command}");
        if let Some(seconds) = command.strip_prefix("AT+HTTPPARA=\"TIMEOUT\",") {
            self.seconds = seconds.parse().map_err(|_| ModemError(604))?;
        }
        Ok(())
    }

    fn uptime(&self) -> Duration {
        self.service.clock().elapsed()
    }

    fn clear_headers(&mut self) {
        self.headers.clear();
    }

    fn header(&mut self, name: &str, value: &str) {
        self.headers.push((name.into(), value.into()));
    }

    /// Blocks until the answer has arrived or the time is up.
    fn perform(&mut self, method: &str, target: &str, body: &[u8]) -> std::result::Result<Answer, ModemError> {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let limit = Duration::from_secs(self.seconds);
        let started = self.uptime();
        let Some(answer) = self.service.request_within(limit, method, target, &headers, body) else {
            let waited = self.uptime().saturating_sub(started);
            return Err(ModemError(if waited < limit { 601 } else { 602 }));
        };
        let headers = [
            ("Retry-After", answer.retry_after().map(|delay| delay.as_secs().to_string())),
            ("Content-Type", answer.content_type().map(str::to_owned)),
            ("x-ms-request-id", answer.request_id().map(str::to_owned)),
        ];
        let lines = headers.into_iter().filter_map(|(name, value)| Some(format!("{name}: {}\r\n", value?)));
        self.head = lines.collect();
        self.body = answer.body().to_vec();
        Ok(Answer { status: answer.status(), head: self.head.len(), body: self.body.len() })
    }

    fn read(&self, head: &mut [u8], body: &mut [u8]) {
        head.copy_from_slice(self.head.as_bytes());
        body.copy_from_slice(&self.body);
    }
}

fn main() -> ExitCode {
    support::exit(run())
}

fn run() -> Result<()> {
    let service = Simulator::builder().build();
    let registration_id = RegistrationId::new("modem-device-1")?;
    let key = service.device_key(&registration_id).ok_or("the simulator has no key for the device")?;
    let key = DeviceKey::from_base64(&key)?;
    // A bad network: the first request gets no answer, the second one gets it too late.
    service.device(&registration_id).drop_before_answer();
    service.device(&registration_id).answer_slowly(Duration::from_secs(90));

    let modem = Modem::new(service.clone());
    let mut client = ProvisioningClient::builder(service.id_scope(), registration_id, key)
        .observer(|event| eprintln!("{event}"))
        .build_with(ModemTransport { modem, buffer: [0; 4096] }, service.clock());
    let assignment = client.register()?;
    let took = service.clock().now().uptime.as_secs();
    eprintln!("{} requests in {took} s of simulated time", assignment.requests());
    print(&format!("assigned hub: {}\ndevice ID:    {}\n", assignment.hub(), assignment.device_id()))
}
