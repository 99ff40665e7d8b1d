//! A TLS relay before the simulated hub, which looks at each packet with a codec that neither side
//! has.
#![allow(unreachable_pub, clippy::expect_used, reason = "a module of a suite, and a test may panic")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use azure_iot_dps::Endpoint;
use azure_iot_dps_simulator::SimulatorServer;
use mqtt::packet::VariablePacket as Packet;
use rustls::{ConnectionCommon, SideData};

use super::mqtt_client::take;
use super::peer::{Peer, Stream};
use super::tls;

/// The relay. [`Witness::agrees`] tells what it saw.
pub struct Witness {
    peer: Peer,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    connections: usize,
    /// The packets of both directions.
    packets: usize,
    /// What the standard forbids.
    violations: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum From {
    Client,
    Server,
}

impl Witness {
    /// Starts a relay to the MQTT port of the server.
    pub fn before(server: &SimulatorServer) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let log = Arc::clone(&seen);
        let port = server.mqtt_endpoint().and_then(|endpoint| endpoint.port()).expect("serves MQTT");
        let ca_pem = server.ca_pem().to_owned();
        let relay = move |client: &mut Stream, _: &Mutex<_>| {
            log.lock().expect("not poisoned").connections += 1;
            let mut server = tls::connect_to(&ca_pem, port);
            let client = Side { connection: Mutex::new(&mut client.conn), socket: &client.sock };
            let server = Side { connection: Mutex::new(&mut server.conn), socket: &server.sock };
            std::thread::scope(|scope| {
                scope.spawn(|| pass(From::Client, &client, &server, &log));
                pass(From::Server, &server, &client, &log);
            });
        };
        Self { peer: Peer::serving(|_| {}, relay), seen }
    }

    pub fn endpoint(&self) -> Endpoint {
        self.peer.endpoint()
    }

    pub fn ca_pem(&self) -> &str {
        self.peer.ca_pem()
    }

    /// Checks, after the last connection, that each packet was what the standard says.
    pub fn agrees(&self) {
        let connections = self.seen.lock().expect("not poisoned").connections;
        self.peer.wait_for_ends(connections);
        let seen = self.seen.lock().expect("not poisoned");
        assert!(seen.violations.is_empty(), "{:#?}", seen.violations);
        // Each connection begins with two packets.
        assert!(connections > 0 && seen.packets >= 2 * connections, "the witness saw {} packets", seen.packets);
    }
}

/// One side of the relay. Both threads use it: one reads, the other writes.
struct Side<'a, D> {
    connection: Mutex<&'a mut ConnectionCommon<D>>,
    socket: &'a TcpStream,
}

impl<D: SideData> Side<'_, D> {
    /// Returns the bytes that come next, or `None` at the end.
    fn read(&self) -> Option<Vec<u8>> {
        let (mut chunk, mut plain) = ([0; 4096], Vec::new());
        while plain.is_empty() {
            let length = (&mut &*self.socket).read(&mut chunk).ok().filter(|length| *length > 0)?;
            let mut bytes = &chunk[..length];
            let mut connection = self.connection.lock().expect("not poisoned");
            while !bytes.is_empty() {
                connection.read_tls(&mut bytes).ok()?;
                let state = connection.process_new_packets().ok()?;
                let begin = plain.len();
                plain.resize(begin + state.plaintext_bytes_to_read(), 0);
                connection.reader().read_exact(&mut plain[begin..]).ok()?;
            }
            // The handshake.
            self.flush(&mut connection);
        }
        Some(plain)
    }

    /// Writes bytes. They are lost if the peer is gone.
    fn write(&self, bytes: &[u8]) {
        let mut connection = self.connection.lock().expect("not poisoned");
        let _ = connection.writer().write_all(bytes);
        self.flush(&mut connection);
    }

    fn end(&self) {
        let mut connection = self.connection.lock().expect("not poisoned");
        connection.send_close_notify();
        self.flush(&mut connection);
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    fn flush(&self, connection: &mut ConnectionCommon<D>) {
        while connection.wants_write() && connection.write_tls(&mut &*self.socket).is_ok() {}
    }
}

/// Passes the bytes of one direction on, until they end.
fn pass<A: SideData, B: SideData>(from: From, source: &Side<'_, A>, target: &Side<'_, B>, seen: &Mutex<Seen>) {
    let mut judge = Judge { from, bytes: Vec::new(), packets: 0 };
    let note = |(packets, violations): (usize, Vec<String>)| {
        let mut seen = seen.lock().expect("not poisoned");
        seen.packets += packets;
        seen.violations.extend(violations.into_iter().map(|what| format!("{from:?}: {what}")));
    };
    while let Some(bytes) = source.read() {
        note(judge.look_at(&bytes));
        target.write(&bytes);
    }
    note((0, judge.at_the_end()));
    target.end();
}

/// Looks at the bytes of one direction of a connection.
struct Judge {
    from: From,
    bytes: Vec<u8>,
    packets: usize,
}

impl Judge {
    /// Returns the number of sound packets, and the violations.
    fn look_at(&mut self, bytes: &[u8]) -> (usize, Vec<String>) {
        self.bytes.extend(bytes);
        let (mut sound, mut violations) = (0, Vec::new());
        loop {
            // The codec panics at some lengths that are wrong.
            let taken = catch_unwind(AssertUnwindSafe(|| take(&mut self.bytes)));
            match taken.unwrap_or_else(|_| Err("the codec panicked".into())) {
                Ok(None) => return (sound, violations),
                Ok(Some(packet)) if self.may_send(&packet) => sound += 1,
                Ok(Some(packet)) => violations.push(format!("not at this point: {packet:?}")),
                Err(what) => {
                    violations.push(what);
                    self.bytes.clear();
                }
            }
            self.packets += 1;
        }
    }

    fn at_the_end(&self) -> Vec<String> {
        let is_cut = !self.bytes.is_empty();
        is_cut.then(|| format!("a part of a packet: {:02x?}", self.bytes)).into_iter().collect()
    }

    /// Returns whether this side sends such a packet at this point (sections 2.2.1, 3.1 and 3.2).
    fn may_send(&self, packet: &Packet) -> bool {
        let is_first = self.packets == 0;
        match (self.from, packet) {
            (From::Client, Packet::ConnectPacket(_)) | (From::Server, Packet::ConnackPacket(_)) => is_first,
            (
                _,
                Packet::PublishPacket(_)
                | Packet::PubackPacket(_)
                | Packet::PubrecPacket(_)
                | Packet::PubrelPacket(_)
                | Packet::PubcompPacket(_),
            )
            | (
                From::Client,
                Packet::SubscribePacket(_)
                | Packet::UnsubscribePacket(_)
                | Packet::PingreqPacket(_)
                | Packet::DisconnectPacket(_),
            )
            | (From::Server, Packet::SubackPacket(_) | Packet::UnsubackPacket(_) | Packet::PingrespPacket(_)) => {
                !is_first
            }
            _ => false,
        }
    }
}

#[test]
fn what_the_standard_forbids_does_not_get_past_the_witness() {
    const CONNECT: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a";
    const CONNACK: &[u8] = b"\x20\x02\x00\x00";
    let look_at = |from, bytes: &[&[u8]]| {
        let mut judge = Judge { from, bytes: Vec::new(), packets: 0 };
        let (sound, violations) = judge.look_at(&bytes.concat());
        (sound, violations.len() + judge.at_the_end().len())
    };
    for bytes in [
        &b"\x32\x06\x00\x01t\x00\x07x"[..],
        b"\x82\x06\x00\x07\x00\x01t\x01",
        b"\xa2\x05\x00\x07\x00\x01t",
        b"\x40\x02\x00\x07",
        b"\xc0\x00",
        b"\xe0\x00",
    ] {
        assert_eq!(look_at(From::Client, &[CONNECT, bytes]), (2, 0), "{bytes:02x?}");
        assert_eq!(look_at(From::Client, &[bytes]).1, 1, "before the CONNECT: {bytes:02x?}");
    }
    for bytes in [
        CONNECT,
        CONNACK,
        b"\x31\x04\x00\x01#x",
        b"\x38\x04\x00\x01tx",
        b"\x32\x06\x00\x01t\x00\x00x",
        b"\x36\x06\x00\x01t\x00\x07x",
        b"\x30\x05\x00\x02t\0x",
        b"\x80\x06\x00\x07\x00\x01t\x01",
        b"\x82\x06\x00\x07\x00\x01t\x81",
        b"\x82\x05\x00\x07\x00\x09t",
        b"\x82\x02\x00\x07",
        b"\xa2\x05\x00\x00\x00\x01t",
        b"\x41\x02\x00\x07",
        b"\x40\x03\x00\x07x",
        b"\xc0\x01x",
        b"\xc0\x80\x00",
        b"\xd0\x00",
        b"\xf0\x00",
        b"\x30\xff\xff\xff\xff\x01",
        b"\x30\x05\x00\x01t",
    ] {
        assert_eq!(look_at(From::Client, &[CONNECT, bytes]), (1, 1), "{bytes:02x?}");
    }
    for connect in [
        &b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x3c\x00\x01a"[..],
        b"\x10\x0d\x00\x04MQTT\x04\x03\x00\x3c\x00\x01a",
        b"\x10\x10\x00\x04MQTT\x04\x42\x00\x3c\x00\x01a\x00\x01p",
        b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x01ab",
        b"\x10\x0c\x00\x04MQTT\x04\x00\x00\x3c\x00\x00",
        b"\x11\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a",
    ] {
        assert_eq!(look_at(From::Client, &[connect]), (0, 1), "{connect:02x?}");
    }
    for bytes in [&b"\x90\x03\x00\x07\x01"[..], b"\xb0\x02\x00\x07", b"\xd0\x00", b"\x30\x04\x00\x01tx"] {
        assert_eq!(look_at(From::Server, &[CONNACK, bytes]), (2, 0), "{bytes:02x?}");
    }
    for bytes in [CONNECT, &b"\x90\x03\x00\x07\x03"[..], b"\x90\x02\x00\x07", b"\xb0\x02\x00\x00", b"\xc0\x00"] {
        assert_eq!(look_at(From::Server, &[CONNACK, bytes]), (1, 1), "{bytes:02x?}");
    }
    for connack in [&b"\x20\x02\x01\x05"[..], b"\x20\x02\x02\x00", b"\x20\x02\x00\x06", b"\x20\x03\x00\x00\x00"] {
        assert_eq!(look_at(From::Server, &[connack]), (0, 1), "{connack:02x?}");
    }
}
