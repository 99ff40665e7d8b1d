//! The packets that a client sends.

use alloc::vec::Vec;

use super::fields::{TooLong, begin, put_bytes, sized};
#[cfg(any(test, feature = "simulator"))]
use super::{Frame, FrameError};
use super::{Publish, SUBSCRIPTION_FLAGS, kind};

/// A packet of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FromClient<'a> {
    Connect(Connect<'a>),
    Publish(Publish<'a>),
    PubAck(u16),
    /// Topic filters, each with the requested maximum QoS.
    Subscribe {
        packet_id: u16,
        filters: Vec<(&'a str, u8)>,
    },
    #[cfg_attr(not(any(test, feature = "simulator")), expect(dead_code, reason = "a server reads it"))]
    Unsubscribe {
        packet_id: u16,
        filters: Vec<&'a str>,
    },
    PingReq,
    Disconnect,
}

/// The first packet of a connection, without a will, which only a hub uses (section 3.1).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connect<'a> {
    /// The protocol level, 4 in MQTT 3.1.1. With another level, the other fields are meaningless.
    pub(crate) level: u8,
    pub(crate) clean_session: bool,
    /// The keep-alive in seconds; 0 means none.
    pub(crate) keep_alive: u16,
    pub(crate) client_id: &'a str,
    pub(crate) user_name: Option<&'a str>,
    pub(crate) password: Option<&'a [u8]>,
}

/// Omits the password.
impl core::fmt::Debug for Connect<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Connect")
            .field("client_id", &self.client_id)
            .field("user_name", &self.user_name)
            .finish_non_exhaustive()
    }
}

/// The protocol level of MQTT 3.1.1 (section 3.1.2.2).
pub(crate) const LEVEL: u8 = 4;
const NAME: &[u8] = b"MQTT";

const USER_NAME: u8 = 0b1000_0000;
const PASSWORD: u8 = 0b0100_0000;
const CLEAN_SESSION: u8 = 0b0000_0010;

impl FromClient<'_> {
    /// Appends the packet to `output`. If that fails, the appended bytes must not be used.
    pub(crate) fn encode(&self, output: &mut Vec<u8>) -> Result<(), TooLong> {
        match self {
            Self::Connect(connect) => connect.encode(output),
            Self::Publish(publish) => publish.encode(output),
            Self::PubAck(packet_id) => {
                begin(output, kind::PUBACK, 0, &[2])?;
                output.extend(packet_id.to_be_bytes());
                Ok(())
            }
            Self::Subscribe { packet_id, filters } => {
                let length = filters.iter().map(|(filter, _)| sized(filter.as_bytes()).saturating_add(1)).sum();
                begin(output, kind::SUBSCRIBE, SUBSCRIPTION_FLAGS, &[2, length])?;
                output.extend(packet_id.to_be_bytes());
                filters.iter().try_for_each(|(filter, qos)| {
                    put_bytes(output, filter.as_bytes())?;
                    output.push(*qos);
                    Ok(())
                })
            }
            Self::Unsubscribe { packet_id, filters } => {
                let length = filters.iter().map(|filter| sized(filter.as_bytes())).sum();
                begin(output, kind::UNSUBSCRIBE, SUBSCRIPTION_FLAGS, &[2, length])?;
                output.extend(packet_id.to_be_bytes());
                filters.iter().try_for_each(|filter| put_bytes(output, filter.as_bytes()))
            }
            Self::PingReq => begin(output, kind::PINGREQ, 0, &[]),
            Self::Disconnect => begin(output, kind::DISCONNECT, 0, &[]),
        }
    }
}

impl Connect<'_> {
    fn encode(&self, output: &mut Vec<u8>) -> Result<(), TooLong> {
        const FIXED: usize = 2 + NAME.len() + 4;
        let strings = [Some(self.client_id.as_bytes()), self.user_name.map(str::as_bytes), self.password];
        let [client_id, user_name, password] = strings.map(|string| string.map_or(0, sized));
        begin(output, kind::CONNECT, 0, &[FIXED, client_id, user_name, password])?;
        put_bytes(output, NAME)?;
        let flag = |on: bool, flag: u8| if on { flag } else { 0 };
        let flags = flag(self.clean_session, CLEAN_SESSION)
            | flag(self.user_name.is_some(), USER_NAME)
            | flag(self.password.is_some(), PASSWORD);
        output.extend([self.level, flags]);
        output.extend(self.keep_alive.to_be_bytes());
        strings.into_iter().flatten().try_for_each(|string| put_bytes(output, string))
    }
}

#[cfg(any(test, feature = "simulator"))]
impl<'a> FromClient<'a> {
    pub(crate) fn decode(frame: Frame<'a>) -> Result<Self, FrameError> {
        let simple = |flags| frame.with_flags(flags);
        Ok(match frame.kind {
            kind::CONNECT => Self::Connect(Connect::decode(frame)?),
            kind::PUBLISH => {
                let publish = Publish::decode(frame)?;
                if !publish.has_topic() {
                    return Err(FrameError::Malformed(
                        "a PUBLISH without a topic, or with a topic filter as its topic",
                    ));
                }
                Self::Publish(publish)
            }
            kind::PUBACK => {
                let mut fields = simple(0)?;
                let packet_id = fields.packet_id()?;
                fields.end()?;
                Self::PubAck(packet_id)
            }
            kind::SUBSCRIBE => {
                let mut fields = simple(SUBSCRIPTION_FLAGS)?;
                let (packet_id, mut filters) = (fields.packet_id()?, Vec::new());
                while !fields.is_empty() {
                    filters.push((fields.text()?, fields.byte()?));
                }
                if filters.is_empty() || filters.iter().any(|(filter, qos)| filter.is_empty() || *qos > 2) {
                    return Err(FrameError::Malformed("a SUBSCRIBE without topic filters, or with an invalid QoS"));
                }
                Self::Subscribe { packet_id, filters }
            }
            kind::UNSUBSCRIBE => {
                let mut fields = simple(SUBSCRIPTION_FLAGS)?;
                let (packet_id, mut filters) = (fields.packet_id()?, Vec::new());
                while !fields.is_empty() {
                    filters.push(fields.text()?);
                }
                if filters.is_empty() {
                    return Err(FrameError::Malformed("an UNSUBSCRIBE without topic filters"));
                }
                Self::Unsubscribe { packet_id, filters }
            }
            kind::PINGREQ => simple(0)?.end().map(|()| Self::PingReq)?,
            kind::DISCONNECT => simple(0)?.end().map(|()| Self::Disconnect)?,
            _ => return Err(FrameError::Malformed("a packet that no client sends, or one of QoS 2")),
        })
    }
}

#[cfg(any(test, feature = "simulator"))]
impl<'a> Connect<'a> {
    fn decode(frame: Frame<'a>) -> Result<Self, FrameError> {
        const RESERVED: u8 = 0b0000_0001;
        const WILL: u8 = 0b0000_0100;
        const WILL_FLAGS: u8 = 0b0011_1000;
        let mut fields = frame.with_flags(0)?;
        let name = fields.bytes()?;
        let level = fields.byte()?;
        if name != NAME || level != LEVEL {
            // Other versions of MQTT have other fields.
            let level = if level == LEVEL { 0 } else { level };
            let nothing =
                Self { client_id: "", user_name: None, password: None, keep_alive: 0, clean_session: true, level };
            return if matches!(name, NAME | b"MQIsdp") {
                Ok(nothing)
            } else {
                Err(FrameError::Malformed("a protocol other than MQTT"))
            };
        }
        let flags = fields.byte()?;
        let is_set = |flag: u8| flags & flag != 0;
        if is_set(RESERVED) || (is_set(WILL_FLAGS) && !is_set(WILL)) || (is_set(PASSWORD) && !is_set(USER_NAME)) {
            return Err(FrameError::Malformed("a CONNECT with contradictory flags"));
        }
        let keep_alive = fields.number()?;
        let client_id = fields.text()?;
        if is_set(WILL) {
            fields.text()?;
            fields.bytes()?;
        }
        let user_name = is_set(USER_NAME).then(|| fields.text()).transpose()?;
        let password = is_set(PASSWORD).then(|| fields.bytes()).transpose()?;
        fields.end()?;
        Ok(Self { level, clean_session: is_set(CLEAN_SESSION), keep_alive, client_id, user_name, password })
    }
}
