//! The outbox: what commits owe the bus. A document is written with the events it announces and deleted once the bus
//! has the message; what a crash leaves in between is found by the sweep. Consumers see a message at least once, always
//! under the same message id.

use std::time::Duration;

use futures_util::future::try_join_all;

use super::{
    announcement::Announcement,
    records::{Destination, OUTBOX_PREFIX, OutboxRecord},
};
use crate::{
    bus::{Bus, Message, Properties, Property, PublishError},
    clock::{Timestamp, millis},
    documents::{CommitError, Comparison, Container, Documents, Operation, Query},
    telemetry::PROPERTY,
};

/// An entry this old was left behind: its own processor would have published it by now.
const LEFT_BEHIND_AFTER: Duration = Duration::from_secs(30);

/// Application property of announcements, which their subscriptions filter by: `partner`, or the subscription's own name.
pub const DESTINATION: &str = "destination";
/// The value of [`DESTINATION`] for every partner.
pub const TO_PARTNER: &str = "partner";
/// Application property: the partner's name.
pub const PARTNER: &str = "partner";
/// Application property: the delivery's id, equal for every attempt.
pub const DELIVERY: &str = "delivery";

/// Why an entry is still owed. It stays in the outbox, and the sweep tries again.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Delete(#[from] CommitError),
}

/// Publishes one entry to all of its destinations, then deletes it. `sender` is the W3C context of the span that does it,
/// where there is one.
///
/// # Errors
/// The entry is still owed.
pub async fn publish(
    bus: &dyn Bus,
    documents: &dyn Documents,
    topic: &str,
    record: &OutboxRecord,
    sender: Option<String>,
) -> Result<(), OutboxError> {
    let mut messages = announcements(record);
    if let Some(sender) = sender {
        for message in &mut messages {
            message.properties.insert(PROPERTY.into(), Property::from(sender.clone()));
        }
    }
    try_join_all(messages.into_iter().map(|message| bus.publish(topic, message))).await?;
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

/// Finds the entries that a crash or a broker's absence left behind, the oldest first.
pub fn left_behind(now: Timestamp) -> Query {
    Query::all()
        .id_prefix(OUTBOX_PREFIX)
        .filter("created_at", Comparison::LessOrEqual, millis::text(now - LEFT_BEHIND_AFTER))
        .order_by("created_at")
}

/// The messages that announce an entry, one for each destination.
pub fn announcements(record: &OutboxRecord) -> Vec<Message> {
    let OutboxRecord { key, destinations, envelope_id, event, .. } = record;
    let announcement = Announcement::of(record);
    let (id, body) = (&announcement.id, announcement.encode());
    let message = |destination: &Destination| {
        let delivery = format!("{destination}.{id}");
        let mut properties = Properties::new();
        match destination {
            Destination::Partner(name) => {
                properties.insert(DESTINATION.into(), TO_PARTNER.into());
                properties.insert(PARTNER.into(), Property::from(name.clone()));
            }
            Destination::Subscription(name) => {
                properties.insert(DESTINATION.into(), Property::from(name.clone()));
            }
        }
        properties.insert(DELIVERY.into(), Property::from(delivery.clone()));
        properties.insert("channel".into(), event.channel.name().into());
        properties.insert("type".into(), event.event_type.name().into());
        properties.insert("vendor".into(), Property::from(event.provider.clone()));
        if let Some(traceparent) = &record.traceparent {
            properties.insert(PROPERTY.into(), Property::from(traceparent.clone()));
        }
        Message {
            message_id: delivery,
            content_type: Some(crate::envelope::CONTENT_TYPE.into()),
            correlation_id: Some(envelope_id.clone()),
            subject: Some(key.clone()),
            session_id: None,
            properties,
            time_to_live: None,
            scheduled_enqueue_time: None,
            body: body.clone(),
        }
    };
    destinations.iter().map(message).collect()
}
