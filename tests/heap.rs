//! Tests how often keys and tokens allocate, and that they leave no secrets on the heap.
//!
//! The allocator counts allocations, and searches each freed block for secrets. Only one test uses
//! it at a time.
#![allow(unsafe_code, reason = "an allocator cannot be written without")]
#![allow(clippy::cast_possible_truncation, clippy::expect_used, clippy::items_after_statements, reason = "a test may")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use azure_iot_dps::attestation::AttestationKind;
use azure_iot_dps::key::Signer;
use azure_iot_dps::sas::Resource;
use azure_iot_dps::time::UnixTime;
use azure_iot_dps::transport::FnTransport;
use azure_iot_dps::transport::mqtt::Exchange;
use azure_iot_dps::{DeviceKey, GroupKey, KeyDerivation, ProvisioningClient, RegistrationId, SasToken};
use sha2::block_api::compress256;

struct Watching;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static WATCHING: AtomicBool = AtomicBool::new(false);
static LEFT_BEHIND: AtomicUsize = AtomicUsize::new(0);
/// The number of bytes that the watched thread has allocated.
static LIVE: AtomicUsize = AtomicUsize::new(0);
/// The peak of [`LIVE`].
static PEAK: AtomicUsize = AtomicUsize::new(0);
static FREED: AtomicUsize = AtomicUsize::new(0);
/// The secrets in pieces of 16 bytes, in an array so that the search allocates nothing.
static PIECES: Mutex<[[u8; 16]; 32]> = Mutex::new([[0; 16]; 32]);

thread_local! {
    /// Whether this thread is watched. Other threads are not counted.
    static MINE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

fn is_mine() -> bool {
    MINE.try_with(std::cell::Cell::get).unwrap_or(false)
}

// SAFETY: every call goes on to the system's allocator, with the arguments that came.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_mine() {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
            let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed).wrapping_add(layout.size());
            // The counter wraps if blocks from before the count are freed.
            PEAK.fetch_max(if live > usize::MAX / 2 { 0 } else { live }, Ordering::Relaxed);
        }
        // SAFETY: as above. Zeroed, so that what is found in a block was written by its owner.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if WATCHING.load(Ordering::Relaxed) && is_mine() {
            FREED.fetch_add(1, Ordering::Relaxed);
            // SAFETY: the block is still allocated, with this size, and was initialised when it was.
            let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
            let pieces = PIECES.lock().unwrap_or_else(PoisonError::into_inner);
            let found = pieces.iter().filter(|piece| **piece != [0; 16]);
            let found = found.filter(|piece| bytes.windows(16).any(|window| window == *piece)).count();
            LEFT_BEHIND.fetch_add(found, Ordering::Relaxed);
        }
        if is_mine() {
            // The counter wraps below zero if a block from before the count is freed, and back later.
            LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        }
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // As an allocation, a copy and a free, so that what is left in the old block is seen.
        // SAFETY: as above; both blocks are at least as large as what is copied.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                std::ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                self.dealloc(block, layout);
            }
            new
        }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

static OWNER: Mutex<()> = Mutex::new(());

/// A guard that makes this thread the watched one until it is dropped.
struct Owner(#[allow(dead_code, reason = "held, not read")] MutexGuard<'static, ()>);

impl Owner {
    fn new() -> Self {
        let guard = OWNER.lock().unwrap_or_else(PoisonError::into_inner);
        LIVE.store(0, Ordering::Relaxed);
        MINE.set(true);
        Self(guard)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        MINE.set(false);
    }
}

/// Returns how often `work` allocates, and its result.
fn allocations<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let result = work();
    (ALLOCATIONS.load(Ordering::Relaxed) - before, result)
}

/// Returns how many pieces of the secrets are in the blocks that `work` frees. Fails if it frees
/// none.
fn left_behind(secrets: &[Vec<u8>], work: impl FnOnce()) -> usize {
    let mut pieces = [[0; 16]; 32];
    let chunks = secrets.iter().flat_map(|secret| secret.chunks_exact(16));
    assert!(chunks.clone().count() <= pieces.len());
    for (piece, chunk) in pieces.iter_mut().zip(chunks) {
        piece.copy_from_slice(chunk);
    }
    *PIECES.lock().unwrap_or_else(PoisonError::into_inner) = pieces;
    LEFT_BEHIND.store(0, Ordering::Relaxed);
    FREED.store(0, Ordering::Relaxed);
    WATCHING.store(true, Ordering::Relaxed);
    work();
    WATCHING.store(false, Ordering::Relaxed);
    assert!(FREED.load(Ordering::Relaxed) > 0, "nothing was freed: nothing was looked at");
    LEFT_BEHIND.load(Ordering::Relaxed)
}

const KEY: [u8; 64] = {
    let mut key = [0; 64];
    let mut at = 0;
    while at < 64 {
        key[at] = (at as u8).wrapping_mul(37) ^ 0xa7;
        at += 1;
    }
    key
};

/// Returns the state of SHA-256 after one block, as this machine keeps it in memory.
fn keyed_state(key: &[u8], pad: u8) -> Vec<u8> {
    const INITIAL: [u32; 8] =
        [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
    let mut block = [pad; 64];
    block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
    let mut state = INITIAL;
    compress256(&mut state, &[block]);
    state.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// Returns a key, its padded blocks, its base64 and the SHA-256 states that are derived from it.
fn traces_of(key: &[u8]) -> Vec<Vec<u8>> {
    use base64::Engine;
    let padded = |pad: u8| key.iter().map(|byte| byte ^ pad).collect();
    let base64 = base64::engine::general_purpose::STANDARD.encode(key).into_bytes();
    vec![key.to_vec(), padded(0x36), padded(0x5c), base64, keyed_state(key, 0x36), keyed_state(key, 0x5c)]
}

fn dev_01() -> RegistrationId {
    common::id("dev-01")
}

#[test]
fn the_test_itself_sees_what_is_left_behind() {
    let _owner = Owner::new();
    let traces = traces_of(&KEY);
    assert!(left_behind(&traces, || drop(KEY.to_vec())) >= 4);
    assert_eq!(left_behind(&traces, || drop(vec![7_u8; 64])), 0);
    let state = keyed_state(&KEY, 0x36);
    assert_eq!(left_behind(&traces, || drop(state)), 2);
}

#[test]
fn a_key_on_the_heap_is_wiped_when_it_is_dropped() {
    let _owner = Owner::new();
    let group = traces_of(&KEY);
    assert_eq!(left_behind(&group, || drop(Box::new(GroupKey::from_bytes(&KEY).expect("a key")))), 0);
    assert_eq!(left_behind(&group, || drop(Box::new(DeviceKey::from_bytes(&KEY).expect("a key")))), 0);
    let derivation = Box::new(KeyDerivation::new(&GroupKey::from_bytes(&KEY).expect("a key")));
    assert_eq!(left_behind(&group, || drop(derivation)), 0);
    let keys: Vec<DeviceKey> = [DeviceKey::from_bytes(&KEY).expect("a key")].into();
    assert_eq!(left_behind(&group, || drop(keys)), 0);
}

#[test]
fn a_derived_key_is_wiped_in_both_forms() {
    let _owner = Owner::new();
    let derivation = KeyDerivation::new(&GroupKey::from_bytes(&KEY).expect("a key"));
    let mac = DeviceKey::from_bytes(&KEY).expect("a key").sign(b"dev-01").expect("signs");
    let traces = traces_of(&mac);
    assert_eq!(left_behind(&traces, || drop(Box::new(derivation.derive(&dev_01())))), 0);
    assert_eq!(left_behind(&traces, || drop(Box::new(derivation.derive_base64(&dev_01())))), 0);
    assert_eq!(left_behind(&traces, || drop(Box::new(derivation.derive(&dev_01()).to_base64()))), 0);
}

#[test]
fn reading_a_key_leaves_nothing_on_the_heap_whether_it_works_or_not() {
    let _owner = Owner::new();
    let base64 = DeviceKey::from_bytes(&KEY).expect("a key").to_base64();
    let json = format!("\"{}\"", base64.as_str());
    let traces = traces_of(&KEY);
    let read = |text: &str| {
        let marker = std::hint::black_box(Box::new([1_u8; 64]));
        let _ = DeviceKey::from_base64(text);
        let _ = GroupKey::from_base64(text);
        drop(marker);
    };
    assert_eq!(left_behind(&traces, || read(base64.as_str())), 0);
    let cut = &base64.as_str()[..87];
    assert_eq!(left_behind(&traces, || read(cut)), 0);
    let url_safe = format!("{}-_==", &base64.as_str()[..84]);
    assert_eq!(left_behind(&traces, || read(&url_safe)), 0);
    assert_eq!(left_behind(&traces, || drop(Box::new(serde_json::from_str::<DeviceKey>(&json).expect("a key")))), 0);
}

#[test]
fn a_whole_registration_leaves_neither_the_key_nor_the_signature_on_the_heap() {
    let _owner = Owner::new();
    let token = {
        let key = DeviceKey::from_bytes(&KEY).expect("a key");
        let (scope, id) = (common::scope(), dev_01());
        SasToken::sign(Resource::registration(&scope, &id), &key, UnixTime::from_secs(common::NEW_YEAR + 3600))
            .expect("signs")
    };
    let signature = token.as_str().split_once("sig=").expect("a signature").1.as_bytes()[..32].to_vec();
    let secrets = [traces_of(&KEY), vec![signature]].concat();
    struct Fixed;
    impl azure_iot_dps::Clock for Fixed {
        fn now(&mut self) -> azure_iot_dps::time::Now {
            common::at(0)
        }
        fn sleep(&mut self, _: std::time::Duration) {}
    }
    let found = left_behind(&secrets, || {
        let transport = FnTransport::new(|_| common::assigned().map_err(Into::into));
        let key = DeviceKey::from_bytes(&KEY).expect("a key");
        let mut client = ProvisioningClient::builder(common::scope(), dev_01(), key).build_with(transport, Fixed);
        client.register().expect("assigned");
    });
    assert_eq!(found, 0);
}

/// The bytes that a service sends over MQTT, on the stack: the answer to a request, and before the
/// first one the packets that open the connection.
struct Said {
    bytes: [u8; 1024],
    length: usize,
}

impl Said {
    fn new(rid: u32, status: u16, body: &[u8]) -> Self {
        let mut said = Self { bytes: [0; 1024], length: 0 };
        let mut topic = Length(0);
        std::fmt::Write::write_fmt(
            &mut topic,
            format_args!("$dps/registrations/res/{status}/?$rid={rid}&retry-after=3"),
        )
        .expect("counts");
        let remaining = 2 + topic.0 + 2 + body.len();
        let length =
            [0x80 | u8::try_from(remaining % 128).expect("fits"), u8::try_from(remaining / 128).expect("fits")];
        let topic_length = u16::try_from(topic.0).expect("fits").to_be_bytes();
        for part in [&[0x32][..], &length, &topic_length] {
            said.put(part);
        }
        std::fmt::Write::write_fmt(
            &mut said,
            format_args!("$dps/registrations/res/{status}/?$rid={rid}&retry-after=3"),
        )
        .expect("has room");
        for part in [&[0, 9][..], body] {
            said.put(part);
        }
        said
    }

    fn put(&mut self, part: &[u8]) {
        self.bytes[self.length..self.length + part.len()].copy_from_slice(part);
        self.length += part.len();
    }
}

impl std::fmt::Write for Said {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

/// Sends a request over this exchange or a new one, in parts as a socket does.
fn over_mqtt(
    exchange: &mut Option<Exchange>,
    request: &azure_iot_dps::protocol::Request<'_>,
    rid: u32,
    status: u16,
    body: &[u8],
) -> azure_iot_dps::protocol::Response<'static> {
    let zero = std::time::Duration::ZERO;
    if let Some(exchange) = exchange.as_mut() {
        assert!(exchange.carries(request, zero));
        exchange.send(request).expect("begins");
    }
    let is_new = exchange.is_none();
    let exchange = exchange.get_or_insert_with(|| Exchange::new(request).expect("begins"));
    let answer = Said::new(rid, status, body);
    let opening: &[&[u8]] = if is_new { &[b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x01"] } else { &[] };
    for said in opening.iter().copied().chain([&answer.bytes[..answer.length]]) {
        // A socket may write only a part.
        while !exchange.output().is_empty() {
            exchange.written(exchange.output().len().min(100), zero);
        }
        exchange.read(said).expect("goes on");
    }
    exchange.written(exchange.output().len(), zero);
    exchange.take_answer().expect("an answer")
}

#[test]
fn a_whole_registration_over_mqtt_leaves_neither_the_key_nor_the_signature_on_the_heap() {
    let _owner = Owner::new();
    let settings = azure_iot_dps::registration::RegistrationSettings::new(common::scope(), dev_01());
    let token = {
        let key = DeviceKey::from_bytes(&KEY).expect("a key");
        let (scope, id) = (common::scope(), dev_01());
        SasToken::sign(Resource::registration(&scope, &id), &key, UnixTime::from_secs(common::NEW_YEAR + 3600))
            .expect("signs")
    };
    let signature = token.as_str().split_once("sig=").expect("a signature").1.as_bytes()[..32].to_vec();
    let secrets = [traces_of(&KEY), vec![signature]].concat();
    for given_up in [false, true] {
        let found = left_behind(&secrets, || {
            let key = DeviceKey::from_bytes(&KEY).expect("a key");
            let mut registration =
                azure_iot_dps::registration::Registration::new(&settings, AttestationKind::SymmetricKey);
            let Ok(azure_iot_dps::registration::Step::Send(request)) =
                common::step(&mut registration, &key, common::at(0))
            else {
                panic!("the first step sends")
            };
            if given_up {
                // Before a byte was written.
                drop(Exchange::new(&request).expect("begins"));
                return;
            }
            let response = over_mqtt(&mut None, &request, 1, 200, common::ASSIGNED.as_bytes());
            registration.receive(Ok(response), common::at(0));
            let done = common::act(&mut registration, common::at(0));
            assert!(matches!(done, Ok(azure_iot_dps::registration::Step::Done(_))), "{done:?}");
        });
        assert_eq!(found, 0);
    }
}

#[test]
fn a_connection_string_is_wiped_when_it_is_dropped() {
    let _owner = Owner::new();
    let assignment = common::drive(&common::settings(), [common::assigned()]).result.expect("assigned");
    let key = DeviceKey::from_bytes(&KEY).expect("a key");
    let traces = traces_of(&KEY);
    let credentials = azure_iot_dps::HubCredentials::new(&assignment, &key).expect("one key");
    assert_eq!(left_behind(&traces, || drop(credentials.connection_string())), 0);
}

#[test]
fn a_token_costs_one_allocation_whatever_it_is_for() {
    let _owner = Owner::new();
    let key = common::key();
    let scope = common::scope();
    for name in ["x", "dev-01", "a:b.c_d-", &"x:".repeat(63)[..125], &"x".repeat(128)] {
        let id = common::id(name);
        let resource = Resource::registration(&scope, &id);
        let (count, token) =
            allocations(|| SasToken::sign(resource, &key, UnixTime::from_secs(u64::MAX)).expect("signs"));
        assert_eq!(count, 1, "{name}");
        assert!(token.verify(&key));
    }
    for uri in ["", "a/b/c", "ä%🦀/ /%2F", &"/".repeat(1000)] {
        let resource = Resource::uri(uri).with_key_name(uri);
        let (count, _) = allocations(|| SasToken::sign(resource, &key, UnixTime::EPOCH).expect("signs"));
        assert_eq!(count, 1, "{uri}");
    }
}

#[test]
fn deriving_verifying_and_reading_keys_cost_no_allocation() {
    let _owner = Owner::new();
    let derivation = KeyDerivation::new(&GroupKey::from_bytes(&KEY).expect("a key"));
    let (id, key) = (dev_01(), common::key());
    let token = SasToken::sign(Resource::uri("r"), &key, UnixTime::EPOCH).expect("signs");
    assert_eq!(allocations(|| derivation.derive_base64(&id)).0, 0);
    assert_eq!(allocations(|| derivation.derive(&id)).0, 0);
    let (count, verified) = allocations(|| token.verify(&key));
    assert_eq!((count, verified), (0, true));
    assert_eq!(allocations(|| DeviceKey::from_base64(common::KEY)).0, 0);
    assert_eq!(allocations(|| DeviceKey::from_base64("no key")).0, 0);
    assert_eq!(allocations(|| KeyDerivation::new(&GroupKey::from_bytes(&KEY).expect("a key"))).0, 0);
}

/// A writer that counts bytes.
struct Length(usize);

impl std::fmt::Write for Length {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

/// Returns the peak of the heap in bytes, and the number of allocations, of a registration.
///
/// `carry` sends its requests. It gets each request, its number, and the body of its answer.
fn cost_of_a_registration(
    mut carry: impl FnMut(
        &azure_iot_dps::protocol::Request<'_>,
        u32,
        &'static [u8],
    ) -> azure_iot_dps::protocol::Response<'static>,
) -> (usize, usize) {
    use azure_iot_dps::registration::{Registration, RegistrationSettings, Step};

    let assigning =
        br#"{"operationId":"5.316aac5bdc130deb.b1e02da8-c3a0-4ff2-a121-7ea7a6b7f550","status":"assigning"}"#;
    let mut answers = (1..).zip([&assigning[..], assigning, common::ASSIGNED.as_bytes()]);
    let name = "x".repeat(128);
    let key = common::key();
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let (count, assignment) = allocations(|| {
        let settings = RegistrationSettings::new(common::scope(), common::id(&name));
        let mut registration = Registration::new(&settings, AttestationKind::SymmetricKey);
        let mut uptime = 0;
        loop {
            match registration.step(common::at(uptime)).expect("goes on") {
                Step::Sign(request) => {
                    let signature = key.sign(request.message());
                    registration.signed(signature);
                }
                Step::Send(request) => {
                    let (rid, body) = answers.next().expect("three requests");
                    let response = carry(&request, rid, body);
                    registration.receive(Ok(response), common::at(uptime));
                }
                Step::Wait(pause) => uptime += pause.duration().as_secs(),
                Step::Event(_) => {}
                Step::Done(assignment) => break assignment,
            }
        }
    });
    assert_eq!(assignment.requests(), 3);
    (PEAK.load(Ordering::Relaxed) - before, count)
}

/// The chapter `guide::performance` states these numbers. Change them there too.
#[test]
fn a_whole_registration_stays_within_2_kib_of_heap_and_25_allocations() {
    use std::fmt::Write;

    let _owner = Owner::new();
    let (peak, count) = cost_of_a_registration(|request, _, body| {
        let mut target = Length(0);
        write!(target, "{}", request.http().target()).expect("counts");
        assert!(target.0 > 128);
        let response = azure_iot_dps::protocol::Response::new(200, body);
        response.with_header("Content-Type", "application/json; charset=utf-8").with_header("Retry-After", "3")
    });
    println!("{peak} bytes of heap at the peak, {count} allocations");
    assert!((1000..=2048).contains(&peak), "{peak} bytes");
    assert!(count <= 25, "{count} allocations");
}

/// The chapter `guide::performance` states these numbers. Change them there too.
#[test]
fn a_whole_registration_over_mqtt_stays_within_3_kib_of_heap() {
    let _owner = Owner::new();
    let mut exchange = None;
    let (peak, count) = cost_of_a_registration(|request, rid, body| over_mqtt(&mut exchange, request, rid, 200, body));
    println!("{peak} bytes of heap at the peak over MQTT, {count} allocations");
    assert!((1000..=3 * 1024).contains(&peak), "{peak} bytes");
    assert!(count <= 60, "{count} allocations");
}

#[test]
fn the_simulators_memory_stays_flat_over_5_000_registrations() {
    the_simulators_memory_stays_flat(|sim| Box::new(sim.transport()));
}

#[test]
fn the_simulators_memory_stays_flat_over_5_000_registrations_over_mqtt() {
    the_simulators_memory_stays_flat(|sim| Box::new(sim.mqtt_transport()));
}

fn the_simulators_memory_stays_flat(
    transport: impl Fn(&azure_iot_dps_simulator::Simulator) -> Box<dyn azure_iot_dps::Transport + Send>,
) {
    use azure_iot_dps_simulator::Simulator;

    let _owner = Owner::new();
    let sim = Simulator::builder().assigning_polls(0).retry_after(None).build();
    let round = || {
        for number in 0..200 {
            let id = common::id(&format!("dev-{number:03}"));
            let key = common::key_of(&sim, &id);
            let client = ProvisioningClient::builder(sim.id_scope(), id, key);
            client.build_with(transport(&sim), sim.clock()).register().expect("assigned");
        }
        LIVE.load(Ordering::Relaxed)
    };
    let live: Vec<usize> = (0..25).map(|_| round()).collect();
    let (early, late) = (live[4], live[24]);
    assert!(late <= early + early / 50, "{early} bytes became {late}");
}
