//! All that waits, in the order in which it came: looked at, and changed where it lies.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Broker, BrokerState, delivery::Delivery, schema::NO_ENTITY};
use crate::{
    bus::{Message, PublishError, Replaced, Shelf, Shelved},
    local::sqlite::{StorageError, compact},
};

/// The columns that [`Delivery::read`] expects. `queue`, where a message's state is, is ordered by entity and not by number: to
/// join it here would mean to read all of it for every page.
const LOOK: &str = "
    SELECT m.sequence, 0, m.enqueued_at, m.expires_at, m.message_id, m.content_type, m.correlation_id, m.subject,
           m.properties, m.body, NULL, NULL, 0, m.scheduled, m.session_id
    FROM message m WHERE m.sequence > ?1 ORDER BY m.sequence LIMIT ?2";

#[async_trait]
impl Shelf for Broker {
    async fn look(&self, behind: i64, max: usize) -> Result<Vec<Shelved>, PublishError> {
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let rows = self.readers.run(move |connection| {
            connection
                .prepare_cached(LOOK)?
                .query_map(params![behind, max], Delivery::read)?
                .collect::<Result<Vec<_>, _>>()
        });
        let shelved = |row: Delivery| {
            let received = row.into_received(NO_ENTITY);
            Shelved { sequence_number: received.sequence_number, message: received.message }
        };
        Ok(rows.await.map_err(failed)?.into_iter().map(shelved).collect())
    }

    async fn holds(&self, correlation_id: &str) -> Result<bool, PublishError> {
        let id = correlation_id.to_owned();
        let found = self.readers.run(move |connection| {
            connection
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM message WHERE correlation_id = ?1)")?
                .query_row([id], |row| row.get(0))
        });
        found.await.map_err(failed)
    }

    async fn replace(&self, sequence_number: i64, message: Message) -> Result<Replaced, PublishError> {
        let job = move |connection: &Connection, state: &mut BrokerState| {
            replace(connection, state.now(), sequence_number, &message)
        };
        self.writer.run(job).await.map_err(failed)
    }

    async fn compact(&self) -> Result<(u64, u64), PublishError> {
        let path = self.path.clone();
        let done = tokio::task::spawn_blocking(move || compact(&path)).await;
        done.map_err(|_| PublishError::Unavailable("rewriting the file panicked".into()))?.map_err(failed)
    }
}

fn failed(error: StorageError) -> PublishError {
    PublishError::Unavailable(error.to_string())
}

/// Runs on the writer thread, so that nobody locks the message in between.
fn replace(connection: &Connection, now: i64, sequence: i64, message: &Message) -> rusqlite::Result<Replaced> {
    let place: Option<(i64, i64)> = connection
        .prepare_cached("SELECT due, deliveries FROM queue WHERE sequence = ?1")?
        .query_row([sequence], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match place {
        None => return Ok(Replaced::Gone),
        Some((due, deliveries)) if deliveries > 0 && due > now => return Ok(Replaced::Locked),
        Some(_) => {}
    }
    let properties = serde_json::to_string(&message.properties).expect("properties serialise to JSON");
    let changed = connection
        .prepare_cached(
            "UPDATE message SET message_id = ?2, content_type = ?3, correlation_id = ?4, subject = ?5, session_id = ?6,
                                properties = ?7, body = ?8
             WHERE sequence = ?1",
        )?
        .execute(params![
            sequence,
            message.message_id,
            message.content_type.as_deref(),
            message.correlation_id,
            message.subject,
            message.session_id,
            properties,
            &message.body[..],
        ])?;
    Ok(if changed == 1 { Replaced::Done } else { Replaced::Gone })
}
