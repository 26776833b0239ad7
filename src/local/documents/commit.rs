//! A commit: all preconditions are looked at before anything is written, so that it happens whole or not at all.
//! A body that SQLite could not index would fail the transaction that many commits share: that is why
//! [`crate::documents::limits`] reads every body first.

use rusqlite::{Connection, OptionalExtension, params};

use super::{DocumentsState, schema};
use crate::documents::{Action, CommitError, Container, Etag, Operation};

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
