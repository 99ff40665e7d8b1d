//! Fuzzes the simulator with clients that send any bytes: it never panics, sends only whole
//! packets, and keeps no sessions.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use azure_iot_dps::sas::{Resource, SasToken};
use azure_iot_dps::time::UnixTime;
use azure_iot_dps::{Clock, DeviceKey};
use azure_iot_dps_simulator::Simulator;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    user_name: UserName,
    client_id: Option<String>,
    keep_alive: u16,
    good_token: bool,
    said: Vec<Said>,
    piece: u8,
}

#[derive(Arbitrary, Debug)]
enum UserName {
    Provisioning,
    Hub,
    Other(String),
}

#[derive(Arbitrary, Debug)]
enum Said {
    Bytes(Vec<u8>),
    Register { rid: String, payload: Vec<u8> },
    Poll { rid: String, operation_id: String },
    Publish { flags: u8, topic: String, payload: Vec<u8> },
    Subscribe { filter: String, qos: u8 },
    SubscribeToAnswers,
    Unsubscribe { filter: String },
    PubAck(u8),
    PingReq,
    Disconnect,
    Wait(u16),
    FromTheCloud(Vec<u8>),
}

fn packet(first: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut bytes = vec![first];
    let mut left = body.len();
    while left > 0x7f {
        bytes.push(u8::try_from(left & 0x7f).unwrap_or_default() | 0x80);
        left >>= 7;
    }
    bytes.push(u8::try_from(left).unwrap_or_default());
    bytes.extend(body);
    bytes
}

fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes(), text.as_bytes()].concat()
}

fn publish(flags: u8, topic: &str, payload: &[u8]) -> Vec<u8> {
    let id: &[u8] = if flags & 6 == 0 { &[] } else { &[0, 3] };
    packet(0x30 | flags & 0xf, &[&text(topic), id, payload])
}

/// Checks that the simulator's bytes are whole packets that a server may send.
fn check(mut bytes: &[u8]) {
    while let Some((first, rest)) = bytes.split_first() {
        assert!(matches!(first >> 4, 2 | 3 | 4 | 9 | 11 | 13), "{first:#x}");
        let (mut length, mut used) = (0, 0);
        for byte in rest {
            length |= usize::from(byte & 0x7f) << (7 * used);
            used += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        if first >> 4 == 2 {
            assert_eq!(rest[1], 0, "no session is kept");
        }
        bytes = &rest[used + length..];
    }
}

fuzz_target!(|input: Input| {
    let sim = Simulator::builder().build();
    let id = "dev".parse().expect("valid");
    let key = sim.device_key(&id).expect("a key").parse::<DeviceKey>().expect("a key");
    let now = sim.clock().now().unix.map_or(0, UnixTime::as_secs);
    let token = SasToken::sign(Resource::registration(&sim.id_scope(), &id), &key, UnixTime::from_secs(now + 3600));
    let token = token.expect("signs");
    let password = if input.good_token { token.as_str() } else { "x" };
    let user_name = match &input.user_name {
        UserName::Provisioning => "0ne00002193/registrations/dev/api-version=2021-06-01",
        UserName::Hub => "simulated-hub.azure-devices.net/dev/?api-version=2021-04-12",
        UserName::Other(text) => text,
    };
    let client_id = input.client_id.as_deref().unwrap_or("dev");
    let connect = packet(
        0x10,
        &[b"\0\x04MQTT\x04\xc2", &input.keep_alive.to_be_bytes(), &text(client_id), &text(user_name), &text(password)],
    );

    let mut connection = sim.mqtt();
    let mut open = true;
    let piece = usize::from(input.piece).max(1);
    for said in std::iter::once(&Said::Bytes(connect)).chain(&input.said) {
        let bytes = match said {
            Said::Bytes(bytes) => bytes.clone(),
            Said::Register { rid, payload } => {
                publish(2, &format!("$dps/registrations/PUT/iotdps-register/?$rid={rid}"), payload)
            }
            Said::Poll { rid, operation_id } => {
                let parameters = format!("$rid={rid}&operationId={operation_id}");
                publish(2, &format!("$dps/registrations/GET/iotdps-get-operationstatus/?{parameters}"), b"")
            }
            Said::Publish { flags, topic, payload } => publish(*flags, topic, payload),
            Said::Subscribe { filter, qos } => packet(0x82, &[&[0, 1], &text(filter), &[*qos]]),
            Said::SubscribeToAnswers => packet(0x82, &[&[0, 1], &text("$dps/registrations/res/#"), &[1]]),
            Said::Unsubscribe { filter } => packet(0xa2, &[&[0, 1], &text(filter)]),
            Said::PubAck(id) => packet(0x40, &[&[0, *id]]),
            Said::PingReq => packet(0xc0, &[]),
            Said::Disconnect => packet(0xe0, &[]),
            Said::Wait(seconds) => {
                sim.clock().advance(Duration::from_secs((*seconds).into()));
                Vec::new()
            }
            Said::FromTheCloud(body) => {
                sim.send_to_device(&"dev".parse().expect("valid"), body);
                Vec::new()
            }
        };
        bytes.chunks(piece).for_each(|chunk| connection.write(chunk));
        while let Some(answer) = connection.read(Duration::ZERO) {
            if answer.is_empty() {
                open = false;
                break;
            }
            check(&answer);
        }
        if !open {
            break;
        }
    }
});
