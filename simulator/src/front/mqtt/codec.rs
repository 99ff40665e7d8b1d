//! The packets of MQTT 3.1.1, by the codec of rumqttc, with the checks that it lacks.
//!
//! Source: OASIS, "MQTT Version 3.1.1"; section numbers below refer to it.

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{Connect, Packet};
use rumqttc::mqttbytes::{Error, QoS, check};

/// More than the service and the hub accept, so that they can refuse it themselves.
const MAX_PACKET: usize = 512 * 1024;
/// The longest string that a packet can hold (section 1.5.3). The codec truncates a longer one.
const MAX_STRING: usize = 65_535;

/// The reason why a client's bytes are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The bytes violate the protocol.
    Malformed,
    /// The client asks for another version of MQTT (section 3.1.2.2).
    OtherVersion,
}

/// Takes the first packet of a client from the input, if it is complete.
pub(super) fn take(input: &mut BytesMut) -> Result<Option<Packet>, Refused> {
    let length = match check(input.iter(), MAX_PACKET) {
        Ok(header) => header.frame_length(),
        Err(Error::InsufficientBytes(_)) => return Ok(None),
        Err(_) => return Err(Refused::Malformed),
    };
    let bytes = input.split_to(length);
    // The codec reads a CONNECT of MQTT 5 as one of 3.1.1.
    if is_connect_of_other_version(&bytes) {
        return Err(Refused::OtherVersion);
    }
    let packet = Packet::read(&mut bytes.clone(), MAX_PACKET).map_err(|_| Refused::Malformed)?;
    if is_sound(&packet) && is_exact(&packet, &bytes) { Ok(Some(packet)) } else { Err(Refused::Malformed) }
}

/// Appends a packet of the server to the output.
///
/// A packet that is too long for MQTT is left out: only a script, or a client that sends such a
/// request ID, asks for one.
pub(super) fn append(output: &mut Vec<u8>, packet: &Packet) {
    let mut bytes = BytesMut::new();
    let fits = !matches!(packet, Packet::Publish(publish) if publish.topic.len() > MAX_STRING);
    if fits && packet.write(&mut bytes, usize::MAX).is_ok() {
        output.extend(bytes);
    }
}

/// Returns the bytes of a packet after its type and its length (section 2.2).
fn body(bytes: &[u8]) -> &[u8] {
    let length = bytes.iter().skip(1).position(|byte| byte & 0x80 == 0).unwrap_or_default();
    bytes.get(length.saturating_add(2)..).unwrap_or_default()
}

fn is_connect_of_other_version(bytes: &[u8]) -> bool {
    const CONNECT: u8 = 0x10;
    const LEVEL: u8 = 4;
    let body = body(bytes);
    let level = body.strip_prefix(b"\0\x04MQTT").and_then(<[u8]>::first);
    // MQTT 3.1 has another name.
    let is_other = level.is_some_and(|level| *level != LEVEL) || body.starts_with(b"\0\x06MQIsdp");
    bytes.first() == Some(&CONNECT) && is_other
}

/// Checks what the codec does not: who sends such a packet, packet IDs (section 2.3.1), topics
/// (section 4.7) and strings (section 1.5.3).
fn is_sound(packet: &Packet) -> bool {
    let is_text = |text: &str| !text.contains('\0');
    match packet {
        Packet::Connect(connect) => {
            let user_name = connect.login.as_ref().map(|login| login.username.as_str());
            is_text(&connect.client_id) && user_name.is_none_or(is_text)
        }
        Packet::Publish(publish) => {
            // Neither the service nor the hub supports QoS 2. DUP needs QoS 1 (section 3.3.1.1).
            let dup_fits = !publish.dup || publish.qos == QoS::AtLeastOnce;
            let is_topic = !publish.topic.is_empty() && !publish.topic.contains(['+', '#', '\0']);
            publish.qos != QoS::ExactlyOnce && dup_fits && is_topic
        }
        Packet::PubAck(ack) => ack.pkid != 0,
        Packet::Subscribe(subscribe) => {
            subscribe.pkid != 0 && subscribe.filters.iter().all(|filter| is_filter(&filter.path))
        }
        Packet::Unsubscribe(unsubscribe) => {
            let topics = &unsubscribe.topics;
            unsubscribe.pkid != 0 && !topics.is_empty() && topics.iter().all(|topic| is_filter(topic))
        }
        Packet::PingReq | Packet::Disconnect => true,
        _ => false,
    }
}

/// Checks a topic filter: a wildcard fills its level, and `#` is the last one.
fn is_filter(filter: &str) -> bool {
    let is_alone = filter.split('/').all(|level| level.len() == 1 || !level.contains(['+', '#']));
    let is_last = !filter.strip_suffix('#').unwrap_or(filter).contains('#');
    !filter.is_empty() && !filter.contains('\0') && is_alone && is_last
}

/// Returns whether the packet, written again, is what was read.
///
/// The codec ignores flags, reserved bits and bytes that are left over, but it does not write them.
fn is_exact(packet: &Packet, bytes: &[u8]) -> bool {
    if let Packet::Connect(connect) = packet {
        return is_exact_connect(connect, bytes);
    }
    let mut again = BytesMut::new();
    packet.write(&mut again, usize::MAX).is_ok() && *again == *bytes
}

/// Checks the flags and the length of a CONNECT.
///
/// The codec does not tell an empty password from none, and so would not write it again.
fn is_exact_connect(connect: &Connect, bytes: &[u8]) -> bool {
    const RESERVED: u8 = 0x01;
    const PASSWORD: u8 = 0x40;
    const USER_NAME: u8 = 0x80;
    let body = body(bytes);
    // Behind the protocol's name and level (section 3.1.2.3).
    let Some(flags) = body.get(7) else { return false };
    let has = |flag: u8| flags & flag != 0;
    let (user_name, password) =
        connect.login.as_ref().map_or(("", ""), |login| (login.username.as_str(), login.password.as_str()));
    let will = connect.last_will.as_ref().map(|will| [will.topic.len(), will.message.len()]);
    let strings = [
        Some(connect.client_id.len()),
        has(USER_NAME).then_some(user_name.len()),
        has(PASSWORD).then_some(password.len()),
    ];
    let strings = strings.into_iter().flatten().chain(will.into_iter().flatten());
    let length = strings.fold(10_usize, |sum, length| sum.saturating_add(length).saturating_add(2));
    bytes.first() == Some(&0x10) && !has(RESERVED) && (has(USER_NAME) || !has(PASSWORD)) && body.len() == length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bytes: &[u8]) -> Result<Option<Packet>, Refused> {
        take(&mut BytesMut::from(bytes))
    }

    /// A CONNECT with these flags and these bytes behind the client ID `a`.
    fn connect(flags: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x10\x00\x00\x04MQTT\x04".to_vec();
        bytes.extend([flags, 0, 60, 0, 1, b'a']);
        bytes.extend(rest);
        bytes[1] = u8::try_from(bytes.len() - 2).expect("short");
        bytes
    }

    const SOUND: &[&[u8]] = &[
        b"\x32\x06\x00\x01t\x00\x07x",
        b"\x30\x04\x00\x01tx",
        b"\x40\x02\x00\x07",
        b"\x82\x06\x00\x07\x00\x01t\x01",
        b"\xa2\x05\x00\x07\x00\x01t",
        b"\xc0\x00",
        b"\xe0\x00",
    ];

    #[test]
    fn each_packet_of_a_client_is_taken_when_it_is_complete() {
        let connects = [connect(2, b""), connect(0x82, b"\x00\x01u"), connect(0xc2, b"\x00\x01u\x00\x01p")];
        for bytes in SOUND.iter().map(|bytes| bytes.to_vec()).chain(connects) {
            assert!(matches!(taken(&bytes), Ok(Some(_))), "{bytes:02x?}");
            let part = &bytes[..bytes.len() - 1];
            assert_eq!(taken(part), Ok(None), "{part:02x?}");
        }
        // A will, which neither the service nor the hub needs.
        assert!(matches!(taken(&connect(0x06, b"\x00\x01t\x00\x01w")), Ok(Some(_))));
        // An empty password, as some clients with a certificate send it.
        assert!(matches!(taken(&connect(0xc2, b"\x00\x01u\x00\x00")), Ok(Some(_))));
    }

    #[test]
    fn a_packet_with_other_flags_than_its_own_is_refused() {
        for bytes in SOUND.iter().skip(2).map(|bytes| bytes.to_vec()).chain([connect(2, b"")]) {
            for flags in 0..16 {
                let mut wrong = bytes.clone();
                wrong[0] = wrong[0] & 0xf0 | flags;
                let expected = if wrong == bytes { Ok(true) } else { Err(Refused::Malformed) };
                assert_eq!(taken(&wrong).map(|packet| packet.is_some()), expected, "{wrong:02x?}");
            }
        }
    }

    #[test]
    fn reserved_bits_and_bytes_that_are_left_over_are_refused() {
        for bytes in [
            connect(3, b""),
            connect(0x42, b"\x00\x01p"),
            connect(2, b"x"),
            connect(0x82, b"\x00\x01ux"),
            b"\x40\x03\x00\x07x".to_vec(),
            b"\x82\x06\x00\x07\x00\x01t\x81".to_vec(),
            b"\xa2\x06\x00\x07\x00\x01tx".to_vec(),
            b"\xc0\x01x".to_vec(),
            b"\xe0\x01x".to_vec(),
        ] {
            assert_eq!(taken(&bytes), Err(Refused::Malformed), "{bytes:02x?}");
        }
    }

    #[test]
    fn packet_id_0_topics_and_filters_that_are_none_qos_2_and_what_only_a_server_sends_are_refused() {
        for bytes in [
            &b"\x32\x06\x00\x01t\x00\x00x"[..],
            b"\x40\x02\x00\x00",
            b"\x82\x06\x00\x00\x00\x01t\x01",
            b"\xa2\x05\x00\x00\x00\x01t",
            b"\xa2\x02\x00\x07",
            b"\x82\x05\x00\x07\x00\x00\x01",
            b"\xa2\x04\x00\x07\x00\x00",
            b"\x82\x07\x00\x07\x00\x02a#\x01",
            b"\x82\x07\x00\x07\x00\x02+a\x01",
            b"\x82\x08\x00\x07\x00\x03#/a\x01",
            b"\xa2\x06\x00\x07\x00\x02##",
            b"\x38\x04\x00\x01tx",
            b"\x30\x03\x00\x00x",
            b"\x30\x04\x00\x01#x",
            b"\x30\x04\x00\x01+x",
            b"\x30\x04\x00\x01\0x",
            b"\x34\x06\x00\x01t\x00\x07x",
            b"\x20\x02\x00\x00",
            b"\xd0\x00",
            b"\x90\x03\x00\x07\x01",
        ] {
            assert_eq!(taken(bytes), Err(Refused::Malformed), "{bytes:02x?}");
        }
    }

    #[test]
    fn a_filter_has_a_wildcard_for_a_whole_level_and_a_hash_at_its_end() {
        for filter in ["a", "#", "+", "a/#", "+/b/+/#", "/", "$iothub/twin/res/#", "devices/d/messages/devicebound/+"] {
            assert!(is_filter(filter), "{filter}");
        }
        for filter in ["", "a#", "a/b+", "#/a", "##", "++", "a/#/b", "a\0"] {
            assert!(!is_filter(filter), "{filter}");
        }
    }

    #[test]
    fn another_version_of_mqtt_is_told_from_nonsense() {
        let mut five = connect(2, b"");
        five[8] = 5;
        assert_eq!(taken(&five), Err(Refused::OtherVersion));
        // With the properties of MQTT 5 behind the keep-alive.
        let five = b"\x10\x0f\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a\x00";
        assert_eq!(taken(five), Err(Refused::OtherVersion));
        let three = b"\x10\x10\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x02ab";
        assert_eq!(taken(three), Err(Refused::OtherVersion));
        let http = b"\x10\x0c\x00\x04HTTP\x04\x02\x00\x00\x00\x00";
        assert_eq!(taken(http), Err(Refused::Malformed));
    }

    #[test]
    fn a_topic_that_is_too_long_is_left_out_and_not_cut() {
        let publish = |length| {
            let publish = rumqttc::mqttbytes::v4::Publish::new("t".repeat(length), QoS::AtMostOnce, "");
            let mut output = Vec::new();
            append(&mut output, &Packet::Publish(publish));
            output.len()
        };
        assert_eq!((publish(MAX_STRING), publish(MAX_STRING + 1)), (1 + 3 + 2 + MAX_STRING, 0));
    }
}
