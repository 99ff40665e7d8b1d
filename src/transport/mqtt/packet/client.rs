//! The packets that a client sends.

use alloc::vec::Vec;

use super::fields::{TooLong, begin, put_bytes, sized};
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
    PingReq,
    Disconnect,
}

/// The first packet of a connection, without a will, which only a hub uses (section 3.1).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connect<'a> {
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
const LEVEL: u8 = 4;
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
        output.extend([LEVEL, flags]);
        output.extend(self.keep_alive.to_be_bytes());
        strings.into_iter().flatten().try_for_each(|string| put_bytes(output, string))
    }
}
