//! Blocking TCP over smoltcp, with deadlines.
//!
//! Replace it with your stack's sockets: embassy-net's, lwIP's, a modem's. The module `tls` uses
//! only [`Stream`].

use alloc::vec;
use core::cell::RefCell;
use core::time::Duration;

use azure_iot_dps::error::{TransportError, TransportErrorKind as Kind};
use critical_section::Mutex;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{RecvError, Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{IpCidr, Ipv4Address};

use crate::board::{Lan9118, feed_watchdog, random, uptime};

/// The board's address in QEMU's user network. A real board uses DHCP (smoltcp's `socket-dhcpv4`).
const OWN_ADDRESS: Ipv4Address = Ipv4Address::new(10, 0, 2, 15);
/// The address of the host, which is also the router.
const HOST: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);

const RECEIVE_BUFFER: usize = 2 * 1460;
const SEND_BUFFER: usize = 1460;
/// The time limit for closing a connection.
const CLOSE_LIMIT: Duration = Duration::from_millis(500);
/// The first of the ephemeral ports.
const FIRST_PORT: u16 = 49_152;

struct Net {
    device: Lan9118,
    interface: Interface,
    sockets: SocketSet<'static>,
}

/// The network stack. The connections use it, and the clock polls it while it waits.
static NET: Mutex<RefCell<Option<Net>>> = Mutex::new(RefCell::new(None));

/// Starts the network stack with a fixed address.
#[inline(never)] // Keeps its frame off the stack of the handshakes.
pub fn start(mut device: Lan9118) -> Result<(), &'static str> {
    let mut config = Config::new(device.address().into());
    config.random_seed = u64::from_le_bytes(random_bytes().ok_or(NO_RANDOM)?);
    let mut interface = Interface::new(config, &mut device, now());
    interface.update_ip_addrs(|addresses| {
        // There is room for one address.
        let _ = addresses.push(IpCidr::new(OWN_ADDRESS.into(), 24));
    });
    // There is room for one route.
    let _ = interface.routes_mut().add_default_ipv4_route(HOST);
    let net = Net { device, interface, sockets: SocketSet::new(vec![]) };
    critical_section::with(|token| NET.borrow_ref_mut(token).replace(net));
    Ok(())
}

/// Sends and receives pending packets, and feeds the watchdog. Call it continuously, even in waits.
pub fn poll() {
    feed_watchdog();
    with(Net::poll);
}

const NO_RANDOM: &str = "the random generator fails";

fn random_bytes<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    random(&mut bytes).then_some(bytes)
}

fn now() -> Instant {
    Instant::from_micros(i64::try_from(uptime().as_micros()).unwrap_or(i64::MAX))
}

fn with<T>(work: impl FnOnce(&mut Net) -> T) -> Option<T> {
    critical_section::with(|token| NET.borrow_ref_mut(token).as_mut().map(work))
}

/// Returns the address of a host.
///
/// In QEMU every name leads to the machine that runs QEMU. A real board uses DNS (smoltcp's
/// `socket-dns`). TLS checks the name in both cases.
fn resolve(_: &str) -> Ipv4Address {
    HOST
}

impl Net {
    fn poll(&mut self) {
        self.interface.poll(now(), &mut self.device, &mut self.sockets);
    }

    fn connect(&mut self, address: Ipv4Address, port: u16) -> Result<SocketHandle, TransportError> {
        let random = random_bytes().ok_or_else(|| TransportError::from(Kind::Other).with_source(NO_RANDOM))?;
        let own_port = FIRST_PORT | u16::from_le_bytes(random);
        let buffer = |size| SocketBuffer::new(vec![0; size]);
        let mut socket = Socket::new(buffer(RECEIVE_BUFFER), buffer(SEND_BUFFER));
        // The board waits for an answer to what it writes, so a delay gains nothing.
        socket.set_nagle_enabled(false);
        let connected = socket.connect(self.interface.context(), (address, port), own_port);
        connected.map_err(|error| TransportError::from(Kind::CannotConnect).with_source_text(error))?;
        Ok(self.sockets.add(socket))
    }
}

/// A TCP connection.
pub struct Stream(SocketHandle);

impl Stream {
    pub fn connect(host: &str, port: u16, until: Duration) -> Result<Self, TransportError> {
        let address = resolve(host);
        let socket = with(|net| net.connect(address, port)).unwrap_or_else(|| Err(Kind::CannotConnect.into()))?;
        // From here on, dropping the stream removes the socket.
        let mut stream = Self(socket);
        stream.wait(until, |socket| match socket.state() {
            State::Established => Some(Ok(())),
            State::SynSent | State::SynReceived => None,
            _ => Some(Err(Kind::CannotConnect)),
        })?;
        Ok(stream)
    }

    pub fn write_all(&mut self, mut bytes: &[u8], until: Duration) -> Result<(), TransportError> {
        while !bytes.is_empty() {
            let length = self.wait(until, |socket| match socket.send_slice(bytes) {
                Ok(0) => None,
                Ok(length) => Some(Ok(length)),
                Err(_) => Some(Err(Kind::AnswerBroken)),
            })?;
            bytes = bytes.get(length..).unwrap_or_default();
        }
        Ok(())
    }

    /// Reads at least one byte. Returns 0 if the peer has closed the connection.
    pub fn read(&mut self, buffer: &mut [u8], until: Duration) -> Result<usize, TransportError> {
        self.wait(until, |socket| match socket.recv_slice(buffer) {
            Ok(0) => None,
            Ok(length) => Some(Ok(length)),
            Err(RecvError::Finished) => Some(Ok(0)),
            Err(RecvError::InvalidState) => Some(Err(Kind::AnswerBroken)),
        })
    }

    /// Polls until `work` returns a result or the time is up.
    fn wait<T>(
        &mut self,
        until: Duration,
        mut work: impl FnMut(&mut Socket<'_>) -> Option<Result<T, Kind>>,
    ) -> Result<T, TransportError> {
        loop {
            poll();
            let result = with(|net| {
                let result = work(net.sockets.get_mut(self.0));
                net.poll();
                result
            });
            match result.flatten() {
                Some(result) => return result.map_err(TransportError::from),
                None if uptime() >= until => return Err(Kind::TimedOut.into()),
                None => {}
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        with(|net| {
            net.sockets.get_mut::<Socket<'_>>(self.0).close();
        });
        // The last bytes may have to be retransmitted.
        let until = uptime() + CLOSE_LIMIT;
        let is_open = |net: &mut Net| net.sockets.get::<Socket<'_>>(self.0).is_active();
        while with(is_open) == Some(true) && uptime() < until {
            poll();
        }
        with(|net| net.sockets.remove(self.0));
    }
}
