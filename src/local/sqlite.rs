//! SQLite, used the way the embedded engine needs it: durable, and shared by thousands of callers.
//!
//! A database file has one [`Writer`], a thread that owns the only writing connection. Callers send it jobs; it runs
//! all that have gathered in one transaction and answers each of them only after the commit is on disk (group commit).
//! [`Readers`] are threads with connections of their own, which see what was committed before they were asked. The file
//! is a WAL database with `synchronous=FULL`, so what was answered survives a power cut.

mod answers;
mod checkpoints;
mod compact;
mod job;
mod lock;
mod readers;
mod sequence;
mod writer;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

pub use compact::compact;
pub use lock::{FileLock, Holder};
pub use readers::Readers;
pub use sequence::Sequence;
pub use writer::{State, WeakWriter, Writer, give_way};

/// How long a statement waits for another process's lock: read-only tools take locks for moments only.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Every statement text the engine uses fits, so none is ever prepared twice.
const STATEMENTS: usize = 128;

/// Why a file cannot be opened. All of them need a person.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process (or another part of this one) has the file open for writing.
    #[error("{} is in use by another process{}", path.display(), owner.map(|id| format!(" ({id})")).unwrap_or_default())]
    InUse { path: PathBuf, owner: Option<u32> },
    /// A later version of the program wrote the file.
    #[error("{} has schema version {found}, and this program knows versions up to {known}: use a newer one", path.display())]
    Newer { path: PathBuf, found: i64, known: i64 },
    /// Read-only tools do not create files.
    #[error("{} does not exist", path.display())]
    Missing { path: PathBuf },
    /// The folder or the lock file cannot be created or opened.
    #[error("cannot open {}: {error}", path.display())]
    Io { path: PathBuf, error: std::io::Error },
    /// SQLite cannot open or read the file.
    #[error("cannot open {}: {}", path.display(), in_words(error))]
    Sqlite { path: PathBuf, error: rusqlite::Error },
}

impl OpenError {
    pub(crate) fn sqlite(path: &Path) -> impl Fn(rusqlite::Error) -> Self + '_ {
        move |error| Self::Sqlite { path: path.to_path_buf(), error }
    }

    pub(crate) fn io(path: &Path) -> impl Fn(std::io::Error) -> Self + '_ {
        move |error| Self::Io { path: path.to_path_buf(), error }
    }
}

/// Why a job gave no result. Whether a write happened is not known.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// A statement or the commit failed; the jobs that shared the transaction all get this answer.
    #[error("{0}")]
    Failed(String),
    /// The thread has ended, or the runtime that answers has: the store is being closed.
    #[error("the store is closed")]
    Closed,
}

impl From<rusqlite::Error> for StorageError {
    fn from(error: rusqlite::Error) -> Self {
        StorageError::Failed(in_words(&error))
    }
}

/// SQLite's words, and what a person can do about them where they do not say it.
fn in_words(error: &rusqlite::Error) -> String {
    match error.sqlite_error() {
        Some(failure) if failure.code == ErrorCode::DiskFull => {
            format!("{error}: make room on the disk that the data folder is on")
        }
        Some(failure) if failure.code == ErrorCode::SystemIoFailure => format!(
            "{error} (SQLite's code {}): the disk is full or damaged, or a limit on the size of files is reached",
            failure.extended_code
        ),
        _ => error.to_string(),
    }
}

/// How often there is a checkpoint.
#[derive(Debug, Clone, Copy)]
pub struct Rhythm {
    /// Pages in the WAL that call for one. Small means short pauses, large means fewer of them: a page that was written ten
    /// times is copied once.
    pub pages: u32,
    /// How much longer than the last one took the next one waits, however slow the disk is.
    pub rest: u32,
}

impl Rhythm {
    /// For where callers wait: checkpoints take an eighth of the time at the most.
    pub const fn seldom(pages: u32) -> Self {
        Self { pages, rest: 8 }
    }
}

/// What distinguishes one database file from another.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    /// Statements that lead to schema version 1, 2, and so on.
    pub migrations: &'static [&'static str],
    /// Of a file that does not exist yet: what is written goes by whole pages.
    pub page_bytes: u32,
    /// Page cache of the writing connection and of each reading one, in KiB.
    pub writer_cache_kib: u32,
    pub reader_cache_kib: u32,
    /// When the WAL is copied into the file while callers wait for the next commit, and while none do.
    pub busy: Rhythm,
    pub idle: Rhythm,
}

impl Profile {
    fn version(&self) -> i64 {
        self.migrations.len() as i64
    }
}

/// Opens the connection that writes, and brings the schema up to date.
fn open_writer(path: &Path, profile: &Profile) -> Result<Connection, OpenError> {
    let mut connection = Connection::open(path).map_err(OpenError::sqlite(path))?;
    prepare_writer(&mut connection, profile).map_err(OpenError::sqlite(path))?;
    let found = check_version(&connection, path, profile)?;
    migrate(&mut connection, found, profile).map_err(OpenError::sqlite(path))?;
    Ok(connection)
}

fn prepare_writer(connection: &mut Connection, profile: &Profile) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Before the first page, or it has no effect.
    connection.pragma_update(None, "page_size", profile.page_bytes)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // On macOS a plain fsync leaves the data in the drive's cache.
    connection.pragma_update(None, "fullfsync", true)?;
    // The writer thread checkpoints by itself, between commits.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cache_size", -i64::from(profile.writer_cache_kib))?;
    connection.pragma_update(None, "temp_store", "MEMORY")
}

fn check_version(connection: &Connection, path: &Path, profile: &Profile) -> Result<i64, OpenError> {
    let found: i64 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(OpenError::sqlite(path))?;
    if found > profile.version() {
        return Err(OpenError::Newer { path: path.to_path_buf(), found, known: profile.version() });
    }
    Ok(found)
}

fn migrate(connection: &mut Connection, found: i64, profile: &Profile) -> rusqlite::Result<()> {
    for (step, statements) in profile.migrations.iter().enumerate().skip(found as usize) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(statements)?;
        transaction.pragma_update(None, "user_version", step as i64 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Opens a connection that cannot write, beside a writer in this or another process or alone.
pub fn open_reader(path: &Path, profile: &Profile) -> Result<Connection, OpenError> {
    if !path.exists() {
        return Err(OpenError::Missing { path: path.to_path_buf() });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(path, flags).map_err(OpenError::sqlite(path))?;
    let prepare = || {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.pragma_update(None, "query_only", true)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "cache_size", -i64::from(profile.reader_cache_kib))
    };
    prepare().map_err(OpenError::sqlite(path))?;
    check_version(&connection, path, profile)?;
    Ok(connection)
}
