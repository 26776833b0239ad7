//! The outbox: what commits owe the bus. A document is written with the events it announces and deleted once the bus
//! has the message; what a crash leaves in between is found by the sweep. Consumers see a message at least once, always
//! under the same message id.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use super::records::{OUTBOX_PREFIX, OutboxRecord};
use crate::{
    bus::{Bus, Message, Properties, Property, PublishError},
    clock::{Timestamp, millis},
    documents::{CommitError, Comparison, Container, Document, Documents, DocumentsError, Operation, Query},
    event::Event,
};

/// An entry this old was left behind: its own processor would have published it by now.
const LEFT_BEHIND_AFTER: Duration = Duration::from_secs(30);
/// Entries relayed by one sweep, at the most.
const PAGE: usize = 1000;

/// Why an entry is still owed. It stays in the outbox, and the sweep tries again.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Delete(#[from] CommitError),
}

/// The announcement of an applied event, a CloudEvent.
#[derive(Debug, Serialize)]
struct Announcement<'a> {
    specversion: &'static str,
    id: &'a str,
    #[serde(rename = "type")]
    event_type: &'a str,
    source: &'a str,
    subject: &'a str,
    time: Timestamp,
    datacontenttype: &'static str,
    data: &'a Event,
}

/// Publishes one entry, then deletes it.
///
/// # Errors
/// The entry is still owed.
pub async fn publish(
    bus: &dyn Bus,
    documents: &dyn Documents,
    topic: &str,
    record: &OutboxRecord,
) -> Result<(), OutboxError> {
    bus.publish(topic, announcement(record)).await?;
    delete(documents, record).await?;
    Ok(())
}

/// Deletes an entry that nobody is owed any more.
///
/// # Errors
/// The entry is still there.
pub async fn delete(documents: &dyn Documents, record: &OutboxRecord) -> Result<(), CommitError> {
    documents.commit(Container::Ledger, &record.key, vec![Operation::delete(record.id.clone())]).await?;
    Ok(())
}

/// The oldest entries that a crash or a broker's absence left behind, `limit` at the most.
///
/// # Errors
/// The store failed.
pub async fn left_behind(
    documents: &dyn Documents,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Document>, DocumentsError> {
    let before = now - LEFT_BEHIND_AFTER;
    let query = Query::all()
        .id_prefix(OUTBOX_PREFIX)
        .filter("created_at", Comparison::LessOrEqual, millis::text(before))
        .order_by("created_at")
        .page_size(limit.min(PAGE));
    Ok(documents.query(Container::Ledger, &query).await?.documents)
}

/// The message that announces an entry.
pub fn announcement(record: &OutboxRecord) -> Message {
    let OutboxRecord { id, key, destination, created_at, envelope_id, event } = record;
    let body = Announcement {
        specversion: "1.0",
        id,
        event_type: event.event_type.name(),
        source: &event.provider,
        subject: key,
        time: event.occurred_at.unwrap_or(*created_at),
        datacontenttype: "application/json",
        data: event,
    };
    let mut properties = Properties::new();
    properties.insert("partner".into(), Property::from(destination.clone()));
    properties.insert("channel".into(), event.channel.name().into());
    properties.insert("type".into(), event.event_type.name().into());
    properties.insert("vendor".into(), Property::from(event.provider.clone()));
    // Service Bus takes at most 128 characters; the id of a document may be longer.
    let message_id = if id.len() <= 128 { id.clone() } else { super::records::digest(id) };
    Message {
        message_id,
        content_type: Some(crate::envelope::CONTENT_TYPE.into()),
        correlation_id: Some(envelope_id.clone()),
        subject: Some(key.clone()),
        session_id: None,
        properties,
        time_to_live: None,
        scheduled_enqueue_time: None,
        body: Bytes::from(serde_json::to_vec(&body).expect("an announcement serialises to JSON")),
    }
}
