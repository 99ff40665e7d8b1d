//! The store on a file system.

use alloc::borrow::Cow;
use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

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
///   lock held for 5 s gives up with [`StoreError::Busy`]. A process that is killed leaves no lock behind. On a platform
///   without file locks nothing keeps them apart.
///
/// The folder must exist and be writable. A symbolic link is replaced, not followed.
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

    /// Keeps other processes from writing until the file is dropped, or the process ends.
    fn lock(&self) -> Result<File, StoreError> {
        let path = self.beside(".lock");
        let file = owner_only().create(true).truncate(false).open(&path).map_err(|error| at(&path, &error))?;
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(at(&path, &error)),
                Err(TryLockError::WouldBlock) if started.elapsed() >= LOCK_LIMIT => return Err(StoreError::Busy),
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_POLL),
            }
        }
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
        let _lock = self.lock()?;
        let new = self.beside(".new");
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
        remove(&new)?;
        remove(&self.path)?;
        self.sync_folder();
        Ok(())
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe would keep the reader waiting.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a file"));
    }
    let mut record = Vec::new();
    File::open(path)?.take(MAX_LEN).read_to_end(&mut record)?;
    Ok(record)
}

fn owner_only() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
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
