//! Tests the stored assignment: it is whole or absent, belongs to this device, and never blocks the
//! device.
#![cfg(feature = "std")]
#![allow(
    clippy::expect_used,
    clippy::large_stack_arrays,
    clippy::panic,
    clippy::type_complexity,
    reason = "a test may panic"
)]

mod common;

use std::borrow::Cow;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use azure_iot_dps::attestation::KeySlot;
use azure_iot_dps::error::StoreError;
use azure_iot_dps::hub::AssignmentStore;
use azure_iot_dps::registration::RegistrationSettings;
use azure_iot_dps::time::Now;
use azure_iot_dps::transport::FnTransport;
use azure_iot_dps::{
    Assignment, Attestation, Clock, Error, Event, FileStore, IdScope, ProvisioningClient, RegistrationId,
};
use common::{Answer, answer, assigned, folder, id, refused, scope, settings};
use proptest::collection::vec;
use proptest::prelude::*;

/// An assignment with every field.
const FULL: &str = r#"{"status":"assigned","registrationState":{"assignedHub":"my-hub.azure-devices.net",
    "deviceId":"dev-01","substatus":"sentToMars","createdDateTimeUtc":"2026-01-01T00:00:01.5163352Z",
    "lastUpdatedDateTimeUtc":"2026-01-01T00:00:02.7370676Z","etag":"\"\u00e4\n","payload":{"a": [1,"ü\u0041"]},
    "symmetricKey":{"enrollmentGroupId":"my-group"},"issuedCertificateChain":["AQID","BAU="]}}"#;

fn assignment(answer: Answer) -> Assignment {
    common::drive(&settings(), [answer]).result.expect("assigned")
}

fn full() -> Assignment {
    assignment(Ok(answer(200, FULL)))
}

fn facts(assignment: &Assignment) -> impl PartialEq + std::fmt::Debug + use<> {
    let text = |text: Option<&str>| text.map(str::to_owned);
    (
        (assignment.hub().clone(), assignment.device_id().clone(), assignment.registration_id().clone()),
        (assignment.substatus().cloned(), text(assignment.created_at()), text(assignment.updated_at())),
        (text(assignment.etag()), text(assignment.enrollment_group_id()), text(assignment.payload_json())),
        (assignment.certificates().map(<[u8]>::to_vec).collect::<Vec<_>>(), assignment.key_used()),
    )
}

// The record

#[test]
fn an_assignment_comes_back_from_its_record_as_it_was() {
    for assignment in [full(), assignment(assigned())] {
        let record = assignment.to_record(&settings());
        let restored = Assignment::from_record(&record, &settings()).expect("whole").expect("there");
        assert_eq!(facts(&restored), facts(&assignment));
        assert_eq!(restored.requests(), 0);
        assert!(restored.request_id().is_none() && restored.clock_correction().is_none());
    }
}

#[test]
fn a_record_holds_no_key_and_no_token() {
    let record = String::from_utf8(full().to_record(&settings())).expect("text");
    assert!(!record.contains(&common::KEY[..8]) && !record.contains("sig="), "{record}");
}

#[test]
fn a_record_in_a_page_of_flash_is_found_whatever_is_behind_it() {
    for behind in [0xFF, 0, b'\n', b'{'] {
        let mut page = full().to_record(&settings());
        page.resize(4096, behind);
        assert!(Assignment::from_record(&page, &settings()).expect("whole").is_some());
    }
}

#[test]
fn erased_memory_is_an_empty_store() {
    for page in [&[][..], &[0xFF; 4096], &[0; 4096]] {
        assert!(Assignment::from_record(page, &settings()).expect("empty").is_none());
    }
}

#[test]
fn a_record_of_another_identity_counts_as_empty() {
    let record = full().to_record(&settings());
    let other_scope = IdScope::new("0ne99999999").expect("valid");
    for other in [
        settings().endpoint("localhost:8443".parse().expect("valid")),
        settings().endpoint("global.azure-devices-provisioning.net:444".parse().expect("valid")),
        RegistrationSettings::new(other_scope, id("dev-01")),
        RegistrationSettings::new(scope(), id("dev-02")),
        // It was assigned with another key.
        RegistrationSettings::new(scope(), id("Dev-01")),
    ] {
        assert!(Assignment::from_record(&record, &other).expect("whole").is_none(), "{other:?}");
    }
    // Other settings do not change the record's identity.
    let same = settings().deadline(Duration::from_secs(5)).payload(&1).expect("JSON");
    assert!(Assignment::from_record(&record, &same).expect("whole").is_some());
}

/// Returns a record with this body, as a later version might write it.
fn record_of(body: &str) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let digits = Sha256::digest(body).iter().take(8).flat_map(|byte| [byte >> 4, byte & 15]).collect::<Vec<_>>();
    let checksum: String = digits.into_iter().filter_map(|digit| char::from_digit(digit.into(), 16)).collect();
    format!("azure-iot-dps assignment {checksum} {}\n{body}", body.len()).into_bytes()
}

#[test]
fn a_record_of_a_later_format_is_refused_by_its_number() {
    let error = Assignment::from_record(&later(), &settings()).expect_err("later");
    assert!(matches!(error, StoreError::LaterFormat { found: 2, known: 1 }));
    assert_eq!(
        error.to_string(),
        "a later version of this crate wrote the stored assignment (format 2; this version reads up to 1)"
    );
    // A record of another device counts as none, whichever version wrote it.
    let other = RegistrationSettings::new(scope(), id("dev-02"));
    assert!(Assignment::from_record(&later(), &other).expect("whole").is_none());
}

#[test]
fn a_record_that_is_whole_but_makes_no_sense_is_damaged() {
    for body in [
        "",
        "null",
        "[1]",
        "{}",
        r#"{"format":"1"}"#,
        r#"{"format":-1,"identity":"x"}"#,
        r#"{"format":1}"#,
        r#"{"format":1,"identity":5,"assignment":{}}"#,
    ] {
        let error = Assignment::from_record(&record_of(body), &settings()).expect_err(body);
        assert!(matches!(error, StoreError::Damaged { .. }), "{body}: {error:?}");
    }
}

/// Returns a record with the identity of `settings()` and without a valid hub.
fn without_hub() -> Vec<u8> {
    let record = String::from_utf8(full().to_record(&settings())).expect("text");
    let (_, body) = record.split_once('\n').expect("two lines");
    record_of(&body.replace("my-hub.azure-devices.net", "not a hub"))
}

#[test]
fn a_record_without_a_hub_that_can_be_one_is_damaged() {
    let error = Assignment::from_record(&without_hub(), &settings()).expect_err("no hub");
    assert!(matches!(error, StoreError::Damaged { problem: "it has no hub or no device ID" }), "{error:?}");
}

// What a client makes of a store

/// A store in memory that fails on demand.
#[derive(Default)]
struct Memory {
    record: Vec<u8>,
    unreadable: bool,
    unwritable: bool,
    saves: usize,
}

impl AssignmentStore for Memory {
    fn load(&mut self) -> Result<Cow<'_, [u8]>, StoreError> {
        if self.unreadable { Err(StoreError::new("no answer on SPI")) } else { Ok((&self.record).into()) }
    }

    fn save(&mut self, record: &[u8]) -> Result<(), StoreError> {
        if self.unwritable {
            return Err(StoreError::new("the page is worn out"));
        }
        self.record = record.into();
        self.saves += 1;
        Ok(())
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        self.record.clear();
        Ok(())
    }
}

struct Fixed;

impl Clock for Fixed {
    fn now(&mut self) -> Now {
        common::at(0)
    }

    fn sleep(&mut self, _: Duration) {}
}

/// Creates a client whose service gives this answer. Returns its events and its number of requests
/// too.
fn client(reply: fn() -> Answer) -> (ProvisioningClient, Arc<Mutex<Vec<Event>>>, Arc<Mutex<usize>>) {
    let (events, requests) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
    let (told, asked) = (Arc::clone(&events), Arc::clone(&requests));
    let transport = FnTransport::new(move |_| {
        *asked.lock().expect("not poisoned") += 1;
        reply().map_err(Into::into)
    });
    let client = ProvisioningClient::builder(scope(), id("dev-01"), common::key())
        .observer(move |event| told.lock().expect("not poisoned").push(event))
        .build_with(transport, Fixed);
    (client, events, requests)
}

fn count(requests: &Arc<Mutex<usize>>) -> usize {
    *requests.lock().expect("not poisoned")
}

#[test]
fn the_first_boot_registers_and_the_second_does_not() {
    let mut store = Memory::default();
    let (mut client, events, requests) = client(assigned);
    let first = client.load_or_register(&mut store).expect("assigned");
    assert_eq!((count(&requests), store.saves), (1, 1));
    events.lock().expect("not poisoned").clear();
    let second = client.load_or_register(&mut store).expect("stored");
    assert_eq!((count(&requests), store.saves), (1, 1));
    assert_eq!(facts(&second), facts(&first));
    assert_eq!(*events.lock().expect("not poisoned"), [Event::Restored]);
    assert!(client.store_error().is_none());
}

#[test]
fn reassign_registers_whatever_is_stored_and_stores_what_comes_of_it() {
    let mut store = Memory { record: full().to_record(&settings()), ..Memory::default() };
    let (mut client, _, requests) = client(assigned);
    assert_eq!(client.register_and_store(&mut store).expect("assigned").etag(), Some("IjY5MDAz"));
    assert_eq!((count(&requests), store.saves), (1, 1));
    assert_eq!(client.load_or_register(&mut store).expect("stored").etag(), Some("IjY5MDAz"));
}

#[test]
fn a_registration_that_fails_leaves_the_store_as_it_was() {
    let record = full().to_record(&settings());
    let mut store = Memory { record: record.clone(), ..Memory::default() };
    let (mut client, ..) = client(|| refused(404, 404_201));
    assert!(client.register_and_store(&mut store).is_err());
    assert_eq!((store.saves, &store.record), (0, &record));
}

#[test]
fn a_store_that_cannot_be_read_does_not_keep_a_device_from_its_hub() {
    let mut store = Memory { unreadable: true, ..Memory::default() };
    let (mut client, events, requests) = client(assigned);
    client.load_or_register(&mut store).expect("assigned");
    assert_eq!((count(&requests), store.saves), (1, 1));
    assert_eq!(events.lock().expect("not poisoned")[0], Event::NotRestored);
    let Some(StoreError::Memory(source)) = client.store_error() else { panic!("the problem was to be told") };
    assert_eq!(source.to_string(), "no answer on SPI");
    // The error is gone after a successful call.
    store.unreadable = false;
    client.load_or_register(&mut store).expect("stored");
    assert!(client.store_error().is_none());
}

#[test]
fn a_store_that_cannot_be_written_does_not_keep_a_device_from_its_hub() {
    let mut store = Memory { unwritable: true, ..Memory::default() };
    let (mut client, events, _) = client(assigned);
    client.load_or_register(&mut store).expect("assigned");
    assert_eq!(events.lock().expect("not poisoned").last(), Some(&Event::NotStored));
    assert!(client.store_error().is_some_and(|error| matches!(error, StoreError::Memory(_))));
    client.register_and_store(&mut store).expect("assigned");
    assert!(client.store_error().is_some());
}

#[test]
fn a_damaged_store_is_replaced() {
    let mut record = full().to_record(&settings());
    record[60] ^= 1;
    let mut store = Memory { record, ..Memory::default() };
    let (mut client, _, requests) = client(assigned);
    client.load_or_register(&mut store).expect("assigned");
    assert!(client.store_error().is_some_and(|error| matches!(error, StoreError::Damaged { .. })));
    client.load_or_register(&mut store).expect("stored");
    assert_eq!(count(&requests), 1);
}

/// Returns a record of a later version, of the same device.
fn later() -> Vec<u8> {
    let record = String::from_utf8(full().to_record(&settings())).expect("text");
    let (_, body) = record.split_once('\n').expect("two lines");
    record_of(&body.replace("\"format\":1", "\"format\":2"))
}

#[test]
fn a_store_of_a_later_version_is_left_alone_and_not_in_the_way_until_reassign_replaces_it() {
    let mut store = Memory { record: later(), ..Memory::default() };
    let (mut client, events, requests) = client(assigned);
    client.load_or_register(&mut store).expect("assigned");
    assert!(matches!(client.store_error(), Some(StoreError::LaterFormat { found: 2, known: 1 })));
    assert_eq!(events.lock().expect("not poisoned")[0], Event::NotRestored);
    assert_eq!((count(&requests), store.saves, &store.record), (1, 0, &later()));
    client.register_and_store(&mut store).expect("assigned");
    client.load_or_register(&mut store).expect("stored");
    assert_eq!((count(&requests), client.store_error().is_none()), (2, true));
}

#[test]
fn an_assignment_that_cannot_be_stored_does_not_leave_an_old_one_to_the_next_boot() {
    let mut store = Memory { record: full().to_record(&settings()), unwritable: true, ..Memory::default() };
    let (mut client, _, requests) = client(assigned);
    client.register_and_store(&mut store).expect("assigned");
    client.load_or_register(&mut store).expect("assigned");
    assert_eq!(count(&requests), 2);
}

#[test]
fn a_boxed_store_and_a_borrowed_one_are_stores_too() {
    let mut boxed: Box<dyn AssignmentStore> = Box::new(Memory::default());
    let (mut client, _, requests) = client(assigned);
    client.load_or_register(&mut boxed).expect("assigned");
    client.load_or_register(&mut *boxed).expect("stored");
    client.load_or_register(&mut &mut boxed).expect("stored");
    assert_eq!(count(&requests), 1);
}

// The file

#[test]
fn a_file_store_keeps_what_was_saved_and_forgets_what_was_cleared() {
    let path = folder("file").join("assignment");
    let mut store = FileStore::new(&path);
    assert_eq!(store.path(), path);
    assert!(store.load().expect("reads").is_empty());
    store.clear().expect("nothing to clear");
    assert!(!path.exists() && fs::read_dir(path.parent().expect("a folder")).expect("reads").count() == 0);
    for record in [&b"one"[..], b"", &[7; 100_000]] {
        store.save(record).expect("writes");
        assert_eq!(*FileStore::new(&path).load().expect("reads"), *record);
    }
    store.clear().expect("clears");
    assert!(store.load().expect("reads").is_empty() && !path.exists());
}

#[cfg(unix)]
#[test]
fn the_owner_alone_can_read_a_file_store_whatever_the_file_was_before() {
    use std::os::unix::fs::PermissionsExt;
    let path = folder("owner").join("assignment");
    fs::write(&path, "old").expect("writes");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("sets");
    FileStore::new(&path).save(b"record").expect("writes");
    for path in [&path, &path.with_extension("lock")] {
        assert_eq!(fs::metadata(path).expect("is there").permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
}

#[cfg(unix)]
#[test]
fn a_link_in_the_place_of_the_new_file_is_not_followed() {
    let folder = folder("link");
    let (path, other) = (folder.join("assignment"), folder.join("other"));
    fs::write(&other, "precious").expect("writes");
    std::os::unix::fs::symlink(&other, folder.join("assignment.new")).expect("links");
    FileStore::new(&path).save(b"record").expect("writes");
    assert_eq!(fs::read(&other).expect("is there"), b"precious");
    assert_eq!(fs::read(&path).expect("is there"), b"record");
}

#[cfg(unix)]
fn pipe(path: &std::path::Path) {
    let made = Command::new("mkfifo").arg(path).status().expect("mkfifo");
    assert!(made.success());
}

#[cfg(unix)]
#[test]
fn a_lock_that_cannot_be_had_keeps_no_device_from_saving() {
    type Put = fn(&std::path::Path, &std::path::Path);
    let folder = folder("no-lock");
    let victim = folder.join("victim");
    let locks: [(&str, Put); 4] = [
        ("a pipe", |lock, _| pipe(lock)),
        ("a dangling link", |lock, victim| std::os::unix::fs::symlink(victim, lock).expect("links")),
        ("a folder", |lock, _| fs::create_dir(lock).expect("makes")),
        ("a link to a file of somebody else", |lock, victim| {
            fs::write(victim, "precious").expect("writes");
            std::os::unix::fs::symlink(victim, lock).expect("links");
        }),
    ];
    for (what, put) in locks {
        let path = folder.join(what.replace(' ', "-"));
        put(&path.with_extension("lock"), &victim);
        let mut store = FileStore::new(&path);
        for record in [&b"one"[..], b"two"] {
            store.save(record).expect(what);
            assert_eq!(*store.load().expect(what), *record, "{what}");
        }
        let name = path.file_name().expect("a name").to_str().expect("text").to_owned();
        let left = fs::read_dir(&folder).expect("reads").filter(|entry| {
            let entry = entry.as_ref().expect("reads").file_name();
            entry.to_str().is_some_and(|entry| entry.starts_with(&format!("{name}.new")))
        });
        assert_eq!(left.count(), 0, "{what}: nothing is left beside it");
        store.clear().expect(what);
        assert!(!path.exists(), "{what}");
        assert_eq!(victim.exists(), what.contains("somebody"), "{what}: no link is followed");
    }
    assert_eq!(fs::read(&victim).expect("is there"), b"precious");
}

#[cfg(unix)]
#[test]
fn a_folder_in_the_place_of_the_new_file_is_not_in_the_way() {
    let path = folder("new-folder").join("assignment");
    fs::create_dir(path.with_extension("new")).expect("makes");
    let mut store = FileStore::new(&path);
    store.save(b"one").expect("writes");
    store.save(b"two").expect("writes");
    assert_eq!(*store.load().expect("reads"), *b"two");
    store.clear().expect("clears");
    assert!(store.load().expect("nothing there").is_empty());
    assert!(path.with_extension("new").is_dir(), "it is not ours");
}

#[cfg(unix)]
#[test]
fn a_link_in_the_place_of_the_file_is_neither_read_nor_written_through() {
    let folder = folder("linked");
    let (path, other) = (folder.join("assignment"), folder.join("other"));
    fs::write(&other, "precious").expect("writes");
    std::os::unix::fs::symlink(&other, &path).expect("links");
    let mut store = FileStore::new(&path);
    let error = store.load().expect_err("a link");
    let source = std::error::Error::source(&error).expect("the system's error").to_string();
    assert!(source.contains("assignment: symbolic links are not followed"), "{source}");
    store.save(b"record").expect("replaces it");
    assert_eq!(
        (fs::read(&other).expect("is there"), &*store.load().expect("reads")),
        (b"precious".to_vec(), &b"record"[..])
    );
    fs::remove_file(&path).expect("removes");
    std::os::unix::fs::symlink(folder.join("nowhere"), &path).expect("links");
    store.load().expect_err("a dangling link is no empty store");
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_place_of_the_file_keeps_nobody_waiting() {
    let path = folder("pipe").join("assignment");
    pipe(&path);
    let error = FileStore::new(&path).load().expect_err("a pipe");
    let source = std::error::Error::source(&error).expect("the system's error").to_string();
    assert!(source.contains("not a file"), "{source}");
}

#[test]
fn what_is_no_file_or_lies_in_no_folder_is_an_error_that_names_it() {
    let folder = folder("nowhere");
    let words = |error: &StoreError| {
        let source = std::error::Error::source(error).expect("the system's error");
        source.to_string()
    };
    let error = FileStore::new(&folder).load().expect_err("a folder");
    assert!(words(&error).contains("nowhere: not a file"), "{error:?}");
    let error = FileStore::new(&folder).clear().expect_err("a folder");
    assert!(words(&error).contains("nowhere: "), "{error:?}");
    let mut store = FileStore::new(folder.join("missing").join("assignment"));
    assert!(store.load().expect("nothing there").is_empty());
    store.clear().expect("nothing to clear");
    let error = store.save(b"record").expect_err("no folder");
    assert!(words(&error).contains("missing"), "{error:?}");
}

#[test]
fn a_new_file_that_a_killed_process_left_is_not_in_the_way_and_goes_with_a_clear() {
    let path = folder("left").join("assignment");
    let left = path.with_extension("new");
    fs::write(&left, "half of a rec").expect("writes");
    let mut store = FileStore::new(&path);
    assert!(store.load().expect("reads").is_empty());
    store.save(b"record").expect("writes");
    assert!(!left.exists());
    fs::write(&left, "half of a rec").expect("writes");
    store.clear().expect("clears");
    assert!(!left.exists());
}

/// Saves a record, however long other threads and processes hold the lock.
fn save_in_turn(store: &mut FileStore, record: &[u8]) {
    while let Err(error) = store.save(record) {
        assert!(matches!(error, StoreError::Busy), "{error:?}");
    }
}

#[test]
fn many_threads_that_save_at_once_leave_one_of_their_records() {
    let path = folder("threads").join("assignment");
    std::thread::scope(|scope| {
        for number in 0..8_u8 {
            let mut store = FileStore::new(&path);
            scope.spawn(move || (0..10).for_each(|_| save_in_turn(&mut store, &[number; 50_000])));
        }
        for _ in 0..200 {
            let record = FileStore::new(&path).load().expect("reads").into_owned();
            assert!(record.is_empty() || (record.len() == 50_000 && record.iter().all(|byte| *byte == record[0])));
        }
    });
}

// Killed

const CHILD: &str = "DPS_TEST_STORE_OF_CHILD";

/// Returns records of two assignments of the same device. The second is long, so that writing it
/// takes time.
fn pair() -> [Vec<u8>; 2] {
    let long = ASSIGNED_WITH_ROOM.replace("ROOM", &"x".repeat(60_000));
    [full(), assignment(Ok(answer(200, &long)))].map(|assignment| assignment.to_record(&settings()))
}

const ASSIGNED_WITH_ROOM: &str =
    r#"{"status":"assigned","registrationState":{"assignedHub":"h.example","deviceId":"dev-01","payload":"ROOM"}}"#;

/// The child process that the next test starts and kills repeatedly.
#[test]
fn a_child_saves_for_ever_where_it_is_told_to() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let records = ["one", "two"].map(|name| fs::read(format!("{path}.{name}")).expect("reads"));
    let mut store = FileStore::new(path);
    for record in records.iter().cycle() {
        save_in_turn(&mut store, record);
        println!("saved");
    }
}

/// Writes the records that the children at this path save. To make them would cost each child more
/// than to save them.
fn records_of_children(path: &std::path::Path) -> [Vec<u8>; 2] {
    let records = pair();
    for (record, name) in records.iter().zip(["one", "two"]) {
        fs::write(format!("{}.{name}", path.display()), record).expect("writes");
    }
    records
}

fn child(path: &std::path::Path) -> std::process::Child {
    Command::new(std::env::current_exe().expect("a path"))
        .args(["a_child_saves_for_ever_where_it_is_told_to", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("runs")
}

/// Waits until the child has saved this number of times.
fn saves(child: &mut std::process::Child, number: usize) {
    let lines = BufReader::new(child.stdout.as_mut().expect("piped")).lines();
    let saves = lines.filter(|line| line.as_ref().is_ok_and(|line| line.contains("saved")));
    assert_eq!(saves.take(number).count(), number);
}

/// Kills children that save in this folder, each at another moment.
fn kill_children(folder_name: &str, at_least: usize) {
    let path = folder(folder_name).join("assignment");
    let records = records_of_children(&path);
    for record in &records {
        assert!(Assignment::from_record(record, &settings()).expect("whole").is_some());
    }
    let mut store = FileStore::new(&path);
    let started = std::time::Instant::now();
    (0..10).for_each(|number| store.save(&records[number % 2]).expect("writes"));
    let pair_of_saves = started.elapsed() / 5;
    let (mut kills, mut interrupted, mut seen) = (0, 0, [0; 2]);
    // Goes on until a kill has interrupted a save and left each of the records, which may take longer on a
    // machine that is busy.
    while kills < at_least || interrupted == 0 || seen.contains(&0) {
        let mut child = child(&path);
        saves(&mut child, 1);
        // A different moment within the next two saves each time.
        let part = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), kills) % 1000;
        std::thread::park_timeout(pair_of_saves * u32::try_from(part).expect("small") / 1000);
        child.kill().expect("is killed");
        child.wait().expect("ends");

        kills += 1;
        interrupted += usize::from(path.with_extension("new").exists());
        let record = store.load().expect("reads").into_owned();
        let which = records.iter().position(|it| *it == record).expect("the old record or the new one, whole");
        seen[which] += 1;
    }
    store.save(&records[0]).expect("no lock is left");
}

#[test]
fn a_process_killed_at_any_moment_leaves_the_old_record_or_the_new_one_and_no_lock() {
    // Each child waits for the disk most of the time, so several of them do at once.
    std::thread::scope(|scope| {
        for folder in ["killed-1", "killed-2", "killed-3", "killed-4"] {
            scope.spawn(move || kill_children(folder, 75));
        }
    });
}

#[test]
fn two_processes_that_save_at_once_take_turns() {
    let path = folder("processes").join("assignment");
    let records = records_of_children(&path);
    let mut children = [child(&path), child(&path)];
    for child in &mut children {
        saves(child, 1);
    }
    let mut store = FileStore::new(&path);
    for _ in 0..500 {
        let record = store.load().expect("reads").into_owned();
        assert!(records.contains(&record), "{} bytes", record.len());
    }
    // Both continue: neither was blocked by a half-written file of the other.
    for child in &mut children {
        saves(child, 20);
    }
    for child in &mut children {
        child.kill().expect("is killed");
        child.wait().expect("ends");
    }
}

// Whatever is in the store

/// Boots a client with a store of these bytes. Returns the result, and whether the client
/// registered.
fn boot(record: Vec<u8>) -> (Result<Assignment, Error>, bool) {
    let mut store = Memory { record, ..Memory::default() };
    let (mut client, _, requests) = client(assigned);
    let result = client.load_or_register(&mut store);
    if count(&requests) > 0 {
        let restored = Assignment::from_record(&store.record, &settings()).expect("whole now");
        assert!(restored.is_some(), "what was registered is stored");
    }
    (result, count(&requests) > 0)
}

proptest! {
    #[test]
    fn a_cut_store_means_a_fresh_registration(length in 0_usize..600) {
        let mut record = full().to_record(&settings());
        let length = length % record.len();
        record.truncate(length);
        let (result, registered) = boot(record);
        prop_assert!(result.is_ok() && registered);
    }

    #[test]
    fn a_damaged_store_means_a_fresh_registration(at in any::<prop::sample::Index>(), mask in 1_u8..) {
        let mut record = full().to_record(&settings());
        let at = at.index(record.len());
        record[at] ^= mask;
        let (result, registered) = boot(record);
        prop_assert!(result.is_ok() && registered);
    }

    #[test]
    fn a_store_of_any_bytes_means_a_fresh_registration(record in vec(any::<u8>(), 0..600)) {
        let (result, registered) = boot(record);
        prop_assert!(result.is_ok() && registered);
    }

    #[test]
    fn a_store_of_another_device_or_scope_means_a_fresh_registration(
        name in "[a-z]{1,9}", other_scope in "[a-z0-9]{1,9}", port in 1_u16..,
    ) {
        let other = RegistrationSettings::new(IdScope::new(other_scope).expect("valid"), RegistrationId::new(name).expect("valid"))
            .endpoint(format!("localhost:{port}").parse().expect("valid"));
        let (result, registered) = boot(full().to_record(&other));
        prop_assert!(result.is_ok() && registered);
    }

    #[test]
    fn a_body_of_any_json_under_a_right_checksum_brings_no_panic(format in any::<u32>(), body in r#"[\[\]{}",:a-z0-9]{0,60}"#) {
        let _ = boot(record_of(&format!("{{\"format\":{format},\"identity\":{body}}}")));
        let _ = Assignment::from_record(&record_of(&body), &settings());
    }

    #[test]
    fn two_halves_of_two_records_are_not_taken_for_one(at in 1_usize..400) {
        let [one, other] = [full(), assignment(assigned())].map(|it| it.to_record(&settings()));
        let at = at.min(one.len() - 1).min(other.len() - 1);
        let torn = [&other[..at], &one[at..]].concat();
        // The two cannot be distinguished before the checksum or after the end.
        let whole = [&one, &other].iter().any(|whole| torn.starts_with(whole));
        let (result, registered) = boot(torn);
        prop_assert!(result.is_ok() && registered != whole);
    }
}

#[test]
fn the_key_that_let_the_device_in_is_remembered_across_a_boot() {
    let settings = settings();
    let (first, second) = (common::key(), azure_iot_dps::DeviceKey::from_bytes(&[9; 32]).expect("a key"));
    let keys = Attestation::symmetric_keys(first, second);
    let mut registration = azure_iot_dps::registration::Registration::new(&settings, keys.kind());
    let mut answers = [refused(401, 401_002), assigned()].into_iter();
    let assignment = loop {
        match registration.step(common::at(0)).expect("goes on") {
            azure_iot_dps::registration::Step::Sign(request) => {
                let signature = keys.sign(request.key(), request.message());
                registration.signed(signature);
            }
            azure_iot_dps::registration::Step::Send(_) => {
                let answer = answers.next().expect("two requests").map_err(Into::into);
                registration.receive(answer, common::at(0));
            }
            azure_iot_dps::registration::Step::Event(_) => {}
            azure_iot_dps::registration::Step::Done(assignment) => break assignment,
            azure_iot_dps::registration::Step::Wait(pause) => assert!(pause.duration().is_zero()),
        }
    };
    assert_eq!(assignment.key_used(), Some(KeySlot::Secondary));
    let restored = Assignment::from_record(&assignment.to_record(&settings), &settings).expect("whole").expect("there");
    assert_eq!(restored.key_used(), Some(KeySlot::Secondary));
}

/// Otherwise the hub would refuse the device's tokens at every boot.
#[test]
fn a_stored_assignment_for_which_the_device_has_no_key_any_more_is_replaced() {
    let (primary, secondary) = (common::key(), azure_iot_dps::DeviceKey::from_bytes(&[9; 32]).expect("a key"));
    let registrations = Arc::new(Mutex::new(0));
    let boot = |attestation: Attestation, refuse_first: bool, store: &mut dyn AssignmentStore| {
        let (count, mut refuse) = (Arc::clone(&registrations), refuse_first);
        let transport = FnTransport::new(move |_| {
            *count.lock().expect("not poisoned") += 1;
            let answer = if std::mem::take(&mut refuse) { refused(401, 401_002) } else { assigned() };
            answer.map_err(Into::into)
        });
        let mut client = ProvisioningClient::builder(scope(), id("dev-01"), attestation).build_with(transport, Fixed);
        client.load_or_register(store).expect("assigned").key_used()
    };
    let mut store = Memory::default();
    let both = || Attestation::symmetric_keys(primary.clone(), secondary.clone());
    assert_eq!(boot(both(), true, &mut store), Some(KeySlot::Secondary));
    assert_eq!(boot(both(), false, &mut store), Some(KeySlot::Secondary));
    assert_eq!(*registrations.lock().expect("not poisoned"), 2, "both keys: the stored one is good");
    assert_eq!(boot(secondary.clone().into(), false, &mut store), Some(KeySlot::Primary));
    assert_eq!(boot(secondary.clone().into(), false, &mut store), Some(KeySlot::Primary));
    assert_eq!(*registrations.lock().expect("not poisoned"), 3, "one key: registered once, then stored");
    assert_eq!(boot(Attestation::x509(), false, &mut store), None);
    assert_eq!(*registrations.lock().expect("not poisoned"), 4);
}

/// The first version wrote this record. If it could not be read any more, all devices in the field
/// would register at once.
#[test]
fn a_record_of_format_1_is_read_for_ever() {
    let record = include_bytes!("data/assignment-format-1");
    let restored = Assignment::from_record(record, &settings()).expect("whole").expect("there");
    assert_eq!(facts(&restored), facts(&full()));
    assert_eq!(full().to_record(&settings()), record, "what is written has changed: is it still format 1?");
}
