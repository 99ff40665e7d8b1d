//! A driver for the LAN9118, the Ethernet controller of the MPS2 boards. It uses no interrupts.
//!
//! Source: Microchip's data sheet. Replace it with your chip's driver for smoltcp.

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::EthernetAddress;

const BASE: usize = 0x4020_0000;
const RX_DATA: usize = 0x00;
const TX_DATA: usize = 0x20;
const RX_STATUS: usize = 0x40;
const TX_STATUS: usize = 0x48;
const BYTE_TEST: usize = 0x64;
const TX_CFG: usize = 0x70;
const HW_CFG: usize = 0x74;
const RX_FIFO_INF: usize = 0x7C;
const TX_FIFO_INF: usize = 0x80;
const MAC_CMD: usize = 0xA4;
const MAC_DATA: usize = 0xA8;

const MAC_CR: u32 = 1;
const MAC_ADDRH: u32 = 2;
const MAC_ADDRL: u32 = 3;
const MAC_BUSY: u32 = 1 << 31;
const MAC_READ: u32 = 1 << 30;

/// The longest frame, without its checksum.
const FRAME: usize = 1514;
const CHECKSUM: usize = 4;
/// The length of a frame's buffer, in bytes. The controller transfers whole words.
const BUFFER: usize = FRAME.next_multiple_of(4);
/// The number of reads after which a controller that does not respond counts as dead.
const PATIENCE: usize = 100_000;

fn read(register: usize) -> u32 {
    // SAFETY: the board has these registers.
    unsafe { ((BASE + register) as *const u32).read_volatile() }
}

fn write(register: usize, value: u32) {
    // SAFETY: the board has these registers.
    unsafe { ((BASE + register) as *mut u32).write_volatile(value) }
}

/// Checks a condition up to `PATIENCE` times, and returns whether it became true.
fn comes_true(condition: impl Fn() -> bool) -> bool {
    (0..PATIENCE).any(|_| condition())
}

fn mac(command: u32) -> Option<u32> {
    write(MAC_CMD, MAC_BUSY | command);
    comes_true(|| read(MAC_CMD) & MAC_BUSY == 0).then(|| read(MAC_DATA))
}

fn mac_read(register: u32) -> Option<u32> {
    mac(MAC_READ | register)
}

pub struct Lan9118 {
    address: EthernetAddress,
    received: &'static mut [u8; BUFFER],
    length: usize,
    sent: &'static mut [u8; BUFFER],
}

impl Lan9118 {
    /// Resets and enables the controller. A second call fails, because there is one controller.
    #[inline(never)] // Keeps its frame off the stack of the handshakes.
    pub fn new() -> Result<Self, &'static str> {
        let buffers = cortex_m::singleton!(: [[u8; BUFFER]; 2] = [[0; BUFFER]; 2]);
        let [received, sent] = buffers.ok_or("the Ethernet controller is in use")?;
        Self::start(received, sent).ok_or("the Ethernet controller does not answer")
    }

    fn start(received: &'static mut [u8; BUFFER], sent: &'static mut [u8; BUFFER]) -> Option<Self> {
        (read(BYTE_TEST) == 0x8765_4321).then_some(())?;
        write(HW_CFG, 1); // Reset.
        comes_true(|| read(HW_CFG) & 1 == 0).then_some(())?;
        write(HW_CFG, 1 << 20 | 5 << 16); // Bit 20 must be one; 5 KB to send.
        write(TX_CFG, 1 << 1); // On.
        let control = mac_read(MAC_CR)?;
        write(MAC_DATA, control | 1 << 3 | 1 << 2); // Send, receive.
        mac(MAC_CR)?;
        let (low, high) = (mac_read(MAC_ADDRL)?.to_le_bytes(), mac_read(MAC_ADDRH)?.to_le_bytes());
        let address = EthernetAddress([low[0], low[1], low[2], low[3], high[0], high[1]]);
        Some(Self { address, received, length: 0, sent })
    }

    pub fn address(&self) -> EthernetAddress {
        self.address
    }

    /// Reads the next intact frame from the controller. Returns `false` if there is none.
    fn fetch(&mut self) -> bool {
        while read(RX_FIFO_INF) >> 16 & 0xFF != 0 {
            let status = read(RX_STATUS);
            let length = (status >> 16 & 0x3FFF) as usize;
            for word in 0..length.div_ceil(4) {
                let bytes = read(RX_DATA).to_le_bytes();
                if let Some(room) = self.received.get_mut(word * 4..word * 4 + 4) {
                    room.copy_from_slice(&bytes);
                }
            }
            self.length = length.saturating_sub(CHECKSUM);
            let is_broken = status & 1 << 15 != 0;
            if !is_broken && (1..=FRAME).contains(&self.length) {
                return true;
            }
        }
        false
    }
}

impl Device for Lan9118 {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = ToSend<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, ToSend<'_>)> {
        self.fetch().then_some(())?;
        Some((Received(self.received.get(..self.length)?), ToSend(self.sent)))
    }

    fn transmit(&mut self, _: Instant) -> Option<ToSend<'_>> {
        Some(ToSend(self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME;
        capabilities
    }
}

pub struct Received<'a>(&'a [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

pub struct ToSend<'a>(&'a mut [u8; BUFFER]);

impl TxToken for ToSend<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        // smoltcp asks for at most `max_transmission_unit`.
        let result = f(&mut self.0[..length]);
        // A frame that does not fit is lost, as on any network.
        if comes_true(|| read(TX_FIFO_INF) & 0xFFFF >= length as u32 + 16) {
            write(TX_DATA, 1 << 13 | 1 << 12 | length as u32); // First and last segment.
            write(TX_DATA, length as u32);
            for word in self.0.as_chunks::<4>().0.iter().take(length.div_ceil(4)) {
                write(TX_DATA, u32::from_le_bytes(*word));
            }
        }
        while read(TX_FIFO_INF) >> 16 & 0xFF != 0 {
            read(TX_STATUS);
        }
        result
    }
}
