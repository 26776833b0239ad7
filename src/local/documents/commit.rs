//! A commit: all preconditions are looked at before anything is written, so that it happens whole or not at all.
//! A body that SQLite could not index would fail the transaction that many commits share, so [`body`] reads it first.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::{DocumentsState, body, schema};
use crate::documents::{Action, CommitError, Container, Etag, Operation};

/// Cosmos DB's limits, kept here too: what passes on one machine passes in Azure.
const OPERATIONS: usize = 100;
const BYTES: usize = 2 * 1024 * 1024;
const ID_BYTES: usize = 1023;
const PARTITION_BYTES: usize = 2048;

/// What can be refused without looking at the store.
pub(super) fn check(partition: &str, operations: &[Operation]) -> Result<(), CommitError> {
    let refused = |problem: String| Err(CommitError::Refused(problem));
    if operations.is_empty() || operations.len() > OPERATIONS {
        return refused(format!("{} operations: a commit holds 1 to {OPERATIONS}", operations.len()));
    }
    if partition.len() > PARTITION_BYTES {
        return refused(format!("the partition key has more than {PARTITION_BYTES} bytes"));
    }
    let mut ids = HashSet::new();
    let mut bytes = 0;
    for Operation { id, action } in operations {
        if id.is_empty() || id.len() > ID_BYTES || id.contains(['/', '\\', '?', '#']) {
            return refused(format!("{id:?} is no document id: 1 to {ID_BYTES} bytes without / \\ ? #"));
        }
        if !ids.insert(id) {
            return refused(format!("two operations on {id:?} in one commit"));
        }
        let (Action::Create { body, .. } | Action::Upsert { body, .. } | Action::Replace { body, .. }) = action else {
            continue;
        };
        bytes += body.len();
        if bytes > BYTES {
            return refused(format!("more than {BYTES} bytes in one commit"));
        }
        if let Err(error) = body::check(body) {
            return refused(format!("the body of {id:?} is no JSON object: {error}"));
        }
    }
    Ok(())
}

/// Runs on the writer thread. The outer error is the database's, the inner one the caller's.
pub(super) fn commit(
    connection: &Connection,
    state: &mut DocumentsState,
    container: Container,
    partition: &str,
    operations: &[Operation],
) -> rusqlite::Result<Result<Vec<Option<Etag>>, CommitError>> {
    let now = state.clock.now().timestamp_millis();
    let container = schema::number(container);
    for (operation, Operation { id, action }) in operations.iter().enumerate() {
        if matches!(action, Action::Upsert { .. } | Action::Delete { if_match: None }) {
            continue;
        }
        let version: Option<i64> = connection
            .prepare_cached(
                "SELECT version FROM document
                 WHERE container = ?1 AND partition = ?2 AND id = ?3 AND (expires IS NULL OR expires > ?4)",
            )?
            .query_row(params![container, partition, id, now], |row| row.get(0))
            .optional()?;
        let current = version.map(schema::etag);
        match action {
            Action::Create { .. } if current.is_some() => {
                return Ok(Err(CommitError::Conflict { operation, id: id.clone() }));
            }
            Action::Replace { if_match, .. } | Action::Delete { if_match: Some(if_match) }
                if current.as_ref() != Some(if_match) =>
            {
                return Ok(Err(CommitError::PreconditionFailed { operation, id: id.clone() }));
            }
            _ => {}
        }
    }

    let mut etags = Vec::with_capacity(operations.len());
    for Operation { id, action } in operations {
        let (body, ttl) = match action {
            Action::Create { body, ttl } | Action::Upsert { body, ttl } | Action::Replace { body, ttl, .. } => {
                (body, ttl)
            }
            Action::Delete { .. } => {
                connection
                    .prepare_cached("DELETE FROM document WHERE container = ?1 AND partition = ?2 AND id = ?3")?
                    .execute(params![container, partition, id])?;
                etags.push(None);
                continue;
            }
        };
        let expires = ttl.map(|ttl| now.saturating_add(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)));
        let version = state.versions.take(connection)?;
        // A create may meet an expired document that is not yet purged.
        connection
            .prepare_cached(
                "INSERT INTO document (container, partition, id, version, expires, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (container, partition, id) DO UPDATE
                 SET version = excluded.version, expires = excluded.expires, body = excluded.body",
            )?
            .execute(params![container, partition, id, version, expires, body])?;
        etags.push(Some(schema::etag(version)));
    }
    Ok(Ok(etags))
}
