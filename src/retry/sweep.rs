//! The sweep: brings back what is due. It relays the spool, publishes due retry records, and publishes outbox entries
//! that were left behind.
//!
//! Each record is published first and deleted after: a crash in between publishes it again under the same message id,
//! and what duplicate detection does not catch, the ledger does. Two sweeps at once do no harm for the same reason.

use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use serde::de::DeserializeOwned;

use super::records::{RetryRecord, SpoolRecord, StoredMessage};
use crate::{
    bus::{Bus, PublishError},
    clock::{Timestamp, millis},
    config::Config,
    documents::{Action, CommitError, Comparison, Container, Document, Documents, DocumentsError, Operation, Query},
    ledger::outbox::{self, OutboxError},
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
/// The bus or a store failed.
pub async fn sweep(ports: Ports<'_>, config: &Config, now: Timestamp) -> Result<Swept, SweepError> {
    let limit = config.retry.sweep_limit;
    let spooled = relay_due::<SpoolRecord>(ports, Container::Spool, now, limit).await?;
    let spooled = spooled + relay_spooled_blobs(ports, limit).await?;
    let retries = relay_due::<RetryRecord>(ports, Container::Retries, now, limit).await?;
    let topic = &config.bus.deliveries_topic;
    let outbox = outbox::relay_left_behind(ports.bus, ports.documents, topic, now, limit).await?;
    Ok(Swept { spooled, retries, outbox })
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

async fn relay_due<T: Due>(
    ports: Ports<'_>,
    container: Container,
    now: Timestamp,
    limit: usize,
) -> Result<usize, SweepError> {
    let mut relayed = 0;
    loop {
        let query = Query::all()
            .filter("due_at", Comparison::LessOrEqual, millis::text(now))
            .order_by("due_at")
            .page_size(PAGE.min(limit - relayed).max(1));
        let page = ports.documents.query(container, &query).await?;
        let found = page.documents.len();
        let moved: Vec<bool> = stream::iter(page.documents)
            .map(|document| relay_one::<T>(ports, container, document))
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await?;
        let moved = moved.into_iter().filter(|moved| *moved).count();
        relayed += moved;
        // A page without progress holds only records that cannot be moved: the next one would hold them again.
        if found < PAGE || moved == 0 || relayed >= limit {
            return Ok(relayed);
        }
    }
}

/// Moves one record to the bus; `false` leaves it where it is, for a person to look at.
async fn relay_one<T: Due>(ports: Ports<'_>, container: Container, document: Document) -> Result<bool, SweepError> {
    let record = match document.parse::<T>() {
        Ok(record) => record,
        Err(error) => {
            tracing::error!(%error, container = container.name(), "a record cannot be read and stays where it is");
            return Ok(false);
        }
    };
    let (topic, message) = record.into_parts();
    match ports.bus.publish(&topic, message.into_message()).await {
        Ok(()) => {}
        Err(error @ PublishError::Refused(_)) => {
            tracing::error!(%error, container = container.name(), id = document.id, "a record stays where it is");
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    }
    // Under its etag: a record that failed again meanwhile is a new one and must stay.
    let delete = Operation { id: document.id, action: Action::Delete { if_match: Some(document.etag) } };
    match ports.documents.commit(container, &document.partition, vec![delete]).await {
        Ok(_) | Err(CommitError::PreconditionFailed { .. }) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

async fn relay_spooled_blobs(ports: Ports<'_>, limit: usize) -> Result<usize, SweepError> {
    let found: Vec<_> = ports.blobs.list(Some(&Path::from(SPOOL_PREFIX))).take(limit.max(1)).try_collect().await?;
    for blob in &found {
        let bytes = ports.blobs.get(&blob.location).await?.bytes().await?;
        let record: SpoolRecord = serde_json::from_slice(&bytes).map_err(|error| DocumentsError::Unreadable {
            partition: SPOOL_PREFIX.into(),
            id: blob.location.to_string(),
            reason: error.to_string(),
        })?;
        let (topic, message) = record.into_parts();
        ports.bus.publish(&topic, message.into_message()).await?;
        match ports.blobs.delete(&blob.location).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found.len())
}
