//! Fuzzes an MQTT connection whose peer sends any bytes in any pieces: it ends in an answer or an
//! error, sends no request unasked, and sends the token only in the CONNECT.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use azure_iot_dps::attestation::AttestationKind;
use azure_iot_dps::key::{DeviceKey, Signer};
use azure_iot_dps::registration::{Registration, RegistrationSettings, Step};
use azure_iot_dps::time::{Now, UnixTime};
use azure_iot_dps::transport::mqtt::Exchange;
use libfuzzer_sys::fuzz_target;

const NOW: Duration = Duration::from_secs(7);

#[derive(Arbitrary, Debug)]
struct Input {
    said: Vec<Said>,
    /// The number of bytes that are read and written at once.
    piece: u8,
    tick: u16,
}

#[derive(Arbitrary, Debug)]
enum Said {
    Bytes(Vec<u8>),
    ConnAck { flags: u8, code: u8 },
    SubAck { packet_id: u8, codes: Vec<u8> },
    Publish { flags: u8, topic: String, packet_id: u8, payload: Vec<u8> },
    Answer { status: u16, rid: u8, more: String, payload: Vec<u8> },
    PingResp,
}

impl Said {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::ConnAck { flags, code } => packet(0x20, &[&[*flags & 1, *code]]),
            Self::SubAck { packet_id, codes } => packet(0x90, &[&[0, *packet_id], codes]),
            Self::Publish { flags, topic, packet_id, payload } => publish(flags & 0xf, topic, *packet_id, payload),
            Self::Answer { status, rid, more, payload } => {
                let topic = format!("$dps/registrations/res/{}/?$rid={}{more}", status % 600, rid % 3);
                publish(2, &topic, 9, payload)
            }
            Self::PingResp => packet(0xd0, &[]),
        }
    }
}

fn publish(flags: u8, topic: &str, packet_id: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(topic.len()).unwrap_or(u16::MAX).to_be_bytes();
    let id: &[u8] = if flags & 6 == 0 { &[] } else { &[0, packet_id] };
    packet(0x30 | flags, &[&length, topic.as_bytes(), id, payload])
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

fuzz_target!(|input: Input| {
    let key = DeviceKey::from_bytes(&[7; 32]).expect("a key");
    let settings = RegistrationSettings::new("0ne00002193".parse().expect("valid"), "dev-01".parse().expect("valid"));
    let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
    let now = Now { unix: Some(UnixTime::from_secs(1_767_225_600)), uptime: NOW };
    let Ok(Step::Sign(request)) = registration.step(now) else { unreachable!("it signs first") };
    let signature = key.sign(request.message());
    registration.signed(signature);
    let Ok(Step::Event(_)) = registration.step(now) else { unreachable!("then it says so") };
    let Ok(Step::Send(request)) = registration.step(now) else { unreachable!("and sends") };

    let piece = usize::from(input.piece).max(1);
    let mut exchange = Exchange::new(&request).expect("begins");
    let mut written = Vec::new();
    let mut failed = false;
    let mut answers = 0;
    for said in &input.said {
        for chunk in said.bytes().chunks(piece) {
            while !exchange.output().is_empty() {
                let length = exchange.output().len().min(piece);
                written.extend_from_slice(&exchange.output()[..length]);
                exchange.written(length, NOW);
            }
            if let Err(error) = exchange.read(chunk) {
                failed = true;
                let text = format!("{error:?} {exchange:?}");
                assert!(!text.contains("sig="), "{text}");
                break;
            }
        }
        if failed {
            break;
        }
        if let Some(answer) = exchange.take_answer() {
            answers += 1;
            assert!((100..600).contains(&answer.status()));
            assert!(answer.body().len() <= 128 * 1024 + 1024);
            if exchange.carries(&request, NOW) {
                exchange.send(&request).expect("begins");
            }
        }
    }
    let tick = NOW + Duration::from_secs(input.tick.into());
    let _ = exchange.tick(tick);
    if failed {
        assert!(!exchange.carries(&request, NOW), "a connection that failed carries nothing");
        assert!(exchange.send(&request).is_err());
    }
    // The token is sent once, in the CONNECT, which is the device's first packet.
    let signed = written.windows(4).filter(|window| window == b"sig=").count();
    assert!(signed <= 1 && (written.is_empty() || written[0] == 0x10));
    let publishes = written.windows(15).filter(|window| window == b"iotdps-register").count();
    assert!(publishes <= answers + 1, "no request goes out unasked");
});
