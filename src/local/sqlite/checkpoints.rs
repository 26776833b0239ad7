//! When the write-ahead log is copied into the database file.

use std::time::Instant;

use rusqlite::Connection;

/// How much longer than a checkpoint took the next one waits: they take an eighth of the time at the most, however slow
/// the disk is.
const REST: u32 = 8;
/// What overrules that, so that the WAL stays small: so many times the pages that call for a checkpoint.
const MOST_PAGES: i64 = 16;

/// When the WAL is copied into the file: once it has grown to so many pages. SQLite would do so within a commit; here
/// those who waited for the commit have their answers already.
pub(super) struct Checkpoints {
    pages: i64,
    not_before: Instant,
}

impl Checkpoints {
    pub fn new(pages: u32) -> Self {
        Self { pages: pages.into(), not_before: Instant::now() }
    }

    /// Copies what there is, when it is time.
    pub fn look(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let (written, copied): (i64, i64) = connection
            .prepare_cached("PRAGMA wal_checkpoint(NOOP)")?
            .query_row([], |row| Ok((row.get(1)?, row.get(2)?)))?;
        let waiting = written - copied;
        if waiting < self.pages {
            return Ok(());
        }
        let begun = Instant::now();
        if begun < self.not_before && waiting < self.pages * MOST_PAGES {
            return Ok(());
        }
        let result = connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?.query_row([], |_| Ok(()));
        self.not_before = Instant::now() + begun.elapsed() * REST;
        result
    }
}
