//! Publishing: everything that needs no database happens in the caller's task, then a job accepts the message, and at the end
//! of their transaction [`write()`] writes what all of its jobs accepted.

use std::{iter, sync::Arc};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    BrokerState,
    routes::{Queue, TopicRoute, micros},
    schema::READY,
    seen::Digest,
    settle,
};
use crate::bus::{Message, Property, PublishError};

/// Service Bus's limit for message ids.
const MESSAGE_ID_CHARACTERS: usize = 128;
/// Service Bus's limit for session ids.
const SESSION_ID_CHARACTERS: usize = 128;
/// Service Bus's limit (Standard tier) for a message with its properties. Refused here too, or the first message over
/// it would meet the limit in production.
pub(crate) const MESSAGE_BYTES: usize = 256 * 1024;

/// A checked message on its way into the tables.
#[derive(Debug)]
pub(super) struct Publication {
    topic: Arc<TopicRoute>,
    queues: Vec<Arc<Queue>>,
    digest: Digest,
    message_id: String,
    content_type: Option<std::borrow::Cow<'static, str>>,
    correlation_id: Option<String>,
    subject: Option<String>,
    session_id: Option<String>,
    properties: String,
    /// In microseconds.
    time_to_live: Option<i64>,
    /// In microseconds since 1970.
    scheduled: Option<i64>,
    body: Bytes,
}

impl Publication {
    /// # Errors
    /// [`PublishError::Refused`] where Service Bus would refuse the message.
    pub fn new(topic: &Arc<TopicRoute>, message: Message) -> Result<Self, PublishError> {
        let refused = |reason: &str| Err(PublishError::Refused(reason.into()));
        if message.message_id.is_empty() || message.message_id.chars().count() > MESSAGE_ID_CHARACTERS {
            return refused("a message id must have 1 to 128 characters");
        }
        if message.session_id.as_ref().is_some_and(|id| id.chars().count() > SESSION_ID_CHARACTERS) {
            return refused("a session id must not exceed 128 characters");
        }
        // JSON has no words for them, and a message that cannot be read back would be lost.
        if message.properties.values().any(|value| matches!(value, Property::Float(number) if !number.is_finite())) {
            return refused("a property is not a finite number");
        }
        let properties = serde_json::to_string(&message.properties).expect("properties serialise to JSON");
        let text = |field: &Option<String>| field.as_ref().map_or(0, String::len);
        let texts = text(&message.correlation_id)
            + text(&message.subject)
            + text(&message.session_id)
            + message.message_id.len();
        let content_type = message.content_type.as_ref().map_or(0, |content_type| content_type.len());
        if message.body.len() + properties.len() + texts + content_type > MESSAGE_BYTES {
            return refused("a message must not exceed 256 KB");
        }
        let time_to_live = message.time_to_live.and_then(micros);
        Ok(Self {
            queues: topic.matching(&message.properties),
            digest: Digest::of(&message.message_id),
            // As in Service Bus, the topic's default is also the longest time to live.
            time_to_live: match (time_to_live, topic.default_time_to_live) {
                (Some(own), Some(longest)) => Some(own.min(longest)),
                (own, longest) => own.or(longest),
            },
            scheduled: message.scheduled_enqueue_time.map(|time| time.timestamp_micros()),
            topic: Arc::clone(topic),
            message_id: message.message_id,
            content_type: message.content_type,
            correlation_id: message.correlation_id,
            subject: message.subject,
            session_id: message.session_id,
            properties,
            body: message.body,
        })
    }

    /// Accepts the message into the running transaction, unless the topic has seen its id. Returns the sequence number of
    /// its first copy; those of the other copies, one for each matching subscription, follow it.
    pub fn accept(self: Arc<Self>, connection: &Connection, state: &mut BrokerState) -> rusqlite::Result<Option<i64>> {
        let now = state.now();
        if !state.seen.accept(self.topic.id, self.digest, now) {
            return Ok(None);
        }
        let mut first = None;
        for queue in &self.queues {
            let sequence = state.sequence.take(connection)?;
            first = first.or(Some(sequence));
            state.touch(queue);
        }
        if let Some(first) = first {
            let due = self.scheduled.filter(|time| *time > now);
            state.accepted.push(Accepted {
                publication: self,
                first,
                enqueued_at: due.unwrap_or(now),
                due: due.unwrap_or(READY),
            });
        }
        Ok(first)
    }
}

/// A message that the running transaction will have written before it commits.
#[derive(Debug)]
pub(super) struct Accepted {
    publication: Arc<Publication>,
    /// The sequence number of the first copy.
    first: i64,
    /// In microseconds since 1970; of a scheduled message, when it is due.
    enqueued_at: i64,
    /// As in the `queue` table.
    due: i64,
}

impl Accepted {
    /// Where each copy goes.
    fn copies(&self) -> impl Iterator<Item = (i64, &Queue)> {
        (self.first..).zip(self.publication.queues.iter().map(|queue| &**queue))
    }
}

/// Writes a transaction's messages, each statement being looked up once for all of them.
pub(super) fn write(connection: &Connection, accepted: &[Accepted]) -> rusqlite::Result<()> {
    if accepted.is_empty() {
        return Ok(());
    }
    let mut message = connection.prepare_cached(
        "INSERT INTO message (sequence, message_id, enqueued_at, expires_at, content_type, correlation_id,
                              subject, properties, body, scheduled, session_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    for each in accepted {
        let publication = &each.publication;
        let expires_at = publication.time_to_live.map(|lifetime| each.enqueued_at.saturating_add(lifetime));
        for (sequence, _) in each.copies() {
            message.execute(params![
                sequence,
                publication.message_id,
                each.enqueued_at,
                expires_at,
                publication.content_type.as_deref(),
                publication.correlation_id,
                publication.subject,
                publication.properties,
                &publication.body[..],
                publication.scheduled,
                publication.session_id,
            ])?;
        }
    }
    // One statement places all that follow one another in a queue: each new one would look for the queue's end. FAIL: an error
    // undoes the whole transaction, so SQLite need not be able to undo the statement.
    let mut place = connection.prepare_cached(
        "INSERT OR FAIL INTO queue (entity, due, sequence, deliveries)
         SELECT ?1, ?2, sequence, 0 FROM message WHERE sequence BETWEEN ?3 AND ?4",
    )?;
    let places = accepted.iter().flat_map(|each| each.copies().map(|(sequence, queue)| (queue.id, each.due, sequence)));
    for Run { queue, due, first, last } in runs(places) {
        place.execute(params![queue, due, first, last])?;
    }
    Ok(())
}

/// Messages of one queue, due at one time, whose sequence numbers follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    queue: i64,
    due: i64,
    first: i64,
    last: i64,
}

/// The runs of messages, each of which comes as its queue, its due time and its sequence number.
fn runs(mut places: impl Iterator<Item = (i64, i64, i64)>) -> impl Iterator<Item = Run> {
    let run = |(queue, due, sequence)| Run { queue, due, first: sequence, last: sequence };
    let mut current = places.next().map(run);
    iter::from_fn(move || {
        let mut found = current.take()?;
        for (queue, due, sequence) in places.by_ref() {
            if (queue, due, sequence) != (found.queue, found.due, found.last + 1) {
                current = Some(run((queue, due, sequence)));
                break;
            }
            found.last = sequence;
        }
        Some(found)
    })
}

/// Takes the copies of a scheduled message back, `sequence` being the first one's number; `false` once they are due.
pub(super) fn cancel(connection: &Connection, topic: &TopicRoute, sequence: i64, now: i64) -> rusqlite::Result<bool> {
    let scheduled: Option<(String, i64)> = connection
        .prepare_cached("SELECT message_id, scheduled FROM message WHERE sequence = ?1 AND scheduled > ?2")?
        .query_row(params![sequence, now], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((message_id, due)) = scheduled else {
        return Ok(false);
    };
    // The order in which `accept` numbered the copies; a queue whose filter did not match has none.
    let mut next = sequence;
    for queue in topic.queues() {
        let is_copy: bool = connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM message WHERE sequence = ?1 AND message_id = ?2)")?
            .query_row(params![next, message_id], |row| row.get(0))?;
        if is_copy && settle::remove(connection, queue, (due, next, 0))? {
            next += 1;
        }
    }
    Ok(next > sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_one_another_in_a_queue_is_one_run() {
        let run = |queue, due, first, last| Run { queue, due, first, last };
        for (places, expected) in [
            (vec![], vec![]),
            (vec![(1, 0, 7)], vec![run(1, 0, 7, 7)]),
            (vec![(1, 0, 7), (1, 0, 8), (1, 0, 9)], vec![run(1, 0, 7, 9)]),
            // A number was skipped: it is no message of this transaction, or nobody subscribes to it.
            (vec![(1, 0, 7), (1, 0, 9)], vec![run(1, 0, 7, 7), run(1, 0, 9, 9)]),
            // Two queues have a copy each.
            (vec![(1, 0, 7), (2, 0, 8), (1, 0, 9)], vec![run(1, 0, 7, 7), run(2, 0, 8, 8), run(1, 0, 9, 9)]),
            (vec![(1, 0, 7), (1, 5, 8), (1, 5, 9)], vec![run(1, 0, 7, 7), run(1, 5, 8, 9)]),
        ] {
            assert_eq!(runs(places.iter().copied()).collect::<Vec<_>>(), expected, "{places:?}");
        }
    }
}
