//! One server per file: an advisory lock that the operating system drops when its process ends, however it ends.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

use super::OpenError;

/// Held for as long as this value lives.
///
/// The lock file holds the owner's process id, for the message that a second process shows. It is never deleted: a
/// process that waits between opening and locking it would lock a file that is no longer there.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

impl FileLock {
    /// Locks `{guarded}.lock`.
    ///
    /// # Errors
    /// [`OpenError::InUse`] where somebody else holds it; [`OpenError::Io`] where the file cannot be created.
    pub fn acquire(guarded: &Path) -> Result<Self, OpenError> {
        let path = lock_path(guarded);
        // A separate file: POSIX drops SQLite's own locks when any descriptor of the database file is closed.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(OpenError::io(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                // The id is a courtesy: without it the message is still right.
                let _ = file.read_to_string(&mut owner);
                return Err(OpenError::InUse { path: guarded.to_path_buf(), owner: owner.trim().parse().ok() });
            }
            Err(TryLockError::Error(source)) => return Err(OpenError::Io { path, source }),
        }
        let record_owner = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        record_owner(&mut file).map_err(OpenError::io(&path))?;
        Ok(Self { _file: file })
    }
}

fn lock_path(guarded: &Path) -> PathBuf {
    let mut name = guarded.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}
