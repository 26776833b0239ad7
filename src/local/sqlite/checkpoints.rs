//! When the write-ahead log is copied into the database file.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::{Profile, Rhythm};

/// Size of what is not copied beyond which nothing is waited for, so that the WAL stays small.
const MOST_BYTES: i64 = 16 << 20;

/// Copies the WAL into the file by one of two rhythms. SQLite would do so within a commit; here the answers of those who waited
/// for the commit are on their way already.
pub(super) struct Checkpoints {
    most_pages: i64,
    busy: Rhythm,
    idle: Rhythm,
    ended: Instant,
    took: Duration,
}

impl Checkpoints {
    pub fn new(profile: &Profile) -> Self {
        let most_pages = MOST_BYTES / i64::from(profile.page_bytes);
        Self { most_pages, busy: profile.busy, idle: profile.idle, ended: Instant::now(), took: Duration::ZERO }
    }

    /// Copies what there is, when it is time. `idle`: nobody waits for the next commit.
    pub fn look(&mut self, connection: &Connection, idle: bool) -> rusqlite::Result<()> {
        let (written, copied): (i64, i64) = connection
            .prepare_cached("PRAGMA wal_checkpoint(NOOP)")?
            .query_row([], |row| Ok((row.get(1)?, row.get(2)?)))?;
        if !self.is_time(written - copied, idle) {
            return Ok(());
        }
        let begun = Instant::now();
        let result = connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?.query_row([], |_| Ok(()));
        (self.ended, self.took) = (Instant::now(), begun.elapsed());
        result
    }

    /// Whether so many pages that are not copied call for a checkpoint.
    fn is_time(&self, pages: i64, idle: bool) -> bool {
        let Rhythm { pages: enough, rest } = if idle { self.idle } else { self.busy };
        pages >= self.most_pages || pages >= enough.into() && self.ended.elapsed() >= self.took * rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A checkpoint that took a second has ended so long ago.
    fn ended(millis: u64) -> Checkpoints {
        let ended = Instant::now().checked_sub(Duration::from_millis(millis)).unwrap();
        Checkpoints {
            most_pages: 4000,
            busy: Rhythm { pages: 200, rest: 8 },
            idle: Rhythm { pages: 16, rest: 2 },
            ended,
            took: Duration::from_secs(1),
        }
    }

    #[test]
    fn each_rhythm_has_its_pages() {
        let long_ago = ended(60_000);
        assert!(!long_ago.is_time(15, true));
        assert!(long_ago.is_time(16, true));
        assert!(!long_ago.is_time(199, false));
        assert!(long_ago.is_time(200, false));
    }

    #[test]
    fn the_next_one_waits_in_proportion_to_the_last_one() {
        assert!(!ended(1500).is_time(1000, true));
        assert!(ended(2500).is_time(1000, true));
        assert!(!ended(7500).is_time(1000, false));
        assert!(ended(8500).is_time(1000, false));
    }

    #[test]
    fn a_large_log_waits_for_nothing() {
        let just_now = ended(0);
        for idle in [true, false] {
            assert!(!just_now.is_time(3999, idle));
            assert!(just_now.is_time(4000, idle));
        }
    }
}
