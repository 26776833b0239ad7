//! A stored message on its way to a receiver.

use std::sync::{Arc, atomic::AtomicI64};

use rusqlite::Row;

use super::types::{Lock, Received, timestamp};
use crate::bus::{Message, Properties};

/// The columns that [`Delivery::read`] expects, after `FROM queue q JOIN message m ... LEFT JOIN dead_letter d ...`.
macro_rules! columns {
    () => {
        "q.sequence, q.deliveries, m.enqueued_at, m.expires_at, m.message_id, m.content_type, m.correlation_id,
         m.subject, m.properties, m.body, d.reason, d.description, q.due, m.scheduled,
         m.session_id
         FROM queue q JOIN message m ON m.sequence = q.sequence LEFT JOIN dead_letter d ON d.sequence = q.sequence "
    };
}
pub(super) use columns;

/// A row as it was read. Turning it into a [`Received`] is left to the receiver's task: the writer has better to do.
#[derive(Debug)]
pub(super) struct Delivery {
    pub sequence: i64,
    pub deliveries: u32,
    /// Second part of the row's key in `queue`; when the lock runs out, once it is claimed.
    pub due: i64,
    pub expires_at: Option<i64>,
    pub enqueued_at: i64,
    pub message_id: String,
    pub content_type: Option<String>,
    pub correlation_id: Option<String>,
    pub subject: Option<String>,
    pub properties: String,
    pub body: Vec<u8>,
    pub dead_letter_reason: Option<String>,
    pub dead_letter_description: Option<String>,
    pub scheduled: Option<i64>,
    pub session_id: Option<String>,
}

impl Delivery {
    /// Reads the columns of [`columns!`].
    pub fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            sequence: row.get(0)?,
            deliveries: row.get(1)?,
            enqueued_at: row.get(2)?,
            expires_at: row.get(3)?,
            message_id: row.get(4)?,
            content_type: row.get(5)?,
            correlation_id: row.get(6)?,
            subject: row.get(7)?,
            properties: row.get(8)?,
            body: row.get(9)?,
            dead_letter_reason: row.get(10)?,
            dead_letter_description: row.get(11)?,
            due: row.get(12)?,
            scheduled: row.get(13)?,
            session_id: row.get(14)?,
        })
    }

    /// The lock is good for settling in `entity`.
    pub fn into_received(self, entity: i64) -> Received {
        let properties: Properties = serde_json::from_str(&self.properties).unwrap_or_else(|error| {
            // Only in a damaged file. The message still goes out: its reader parks what it does not understand.
            tracing::error!(%error, sequence = self.sequence, "the properties of a stored message are unreadable");
            Properties::new()
        });
        Received {
            lock: Lock {
                entity,
                sequence: self.sequence,
                deliveries: self.deliveries,
                until: Arc::new(AtomicI64::new(self.due)),
            },
            delivery_count: self.deliveries,
            sequence_number: self.sequence,
            enqueued_at: timestamp(self.enqueued_at),
            expires_at: self.expires_at.map(timestamp),
            message: Message {
                message_id: self.message_id,
                content_type: self.content_type.map(Into::into),
                correlation_id: self.correlation_id,
                subject: self.subject,
                session_id: self.session_id,
                properties,
                time_to_live: self
                    .expires_at
                    .and_then(|expires| u64::try_from(expires - self.enqueued_at).ok())
                    .map(std::time::Duration::from_micros),
                scheduled_enqueue_time: self.scheduled.map(timestamp),
                body: self.body.into(),
            },
            dead_letter_reason: self.dead_letter_reason,
            dead_letter_description: self.dead_letter_description,
        }
    }
}
