//! The sweep: brings back what is due. It relays the spool, publishes due retry records, and publishes outbox entries
//! that were left behind.
//!
//! Each record is published first and deleted after: a crash in between publishes it again under the same message id,
//! and what duplicate detection does not catch, the ledger does. Two sweeps at once do no harm for the same reason.
//! Nothing stands in the way of what is behind it: what the bus will never take is parked, what cannot be read is passed
//! over, and a kind that fails does not keep the others waiting.

use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use serde::de::DeserializeOwned;

use super::records::{ParkedRecord, RetryRecord, SpoolRecord, StoredMessage, bucket_of};
use crate::{
    bus::{Bus, Message, Property, PublishError},
    clock::{Timestamp, millis},
    config::Config,
    deadline::within,
    documents::{Action, CommitError, Comparison, Container, Document, Documents, DocumentsError, Operation, Query},
    envelope::{Envelope, check_in},
    ledger::{
        outbox::{self, OutboxError},
        records::OutboxRecord,
    },
};

/// Records on their way to the bus at once.
const CONCURRENCY: usize = 64;
/// Records read at once.
const PAGE: usize = 500;
/// Blobs of the spool's last resort start so.
pub const SPOOL_PREFIX: &str = "spool";

/// What one sweep brought back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    pub spooled: usize,
    pub retries: usize,
    pub outbox: usize,
}

impl Swept {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Why a sweep ended early. What it had brought back stays so, and the next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Read(#[from] DocumentsError),
    #[error(transparent)]
    Delete(#[from] CommitError),
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    #[error("the blob store failed: {0}")]
    Blobs(#[from] object_store::Error),
}

/// The ports that a sweep works on.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    pub bus: &'a dyn Bus,
    pub documents: &'a dyn Documents,
    pub blobs: &'a dyn ObjectStore,
}

/// Brings back what is due now, up to the configured limit of each kind.
///
/// # Errors
/// The bus or a store failed, for at least one kind.
pub async fn sweep(ports: Ports<'_>, config: &Config, now: Timestamp) -> Result<Swept, SweepError> {
    let sweep = Sweep { ports, config, now };
    let spooled = sweep.relay_due::<SpoolRecord>(Container::Spool).await;
    let blobs = sweep.relay_spooled_blobs().await;
    let retries = sweep.relay_due::<RetryRecord>(Container::Retries).await;
    let outbox = sweep.relay_outbox().await;
    Ok(Swept { spooled: spooled? + blobs?, retries: retries?, outbox: outbox? })
}

/// A document that holds a message for a topic.
trait Due: DeserializeOwned {
    fn into_parts(self) -> (String, StoredMessage);
}

impl Due for SpoolRecord {
    fn into_parts(self) -> (String, StoredMessage) {
        (self.topic, self.message)
    }
}

impl Due for RetryRecord {
    fn into_parts(self) -> (String, StoredMessage) {
        (self.topic, self.message)
    }
}

/// One sweep at work.
struct Sweep<'a> {
    ports: Ports<'a>,
    config: &'a Config,
    now: Timestamp,
}

impl Sweep<'_> {
    async fn relay_due<T: Due>(&self, container: Container) -> Result<usize, SweepError> {
        let limit = self.config.retry.sweep_limit;
        let mut relayed = 0;
        let mut query = Query::all()
            .filter("due_at", Comparison::LessOrEqual, millis::text(self.now))
            .order_by("due_at")
            .page_size(PAGE.min(limit).max(1));
        loop {
            let page = self.ports.documents.query(container, &query).await?;
            let moved: Vec<bool> = stream::iter(page.documents)
                .map(|document| self.relay_one::<T>(container, document))
                .buffer_unordered(CONCURRENCY)
                .try_collect()
                .await?;
            relayed += moved.into_iter().filter(|moved| *moved).count();
            if page.continuation.is_none() || relayed >= limit {
                return Ok(relayed);
            }
            // Goes on behind this page, whatever of it had to stay.
            query.continuation = page.continuation;
            query.page_size = PAGE.min(limit - relayed);
        }
    }

    /// Moves one record on; `false` leaves it where it is, for a person to look at.
    async fn relay_one<T: Due>(&self, container: Container, document: Document) -> Result<bool, SweepError> {
        let record = match document.parse::<T>() {
            Ok(record) => record,
            Err(error) => {
                tracing::error!(%error, container = container.name(), "a record cannot be read and stays where it is");
                return Ok(false);
            }
        };
        let (topic, message) = record.into_parts();
        if !self.forward(&topic, message).await? {
            return Ok(false);
        }
        // Under its etag: a record that failed again meanwhile is a new one and must stay.
        let delete = Operation { id: document.id, action: Action::Delete { if_match: Some(document.etag) } };
        match self.ports.documents.commit(container, &document.partition, vec![delete]).await {
            Ok(_) | Err(CommitError::PreconditionFailed { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    async fn relay_spooled_blobs(&self) -> Result<usize, SweepError> {
        let (blobs, limit) = (self.ports.blobs, self.config.dependencies.timeout);
        let prefix = Path::from(SPOOL_PREFIX);
        let found = blobs.list(Some(&prefix)).take(self.config.retry.sweep_limit).try_collect::<Vec<_>>();
        let mut relayed = 0;
        for blob in within(limit, found).await? {
            let bytes = match within(limit, async { blobs.get(&blob.location).await?.bytes().await }).await {
                Ok(bytes) => bytes,
                // Another sweep was faster.
                Err(object_store::Error::NotFound { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            let Ok(record) = serde_json::from_slice::<SpoolRecord>(&bytes) else {
                tracing::error!(blob = %blob.location, "a spooled callback cannot be read and stays where it is");
                continue;
            };
            let (topic, message) = record.into_parts();
            if !self.forward(&topic, message).await? {
                continue;
            }
            match within(limit, blobs.delete(&blob.location)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => relayed += 1,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(relayed)
    }

    async fn relay_outbox(&self) -> Result<usize, SweepError> {
        let documents = self.ports.documents;
        let mut relayed = 0;
        for document in outbox::left_behind(documents, self.now, self.config.retry.sweep_limit).await? {
            let record: OutboxRecord = match document.parse() {
                Ok(record) => record,
                Err(error) => {
                    tracing::error!(%error, "an outbox entry cannot be read and stays where it is");
                    continue;
                }
            };
            if self.announce(&record).await? {
                outbox::delete(documents, &record).await?;
                relayed += 1;
            }
        }
        Ok(relayed)
    }

    /// Publishes what an entry owes, or parks it where the bus will never take it. `false`: the entry must stay.
    async fn announce(&self, record: &OutboxRecord) -> Result<bool, SweepError> {
        let topic = &self.config.bus.deliveries_topic;
        let mut kept = true;
        for message in outbox::announcements(record) {
            let stored = StoredMessage::from_message(&message);
            match self.ports.bus.publish(topic, message).await {
                Ok(()) => {}
                Err(PublishError::Refused(reason)) => {
                    kept &= self.park(stored.record_id(), topic, stored, Some(record.key.clone()), &reason).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(kept)
    }

    /// Hands a message to the bus, or parks it where the bus will never take it. `false`: it must stay where it is.
    async fn forward(&self, topic: &str, message: StoredMessage) -> Result<bool, SweepError> {
        let message = self.fitted(message.into_message()).await?;
        match self.ports.bus.publish(topic, message.clone()).await {
            Ok(()) => Ok(true),
            Err(PublishError::Refused(reason)) => {
                let message = StoredMessage::from_message(&message);
                self.park(message.record_id(), topic, message.clone(), message.message_key(), &reason).await
            }
            Err(error) => Err(error.into()),
        }
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
        id: String,
        topic: &str,
        message: StoredMessage,
        message_key: Option<String>,
        reason: &str,
    ) -> Result<bool, SweepError> {
        let property = |name| message.properties.get(name).and_then(Property::as_str).map(str::to_owned);
        let record = ParkedRecord {
            bucket: bucket_of(&id),
            id,
            parked_at: self.now,
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
