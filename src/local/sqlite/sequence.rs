//! Numbers that are never given out twice, not even after a restart.

use rusqlite::{Connection, OptionalExtension, params};

/// How many numbers one write of the high-water mark covers. A restart skips what is left of them.
const RESERVED_AT_ONCE: i64 = 1 << 16;

/// A counter whose high-water mark lives in the database. `max(rowid) + 1` would start again from 1 once a table is
/// empty, and a number from before could then be taken for a new one.
#[derive(Debug)]
pub struct Sequence {
    name: &'static str,
    next: i64,
    reserved: i64,
}

impl Sequence {
    /// Continues after every number given out before.
    pub fn open(connection: &Connection, name: &'static str) -> rusqlite::Result<Self> {
        let reserved = connection
            .query_row("SELECT reserved FROM sequence WHERE name = ?1", [name], |row| row.get(0))
            .optional()?
            .unwrap_or(0);
        Ok(Self { name, next: reserved + 1, reserved })
    }

    /// The next number. Numbers taken in a transaction that rolls back are skipped.
    pub fn take(&mut self, connection: &Connection) -> rusqlite::Result<i64> {
        if self.next > self.reserved {
            let reserved = self.next + RESERVED_AT_ONCE;
            connection
                .prepare_cached(
                    "INSERT INTO sequence (name, reserved) VALUES (?1, ?2)
                     ON CONFLICT (name) DO UPDATE SET reserved = excluded.reserved",
                )?
                .execute(params![self.name, reserved])?;
            self.reserved = reserved;
        }
        let number = self.next;
        self.next += 1;
        Ok(number)
    }

    /// Called after a rollback, which undid the reservation too: the next number reserves again.
    pub fn rolled_back(&mut self) {
        self.reserved = self.next - 1;
    }
}
