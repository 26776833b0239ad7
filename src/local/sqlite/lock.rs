//! One server per file: an advisory lock that the operating system drops when its process ends, however it ends.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{ErrorKind, Read, Seek, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use super::OpenError;

/// How often, and how long, a lock waits for those who only look.
const LOOKS: u32 = 5;
const LOOK: Duration = Duration::from_millis(20);

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
        let mut looks = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                // Somebody who only looks ([`Self::holder`]) is gone at once.
                Err(TryLockError::WouldBlock) if looks < LOOKS => {
                    looks += 1;
                    std::thread::sleep(LOOK);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(OpenError::InUse { path: guarded.to_path_buf(), owner: owner(&mut file) });
                }
                Err(TryLockError::Error(error)) => return Err(OpenError::Io { path, error }),
            }
        }
        let record_owner = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        record_owner(&mut file).map_err(OpenError::io(&path))?;
        Ok(Self { _file: file })
    }

    /// Whether somebody holds the lock of a file just now, and who. The lock is touched for an instant, which a server that
    /// starts in the same instant waits for.
    ///
    /// # Errors
    /// [`OpenError::Io`] where the lock file cannot be read.
    pub fn holder(guarded: &Path) -> Result<Option<Holder>, OpenError> {
        let path = lock_path(guarded);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OpenError::Io { path, error }),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(Holder { process: owner(&mut file) })),
            Err(TryLockError::Error(error)) => Err(OpenError::Io { path, error }),
        }
    }
}

/// Somebody who has a file open for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Its process id, as far as it was written down.
    pub process: Option<u32>,
}

fn owner(file: &mut File) -> Option<u32> {
    let mut owner = String::new();
    // The id is a courtesy: without it the message is still right.
    let _ = file.read_to_string(&mut owner);
    owner.trim().parse().ok()
}

fn lock_path(guarded: &Path) -> PathBuf {
    let mut name = guarded.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_starts_while_somebody_looks_gets_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let guarded = folder.path().join("broker.sqlite");
        drop(FileLock::acquire(&guarded).unwrap());
        let looking = File::open(lock_path(&guarded)).unwrap();
        looking.lock_shared().unwrap();
        let done = std::thread::spawn(move || {
            std::thread::sleep(LOOK);
            drop(looking);
        });
        let lock = FileLock::acquire(&guarded).unwrap();
        done.join().unwrap();
        let holder = FileLock::holder(&guarded).unwrap();
        assert_eq!(holder, Some(Holder { process: Some(std::process::id()) }));
        drop(lock);
        assert_eq!(FileLock::holder(&guarded).unwrap(), None);
    }

    #[test]
    fn looking_for_the_holder_of_nothing_makes_no_file() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(FileLock::holder(&folder.path().join("broker.sqlite")).unwrap(), None);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
