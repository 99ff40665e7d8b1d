//! The opening handshake of WebSocket. Source: RFC 6455, section 4.2.

use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use crate::front::http::HttpAnswer;
use crate::wire::{base64_decode, base64_encode};

const VERSION: &str = "13";

/// Returns whether the request asks for WebSocket, at any path.
pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    list(headers, &UPGRADE).any(|protocol| protocol.eq_ignore_ascii_case("websocket"))
}

/// Returns the answer: 101, or an error. No extension is accepted.
pub(super) fn answer(method: &str, headers: &HeaderMap) -> HttpAnswer {
    let connection = list(headers, &CONNECTION).any(|option| option.eq_ignore_ascii_case("upgrade"));
    let key = headers.get(SEC_WEBSOCKET_KEY).and_then(|key| key.to_str().ok());
    let key = key.filter(|key| base64_decode(key).is_some_and(|key| key.len() == 16));
    let Some(key) = key.filter(|_| method == "GET" && connection) else {
        return HttpAnswer::empty(400);
    };
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != VERSION) {
        return HttpAnswer::empty(426).with_header("Sec-WebSocket-Version", VERSION.into());
    }
    // The C SDK writes it in capitals. `AMQPWSB10` is AMQP.
    let Some(protocol) = list(headers, &SEC_WEBSOCKET_PROTOCOL).find(|it| matches!(it.as_str(), "mqtt" | "MQTT"))
    else {
        return HttpAnswer::empty(400);
    };
    HttpAnswer::empty(101)
        .with_header("Connection", "Upgrade".into())
        .with_header("Upgrade", "websocket".into())
        .with_header("Sec-WebSocket-Accept", accept(key))
        .with_header("Sec-WebSocket-Protocol", protocol)
}

/// Returns the proof that the key was read. Source: RFC 6455, section 4.2.2.
fn accept(key: &str) -> String {
    const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    base64_encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes()).as_ref())
}

/// Returns the items of a header that is a list, from all lines with its name.
fn list(headers: &HeaderMap, name: &HeaderName) -> impl Iterator<Item = String> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(|item| item.trim().to_string())
}
