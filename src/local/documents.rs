//! The embedded documents: Cosmos DB's semantics in one SQLite file.
//!
//! All documents share a table, in order of arrival, so that those of one commit, and of the commits that share its
//! transaction, lie side by side; an index finds them by container, partition and id ([`schema`]). Reads and queries
//! ([`query`]) run on connections of their own; commits ([`commit`]) run on the writer thread, many to a transaction.

mod commit;
mod query;
mod schema;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::sqlite::{Readers, Sequence, State, StorageError, Writer, compact};
use crate::{
    clock::SharedClock,
    documents::{CommitError, Container, Document, Documents, DocumentsError, Etag, Operation, Page, Query, limits},
};

pub use super::sqlite::OpenError;

/// Threads that read. Point reads take microseconds: two keep a long query from holding them up.
const READERS: usize = 2;

/// The store. Clones share it; dropping the last one closes the file.
#[derive(Debug, Clone)]
pub struct LocalDocuments {
    path: PathBuf,
    clock: SharedClock,
    // In this order: the writer, closing last, folds the WAL into the file.
    readers: Readers,
    writer: Option<Writer<DocumentsState>>,
}

/// What the writer thread keeps in memory.
#[derive(Debug)]
struct DocumentsState {
    clock: SharedClock,
    /// Etags are never used twice, not even for a document that was deleted and created again.
    versions: Sequence,
    /// In milliseconds since 1970.
    purged_at: i64,
    /// The last purge did not get to the end: the next commit goes on with it.
    purging: bool,
}

impl State for DocumentsState {
    fn before_commit(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let now = self.clock.now().timestamp_millis();
        if self.purging || now.abs_diff(self.purged_at) >= schema::PURGE_EVERY_MS {
            self.purged_at = now;
            self.purging = schema::purge(connection, now)?;
        }
        Ok(())
    }

    fn committed(&mut self) {}

    fn rolled_back(&mut self) {
        self.versions.rolled_back();
    }
}

impl LocalDocuments {
    /// Opens or creates the file.
    ///
    /// # Errors
    /// Another process has the file open, or it cannot be opened or read.
    pub fn open(path: &Path, clock: SharedClock) -> Result<Self, OpenError> {
        let writer = Writer::open(path, &schema::PROFILE, "documents-writer", {
            let clock = Arc::clone(&clock);
            move |connection| {
                let versions = Sequence::open(connection, "version")?;
                Ok(DocumentsState { clock, versions, purged_at: 0, purging: false })
            }
        })?;
        let readers = Readers::open(path, &schema::PROFILE, "documents-reader", READERS)?;
        Ok(Self { path: path.to_owned(), clock, readers, writer: Some(writer) })
    }

    /// Opens an existing file beside the process that serves it. Commits are refused.
    ///
    /// # Errors
    /// The file does not exist, or cannot be opened or read.
    pub fn open_read_only(path: &Path, clock: SharedClock) -> Result<Self, OpenError> {
        let readers = Readers::open(path, &schema::PROFILE, "documents-reader", READERS)?;
        Ok(Self { path: path.to_owned(), clock, readers, writer: None })
    }

    fn now(&self) -> i64 {
        self.clock.now().timestamp_millis()
    }
}

impl From<StorageError> for DocumentsError {
    fn from(error: StorageError) -> Self {
        DocumentsError::Unavailable(error.to_string())
    }
}

impl From<StorageError> for CommitError {
    fn from(error: StorageError) -> Self {
        CommitError::Unavailable(error.to_string())
    }
}

#[async_trait]
impl Documents for LocalDocuments {
    async fn read(&self, container: Container, partition: &str, id: &str) -> Result<Option<Document>, DocumentsError> {
        let (partition, id, now) = (partition.to_owned(), id.to_owned(), self.now());
        let found = self.readers.run(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT version, body FROM document
                 WHERE container = ?1 AND partition = ?2 AND id = ?3 AND (expires IS NULL OR expires > ?4)",
            )?;
            let found = statement
                .query_row(params![schema::number(container), partition, id, now], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            Ok(found.map(|(version, body)| Document { partition, id, etag: schema::etag(version), body }))
        });
        Ok(found.await?)
    }

    async fn query(&self, container: Container, query: &Query) -> Result<Page, DocumentsError> {
        let search = query::Search::new(container, query, self.now())?;
        Ok(self.readers.run(move |connection| search.page(connection)).await?)
    }

    async fn count(&self, container: Container, query: &Query) -> Result<u64, DocumentsError> {
        let unpaged = Query { order_by: None, continuation: None, ..query.clone() };
        let search = query::Search::new(container, &unpaged, self.now())?;
        Ok(self.readers.run(move |connection| search.count(connection)).await?)
    }

    async fn commit(
        &self,
        container: Container,
        partition: &str,
        operations: Vec<Operation>,
    ) -> Result<Vec<Option<Etag>>, CommitError> {
        let writer =
            self.writer.as_ref().ok_or_else(|| CommitError::Refused("the store is open for reading".into()))?;
        limits::check_commit(partition, &operations)?;
        let partition = partition.to_owned();
        let job = move |connection: &Connection, state: &mut DocumentsState| {
            commit::commit(connection, state, container, &partition, &operations)
        };
        writer.run(job).await?
    }

    async fn compact(&self) -> Result<Option<(u64, u64)>, DocumentsError> {
        // What has expired is in the file until somebody purges it, and no query shows it.
        if let Some(writer) = &self.writer {
            let purge = |connection: &Connection, state: &mut DocumentsState| {
                schema::purge(connection, state.clock.now().timestamp_millis())
            };
            while writer.run(purge).await? {}
        }
        let path = self.path.clone();
        let done = tokio::task::spawn_blocking(move || compact(&path)).await;
        Ok(Some(done.map_err(|_| DocumentsError::Unavailable("rewriting the file panicked".into()))??))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::SystemClock, documents::Comparison::LessOrEqual};

    #[tokio::test]
    async fn a_folder_that_an_earlier_version_wrote_is_opened_with_everything_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("documents.sqlite");
        for version in 1..schema::PROFILE.migrations.len() {
            std::fs::remove_file(&path).ok();
            let old = Connection::open(&path).unwrap();
            for migration in &schema::PROFILE.migrations[..version] {
                old.execute_batch(migration).unwrap();
            }
            old.pragma_update(None, "user_version", version as i64).unwrap();
            let insert = "INSERT INTO document VALUES (1, 'partner:a', ?1, 1, NULL, '{\"due_at\":\"2025\"}')";
            for id in ["x", "y"] {
                old.execute(insert, [id]).unwrap();
            }
            drop(old);
            let store = LocalDocuments::open(&path, Arc::new(SystemClock)).unwrap();
            let due = Query::partition("partner:a").filter("due_at", LessOrEqual, "2026").order_by("due_at");
            let found = store.query(Container::Retries, &due).await.unwrap().documents;
            assert_eq!(found.iter().map(|document| document.id.as_str()).collect::<Vec<_>>(), ["x", "y"]);
            let read = store.read(Container::Retries, "partner:a", "y").await.unwrap().unwrap();
            assert_eq!((read.body.as_str(), read.etag), ("{\"due_at\":\"2025\"}", schema::etag(1)));
            let again = vec![Operation::create("x", &serde_json::json!({}))];
            let refused = store.commit(Container::Retries, "partner:a", again).await.unwrap_err();
            assert!(matches!(refused, CommitError::Conflict { operation: 0, .. }), "{refused}");
        }
    }
}
