//! A record of any source, with what operators see of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Source;
use crate::{
    bus::Property,
    clock::{Timestamp, millis},
    dead_letters::{DeadLetter, DeadLetterQueue},
    documents::{Document, DocumentsError, Etag},
    retry::records::{Attempt, ParkedRecord, RetryRecord, StoredMessage},
};

/// What a list shows of a record. No personal data is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FailedRecord")]
pub struct Summary {
    pub id: String,
    /// When it was parked, is due, or was enqueued.
    #[serde(with = "millis")]
    #[schemars(with = "Timestamp")]
    pub at: Timestamp,
    /// Why it is here.
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner: Option<String>,
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub message_type: Option<String>,
    pub topic: String,
    /// Of a dead letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
    /// `{vendor}:{provider message id}`, for `sluice show`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_key: Option<String>,
    /// Every failed attempt that is known of, also those before a replay.
    pub history: Vec<Attempt>,
}

/// Where a record is, and in which version.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    Document { partition: String, etag: Etag },
    DeadLetter { queue: DeadLetterQueue, sequence_number: i64 },
}

/// A record as it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub summary: Summary,
    pub message: StoredMessage,
    pub origin: Origin,
    /// When the record was made. A job passes over what is younger than itself.
    pub made_at: Timestamp,
}

impl Record {
    /// Reads a document of a source.
    ///
    /// # Errors
    /// It is of another version.
    pub fn from_document(source: Source, document: Document) -> Result<Self, DocumentsError> {
        Ok(match source {
            Source::Retries => Self::from_retry(document.parse()?, document),
            Source::Parked | Source::DeadLetters => Self::from_parked(document.parse()?, document),
        })
    }

    fn from_parked(record: ParkedRecord, document: Document) -> Self {
        let ParkedRecord { parked_at, reason, vendor, channel, partner, topic, message_key, history, message, .. } =
            record;
        let summary = Summary {
            id: document.id,
            at: parked_at,
            reason,
            vendor,
            channel,
            partner,
            message_type: text(&message, "type"),
            topic,
            subscription: None,
            message_key,
            history,
        };
        let origin = Origin::Document { partition: document.partition, etag: document.etag };
        Self { summary, message, origin, made_at: parked_at }
    }

    fn from_retry(record: RetryRecord, document: Document) -> Self {
        let RetryRecord { due_at, topic, message_key, last_error, vendor, channel, partner, message, .. } = record;
        let history = message.history();
        let made_at = history.last().map_or(Timestamp::UNIX_EPOCH, |attempt| attempt.at);
        let summary = Summary {
            id: document.id,
            at: due_at,
            reason: last_error,
            vendor,
            channel,
            partner,
            message_type: text(&message, "type"),
            topic,
            subscription: None,
            message_key,
            history,
        };
        let origin = Origin::Document { partition: document.partition, etag: document.etag };
        Self { summary, message, origin, made_at }
    }

    /// Reads a dead letter.
    pub fn from_dead_letter(queue: &DeadLetterQueue, letter: &DeadLetter) -> Self {
        let DeadLetter { sequence_number, enqueued_at, reason, description, message } = letter;
        let message = StoredMessage::from_message(message);
        let told: Vec<&str> = [reason, description].into_iter().flatten().map(String::as_str).collect();
        let summary = Summary {
            id: format!("{}:{}:{sequence_number}", queue.topic, queue.subscription),
            at: *enqueued_at,
            reason: told.join(": "),
            vendor: text(&message, "vendor"),
            channel: text(&message, "channel"),
            partner: message.partner(),
            message_type: text(&message, "type"),
            topic: queue.topic.clone(),
            subscription: Some(queue.subscription.clone()),
            message_key: message.message_key(),
            history: message.history(),
        };
        let origin = Origin::DeadLetter { queue: queue.clone(), sequence_number: *sequence_number };
        Self { summary, message, origin, made_at: *enqueued_at }
    }
}

fn text(message: &StoredMessage, property: &str) -> Option<String> {
    message.properties.get(property).and_then(Property::as_str).map(str::to_owned)
}
