//! The store on a file system.

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

/// More than any assignment has.
const MAX_LEN: u64 = 1024 * 1024;
/// How long to wait for another process that is writing.
const LOCK_LIMIT: Duration = Duration::from_secs(5);
/// Short beside a save, so that a process that saves without a pause leaves the others their turn.
const LOCK_POLL: Duration = Duration::from_millis(1);

/// Keeps an assignment in a file.
///
/// - The file holds the old record or the new one, whole, wherever the process is killed or the power fails: the new one is
///   written beside it (`.new`), synced, and takes its place in one step.
/// - The owner alone can read it, where the platform knows owners (Unix).
/// - Two processes do not write at once: a lock on a third file (`.lock`, which stays) keeps them apart. One that finds the
///   lock held for 5 s gives up with [`StoreError::Busy`]. A process that is killed leaves no lock behind.
/// - The lock is a courtesy: where there is none to be had (another user's file, a network file system without locks), each writes
///   a file of its own, and the last one takes the place.
///
/// The folder must exist and be writable. On Unix no symbolic link is followed: one in the place of the file is an error of
/// [`load`](AssignmentStore::load), and a save replaces it. Nothing that stands there, such as a pipe, keeps a call waiting.
///
/// ```no_run
/// use azure_iot_dps::{Assignment, Error, FileStore, ProvisioningClient};
///
/// fn boot(client: &mut ProvisioningClient) -> Result<Assignment, Error> {
///     let mut store = FileStore::new("/var/lib/acme-gateway/assignment");
///     client.load_or_register(&mut store)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct FileStore {
    path: PathBuf,
}

impl FileStore {
    /// In this file, which need not exist yet. Nothing is opened.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = OsString::from(&self.path);
        path.push(suffix);
        path.into()
    }

    /// Locks other processes out until the file is dropped or the process ends. Returns `None` where no lock can be had: the
    /// record is whole all the same.
    fn lock(&self) -> Result<Option<File>, StoreError> {
        let opened = owner_only().create(true).truncate(false).open(self.beside(".lock"));
        let Some(file) = opened.ok().filter(is_file) else { return Ok(None) };
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::Error(_)) => return Ok(None),
                Err(TryLockError::WouldBlock) if started.elapsed() >= LOCK_LIMIT => return Err(StoreError::Busy),
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_POLL),
            }
        }
    }

    /// Returns the path of the temporary file: `.new` under the lock, else a name that no other save uses.
    fn place_of_new(&self, locked: bool) -> PathBuf {
        let new = self.beside(".new");
        if locked && !new.is_dir() {
            return new;
        }
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.beside(&format!(".new-{}-{}", std::process::id(), time.subsec_nanos()))
    }

    fn write(&self, new: &Path, record: &[u8]) -> Result<(), StoreError> {
        // One that a killed process left; or a link that somebody else put there.
        remove(new)?;
        let mut file = owner_only().create_new(true).open(new).map_err(|error| at(new, &error))?;
        file.write_all(record).and_then(|()| file.sync_all()).map_err(|error| at(new, &error))?;
        drop(file);
        fs::rename(new, &self.path).map_err(|error| at(&self.path, &error))?;
        self.sync_folder();
        Ok(())
    }

    /// Makes the change of a name last. Not every system and file system can; without it the old record may come back after a
    /// power failure, but whole.
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
        if record.len() as u64 >= MAX_LEN {
            return Err(StoreError::new("the record is larger than any assignment is"));
        }
        let lock = self.lock()?;
        let new = self.place_of_new(lock.is_some());
        let result = self.write(&new, record);
        if result.is_err() {
            // What went wrong first is what counts.
            let _ = remove(&new);
        }
        result
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        let new = self.beside(".new");
        let missing = |path: &Path| fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound);
        if missing(&self.path) && missing(&new) {
            return Ok(());
        }
        let _lock = self.lock()?;
        // A folder of that name is not ours.
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
        if link && cfg!(unix) { io::Error::other("a symbolic link") } else { error }
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

/// Neither follows a symbolic link nor waits for the other end of a pipe.
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

/// The system's error, with the path that it is about.
fn at(path: &Path, error: &io::Error) -> StoreError {
    StoreError::new(io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}
