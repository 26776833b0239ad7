//! The bus port: what the rest of the program needs of a message broker, in Service Bus's terms.
//!
//! A [`Message`] is published to a topic; every subscription whose filter matches gets its own copy. The broker
//! answers only once the message is durable. Receiving is the Functions host's work (Service Bus triggers), so the
//! port has no receiver: the one-machine host talks to [`crate::local::broker`] directly.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// A value of an application property.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Property {
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(Cow<'static, str>),
}

impl Property {
    /// The text of a text property; `None` for the other types.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Property::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl From<&'static str> for Property {
    fn from(text: &'static str) -> Self {
        Property::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Property {
    fn from(text: String) -> Self {
        Property::Text(Cow::Owned(text))
    }
}

impl From<i64> for Property {
    fn from(number: i64) -> Self {
        Property::Integer(number)
    }
}

/// Application properties: what subscription filters look at.
pub type Properties = BTreeMap<Cow<'static, str>, Property>;

/// A message on its way to a topic.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Duplicate detection goes by this id (at most 128 characters in Service Bus).
    pub message_id: String,
    pub content_type: Option<Cow<'static, str>>,
    pub correlation_id: Option<String>,
    /// The application-specific label, `Subject` in Service Bus.
    pub subject: Option<String>,
    /// The session that the message belongs to (at most 128 characters), `SessionId` in Service Bus. The embedded broker
    /// keeps it and has no sessions: nothing is locked or ordered by it.
    pub session_id: Option<String>,
    pub properties: Properties,
    /// Expires so long after it was enqueued; `None` takes the topic's default.
    pub time_to_live: Option<Duration>,
    /// Not to be received before this moment.
    pub scheduled_enqueue_time: Option<Timestamp>,
    pub body: Bytes,
}

/// Why a message was not taken. In every case the caller must assume that it may have been.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PublishError {
    /// The broker cannot be reached, is overloaded or failed: spool the message or try again later.
    #[error("the broker is unavailable: {0}")]
    Unavailable(String),
    /// The broker answered that it will not take this message, ever: a fault of ours, retrying cannot heal it.
    #[error("the broker refused the message: {0}")]
    Refused(String),
}

/// Publishes messages.
#[async_trait]
pub trait Bus: Send + Sync + std::fmt::Debug {
    /// Publishes one message and returns once the broker has it on disk.
    ///
    /// A message whose id the topic has seen within its duplicate detection window is dropped, and that is a success.
    async fn publish(&self, topic: &str, message: Message) -> Result<(), PublishError>;

    /// The messages that wait, where the broker lets this process change them. Service Bus does not.
    fn shelf(&self) -> Option<&dyn Shelf> {
        None
    }
}

/// A message that waits in the broker.
#[derive(Debug, Clone, PartialEq)]
pub struct Shelved {
    pub sequence_number: i64,
    pub message: Message,
}

/// What became of a message that was to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    Done,
    /// A receiver has it: what it makes of it is not in the broker.
    Locked,
    Gone,
}

/// The messages of a broker that wait: active, scheduled, locked and dead-lettered ones, of every subscription.
#[async_trait]
pub trait Shelf: Send + Sync + std::fmt::Debug {
    /// Up to `max` messages behind a sequence number, in its order. Nothing is locked or counted.
    async fn look(&self, behind: i64, max: usize) -> Result<Vec<Shelved>, PublishError>;

    /// Whether a message with this correlation id waits.
    async fn holds(&self, correlation_id: &str) -> Result<bool, PublishError>;

    /// Puts a message in the place of another, unless somebody has that one. What decided when and to whom it is delivered
    /// stays as it was.
    async fn replace(&self, sequence_number: i64, message: Message) -> Result<Replaced, PublishError>;

    /// Rewrites the broker's file without what was deleted from it. Returns its size in bytes before and after, with its log.
    async fn compact(&self) -> Result<(u64, u64), PublishError>;
}

/// The bus that every part of the program shares.
pub type SharedBus = Arc<dyn Bus>;

/// The topics and subscriptions that the program needs. The embedded broker creates them at start.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Topology {
    pub topics: Vec<Topic>,
}

/// A topic and its subscriptions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Topic {
    pub name: String,
    /// A second message with the same id within this window is dropped.
    pub duplicate_detection_window: Duration,
    /// Time to live of messages that name none.
    pub default_time_to_live: Duration,
    pub subscriptions: Vec<Subscription>,
}

/// A subscription: a queue of copies of the messages that match its filter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Subscription {
    pub name: String,
    /// Correlation filter: every named application property must have this text. Empty matches all messages.
    pub filter: BTreeMap<String, String>,
    /// How long a received message stays locked.
    pub lock_duration: Duration,
    /// A message abandoned or left to expire this often goes to the dead-letter sub-queue.
    pub max_delivery_count: u32,
    /// Whether expired messages go to the dead-letter sub-queue (reason `TTLExpiredException`) or vanish.
    pub dead_letter_on_expiration: bool,
}
