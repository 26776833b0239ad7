//! When the write-ahead log is copied into the database file.

use rusqlite::Connection;

/// When the WAL is copied into the file: once it has grown to so many pages. SQLite would do so within a commit; here
/// those who waited for the commit have their answers already.
pub(super) struct Checkpoints {
    pages: i64,
}

impl Checkpoints {
    pub fn new(pages: u32) -> Self {
        Self { pages: pages.into() }
    }

    /// Copies what there is, when it is time.
    pub fn look(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let (written, copied): (i64, i64) = connection
            .prepare_cached("PRAGMA wal_checkpoint(NOOP)")?
            .query_row([], |row| Ok((row.get(1)?, row.get(2)?)))?;
        if written - copied >= self.pages {
            connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?.query_row([], |_| Ok(()))?;
        }
        Ok(())
    }
}
