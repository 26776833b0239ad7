//! Rewriting a file, so that nothing of what was deleted from it is left in free pages, in gaps of others, or in the log.

use std::{path::Path, time::Duration};

use rusqlite::Connection;

use super::{StorageError, in_words};

/// How long to wait for the writer, who commits again and again.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often readers are asked to let go of the log, and how long they have each time.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// Rewrites the file beside its writer, on a connection of its own, and empties its log. Returns the size of both in bytes,
/// before and after. Blocks; needs room for another copy of the file. The writer's commits fail while it takes longer than
/// they wait.
///
/// # Errors
/// There is no room, or somebody keeps reading or writing: the file is as it was, or rewritten with a log that is not empty.
pub fn compact(path: &Path) -> Result<(u64, u64), StorageError> {
    let before = size(path);
    let connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Not in memory, whatever the other connections do: the copy is as large as the file.
    connection.pragma_update(None, "temp_store", "FILE")?;
    connection.execute_batch("VACUUM")?;
    for _ in 0..TRIES {
        let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if !busy {
            connection.close().map_err(|(_, error)| StorageError::Failed(in_words(&error)))?;
            return Ok((before, size(path)));
        }
        std::thread::sleep(PAUSE);
    }
    Err(StorageError::Failed("its log is in use: is another program reading the file?".into()))
}

fn size(path: &Path) -> u64 {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    [path.as_os_str(), &log].iter().filter_map(|path| std::fs::metadata(path).ok()).map(|file| file.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::sqlite::{Profile, Readers, Rhythm, State, Writer};

    const PROFILE: Profile = Profile {
        migrations: &["CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL);"],
        page_bytes: 4096,
        writer_cache_kib: 256,
        reader_cache_kib: 256,
        busy: Rhythm::seldom(1_000_000),
        idle: Rhythm::seldom(1_000_000),
    };

    struct Nothing;

    impl State for Nothing {
        fn before_commit(&mut self, _: &Connection) -> rusqlite::Result<()> {
            Ok(())
        }
        fn committed(&mut self) {}
        fn rolled_back(&mut self) {}
    }

    fn bytes(folder: &Path) -> Vec<u8> {
        std::fs::read_dir(folder).unwrap().flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }

    #[tokio::test]
    async fn nothing_of_what_was_deleted_is_left_beside_a_writer_and_readers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.sqlite");
        let writer = Writer::open(&path, &PROFILE, "notes", |_| Ok(Nothing)).unwrap();
        let readers = Readers::open(&path, &PROFILE, "notes-reader", 1).unwrap();
        let secret = "ana@example.com";
        let note = |id: i64, text: String| {
            writer.run(move |connection, _| {
                connection.execute("INSERT OR REPLACE INTO note VALUES (?1, ?2)", (id, text)).map(|_| ())
            })
        };
        for id in 0..2_000 {
            note(id, format!("{id} {secret} {}", "x".repeat(id as usize % 700))).await.unwrap();
        }
        for id in 0..2_000 {
            note(id, format!("{id} gone")).await.unwrap();
        }
        let finds = |text: &str| bytes(folder.path()).windows(text.len()).any(|bytes| bytes == text.as_bytes());
        assert!(finds(secret), "SQLite leaves it, or this test would show nothing");
        let (before, after) = tokio::task::spawn_blocking(move || compact(&path)).await.unwrap().unwrap();
        assert!(after < before && !finds(secret));
        note(7, "new".into()).await.unwrap();
        let count =
            readers.run(|connection| connection.query_row("SELECT count(*) FROM note", [], |row| row.get::<_, i64>(0)));
        assert_eq!(count.await.unwrap(), 2_000);
    }
}
