//! The documents of containers `retries`, `parked` and `spool`. Partition: a bucket, so that they spread; a partner's
//! retry records have one of their own.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{HISTORY, attempt_of};
use crate::{
    bus::{Message, Properties, Property},
    clock::{Timestamp, millis},
    host::ServiceBusMessage,
    ledger::outbox::{DELIVERY, PARTNER},
    telemetry::{ATTEMPT_BEFORE, Span},
};

/// Whether trying again can heal a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// A dependency did not answer, or was busy.
    Transient,
    /// The message itself cannot be processed.
    Permanent,
}

/// One failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    pub attempt: u32,
    #[serde(with = "millis")]
    #[schemars(with = "Timestamp")]
    pub at: Timestamp,
    pub error: String,
}

/// A bus message as it is kept in a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StoredMessage {
    pub message_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    #[serde(default)]
    pub properties: Properties,
    #[serde(flatten)]
    pub body: StoredBody,
}

/// Bytes, as text where they are text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StoredBody {
    #[serde(rename = "body")]
    Text(String),
    #[serde(rename = "body_base64")]
    Base64(String),
}

impl StoredBody {
    pub fn new(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => StoredBody::Text(text.to_owned()),
            Err(_) => StoredBody::Base64(BASE64_STANDARD.encode(bytes)),
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            StoredBody::Text(text) => text.into(),
            // Only `new` writes this variant, so it decodes; a hand-edited document gives an unreadable message.
            StoredBody::Base64(text) => BASE64_STANDARD.decode(text).unwrap_or_default().into(),
        }
    }
}

impl From<&ServiceBusMessage> for StoredMessage {
    fn from(message: &ServiceBusMessage) -> Self {
        Self {
            message_id: message.message_id.clone().unwrap_or_default(),
            content_type: message.content_type.clone(),
            correlation_id: message.correlation_id.clone(),
            subject: message.subject.clone(),
            session_id: message.session_id.clone(),
            properties: message.properties.clone(),
            body: StoredBody::new(&message.body),
        }
    }
}

impl StoredMessage {
    pub fn from_message(message: &Message) -> Self {
        Self {
            message_id: message.message_id.clone(),
            content_type: message.content_type.as_deref().map(str::to_owned),
            correlation_id: message.correlation_id.clone(),
            subject: message.subject.clone(),
            session_id: message.session_id.clone(),
            properties: message.properties.clone(),
            body: StoredBody::new(&message.body),
        }
    }

    pub fn into_message(self) -> Message {
        Message {
            message_id: self.message_id,
            content_type: self.content_type.map(Cow::Owned),
            correlation_id: self.correlation_id,
            subject: self.subject,
            session_id: self.session_id,
            properties: self.properties,
            time_to_live: None,
            scheduled_enqueue_time: None,
            body: self.body.into_bytes(),
        }
    }

    /// Which attempt this message is, from 1.
    pub fn attempt(&self) -> u32 {
        attempt_of(&self.properties)
    }

    /// Lets the next attempt point at this one.
    pub fn remember(&mut self, attempt: &Span) {
        if let Some(traceparent) = attempt.traceparent() {
            self.properties.insert(ATTEMPT_BEFORE.into(), Property::from(traceparent));
        }
    }

    /// The failures before this attempt.
    pub fn history(&self) -> Vec<Attempt> {
        let text = self.properties.get(HISTORY).and_then(Property::as_str);
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// The message key, where the envelope names one message.
    pub fn message_key(&self) -> Option<String> {
        // An announcement's subject is the whole key.
        if self.properties.contains_key(DELIVERY) {
            return self.subject.clone();
        }
        let vendor = self.properties.get("vendor").and_then(Property::as_str)?;
        Some(format!("{vendor}:{}", self.subject.as_deref()?))
    }

    /// The partner that this message is for.
    pub fn partner(&self) -> Option<String> {
        self.properties.get(PARTNER).and_then(Property::as_str).map(str::to_owned)
    }

    /// The id of the record that keeps this message: the delivery's, or the envelope's, so that one callback has one
    /// record. A message that is not ours gets a fresh one.
    pub fn record_id(&self) -> String {
        if let Some(delivery) = self.properties.get(DELIVERY).and_then(Property::as_str) {
            return delivery.to_owned();
        }
        let ours = self.correlation_id.as_deref().filter(|id| Uuid::try_parse(id).is_ok());
        ours.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
    }
}

/// Something to try again at a due time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetryRecord {
    pub id: String,
    /// The partition: see [`retry_partition`].
    pub bucket: String,
    #[serde(with = "millis")]
    pub due_at: Timestamp,
    /// The attempt that the message will be.
    pub attempt: u32,
    pub class: Class,
    pub topic: String,
    /// The message key, where the envelope names one message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_key: Option<String>,
    pub last_error: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The partner that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner: Option<String>,
    pub message: StoredMessage,
}

/// Something given up on. It waits for a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParkedRecord {
    pub id: String,
    pub bucket: String,
    #[serde(with = "millis")]
    pub parked_at: Timestamp,
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The partner that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner: Option<String>,
    pub topic: String,
    /// The message key, where the envelope names one message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_key: Option<String>,
    /// Every failed attempt.
    pub history: Vec<Attempt>,
    pub message: StoredMessage,
}

/// A callback that the broker did not take in time; relayed by the sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpoolRecord {
    pub id: String,
    pub bucket: String,
    #[serde(with = "millis")]
    pub due_at: Timestamp,
    pub topic: String,
    pub message: StoredMessage,
}

/// The partition of a retry record: one for each partner, so that none stands in another's way, and buckets for the rest.
pub fn retry_partition(id: &str, partner: Option<&str>) -> String {
    partner.map_or_else(|| bucket_of(id), |partner| format!("{PARTNER_PARTITION}{partner}"))
}

/// Partitions of partners' retry records start so; the partner's name follows.
pub const PARTNER_PARTITION: &str = "partner:";

/// The partition of a record: the last hexadecimal digit of its id, which is random.
pub fn bucket_of(id: &str) -> String {
    let digits: Vec<char> = id.chars().rev().filter(char::is_ascii_hexdigit).take(1).collect();
    format!("bucket-{}", digits.first().unwrap_or(&'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_message_comes_back_as_it_was() {
        for body in [&b"{\"a\":1}\r\n"[..], &[0xff, 0x00, 0x01]] {
            let mut properties = Properties::new();
            properties.insert("channel".into(), "sms".into());
            properties.insert("attempt".into(), Property::Integer(3));
            let message = Message {
                message_id: "m-1".into(),
                content_type: Some("application/cloudevents+json".into()),
                correlation_id: Some("01936f00-0000-7000-8000-00000000000a".into()),
                subject: None,
                session_id: Some("session".into()),
                properties,
                time_to_live: None,
                scheduled_enqueue_time: None,
                body: Bytes::copy_from_slice(body),
            };
            let text = serde_json::to_string(&StoredMessage::from_message(&message)).unwrap();
            let stored: StoredMessage = serde_json::from_str(&text).unwrap();
            assert_eq!(stored.attempt(), 3);
            assert_eq!(stored.record_id(), "01936f00-0000-7000-8000-00000000000a");
            assert_eq!(bucket_of(&stored.record_id()), "bucket-a");
            assert_eq!(stored.into_message(), message);
        }
    }
}
