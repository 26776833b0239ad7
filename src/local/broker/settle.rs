//! Settling: what may happen to a locked message. A place in the queue is found by its whole key and its delivery
//! count, so a lock that was lost changes nothing.

use std::sync::atomic::Ordering;

use rusqlite::{Connection, params};

use super::{
    BrokerState,
    claim::{TOO_MANY_DELIVERIES, too_many_deliveries},
    routes::Queue,
    schema::READY,
    types::{Lock, Settlement},
};

/// `due`, `sequence` and `deliveries` of a row of `queue`.
pub(super) type Place = (i64, i64, u32);

/// What a receiver decided.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    Complete,
    Abandon,
    Release,
    DeadLetter { reason: String, description: String },
    Renew,
}

/// Applies one verdict to all locks.
pub(super) fn settle(
    connection: &Connection,
    state: &mut BrokerState,
    locks: &[Lock],
    verdict: &Verdict,
) -> rusqlite::Result<Vec<Settlement>> {
    locks
        .iter()
        .map(|lock| {
            let done = apply(connection, state, lock, verdict)?;
            Ok(if done { Settlement::Done } else { Settlement::LockLost })
        })
        .collect()
}

fn apply(connection: &Connection, state: &mut BrokerState, lock: &Lock, verdict: &Verdict) -> rusqlite::Result<bool> {
    let Some(queue) = state.routes.queue_by_id(lock.entity).cloned() else {
        return Ok(false);
    };
    let place = (lock.until.load(Ordering::Relaxed), lock.sequence, lock.deliveries);
    match verdict {
        Verdict::Complete => remove(connection, &queue, place),
        Verdict::Abandon if lock.deliveries >= queue.max_delivery_count && !queue.is_dead_letter() => {
            let description = too_many_deliveries(lock.deliveries);
            bury(connection, state, &queue, place, TOO_MANY_DELIVERIES, &description)
        }
        Verdict::Abandon => {
            let done = relocate(connection, &queue, place, READY, lock.deliveries)?;
            if done {
                state.touch(&queue);
            }
            Ok(done)
        }
        Verdict::Release => {
            let done = release(connection, &queue, place)?;
            if done {
                state.touch(&queue);
            }
            Ok(done)
        }
        Verdict::DeadLetter { reason, description } => bury(connection, state, &queue, place, reason, description),
        Verdict::Renew => {
            let until = state.now().saturating_add(queue.lock_duration).max(1);
            let done = relocate(connection, &queue, place, until, lock.deliveries)?;
            if done {
                lock.until.store(until, Ordering::Relaxed);
                state.renewed.push((lock.clone(), place.0));
            }
            Ok(done)
        }
    }
}

/// Takes a message out of the broker.
pub(super) fn remove(connection: &Connection, queue: &Queue, place: Place) -> rusqlite::Result<bool> {
    if !take_place(connection, queue, place)? {
        return Ok(false);
    }
    connection.prepare_cached("DELETE FROM message WHERE sequence = ?1")?.execute([place.1])?;
    if queue.is_dead_letter() {
        connection.prepare_cached("DELETE FROM dead_letter WHERE sequence = ?1")?.execute([place.1])?;
    }
    Ok(true)
}

/// Moves a message to the dead-letter sub-queue.
pub(super) fn bury(
    connection: &Connection,
    state: &mut BrokerState,
    queue: &Queue,
    place: Place,
    reason: &str,
    description: &str,
) -> rusqlite::Result<bool> {
    if !take_place(connection, queue, place)? {
        return Ok(false);
    }
    let (_, sequence, deliveries) = place;
    connection
        .prepare_cached("INSERT INTO queue (entity, due, sequence, deliveries) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![queue.dead_letters, READY, sequence, deliveries])?;
    connection
        .prepare_cached("INSERT OR REPLACE INTO dead_letter (sequence, reason, description) VALUES (?1, ?2, ?3)")?
        .execute(params![sequence, reason, description])?;
    if let Some(dead_letters) = state.routes.queue_by_id(queue.dead_letters).cloned() {
        state.touch(&dead_letters);
    }
    Ok(true)
}

/// Puts a message back that nobody has seen, and does not count the delivery.
pub(super) fn release(connection: &Connection, queue: &Queue, place: Place) -> rusqlite::Result<bool> {
    relocate(connection, queue, place, READY, place.2.saturating_sub(1))
}

fn relocate(
    connection: &Connection,
    queue: &Queue,
    (due, sequence, deliveries): Place,
    new_due: i64,
    new_deliveries: u32,
) -> rusqlite::Result<bool> {
    let changed = connection
        .prepare_cached(
            "UPDATE queue SET due = ?1, deliveries = ?2
             WHERE entity = ?3 AND due = ?4 AND sequence = ?5 AND deliveries = ?6",
        )?
        .execute(params![new_due, new_deliveries, queue.id, due, sequence, deliveries])?;
    Ok(changed == 1)
}

fn take_place(connection: &Connection, queue: &Queue, (due, sequence, deliveries): Place) -> rusqlite::Result<bool> {
    let changed = connection
        .prepare_cached("DELETE FROM queue WHERE entity = ?1 AND due = ?2 AND sequence = ?3 AND deliveries = ?4")?
        .execute(params![queue.id, due, sequence, deliveries])?;
    Ok(changed == 1)
}
