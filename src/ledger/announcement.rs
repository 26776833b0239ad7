//! The announcement of an applied event: the CloudEvent that the deliveries topic carries.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::records::{OutboxRecord, public_id};
use crate::{clock::Timestamp, documents::without_values, event::Event};

const SPEC_VERSION: &str = "1.0";

/// What is told of an applied event; equal for every destination and every attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement<'a> {
    pub specversion: Cow<'a, str>,
    /// Tells one event from every other: consumers know a repeated announcement by it.
    pub id: String,
    #[serde(rename = "type")]
    pub event_type: Cow<'a, str>,
    /// The vendor's name in `sluice.toml`.
    pub source: Cow<'a, str>,
    /// The message key.
    pub subject: Cow<'a, str>,
    /// When it happened, or was applied where the vendor does not tell.
    pub time: Timestamp,
    pub datacontenttype: Cow<'a, str>,
    /// Extension: when the callback was received.
    pub receivedtime: Timestamp,
    /// Extension that CloudEvents documents: when this was written, which is when the event was applied.
    pub recordedtime: Timestamp,
    pub data: Cow<'a, Event>,
}

/// Why bytes are no announcement. Trying again cannot heal it: park the message.
#[derive(Debug, thiserror::Error)]
pub enum NotAnAnnouncement {
    /// Without the parser's own words, which quote what people wrote.
    #[error("the message is no announcement: {0}")]
    Json(String),
    #[error("the announcement has the CloudEvents version {0:?}, and this program knows 1.0")]
    Version(String),
}

impl<'a> Announcement<'a> {
    /// The announcement that an outbox entry owes.
    pub fn of(record: &'a OutboxRecord) -> Self {
        let OutboxRecord { key, created_at, received_at, event, .. } = record;
        Self {
            specversion: SPEC_VERSION.into(),
            id: public_id(&event.dedupe_key),
            event_type: event.event_type.name().into(),
            source: event.provider.as_str().into(),
            subject: key.as_str().into(),
            time: event.occurred_at.unwrap_or(*created_at),
            datacontenttype: "application/json".into(),
            receivedtime: received_at.unwrap_or(*created_at),
            recordedtime: *created_at,
            data: Cow::Borrowed(event),
        }
    }

    /// The body of its message.
    pub fn encode(&self) -> Bytes {
        serde_json::to_vec(self).expect("an announcement serialises to JSON").into()
    }

    /// Reads the body of a message.
    ///
    /// # Errors
    /// It is no announcement, or one of a later version of the program.
    pub fn decode(body: &[u8]) -> Result<Announcement<'static>, NotAnAnnouncement> {
        let announcement: Announcement<'static> =
            serde_json::from_slice(body).map_err(|error| NotAnAnnouncement::Json(without_values(&error)))?;
        match announcement.specversion.as_ref() {
            SPEC_VERSION => Ok(announcement),
            other => Err(NotAnAnnouncement::Version(other.chars().take(20).collect())),
        }
    }
}
