//! The store in a file.

use alloc::borrow::Cow;
use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use crate::error::StoreError;
use crate::hub::store::AssignmentStore;

/// The size that a record does not reach, in bytes.
const MAX_LEN: u64 = 1024 * 1024;
/// The time to wait for another process that is writing.
const LOCK_LIMIT: Duration = Duration::from_secs(5);
/// The time between two attempts to lock.
///
/// It is short compared to a save, so that others get a turn while a process saves without a pause.
const LOCK_POLL: Duration = Duration::from_millis(1);

/// A store that keeps an assignment in a file.
///
/// - After a crash or a power failure, the file holds the old record or the new one, whole. The new
///   record is written to a second file (`.new`) and synced, then renamed over the old one.
/// - On Unix, only the owner can read the file.
/// - Only one process writes at a time. It holds a lock on a third file (`.lock`, which is never
///   removed). A process that waits for the lock for 5 s gives up with [`StoreError::Busy`]. The
///   lock of a process that is killed is released.
/// - If the lock is not available (the file is another user's, or a network file system has no
///   locks), each process writes its own temporary file, and the last rename wins.
///
/// The folder must exist and be writable. On Unix, symbolic links are not followed:
/// [`load`](AssignmentStore::load) returns an error if the file is one, and
/// [`save`](AssignmentStore::save) replaces it. A pipe in the place of the file does not block a
/// call.
///
/// # Examples
///
/// A device boots with its stored assignment, and registers if there is none:
///
/// ```
/// use azure_iot_dps::{Assignment, Error, FileStore, ProvisioningClient};
///
/// fn boot(client: &mut ProvisioningClient) -> Result<Assignment, Error> {
///     let mut store = FileStore::new("/var/lib/acme-gateway/assignment");
///     client.load_or_register(&mut store)
/// }
/// ```
///
/// Without a client:
///
/// ```
/// use azure_iot_dps::hub::AssignmentStore;
/// use azure_iot_dps::registration::RegistrationSettings;
/// use azure_iot_dps::{Assignment, FileStore};
///
/// # let assignment: Assignment = serde_json::from_str(
/// #     r#"{"registrationId":"my-device","assignedHub":"my-hub.azure-devices.net",
/// #     "deviceId":"my-device","keyUsed":"primary"}"#,
/// # )?;
/// # let folder = std::env::temp_dir().join(format!("azure-iot-dps-store-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let settings = RegistrationSettings::new("0ne00002193".parse()?, "my-device".parse()?);
/// let mut store = FileStore::new(folder.join("assignment"));
/// store.save(&assignment.to_record(&settings))?;
/// assert_eq!(Assignment::from_record(&store.load()?, &settings)?, Some(assignment));
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct FileStore {
    path: PathBuf,
}

impl FileStore {
    /// Creates a store in this file, which need not exist yet. Nothing is opened.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = OsString::from(&self.path);
        path.push(suffix);
        path.into()
    }

    /// Locks other processes out until the file is dropped or the process ends. Waits for the lock
    /// within this limit.
    ///
    /// Returns `None` if no lock is available. The record stays whole without it.
    fn lock(&self, limit: Duration) -> Result<Option<File>, StoreError> {
        let opened = owner_only().create(true).truncate(false).open(self.beside(".lock"));
        let Some(file) = opened.ok().filter(is_file) else { return Ok(None) };
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::Error(_)) => return Ok(None),
                Err(TryLockError::WouldBlock) if started.elapsed() >= limit => return Err(StoreError::Busy),
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_POLL),
            }
        }
    }

    /// Returns the path of the temporary file: `.new` with the lock, or else one that no other save
    /// uses.
    fn place_of_new(&self, locked: bool) -> PathBuf {
        let new = self.beside(".new");
        if locked && !new.is_dir() {
            return new;
        }
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.beside(&format!(".new-{}-{}", std::process::id(), time.subsec_nanos()))
    }

    /// Saves a record, if no other process writes for all of this time.
    fn save_within(&self, limit: Duration, record: &[u8]) -> Result<(), StoreError> {
        if record.len() as u64 >= MAX_LEN {
            return Err(StoreError::new("the record is too large for an assignment"));
        }
        let lock = self.lock(limit)?;
        let new = self.place_of_new(lock.is_some());
        let result = self.write(&new, record);
        if result.is_err() {
            // Report the first error only.
            let _ = remove(&new);
        }
        result
    }

    fn write(&self, new: &Path, record: &[u8]) -> Result<(), StoreError> {
        // It may be the file of a process that was killed, or a link that another user made.
        remove(new)?;
        let mut file = owner_only().create_new(true).open(new).map_err(|error| at(new, &error))?;
        file.write_all(record).and_then(|()| file.sync_all()).map_err(|error| at(new, &error))?;
        drop(file);
        fs::rename(new, &self.path).map_err(|error| at(&self.path, &error))?;
        self.sync_folder();
        Ok(())
    }

    /// Makes the change of a name survive a power failure.
    ///
    /// Not every operating system and file system can do this. Without it the old record may come
    /// back, whole.
    fn sync_folder(&self) {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

impl AssignmentStore for FileStore {
    fn load(&mut self) -> Result<Cow<'_, [u8]>, StoreError> {
        match read(&self.path) {
            Ok(record) => Ok(record.into()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Cow::default()),
            Err(error) => Err(at(&self.path, &error)),
        }
    }

    fn save(&mut self, record: &[u8]) -> Result<(), StoreError> {
        self.save_within(LOCK_LIMIT, record)
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        let new = self.beside(".new");
        let missing = |path: &Path| fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound);
        if missing(&self.path) && missing(&new) {
            return Ok(());
        }
        let _lock = self.lock(LOCK_LIMIT)?;
        // This store does not create a folder of that name.
        if !new.is_dir() {
            remove(&new)?;
        }
        remove(&self.path)?;
        self.sync_folder();
        Ok(())
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut options = OpenOptions::new();
    let file = not_elsewhere(options.read(true)).open(path).map_err(|error| {
        let link = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
        if link && cfg!(unix) { io::Error::other("symbolic links are not followed") } else { error }
    })?;
    if !is_file(&file) {
        return Err(io::Error::other("not a file"));
    }
    let mut record = Vec::new();
    file.take(MAX_LEN).read_to_end(&mut record)?;
    Ok(record)
}

fn is_file(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file())
}

fn owner_only() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    not_elsewhere(&mut options);
    options
}

/// Sets flags that neither follow a symbolic link nor wait for the other end of a pipe.
fn not_elsewhere(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(at(path, &error)),
        _ => Ok(()),
    }
}

/// Adds the path to a system error.
fn at(path: &Path, error: &io::Error) -> StoreError {
    StoreError::new(io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_another_process_writes_a_store_gives_up_after_a_while_and_reads_all_the_same() {
        let folder = std::env::temp_dir().join(format!("azure-iot-dps-busy-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let mut store = FileStore::new(folder.join("assignment"));
        store.save(b"record").expect("writes");
        let lock = File::open(folder.join("assignment.lock")).expect("opens");
        lock.lock().expect("locks");
        let limit = Duration::from_millis(20);
        assert!(matches!(store.save_within(limit, b"other"), Err(StoreError::Busy)));
        assert!(matches!(store.lock(limit), Err(StoreError::Busy)));
        assert_eq!(*store.load().expect("reads"), *b"record");
        drop(lock);
        store.save(b"other").expect("writes");
        assert_eq!(*store.load().expect("reads"), *b"other");
        fs::remove_dir_all(&folder).expect("removes");
    }
}
