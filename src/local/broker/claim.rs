//! Receiving: locking the next messages of a queue.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    BrokerState,
    delivery::{Delivery, columns},
    routes::Queue,
    schema::READY,
    settle::{self, bury},
};
use crate::local::sqlite::WeakWriter;

/// Reason of a message that was abandoned or left to expire too often, as Service Bus words it.
pub(super) const TOO_MANY_DELIVERIES: &str = "MaxDeliveryCountExceeded";
/// Reason of a message that nobody received in time, as Service Bus words it.
const TOO_OLD: &str = "TTLExpiredException";
/// Rows looked at in one job: a long row of expired messages must not keep publishers waiting.
const MOST_ROWS: usize = 512;
/// Bytes of bodies after which a claim ends early, with one message at least: a batch is in memory several times over,
/// as messages, as an invocation and as what its handler makes of it.
const MOST_BYTES: usize = 4 << 20;

/// What a claim found.
pub(super) struct Claim {
    pub claimed: Claimed,
    /// As many rows or bytes were looked at as one claim may: there may be more behind them.
    pub more: bool,
    /// With nothing claimed: when the next message becomes due, in microseconds from now.
    pub due_in: Option<i64>,
}

/// Locked messages that no receiver has seen yet. Dropped before it has, they go back uncounted: a receiver that stops
/// waiting (a shutdown, a timeout) takes no message with it.
pub(super) struct Claimed {
    queue: Arc<Queue>,
    deliveries: Vec<Delivery>,
    writer: WeakWriter<BrokerState>,
}

impl Claimed {
    pub fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }

    /// Hands the messages over.
    pub fn take(mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.deliveries)
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        if self.deliveries.is_empty() {
            return;
        }
        let queue = Arc::clone(&self.queue);
        let locks: Vec<_> = self.deliveries.iter().map(|row| (row.due, row.sequence, row.deliveries)).collect();
        self.writer.try_run(move |connection, state| {
            for (due, sequence, deliveries) in locks {
                settle::release(connection, &queue, (due, sequence, deliveries))?;
            }
            state.touch(&queue);
            Ok(())
        });
    }
}

/// Locks up to `max` messages: first those whose time has come (scheduled ones, and those whose lock ran out), so that
/// a backlog cannot hold them up; then the ready ones in order.
pub(super) fn claim(
    connection: &Connection,
    state: &mut BrokerState,
    queue: &Arc<Queue>,
    max: usize,
    writer: WeakWriter<BrokerState>,
) -> rusqlite::Result<Claim> {
    let now = state.now();
    let until = now.saturating_add(queue.lock_duration).max(1);
    let max = max.min(MOST_ROWS);
    let mut claimed = Claimed { queue: Arc::clone(queue), deliveries: Vec::new(), writer };

    let mut room = MOST_BYTES;
    let due = select(connection, queue, Source::Due { now }, max, &mut room)?;
    let mut looked_at = due.len();
    for row in due {
        let key = (row.due, row.sequence);
        if let Some(row) = pass(connection, state, queue, row, now)? {
            connection
                .prepare_cached(
                    "UPDATE queue SET due = ?1, deliveries = deliveries + 1
                     WHERE entity = ?2 AND due = ?3 AND sequence = ?4",
                )?
                .execute(params![until, queue.id, key.0, key.1])?;
            claimed.deliveries.push(Delivery { due: until, deliveries: row.deliveries + 1, ..row });
        }
    }

    if looked_at < max && room > 0 {
        let ready = select(connection, queue, Source::Ready, max - looked_at, &mut room)?;
        looked_at += ready.len();
        let mut span = None;
        for row in ready {
            if let Some(row) = pass(connection, state, queue, row, now)? {
                span = Some((span.map_or(row.sequence, |(first, _)| first), row.sequence));
                claimed.deliveries.push(Delivery { due: until, deliveries: row.deliveries + 1, ..row });
            }
        }
        if let Some((first, last)) = span {
            // Every ready row between the two was just read, and those that did not pass are gone.
            connection
                .prepare_cached(
                    "UPDATE queue SET due = ?1, deliveries = deliveries + 1
                     WHERE entity = ?2 AND due = 0 AND sequence BETWEEN ?3 AND ?4",
                )?
                .execute(params![until, queue.id, first, last])?;
        }
    }

    let more = looked_at == max || room == 0;
    let due_in = if claimed.is_empty() && !more { next_due(connection, queue, now)? } else { None };
    Ok(Claim { claimed, more, due_in })
}

/// Where a claim looks.
enum Source {
    Ready,
    Due { now: i64 },
}

/// Up to `limit` rows, and none behind the one that takes the last of the `room`, in bytes.
fn select(
    connection: &Connection,
    queue: &Queue,
    source: Source,
    limit: usize,
    room: &mut usize,
) -> rusqlite::Result<Vec<Delivery>> {
    let limit = limit as i64;
    let (mut ready, mut due);
    let mut rows = match source {
        Source::Ready => {
            ready = connection.prepare_cached(concat!(
                "SELECT ",
                columns!(),
                "WHERE q.entity = ?1 AND q.due = 0 ORDER BY q.sequence LIMIT ?2"
            ))?;
            ready.query(params![queue.id, limit])?
        }
        Source::Due { now } => {
            due = connection.prepare_cached(concat!(
                "SELECT ",
                columns!(),
                "WHERE q.entity = ?1 AND q.due > 0 AND q.due <= ?3 ORDER BY q.due, q.sequence LIMIT ?2"
            ))?;
            due.query(params![queue.id, limit, now])?
        }
    };
    let mut found = Vec::new();
    while *room > 0
        && let Some(row) = rows.next()?
    {
        let delivery = Delivery::read(row)?;
        *room = room.saturating_sub(delivery.body.len());
        found.push(delivery);
    }
    Ok(found)
}

/// Gives the message back if it may be delivered; otherwise it is dead-lettered or dropped.
fn pass(
    connection: &Connection,
    state: &mut BrokerState,
    queue: &Queue,
    row: Delivery,
    now: i64,
) -> rusqlite::Result<Option<Delivery>> {
    if queue.is_dead_letter() {
        return Ok(Some(row));
    }
    let place = (row.due, row.sequence, row.deliveries);
    if row.expires_at.is_some_and(|expires| expires <= now) {
        if queue.dead_letter_on_expiration {
            bury(connection, state, queue, place, TOO_OLD, "The message expired before it was received.")?;
        } else {
            settle::remove(connection, queue, place)?;
        }
        return Ok(None);
    }
    if row.deliveries >= queue.max_delivery_count {
        bury(connection, state, queue, place, TOO_MANY_DELIVERIES, &too_many_deliveries(row.deliveries))?;
        return Ok(None);
    }
    Ok(Some(row))
}

/// The description that goes with [`TOO_MANY_DELIVERIES`].
pub(super) fn too_many_deliveries(deliveries: u32) -> String {
    format!("The message was delivered {deliveries} times and never completed.")
}

fn next_due(connection: &Connection, queue: &Queue, now: i64) -> rusqlite::Result<Option<i64>> {
    let due: Option<i64> = connection
        .prepare_cached("SELECT due FROM queue WHERE entity = ?1 AND due > ?2 ORDER BY due LIMIT 1")?
        .query_row(params![queue.id, now.max(READY)], |row| row.get(0))
        .optional()?;
    Ok(due.map(|due| due - now))
}
