//! Looking without touching: peeks and depths, on a reader's connection.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::{
    delivery::{Delivery, columns},
    schema::entities,
    types::{Depth, timestamp},
};

/// Messages of a queue in order of their sequence numbers, whatever their state.
pub(super) fn peek(connection: &Connection, entity: i64, from: i64, max: usize) -> rusqlite::Result<Vec<Delivery>> {
    let max_rows = i64::try_from(max).unwrap_or(i64::MAX);
    // Ready rows come in order from the primary key. The others are few: what is locked or scheduled.
    let mut found: Vec<Delivery> = connection
        .prepare_cached(concat!(
            "SELECT ",
            columns!(),
            "WHERE q.entity = ?1 AND q.due = 0 AND q.sequence >= ?2 ORDER BY q.sequence LIMIT ?3"
        ))?
        .query_map(params![entity, from, max_rows], Delivery::read)?
        .collect::<Result<_, _>>()?;
    let waiting = connection
        .prepare_cached(concat!(
            "SELECT ",
            columns!(),
            "WHERE (q.entity, q.due, q.sequence) IN (
                 SELECT entity, due, sequence FROM queue
                 WHERE entity = ?1 AND due > 0 AND sequence >= ?2 ORDER BY sequence LIMIT ?3)"
        ))?
        .query_map(params![entity, from, max_rows], Delivery::read)?
        .collect::<Result<Vec<_>, _>>()?;
    found.extend(waiting);
    found.sort_by_key(|row| row.sequence);
    found.truncate(max);
    Ok(found)
}

/// The depths of every subscription that the file knows, whether or not the topology still does.
pub(super) fn depths(connection: &Connection, now: i64) -> rusqlite::Result<Vec<Depth>> {
    let counted: HashMap<i64, Counted> = connection
        .prepare_cached(
            "SELECT entity,
                    count(*) FILTER (WHERE due <= ?1),
                    count(*) FILTER (WHERE due > ?1 AND deliveries = 0),
                    count(*) FILTER (WHERE due > ?1 AND deliveries > 0),
                    min(sequence) FILTER (WHERE due <= ?1 OR deliveries > 0)
             FROM queue GROUP BY entity",
        )?
        .query_map([now], |row| {
            let counted = Counted {
                active: row.get::<_, i64>(1)? as u64,
                scheduled: row.get::<_, i64>(2)? as u64,
                locked: row.get::<_, i64>(3)? as u64,
                oldest: row.get(4)?,
            };
            Ok((row.get(0)?, counted))
        })?
        .collect::<Result<_, _>>()?;
    let entities = entities(connection)?;
    let dead_letters: HashMap<_, _> = entities
        .iter()
        .filter(|(_, entity)| entity.dead_letter)
        .map(|(id, entity)| ((&entity.topic, &entity.subscription), counted.get(id).map_or(0, Counted::all)))
        .collect();
    let mut depths = Vec::new();
    for (id, entity) in entities.iter().filter(|(_, entity)| !entity.dead_letter) {
        let nothing = Counted::default();
        let counted = counted.get(id).unwrap_or(&nothing);
        let oldest = match counted.oldest {
            Some(sequence) => enqueued_at(connection, sequence)?,
            None => None,
        };
        depths.push(Depth {
            entity: entity.clone(),
            active: counted.active,
            scheduled: counted.scheduled,
            locked: counted.locked,
            dead_letters: dead_letters.get(&(&entity.topic, &entity.subscription)).copied().unwrap_or(0),
            oldest_enqueued_at: oldest.map(timestamp),
        });
    }
    Ok(depths)
}

#[derive(Default)]
struct Counted {
    active: u64,
    scheduled: u64,
    locked: u64,
    oldest: Option<i64>,
}

impl Counted {
    fn all(&self) -> u64 {
        self.active + self.scheduled + self.locked
    }
}

fn enqueued_at(connection: &Connection, sequence: i64) -> rusqlite::Result<Option<i64>> {
    use rusqlite::OptionalExtension;
    connection
        .prepare_cached("SELECT enqueued_at FROM message WHERE sequence = ?1")?
        .query_row([sequence], |row| row.get(0))
        .optional()
}
