//! The checks of the answer: whether the service gave it, and what its clock says.

use std::io::{self, Read, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use azure_iot_dps::protocol::Response;
use azure_iot_dps::time::UnixTime;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::limits::Channel;
use crate::report::{Check, describe};
use crate::setup::{Credential, Setup};
use crate::tls::Stream;

/// The most bytes of an answer that are read.
const MAX_ANSWER: usize = 16 * 1024;
/// The difference between two clocks that is accepted, in seconds.
const ACCEPTED_DIFFERENCE: u64 = 5 * 60;
/// The ID scope and the registration ID of a request without a device. The scope does not exist.
const NOBODY: (&str, &str) = ("0ne00000000", "diagnose");

/// The relevant parts of an answer.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    date: Option<UnixTime>,
    is_html: bool,
    /// The service's request ID or its error format.
    is_of_service: bool,
    request_id: Option<String>,
    location_host: Option<String>,
    server: Option<String>,
    /// The time here when the answer arrived.
    arrived: UnixTime,
}

/// Sends a status lookup without credentials, which the service refuses.
pub(crate) fn ask(stream: &mut Stream, setup: &Setup) -> io::Result<Answer> {
    let (id_scope, registration_id) = match &setup.credential {
        Credential::Device(device) => (device.id_scope.as_str(), device.registration_id.as_str()),
        _ => NOBODY,
    };
    let body = format!(r#"{{"registrationId":"{registration_id}"}}"#);
    let request = format!(
        "POST /{id_scope}/registrations/{}?api-version=2021-06-01 HTTP/1.1\r\n\
         Host: {}\r\nUser-Agent: azure-iot-dps diagnose\r\nAccept: application/json\r\nAccept-Encoding: identity\r\n\
         Content-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        utf8_percent_encode(registration_id, NON_ALPHANUMERIC),
        authority(setup),
        body.len()
    );
    stream.begin_step();
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 2048];
        let problem = match stream.read(&mut buffer) {
            Ok(0) => io::ErrorKind::UnexpectedEof.into(),
            Ok(count) => {
                bytes.extend(buffer.iter().take(count));
                match parse(&bytes)? {
                    Some((answer, true)) => return Ok(answer),
                    _ if bytes.len() > MAX_ANSWER => io::Error::other("the answer is too large"),
                    _ => continue,
                }
            }
            Err(error) => error,
        };
        // The head is enough, if the rest does not come.
        return parse(&bytes)?.map(|(answer, _)| answer).ok_or(problem);
    }
}

/// Returns the host for the header `Host`, with the port if it is not the default one.
fn authority(setup: &Setup) -> String {
    match setup.ports.first() {
        Some(port) if port.number != 443 => format!("{}:{}", setup.host, port.number),
        _ => setup.host.clone(),
    }
}

/// Parses an answer as soon as its head is there, and returns whether its body is, too.
fn parse(bytes: &[u8]) -> io::Result<Option<(Answer, bool)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut headers);
    let start = match head.parse(bytes) {
        Ok(httparse::Status::Complete(start)) => start,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(io::Error::other(format!("the answer is not HTTP: {error}"))),
    };
    let body = bytes.get(start..).unwrap_or_default();
    let header = |wanted: &str| {
        let found = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(wanted));
        found.and_then(|header| str::from_utf8(header.value).ok())
    };
    let is_whole = match header("content-length").map(str::parse::<usize>) {
        Some(Ok(length)) => body.len() >= length,
        _ => header("transfer-encoding").is_some() && body.ends_with(b"0\r\n\r\n"),
    };
    let is_json = header("content-type").is_some_and(|value| value.contains("json"));
    let has_error_code = body.windows(11).any(|window| window == b"\"errorCode\"");
    let answer = Answer {
        status: head.code.unwrap_or_default(),
        date: header("date").and_then(|date| Response::new(200, &b""[..]).with_header("Date", date).date()),
        is_html: header("content-type").is_some_and(|value| value.contains("html"))
            || body.trim_ascii_start().starts_with(b"<"),
        is_of_service: header("x-ms-request-id").is_some() || (is_json && has_error_code),
        request_id: header("x-ms-request-id").map(str::to_owned),
        location_host: header("location").map(host_of),
        server: header("server").map(str::to_owned),
        arrived: UnixTime::from_secs(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()),
    };
    Ok(Some((answer, is_whole)))
}

/// Returns the host of a URL. The rest may hold a session or a token.
fn host_of(url: &str) -> String {
    let Some((_, rest)) = url.split_once("//") else { return "the same host".into() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default().to_owned()
}

/// Judges who answers.
pub(crate) fn check(answer: &io::Result<Answer>, host: &str) -> Check {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            let what_to_do =
                "Check that no gateway on the way closes connections, and that this is a provisioning service.";
            let error = describe(error);
            return Check::fail("http", format!("no answer to a request: {error}"), what_to_do).fact("error", error);
        }
    };
    let status = answer.status;
    let portal =
        format!("Sign in at the network's captive portal, or ask its operator to let the device reach {host}.");
    let check = match &answer.location_host {
        Some(location) if matches!(status, 300..=399) => {
            let detail = format!("a captive portal or a gateway answers: status {status}, redirect to {location}");
            Check::fail("http", detail, portal).fact("location_host", location.as_str())
        }
        _ if answer.is_of_service && status < 500 => {
            let expected = if status == 401 { ", as expected without credentials" } else { "" };
            let id = answer.request_id.as_deref().unwrap_or("none");
            let detail = format!("the service answers: status {status}{expected}\nrequest ID {id}");
            Check::pass("http", detail)
        }
        _ if answer.is_of_service => {
            let what_to_do = "Wait, then try again. If the error persists, check Azure's status.";
            Check::fail("http", format!("the service has a problem of its own: status {status}"), what_to_do)
        }
        _ if answer.is_html || matches!(status, 300..=399) => {
            let what = if answer.is_html { "a web page, no redirect" } else { "a redirect without a target" };
            let detail = format!("a captive portal or a gateway answers: status {status}, {what}");
            Check::fail("http", detail, portal)
        }
        _ => {
            let what_to_do = "Check the host name. Find out what answers instead of the service.";
            Check::fail("http", format!("something else than the service answers: status {status}"), what_to_do)
        }
    };
    let check = check.fact("status", status).fact("request_id", answer.request_id.clone());
    check.fact("server", answer.server.clone())
}

/// Compares the clocks.
pub(crate) fn check_clock(answer: &Answer) -> Check {
    let Some(date) = answer.date else { return Check::skip("clock", "the service's answer has no Date") };
    let here = answer.arrived;
    let difference = here.abs_diff(date).as_secs();
    let offset = i64::try_from(difference).unwrap_or(i64::MAX);
    let (word, offset) = if here < date { ("behind", offset.saturating_neg()) } else { ("ahead of", offset) };
    let detail = match difference {
        0 | 1 => format!("{here} here, as the service says"),
        _ => format!("{here} here, {date} at the service: {difference} s {word} it"),
    };
    let check = if difference <= ACCEPTED_DIFFERENCE {
        Check::pass("clock", detail)
    } else {
        let what_to_do = "Set the clock, or let NTP (UDP port 123) through the firewall: a clock that is \
            off makes certificates and tokens invalid.";
        Check::fail("clock", detail, what_to_do)
    };
    let check = check.fact("offset_seconds", offset);
    check.fact("here", here.to_string()).fact("service", date.to_string())
}
