//! What a receiver holds in its hands.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use chrono::DateTime;

use crate::{bus::Message, clock::Timestamp, local::sqlite::StorageError};

/// A subscription of a topic, or its dead-letter sub-queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entity {
    pub topic: String,
    pub subscription: String,
    pub dead_letter: bool,
}

impl Entity {
    /// A subscription.
    pub fn subscription(topic: impl Into<String>, subscription: impl Into<String>) -> Self {
        Self { topic: topic.into(), subscription: subscription.into(), dead_letter: false }
    }

    /// The dead-letter sub-queue of this entity's subscription.
    pub fn dead_letters(&self) -> Self {
        Self { dead_letter: true, ..self.clone() }
    }
}

/// Service Bus's path, without the `Subscriptions` segment: `callbacks/sms`, `callbacks/sms/$DeadLetterQueue`.
impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, subscription, dead_letter } = self;
        write!(f, "{topic}/{subscription}{}", if *dead_letter { "/$DeadLetterQueue" } else { "" })
    }
}

/// The right to settle one delivery of a message. Clones stand for the same right.
#[derive(Debug, Clone)]
pub struct Lock {
    pub(super) entity: i64,
    pub(super) sequence: i64,
    pub(super) deliveries: u32,
    /// When the lock runs out, in microseconds since 1970: part of the key of the message's place in the queue. A
    /// renewal moves it for all clones.
    pub(super) until: Arc<AtomicI64>,
}

impl Lock {
    /// When somebody else may receive the message. Moves with each renewal.
    pub fn expires_at(&self) -> Timestamp {
        timestamp(self.until.load(Ordering::Relaxed))
    }
}

/// A message as a receiver gets it.
#[derive(Debug, Clone)]
pub struct Received {
    /// A peek locks nothing: its lock is lost from the beginning.
    pub lock: Lock,
    /// 1 on the first delivery. A peek, which is no delivery, shows how many there were.
    pub delivery_count: u32,
    /// Unique in the broker, ascending in order of publication, never reused.
    pub sequence_number: i64,
    /// A scheduled message is enqueued when it becomes due.
    pub enqueued_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub message: Message,
    pub dead_letter_reason: Option<String>,
    pub dead_letter_description: Option<String>,
}

/// What became of an attempt to settle or renew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    Done,
    /// The lock ran out and the message went to another receiver or the dead letters, or it was settled before.
    LockLost,
}

/// How much is waiting in a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depth {
    pub entity: Entity,
    /// Ready to be received.
    pub active: u64,
    /// Not due yet.
    pub scheduled: u64,
    /// In a receiver's hands.
    pub locked: u64,
    /// In the dead-letter sub-queue.
    pub dead_letters: u64,
    /// Of the messages that are active or locked.
    pub oldest_enqueued_at: Option<Timestamp>,
}

/// Why the broker did not do what a receiver asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BrokerError {
    /// The storage failed or is being closed: try again later. Locked messages come back when their locks run out.
    #[error("the broker is unavailable: {0}")]
    Unavailable(String),
    /// Neither the topology nor the file knows the entity: a fault of the caller's.
    #[error("there is no entity {0}")]
    UnknownEntity(Entity),
}

impl From<StorageError> for BrokerError {
    fn from(error: StorageError) -> Self {
        BrokerError::Unavailable(error.to_string())
    }
}

/// Stored times are microseconds since 1970.
pub(super) fn timestamp(micros: i64) -> Timestamp {
    // Out of range only in a damaged file; a wrong time is better than a lost message.
    DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::UNIX_EPOCH)
}
