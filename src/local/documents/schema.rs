//! The documents' table and its indexes.

use rusqlite::{Connection, params};

use crate::{
    documents::Container,
    documents::Etag,
    local::sqlite::{Profile, Rhythm},
};

pub(super) const PROFILE: Profile = Profile {
    migrations: &[SCHEMA, DUE_BY_PARTITION, PARKED, APPENDED],
    page_bytes: 4096,
    // Keys are scattered: most of a large store is read through the system's cache, and twice as much is no faster.
    writer_cache_kib: 8 * 1024,
    reader_cache_kib: 2 * 1024,
    busy: Rhythm::seldom(200),
    // What a checkpoint of a large store writes lies all over the file, and the broker's flushes, which vendors wait for,
    // would wait for all of it.
    idle: Rhythm { pages: 16, rest: 2 },
};

/// The partial indexes serve the sweep: without them it would read every body of its container. Their conditions stand
/// word for word in the queries that [`super::query`] writes; that is how SQLite recognises them.
const SCHEMA: &str = "
CREATE TABLE sequence (name TEXT PRIMARY KEY, reserved INTEGER NOT NULL) WITHOUT ROWID;

-- expires: milliseconds since 1970.
CREATE TABLE document (
    container INTEGER NOT NULL,
    partition TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    expires INTEGER,
    body TEXT NOT NULL,
    PRIMARY KEY (container, partition, id)
) WITHOUT ROWID;

CREATE INDEX expiring ON document (expires) WHERE expires IS NOT NULL;
CREATE INDEX due_retries ON document (json_extract(body, '$.due_at'), partition, id) WHERE container = 1;
CREATE INDEX due_spooled ON document (json_extract(body, '$.due_at'), partition, id) WHERE container = 3;
CREATE INDEX outbox ON document (json_extract(body, '$.created_at'), partition, id)
    WHERE container = 0 AND id >= 'out:' AND id < 'out;';
";

/// What is due in one partition, though a million others are due in another.
const DUE_BY_PARTITION: &str = "
CREATE INDEX due_retries_of_partition ON document (partition, json_extract(body, '$.due_at'), id) WHERE container = 1;
";

/// Serves operators, who look at what is parked in the order of its time.
const PARKED: &str = "
CREATE INDEX parked ON document (json_extract(body, '$.parked_at'), partition, id) WHERE container = 2;
";

/// Keys are the vendors' message ids, as good as random: with the bodies in a tree of keys, almost every document that
/// was written meant a page of its own to read, to log, to write and often to split. In order of arrival a commit's
/// bodies share pages, and only the keys, a tenth of the bytes, are scattered. (The index comes first: filled in its
/// own order it needs no sorting.)
const APPENDED: &str = "
DROP INDEX expiring;
DROP INDEX due_retries;
DROP INDEX due_spooled;
DROP INDEX outbox;
DROP INDEX due_retries_of_partition;
DROP INDEX parked;
ALTER TABLE document RENAME TO document_by_key;

-- expires: milliseconds since 1970.
CREATE TABLE document (
    number INTEGER PRIMARY KEY,
    container INTEGER NOT NULL,
    partition TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    expires INTEGER,
    body TEXT NOT NULL
);
CREATE UNIQUE INDEX document_key ON document (container, partition, id);

INSERT INTO document (container, partition, id, version, expires, body)
    SELECT container, partition, id, version, expires, body FROM document_by_key ORDER BY container, partition, id;
DROP TABLE document_by_key;

CREATE INDEX expiring ON document (expires) WHERE expires IS NOT NULL;
CREATE INDEX due_retries ON document (json_extract(body, '$.due_at'), partition, id) WHERE container = 1;
CREATE INDEX due_retries_of_partition ON document (partition, json_extract(body, '$.due_at'), id) WHERE container = 1;
CREATE INDEX parked ON document (json_extract(body, '$.parked_at'), partition, id) WHERE container = 2;
CREATE INDEX due_spooled ON document (json_extract(body, '$.due_at'), partition, id) WHERE container = 3;
CREATE INDEX outbox ON document (json_extract(body, '$.created_at'), partition, id)
    WHERE container = 0 AND id >= 'out:' AND id < 'out;';
";

pub(super) const PURGE_EVERY_MS: u64 = 5_000;
/// Expired documents deleted at once: few enough that no commit waits long for them.
const PURGED_AT_ONCE: usize = 200;

/// The number that stands for a container in the table. Numbers never change.
pub(super) fn number(container: Container) -> i64 {
    match container {
        Container::Ledger => 0,
        Container::Retries => 1,
        Container::Parked => 2,
        Container::Spool => 3,
        Container::Consent => 4,
        Container::Registry => 5,
        Container::Deliveries => 6,
    }
}

pub(super) fn etag(version: i64) -> Etag {
    Etag(version.to_string())
}

/// Deletes some of the expired documents, and tells whether there may be more of them.
pub(super) fn purge(connection: &Connection, now: i64) -> rusqlite::Result<bool> {
    let deleted = connection
        .prepare_cached(
            "DELETE FROM document WHERE number IN (
                 SELECT number FROM document WHERE expires IS NOT NULL AND expires <= ?1 LIMIT ?2)",
        )?
        .execute(params![now, PURGED_AT_ONCE as i64])?;
    Ok(deleted == PURGED_AT_ONCE)
}
