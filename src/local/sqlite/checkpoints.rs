//! When the write-ahead log is copied into the database file.

use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, MAIN_DB, wal::CheckpointMode};

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
        let pages = pages_left_by(connection, CheckpointMode::NOOP)?;
        if !pages.is_some_and(|pages| self.is_time(pages, idle)) {
            return Ok(());
        }
        let begun = Instant::now();
        let result = pages_left_by(connection, CheckpointMode::PASSIVE);
        (self.ended, self.took) = (Instant::now(), begun.elapsed());
        result.map(|_| ())
    }

    /// Whether so many pages that are not copied call for a checkpoint.
    fn is_time(&self, pages: i64, idle: bool) -> bool {
        let Rhythm { pages: enough, rest } = if idle { self.idle } else { self.busy };
        pages >= self.most_pages || pages >= enough.into() && self.ended.elapsed() >= self.took * rest
    }
}

/// Runs a checkpoint; how many pages of the WAL it left uncopied. `None`: another connection was at it.
fn pages_left_by(connection: &Connection, mode: CheckpointMode) -> rusqlite::Result<Option<i64>> {
    match connection.wal_checkpoint_v2(Some(MAIN_DB), mode) {
        Ok((written, copied)) => Ok(Some((written - copied).into())),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(None),
        Err(error) => Err(error),
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
    fn the_pages_are_counted_and_another_ones_checkpoint_is_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        let open = || {
            let connection = Connection::open(folder.path().join("a.sqlite")).unwrap();
            connection.pragma_update(None, "journal_mode", "WAL").unwrap();
            connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
            connection
        };
        let writer = open();
        writer.execute_batch("CREATE TABLE a (b); INSERT INTO a VALUES (1);").unwrap();
        assert!(pages_left_by(&writer, CheckpointMode::NOOP).unwrap() > Some(1));
        let reader = open();
        reader.execute_batch("BEGIN; SELECT * FROM a;").unwrap();
        writer.execute_batch("INSERT INTO a VALUES (2);").unwrap();
        assert_eq!(
            pages_left_by(&writer, CheckpointMode::PASSIVE).unwrap(),
            Some(1),
            "a reader needs the page that was"
        );
        // One that waits for the reader does so in vain.
        assert_eq!(pages_left_by(&writer, CheckpointMode::FULL).unwrap(), None);
        drop(reader);
        assert_eq!(pages_left_by(&writer, CheckpointMode::PASSIVE).unwrap(), Some(0));
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
