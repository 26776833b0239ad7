//! From a record to the bus; or to container `parked`, where the bus will never take it.

use futures_util::future::join_all;

use super::{Sweep, SweepError, relay::Moving};
use crate::{
    bus::{Message, Property, PublishError},
    deadline::within,
    documents::{CommitError, Container, Operation},
    envelope::{Envelope, check_in},
    ledger::{outbox, records::OutboxRecord},
    retry::records::{ParkedRecord, StoredMessage, bucket_of},
};

impl Sweep<'_> {
    /// Publishes what an entry owes, or parks it. `false`: the entry must stay.
    pub(super) async fn announce(&self, record: &OutboxRecord, moving: &Moving<'_>) -> Result<bool, SweepError> {
        let topic = &self.config.bus.deliveries_topic;
        // All at once: one lease's time is enough for them.
        let published = join_all(outbox::announcements(record).into_iter().map(|message| async move {
            let outcome = self.publish(topic, &message, moving).await;
            (message, outcome)
        }));
        let mut kept = true;
        for (message, outcome) in published.await {
            kept &= match outcome {
                Ok(published) => published,
                Err(PublishError::Refused(reason)) => {
                    let stored = StoredMessage::from_message(&message);
                    self.park(topic, stored, Some(record.key.clone()), &reason).await?
                }
                Err(error) => return Err(error.into()),
            };
        }
        Ok(kept)
    }

    /// Hands a message to the bus, or parks it. `false`: it must stay where it is.
    pub(super) async fn forward(
        &self,
        topic: &str,
        message: StoredMessage,
        moving: &Moving<'_>,
    ) -> Result<bool, SweepError> {
        let message = self.fitted(message.into_message()).await?;
        match self.publish(topic, &message, moving).await {
            Ok(published) => Ok(published),
            Err(PublishError::Refused(reason)) => {
                let message = StoredMessage::from_message(&message);
                let message_key = message.message_key();
                self.park(topic, message, message_key, &reason).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// `false` when the lease may run out before the record is gone: then another sweep dispatches it.
    async fn publish(&self, topic: &str, message: &Message, moving: &Moving<'_>) -> Result<bool, PublishError> {
        if self.known().down.contains(topic) {
            return Err(PublishError::Unavailable(format!("topic {topic} did not answer a moment ago")));
        }
        if !moving.lease.lasts(self.time_for_one()) {
            moving.stop();
            return Ok(false);
        }
        let outcome = self.ports.bus.publish(topic, message.clone()).await;
        if let Err(PublishError::Unavailable(_)) = &outcome {
            self.known().down.insert(topic.to_owned());
        }
        outcome.map(|()| true)
    }

    /// A callback that was spooled because the blob store failed is larger than the bus takes: its body goes to a blob
    /// now.
    async fn fitted(&self, message: Message) -> Result<Message, SweepError> {
        if message.body.len() as u64 <= self.config.ingest.claim_check_above.as_u64() {
            return Ok(message);
        }
        let (blobs, limit) = (self.ports.blobs, self.config.dependencies.timeout);
        let checked = match Envelope::decode(&message.body) {
            Ok(mut envelope) if envelope.dataref.is_none() => {
                // The body is in the envelope, so this waits for nothing.
                let Ok(body) = envelope.body(blobs).await else { return Ok(message) };
                let name = within(limit, check_in(blobs, &envelope.id, envelope.time, body)).await?;
                (envelope.data, envelope.data_base64, envelope.dataref) = (None, None, Some(name.into()));
                envelope.encode()
            }
            // Nothing that a claim check could make smaller: the bus decides.
            _ => return Ok(message),
        };
        Ok(Message { body: checked, ..message })
    }

    /// Parks a message that the bus refused; `false` where the store refuses it, too.
    async fn park(
        &self,
        topic: &str,
        message: StoredMessage,
        message_key: Option<String>,
        reason: &str,
    ) -> Result<bool, SweepError> {
        let property = |name| message.properties.get(name).and_then(Property::as_str).map(str::to_owned);
        let id = message.record_id();
        let record = ParkedRecord {
            bucket: bucket_of(&id),
            id,
            parked_at: self.ports.clock.now(),
            reason: format!("the broker refused the message: {reason}"),
            vendor: property("vendor"),
            channel: property("channel"),
            partner: message.partner(),
            topic: topic.to_owned(),
            message_key,
            history: message.history(),
            message,
        };
        tracing::error!(id = record.id, topic, reason, "the broker will never take this message: it is parked");
        let write = Operation::upsert(record.id.clone(), &record);
        match self.ports.documents.commit(Container::Parked, &record.bucket, vec![write]).await {
            Ok(_) => Ok(true),
            Err(CommitError::Refused(reason)) => {
                tracing::error!(
                    id = record.id,
                    topic,
                    reason,
                    "the store does not take it either: it stays where it is"
                );
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}
