//! Compares the MQTT codec with an independent one, and feeds it bytes that are not packets.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]
#![allow(unreachable_pub, reason = "a private module of the library")]

extern crate alloc;

#[path = "../src/transport/mqtt/packet/mod.rs"]
mod packet;

use bytes::BytesMut;
use proptest::prelude::*;
use rumqttc::mqttbytes::v4 as theirs;
use rumqttc::mqttbytes::{Protocol, QoS};

use packet::{Connect, Frame, FrameError, FromClient, FromServer, Publish};

const LIMIT: usize = 256 * 1024;

fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9$/=&.%é-]{1,40}"
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    // The lengths around 128 and 16,384 bytes, where the remaining length gets another byte.
    let length = prop_oneof![0..200_usize, 16_300..16_450_usize];
    length.prop_flat_map(|length| proptest::collection::vec(any::<u8>(), length))
}

fn theirs_as_bytes(packet: &theirs::Packet) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    packet.write(&mut bytes, LIMIT).expect("writes");
    bytes.to_vec()
}

fn read_by_them(bytes: &[u8]) -> theirs::Packet {
    let mut bytes = BytesMut::from(bytes);
    let packet = theirs::Packet::read(&mut bytes, LIMIT).expect("is a packet for the other codec");
    assert!(bytes.is_empty());
    packet
}

fn whole(bytes: &[u8]) -> Frame<'_> {
    let (frame, length) = Frame::first(bytes, LIMIT).expect("is a frame").expect("is complete");
    assert_eq!(length, bytes.len());
    frame
}

/// Checks that both codecs write the same bytes, and that theirs reads ours.
fn same_from_client(ours: &FromClient<'_>, theirs: &theirs::Packet) {
    let mut bytes = Vec::new();
    ours.encode(&mut bytes).expect("fits");
    assert_eq!(bytes, theirs_as_bytes(theirs));
    assert_eq!(&read_by_them(&bytes), theirs);
}

/// Checks that ours reads what theirs writes.
fn same_from_server(ours: &FromServer<'_>, theirs: &theirs::Packet) {
    assert_eq!(&FromServer::decode(whole(&theirs_as_bytes(theirs))).expect("decodes"), ours);
}

proptest! {
    #[test]
    fn a_connect_is_the_same_in_both_codecs(
        client_id in text(), user_name in text(), password in text(), keep_alive: u16, clean_session: bool, login: bool,
    ) {
        let ours = Connect {
            clean_session,
            keep_alive,
            client_id: &client_id,
            user_name: login.then_some(&user_name),
            password: login.then_some(password.as_bytes()),
        };
        let theirs = theirs::Connect {
            protocol: Protocol::V4,
            keep_alive,
            client_id: client_id.clone(),
            clean_session,
            last_will: None,
            login: login.then(|| theirs::Login::new(user_name.clone(), password.clone())),
        };
        same_from_client(&FromClient::Connect(ours), &theirs::Packet::Connect(theirs));
    }

    #[test]
    fn a_message_is_the_same_in_both_codecs_and_both_ways(
        topic in text(), payload in payload(), packet_id in proptest::option::of(1..=u16::MAX), duplicate: bool, retain: bool,
    ) {
        let ours = Publish { topic: &topic, payload: &payload, packet_id, duplicate, retain };
        let qos = if packet_id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let mut theirs = theirs::Publish::new(topic.clone(), qos, payload.clone());
        (theirs.pkid, theirs.dup, theirs.retain) = (packet_id.unwrap_or(0), duplicate, retain);
        let theirs = theirs::Packet::Publish(theirs);
        same_from_client(&FromClient::Publish(ours), &theirs);
        same_from_server(&FromServer::Publish(ours), &theirs);
    }

    #[test]
    fn subscriptions_are_the_same_in_both_codecs(
        packet_id in 1..=u16::MAX, filters in proptest::collection::vec((text(), 0..=2_u8), 1..5),
    ) {
        let qos = |qos| [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(qos)];
        let ours: Vec<_> = filters.iter().map(|(filter, qos)| (filter.as_str(), *qos)).collect();
        let mut subscribe = theirs::Subscribe::new_many(
            filters.iter().map(|(filter, it)| theirs::SubscribeFilter::new(filter.clone(), qos(*it))),
        );
        subscribe.pkid = packet_id;
        same_from_client(&FromClient::Subscribe { packet_id, filters: ours }, &theirs::Packet::Subscribe(subscribe));

        let codes: Vec<u8> = filters.iter().map(|(_, qos)| *qos).collect();
        let granted = filters.iter().map(|(_, it)| theirs::SubscribeReasonCode::Success(qos(*it))).collect();
        let suback = theirs::SubAck::new(packet_id, granted);
        same_from_server(&FromServer::SubAck { packet_id, codes: &codes }, &theirs::Packet::SubAck(suback));
    }

    #[test]
    fn acknowledgements_are_the_same_in_both_codecs(packet_id in 1..=u16::MAX) {
        let puback = theirs::Packet::PubAck(theirs::PubAck::new(packet_id));
        same_from_client(&FromClient::PubAck(packet_id), &puback);
        same_from_server(&FromServer::PubAck(packet_id), &puback);
        same_from_server(&FromServer::UnsubAck(packet_id), &theirs::Packet::UnsubAck(theirs::UnsubAck::new(packet_id)));
    }

    #[test]
    fn arbitrary_bytes_are_a_packet_or_an_error_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(Some((frame, length))) = Frame::first(&bytes, 64) {
            assert!(length <= bytes.len());
            if let Ok(packet) = FromServer::decode(frame) {
                // The other codec reads it as the same kind, unless it does not know a return code.
                let read = theirs::Packet::read(&mut BytesMut::from(&bytes[..length]), LIMIT);
                let same = match (&packet, &read) {
                    (FromServer::ConnAck { code, .. }, read) => read.is_ok() == (*code <= 5),
                    (FromServer::Publish(ours), Ok(theirs::Packet::Publish(theirs))) => {
                        ours.topic == theirs.topic && ours.payload == theirs.payload
                    }
                    (FromServer::PubAck(id), Ok(theirs::Packet::PubAck(theirs))) => *id == theirs.pkid,
                    (FromServer::UnsubAck(id), Ok(theirs::Packet::UnsubAck(theirs))) => *id == theirs.pkid,
                    (FromServer::SubAck { codes, .. }, read) => {
                        let known = codes.iter().all(|code| matches!(code, 0..=2 | 0x80)) && !codes.is_empty();
                        read.is_ok() == known
                    }
                    (FromServer::PingResp, Ok(theirs::Packet::PingResp)) => true,
                    _ => false,
                };
                assert!(same, "{packet:?}: {read:?}");
            }
        }
    }
}

#[test]
fn packets_without_fields_are_the_same_in_both_codecs() {
    same_from_client(&FromClient::PingReq, &theirs::Packet::PingReq);
    same_from_client(&FromClient::Disconnect, &theirs::Packet::Disconnect);
    same_from_server(&FromServer::PingResp, &theirs::Packet::PingResp);
    for (code, theirs) in [
        (0, theirs::ConnectReturnCode::Success),
        (3, theirs::ConnectReturnCode::ServiceUnavailable),
        (5, theirs::ConnectReturnCode::NotAuthorized),
    ] {
        let connack = theirs::Packet::ConnAck(theirs::ConnAck::new(theirs, code == 0));
        same_from_server(&FromServer::ConnAck { session_present: code == 0, code }, &connack);
    }
}

#[test]
fn a_connect_of_a_certificate_has_no_password() {
    let connect =
        Connect { clean_session: true, keep_alive: 230, client_id: "dev", user_name: Some("name"), password: None };
    let mut bytes = Vec::new();
    FromClient::Connect(connect).encode(&mut bytes).expect("fits");
    assert_eq!(bytes, b"\x10\x15\x00\x04MQTT\x04\x82\x00\xe6\x00\x03dev\x00\x04name");
}

#[test]
fn a_packet_is_refused_as_soon_as_its_length_is_known_to_be_too_much() {
    assert_eq!(Frame::first(&[0x30, 0xff, 0xff, 0xff, 0x7f], 131_072), Err(FrameError::TooLarge));
    assert_eq!(Frame::first(&[0x30, 0x80, 0x80, 0x08], 131_072), Ok(None), "just within");
    assert_eq!(Frame::first(&[0x30, 0x81, 0x80, 0x08], 131_072), Err(FrameError::TooLarge));
    let five = Frame::first(&[0x30, 0x80, 0x80, 0x80, 0x80, 0x01], usize::MAX);
    assert!(matches!(five, Err(FrameError::Malformed(why)) if why.contains("four bytes")), "{five:?}");
    for short in [&[][..], &[0x30], &[0x30, 0x80], &[0x30, 0x80, 0x80, 0x80], &[0x30, 0x02, 0x00]] {
        assert_eq!(Frame::first(short, 131_072), Ok(None), "{short:?}");
    }
}

#[test]
fn what_breaks_the_protocol_is_told() {
    let server = |bytes: &[u8]| match FromServer::decode(whole(bytes)) {
        Err(FrameError::Malformed(why)) => why,
        other => panic!("{bytes:?}: {other:?}"),
    };
    // QoS 2 and 3, no packet ID.
    for bytes in [&b"\x34\x05\x00\x01a\x00\x01"[..], b"\x36\x05\x00\x01a\x00\x01"] {
        assert!(server(bytes).contains("QoS 2"));
    }
    assert!(server(b"\x32\x05\x00\x01a\x00\x00").contains("packet ID of zero"));
    // Too short, too long, wrong flags, wrong direction.
    assert!(server(b"\x20\x01\x00").contains("too short") && server(b"\x20\x03\x00\x00\x00").contains("too long"));
    assert!(server(b"\x21\x02\x00\x00").contains("flags") && server(b"\x20\x02\x02\x00").contains("flags"));
    assert!(server(b"\xe0\x00").contains("no server"));
    assert!(server(b"\x30\x03\x00\x01\xff").contains("UTF-8") && server(b"\x30\x03\x00\x01\x00").contains("NUL"));
}
