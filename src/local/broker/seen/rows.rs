//! The remembered ids on disk: a crash forgets neither a message without its id nor an id without its message.
//!
//! Each transaction appends one row a topic with the digests it accepted. On a busy system with small groups that makes
//! a thousand rows a second, and a start would read them one by one; so they are merged soon after they were written.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::{DIGEST_BYTES, Digest};

/// Rows of the table looked at in one purge.
const PURGE_ROWS: usize = 64;
/// Rows merged at once, and bytes beyond which fewer rows are: nobody waits long for a commit that merges.
const MERGED_ROWS: usize = 1024;
const MERGED_BYTES: usize = 96 * 1024;
/// Merged rows count as old as the newest of them: only those are merged that lie within this part of the window.
const MERGED_SPAN: i64 = 100;
/// Pause between visits that found little, in microseconds.
const PAUSE: i64 = 1_000_000;
/// A clock that goes back less than this, in microseconds, is being adjusted: nothing needs to be done about it.
const JUMP: i64 = 1_000_000;

/// What is known of the table without reading it.
#[derive(Debug)]
pub(super) struct Rows {
    /// The longest window, in microseconds: rows older than that are of no use.
    longest: i64,
    next_visit: i64,
    /// Rows with smaller ids were merged, or need not be. No more than a hint.
    unmerged: i64,
    /// The latest time that a row on disk may have.
    newest: i64,
    newest_once_committed: i64,
}

impl Rows {
    /// Hands out every digest with its topic and time, the oldest first.
    pub fn load(
        connection: &Connection,
        longest: i64,
        mut each: impl FnMut(i64, i64, &[[u8; DIGEST_BYTES]]),
    ) -> rusqlite::Result<Self> {
        let mut rows = Self { longest, next_visit: 0, unmerged: 0, newest: i64::MIN, newest_once_committed: i64::MIN };
        let mut statement = connection.prepare("SELECT id, topic, at, digests FROM seen ORDER BY id")?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let at: i64 = row.get(2)?;
            rows.newest = rows.newest.max(at);
            let digests = row.get_ref(3)?.as_blob().unwrap_or_default();
            if digests.len() > MERGED_ROWS * DIGEST_BYTES {
                rows.unmerged = row.get::<_, i64>(0)? + 1;
            }
            each(row.get(1)?, at, digests.as_chunks().0);
        }
        Ok(rows)
    }

    /// Tells every row that lies in the future that it was written now; `true` where the clock has jumped back.
    pub fn follow_clock(&mut self, connection: &Connection, now: i64) -> rusqlite::Result<bool> {
        let jumped_back = self.newest.saturating_sub(now) > JUMP;
        self.newest_once_committed = if jumped_back { now } else { self.newest.max(now) };
        if jumped_back {
            connection.prepare_cached("UPDATE seen SET at = ?1 WHERE at > ?1")?.execute([now])?;
        }
        Ok(jumped_back)
    }

    pub fn append(&self, connection: &Connection, topic: i64, now: i64, digests: &[Digest]) -> rusqlite::Result<()> {
        let digests: Vec<u8> = digests.iter().flat_map(|digest| digest.0).collect();
        connection
            .prepare_cached("INSERT INTO seen (topic, at, digests) VALUES (?1, ?2, ?3)")?
            .execute(params![topic, now, digests])?;
        Ok(())
    }

    /// Purges and merges a little, as part of a transaction.
    pub fn tidy(&mut self, connection: &Connection, now: i64) -> rusqlite::Result<()> {
        if now >= self.next_visit || self.next_visit - now > PAUSE {
            let more = self.purge(connection, now)? | self.merge(connection)?;
            self.next_visit = if more { now } else { now + PAUSE };
        }
        Ok(())
    }

    pub fn committed(&mut self) {
        self.newest = self.newest_once_committed;
    }

    /// Deletes the oldest rows, and tells whether there may be more to delete.
    fn purge(&self, connection: &Connection, now: i64) -> rusqlite::Result<bool> {
        let mut statement = connection.prepare_cached("SELECT id, at FROM seen ORDER BY id LIMIT ?1")?;
        let mut rows = statement.query([PURGE_ROWS as i64])?;
        let (mut last, mut found) = (None, 0);
        while let Some(row) = rows.next()? {
            let at: i64 = row.get(1)?;
            if now.saturating_sub(at) <= self.longest {
                break;
            }
            last = Some(row.get::<_, i64>(0)?);
            found += 1;
        }
        drop(rows);
        if let Some(last) = last {
            connection.prepare_cached("DELETE FROM seen WHERE id <= ?1")?.execute([last])?;
        }
        Ok(found == PURGE_ROWS)
    }

    /// Makes one row a topic of the next small ones, and tells whether there may be more to merge.
    fn merge(&mut self, connection: &Connection) -> rusqlite::Result<bool> {
        let last: Option<i64> =
            connection.prepare_cached("SELECT max(id) FROM seen")?.query_row([], |row| row.get(0))?;
        // Numbers begin again once the table is empty.
        self.unmerged = self.unmerged.min(last.map_or(0, |last| last + 1));
        let mut statement =
            connection.prepare_cached("SELECT id, topic, at, digests FROM seen WHERE id >= ?1 ORDER BY id")?;
        let mut rows = statement.query([self.unmerged])?;
        let mut merged: BTreeMap<i64, Vec<u8>> = BTreeMap::new();
        let (mut ids, mut times) = (None, None);
        let (mut count, mut bytes) = (0, 0);
        while count < MERGED_ROWS && bytes < MERGED_BYTES {
            let Some(row) = rows.next()? else { return Ok(false) };
            let (id, at): (i64, i64) = (row.get(0)?, row.get(2)?);
            ids = Some((ids.map_or(id, |(first, _)| first), id));
            times = Some(times.map_or((at, at), |(oldest, newest): (i64, i64)| (oldest.min(at), newest.max(at))));
            let digests = row.get_ref(3)?.as_blob().unwrap_or_default();
            merged.entry(row.get(1)?).or_default().extend_from_slice(digests);
            count += 1;
            bytes += digests.len();
        }
        drop(rows);
        let (Some((first, last)), Some((oldest, newest))) = (ids, times) else { return Ok(false) };
        self.unmerged = last + 1;
        // Written over a longer time they are few enough as they are.
        if count > merged.len() && newest - oldest <= self.longest / MERGED_SPAN {
            connection.prepare_cached("DELETE FROM seen WHERE id BETWEEN ?1 AND ?2")?.execute([first, last])?;
            for (id, (topic, digests)) in (first..).zip(merged) {
                connection
                    .prepare_cached("INSERT INTO seen (id, topic, at, digests) VALUES (?1, ?2, ?3, ?4)")?
                    .execute(params![id, topic, newest, digests])?;
                self.unmerged = id + 1;
            }
        }
        Ok(true)
    }
}
