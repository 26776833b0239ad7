//! The documents of container `ledger`. Partition: the message key.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    clock::{Timestamp, millis},
    event::{Channel, Event, EventType},
};

/// Id of the status document of every partition.
pub const STATUS_ID: &str = "status";
/// Ids of event documents start so.
pub const EVENT_PREFIX: &str = "evt:";
/// Ids of outbox documents start so.
pub const OUTBOX_PREFIX: &str = "out:";

/// One applied event: audit trail and inbox in one, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    pub id: String,
    /// The message key.
    pub key: String,
    /// Whose commit created this: tells our own earlier attempt from a duplicate.
    pub writer: String,
    pub envelope_id: String,
    pub received_at: Timestamp,
    pub applied_at: Timestamp,
    /// Whom it is announced to: what the outbox owed, told when the outbox has long forgotten. Empty for nobody, and in
    /// what earlier versions wrote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub announced_to: Vec<Destination>,
    pub event: Event,
}

/// Where a message or call stands, computed from all of its events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRecord {
    pub id: String,
    /// The message key.
    pub key: String,
    pub writer: String,
    pub channel: Channel,
    pub provider: String,
    /// The event type that decides; see [`crate::channels`] for the order.
    pub status: EventType,
    /// When that event happened (or was received, where the vendor gives no time).
    pub status_at: Timestamp,
    /// The deciding event's dedupe key.
    pub decided_by: String,
    /// The deciding event's place in the vendor's own order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<String>,
    /// How many events are in this partition.
    pub events: u64,
    #[serde(default)]
    pub opens: u64,
    #[serde(default)]
    pub clicks: u64,
    pub first_event_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Whom an applied event is announced to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub enum Destination {
    /// A partner, by its name. Written `partner:{name}`.
    Partner(String),
    /// A subscription of the deliveries topic, by its name.
    Subscription(String),
}

const PARTNER_PREFIX: &str = "partner:";

impl From<String> for Destination {
    fn from(text: String) -> Self {
        match text.strip_prefix(PARTNER_PREFIX) {
            Some(name) => Destination::Partner(name.to_owned()),
            None => Destination::Subscription(text),
        }
    }
}

impl From<Destination> for String {
    fn from(destination: Destination) -> Self {
        destination.to_string()
    }
}

impl std::fmt::Display for Destination {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Destination::Partner(name) => write!(formatter, "{PARTNER_PREFIX}{name}"),
            Destination::Subscription(name) => formatter.write_str(name),
        }
    }
}

/// What a commit owes the bus, one message for each destination: deleted once all are published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxRecord {
    pub id: String,
    /// The message key.
    pub key: String,
    pub destinations: Vec<Destination>,
    #[serde(with = "millis")]
    pub created_at: Timestamp,
    /// When the callback was received; entries of earlier versions do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_at: Option<Timestamp>,
    pub envelope_id: String,
    /// The W3C context of the span that brought the event, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    pub event: Event,
}

/// The id of the event document for a dedupe key.
pub fn event_id(dedupe_key: &str) -> String {
    format!("{EVENT_PREFIX}{}", safe_id(dedupe_key))
}

/// The id of the outbox document for an event.
pub fn outbox_id(dedupe_key: &str) -> String {
    format!("{OUTBOX_PREFIX}{}", safe_id(dedupe_key))
}

/// The id under which the world outside knows an event: equal for every attempt and every receiver, and without the
/// dedupe key, which may hold an address.
pub fn public_id(dedupe_key: &str) -> String {
    format!("evt_{}", hex::encode(&Sha256::digest(dedupe_key.as_bytes())[..16]))
}

/// Text as part of a document id: `/`, `\`, `?`, `#` and `%` are percent-encoded (Cosmos DB accepts the first two at
/// creation and then cannot read the document), and what is long is replaced by its digest.
fn safe_id(text: &str) -> String {
    const LONGEST: usize = 400;
    if text.len() > LONGEST {
        return digest(text);
    }
    let mut id = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '/' | '\\' | '?' | '#' | '%' => id.push_str(&format!("%{:02X}", u32::from(character))),
            control if control.is_control() => id.push_str(&format!("%{:02X}", u32::from(control))),
            other => id.push(other),
        }
    }
    id
}

/// A short stand-in for a long text.
pub(crate) fn digest(text: &str) -> String {
    format!("sha256-{}", hex::encode(Sha256::digest(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_safe_and_tell_keys_apart() {
        assert_eq!(event_id("twilio:SM1:delivered"), "evt:twilio:SM1:delivered");
        assert_eq!(event_id("a/b\\c?d#e%f\n"), "evt:a%2Fb%5Cc%3Fd%23e%25f%0A");
        assert_ne!(event_id("a/b"), event_id("a%2Fb"));
        let long = "x".repeat(5_000);
        assert!(event_id(&long).len() < 100);
        assert_ne!(event_id(&long), event_id(&format!("{long}y")));
    }
}
