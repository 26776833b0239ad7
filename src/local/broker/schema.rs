//! The broker's tables.
//!
//! A message's body is written once, in order of arrival, and never touched until it is deleted. What moves is its
//! narrow `queue` row, whose key says all: which entity, from when on, which message. Locking a message is moving its
//! row to the time its lock runs out, so settling finds it by primary key, and a lock that was lost is a missing row.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::types::Entity;
use crate::{
    bus::Topology,
    local::sqlite::{Profile, Rhythm},
};

/// `due` of a message that can be received at once. No clock is compared, so a clock that jumps back hides nothing,
/// and the rows stay in the order of their sequence numbers.
pub(super) const READY: i64 = 0;
/// An entity that does not exist: their numbers begin with 1.
pub(super) const NO_ENTITY: i64 = 0;

pub(super) const PROFILE: Profile = Profile {
    migrations: &[SCHEMA, SCHEDULED, SESSION],
    // Bodies lie one behind the other: two pages of 4 KB would be two writes.
    page_bytes: 8192,
    writer_cache_kib: 8 * 1024,
    reader_cache_kib: 1024,
    // Nobody waits only between two groups, and the next one comes at once: small pieces took 7 % of the ack rate, with pages of 4 KB.
    busy: Rhythm::seldom(250),
    idle: Rhythm::seldom(250),
};

const SCHEMA: &str = "
CREATE TABLE sequence (name TEXT PRIMARY KEY, reserved INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE topic (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

CREATE TABLE entity (
    id INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    subscription TEXT NOT NULL,
    dead_letter INTEGER NOT NULL,
    UNIQUE (topic, subscription, dead_letter)
);

-- Times are microseconds since 1970. One row per subscription that matched.
CREATE TABLE message (
    sequence INTEGER PRIMARY KEY,
    message_id TEXT NOT NULL,
    enqueued_at INTEGER NOT NULL,
    expires_at INTEGER,
    content_type TEXT,
    correlation_id TEXT,
    subject TEXT,
    properties TEXT NOT NULL,
    body BLOB NOT NULL
);

-- due: 0 ready; else when a scheduled message becomes due (deliveries = 0) or a lock runs out (deliveries > 0).
CREATE TABLE queue (
    entity INTEGER NOT NULL,
    due INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    deliveries INTEGER NOT NULL,
    PRIMARY KEY (entity, due, sequence)
) WITHOUT ROWID;

CREATE TABLE dead_letter (
    sequence INTEGER PRIMARY KEY,
    reason TEXT NOT NULL,
    description TEXT NOT NULL
);

-- Duplicate detection: the digests of the message ids that one transaction accepted for one topic.
CREATE TABLE seen (
    id INTEGER PRIMARY KEY,
    topic INTEGER NOT NULL,
    at INTEGER NOT NULL,
    digests BLOB NOT NULL
);
";

/// What the sender asked for; when the message is due, `queue` knows.
const SCHEDULED: &str = "ALTER TABLE message ADD COLUMN scheduled INTEGER;";

/// Data of the message; nothing goes by it.
const SESSION: &str = "ALTER TABLE message ADD COLUMN session_id TEXT;";

/// A message that was held by so many processes when they died waits until its lock runs out: it may be what kills them, and
/// were it given out at once, a server that is killed ten times in a row would have it among the dead letters in seconds, and
/// everything that was in hand with it.
const FREED_AT_ONCE: i64 = 3;

/// Gives every topic and subscription of the topology its number, and drops locks that an earlier process held.
pub(super) fn prepare(connection: &mut Connection, topology: &Topology) -> rusqlite::Result<Numbers> {
    let transaction = connection.transaction()?;
    let mut topics = HashMap::new();
    for topic in &topology.topics {
        let id = transaction.query_row(
            "INSERT INTO topic (name) VALUES (?1) ON CONFLICT (name) DO UPDATE SET name = name RETURNING id",
            [&topic.name],
            |row| row.get(0),
        )?;
        topics.insert(topic.name.clone(), id);
        for subscription in &topic.subscriptions {
            for dead_letter in [false, true] {
                transaction.execute(
                    "INSERT INTO entity (topic, subscription, dead_letter) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                    params![topic.name, subscription.name, dead_letter],
                )?;
            }
        }
    }
    let entities = entities(&transaction)?;
    for (id, entity) in &entities {
        // Nobody holds these locks any more: the file lock makes this the only process. Deliveries stay counted. Dead
        // letters are given out for ever, so they need no care.
        let at_once = if entity.dead_letter { i64::MAX } else { FREED_AT_ONCE };
        transaction.execute(
            "UPDATE queue SET due = 0 WHERE entity = ?1 AND due > 0 AND deliveries > 0 AND deliveries < ?2",
            params![id, at_once],
        )?;
    }
    transaction.commit()?;
    Ok(Numbers { topics, entities })
}

/// The numbers that stand for names in the tables.
pub(super) struct Numbers {
    pub topics: HashMap<String, i64>,
    pub entities: Vec<(i64, Entity)>,
}

/// Every entity the file knows, with its number.
pub(super) fn entities(connection: &Connection) -> rusqlite::Result<Vec<(i64, Entity)>> {
    connection
        .prepare("SELECT id, topic, subscription, dead_letter FROM entity ORDER BY topic, subscription, dead_letter")?
        .query_map([], |row| {
            Ok((row.get(0)?, Entity { topic: row.get(1)?, subscription: row.get(2)?, dead_letter: row.get(3)? }))
        })?
        .collect()
}

/// Whether an entity holds anything.
pub(super) fn is_empty(connection: &Connection, entity: i64) -> rusqlite::Result<bool> {
    connection.query_row("SELECT NOT EXISTS (SELECT 1 FROM queue WHERE entity = ?1)", [entity], |row| row.get(0))
}
