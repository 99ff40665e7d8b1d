//! Proof that the core of `azure-iot-dps` needs no standard library, on no level below it: this program has none, and
//! brings its own allocator and its own panic handler. Were `std` anywhere in the tree, there would be two of the latter, and
//! the compiler would say so.
//!
//! It runs, too: a whole registration through the state machine, and the way to the hub behind it. Of the C library it takes
//! what every platform has: the program's start, and `memcpy` and its like.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::{Cell, UnsafeCell};
use core::panic::PanicInfo;
use core::time::Duration;

use azure_iot_dps::attestation::AttestationKind;
use azure_iot_dps::error::StoreError;
use azure_iot_dps::hub::{Advice, AssignmentStore, HubFailure, Reconnection};
use azure_iot_dps::key::Signer;
use azure_iot_dps::protocol::Response;
use azure_iot_dps::registration::{Registration, RegistrationSettings, Step};
use azure_iot_dps::time::{Now, UnixTime};
use azure_iot_dps::transport::FnTransport;
use azure_iot_dps::{Assignment, Clock, DeviceKey, Error, HubCredentials, IdScope, ProvisioningClient, RegistrationId};

#[link(name = "c")]
unsafe extern "C" {
    fn abort() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: takes nothing and does not come back.
    unsafe { abort() }
}

/// `core` and `alloc` come compiled for unwinding and name these two; nothing unwinds here.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    // SAFETY: as above.
    unsafe { abort() }
}

/// Hands out memory and never takes it back.
struct Arena {
    memory: UnsafeCell<[u8; SIZE]>,
    used: Cell<usize>,
}

const SIZE: usize = 64 * 1024;

// SAFETY: there is one thread.
unsafe impl Sync for Arena {}

// SAFETY: no block overlaps another, and each is aligned.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = self.memory.get() as usize;
        let block = (start + self.used.get()).next_multiple_of(layout.align());
        let end = block + layout.size() - start;
        if end > SIZE {
            return core::ptr::null_mut();
        }
        self.used.set(end);
        block as *mut u8
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ARENA: Arena = Arena { memory: UnsafeCell::new([0; SIZE]), used: Cell::new(0) };

const ASSIGNING: &[u8] = br#"{"operationId":"5.3","status":"assigning"}"#;
const ASSIGNED: &[u8] =
    br#"{"operationId":"5.3","status":"assigned","registrationState":{"assignedHub":"my-hub.azure-devices.net",
    "deviceId":"dev-01","status":"assigned"}}"#;

/// A clock that passes only while somebody waits.
struct Ticks(Duration);

impl Clock for Ticks {
    fn now(&mut self) -> Now {
        Now { unix: None, uptime: self.0 }
    }

    fn sleep(&mut self, pause: Duration) {
        self.0 += pause;
    }
}

/// A page of flash.
struct Page(Vec<u8>);

impl AssignmentStore for Page {
    fn load(&mut self) -> Result<Cow<'_, [u8]>, StoreError> {
        Ok((&self.0).into())
    }

    fn save(&mut self, record: &[u8]) -> Result<(), StoreError> {
        self.0 = record.into();
        Ok(())
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        self.0.fill(0xFF);
        Ok(())
    }
}

fn key() -> Option<DeviceKey> {
    DeviceKey::from_base64("miuSB501eJKWtdSGawOlw0wbqw7z4flDPUIeAsCTiWs=").ok()
}

/// By hand, as an RTOS task or an async executor would.
fn by_hand(settings: &RegistrationSettings, key: &DeviceKey) -> Result<Assignment, Error> {
    let mut registration = Registration::new(settings, AttestationKind::SymmetricKey);
    let mut answers = [ASSIGNING, ASSIGNING, ASSIGNED].into_iter();
    let mut clock = Ticks(Duration::ZERO);
    loop {
        match registration.step(clock.now())? {
            Step::Sign(request) => {
                let signature = key.sign(request.message());
                registration.signed(signature);
            }
            Step::Send(_) => {
                let answer = Response::new(200, answers.next().unwrap_or_default());
                registration.receive(Ok(answer), clock.now())?;
            }
            Step::Wait(wait) => clock.sleep(wait.duration()),
            Step::Done(assignment) => return Ok(assignment),
        }
    }
}

/// What a service says over MQTT: it takes the connection and the subscription, and answers the first request.
#[cfg(feature = "exchange")]
const SAID: [&[u8]; 4] = [
    b"\x20\x02\x00\x00\x90\x03\x00\x01\x01",
    b"\x40\x02\x00\x02\x32\xbe\x01\x00\x25$dps/registrations/res/200/?$rid=1&x=",
    b"\x00\x07",
    ASSIGNED,
];

/// Over the exchange, as a task with a byte stream would.
#[cfg(feature = "exchange")]
fn over_mqtt(
    request: &azure_iot_dps::protocol::Request<'_>,
) -> Result<Response<'static>, azure_iot_dps::error::TransportError> {
    use azure_iot_dps::transport::mqtt::Exchange;

    let mut exchange = Exchange::new(request)?;
    for said in SAID {
        // A stream may take less than everything.
        while !exchange.output().is_empty() {
            exchange.written(exchange.output().len().min(64), Duration::ZERO);
        }
        exchange.read(said)?;
    }
    exchange.disconnect();
    exchange.take_answer().ok_or(azure_iot_dps::error::TransportErrorKind::AnswerBroken.into())
}

/// What went wrong, by the step's number.
fn run() -> Result<(), i32> {
    let (scope, id) = (IdScope::new("0ne00002193").map_err(|_| 1)?, RegistrationId::new("dev-01").map_err(|_| 1)?);
    let key = key().ok_or(2)?;
    let settings = RegistrationSettings::new(scope.clone(), id.clone());
    let assignment = by_hand(&settings, &key).map_err(|_| 3)?;
    if (assignment.hub().as_str(), assignment.requests()) != ("my-hub.azure-devices.net", 3) {
        return Err(4);
    }

    #[cfg(not(feature = "exchange"))]
    let transport = FnTransport::new(|_| Ok(Response::new(200, ASSIGNED)));
    #[cfg(feature = "exchange")]
    let transport = FnTransport::new(over_mqtt);
    let client = ProvisioningClient::builder(scope, id.clone(), key.clone());
    let mut client = client.build_with(transport, Ticks(Duration::ZERO));
    let mut store = Page(Vec::new());
    client.load_or_register(&mut store).map_err(|_| 5)?;
    let stored = client.load_or_register(&mut store).map_err(|_| 6)?;
    let mut credentials = HubCredentials::new(&stored, &key).map_err(|_| 7)?;
    let login = credentials.mqtt(UnixTime::from_secs(1_800_000_000)).map_err(|_| 8)?;
    if login.client_id() != "dev-01" || stored.requests() != 0 {
        return Err(9);
    }
    let now = Now { unix: None, uptime: Duration::ZERO };
    let mut reconnection = Reconnection::new(id).fleet_spread(Duration::ZERO);
    reconnection.connected(now);
    match [(); 2].map(|()| reconnection.failed(HubFailure::connack(5), now)) {
        [Advice::LookUp, Advice::Register] => Ok(()),
        _ => Err(10),
    }
}

#[unsafe(no_mangle)]
extern "C" fn main(_: i32, _: *const *const u8) -> i32 {
    run().err().unwrap_or_default()
}
