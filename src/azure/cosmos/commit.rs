//! A commit: one transactional batch, whose every result is looked at. The service answers a batch that failed with
//! success, and names the operation that is to blame among the results
//! (<https://learn.microsoft.com/azure/cosmos-db/transactional-batch>).
//!
//! The driver sends a write again whose answer was lost, and may then meet its own effect: a conflict. Every item names
//! its writer, so such a conflict is told from a real one by reading back.

use std::time::Duration;

use azure_data_cosmos::{
    CosmosError, TransactionalBatch,
    clients::ContainerClient,
    diagnostics::DiagnosticsContext,
    models::TransactionalBatchOperationResult,
    options::{BatchDeleteOptions, BatchReplaceOptions, Precondition},
};
use futures_util::future::try_join_all;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{
    CosmosDocuments,
    failure::Failure,
    item::{Item, ttl},
};
use crate::documents::{Action, CommitError, Container, Etag, Operation};

/// Times that a batch is sent again because a result in it says "too busy". The driver sees such a batch as a success.
const BUSY_RETRIES: u32 = 3;
/// The first wait before that, where the service names none; it doubles.
const BUSY_WAIT: Duration = Duration::from_millis(50);
/// Another operation of the same batch is to blame.
const FAILED_DEPENDENCY: u16 = 424;
/// The replica that answered had not seen what this client has seen: busy, not missing.
const READ_SESSION_NOT_AVAILABLE: u32 = 1002;

/// Operations on their way, which all passed [`crate::documents::limits`].
struct Commit<'a> {
    store: &'a CosmosDocuments,
    container: Container,
    partition: &'a str,
    operations: &'a [Operation],
    writer: String,
}

/// What a batch came to.
enum Outcome {
    Done(Vec<Option<Etag>>),
    /// This operation is to blame. `repeated`: the driver may have sent the batch more than once.
    Failed {
        operation: usize,
        result: Box<TransactionalBatchOperationResult>,
        repeated: bool,
    },
}

pub(super) async fn commit(
    store: &CosmosDocuments,
    container: Container,
    partition: &str,
    operations: &[Operation],
) -> Result<Vec<Option<Etag>>, CommitError> {
    Commit { store, container, partition, operations, writer: Uuid::now_v7().to_string() }.run().await
}

impl Commit<'_> {
    async fn run(&self) -> Result<Vec<Option<Etag>>, CommitError> {
        // Deletes that need no document and found none: the batch goes on without them.
        let mut absent = vec![false; self.operations.len()];
        let mut busy = 0;
        // Once it may have happened, what a later answer finds may be its effect, however often that one was sent.
        let mut repeated = false;
        loop {
            let sent: Vec<usize> = (0..self.operations.len()).filter(|operation| !absent[*operation]).collect();
            if sent.is_empty() {
                return Ok(vec![None; self.operations.len()]);
            }
            let (operation, result) = match self.send(&sent).await.map_err(Failure::committing)? {
                Outcome::Done(etags) => return Ok(etags),
                Outcome::Failed { operation, result, repeated: again } => {
                    repeated |= again;
                    (operation, result)
                }
            };
            let Operation { id, action } = &self.operations[operation];
            let status = match result.status_code() {
                404 if result.substatus_code() == Some(READ_SESSION_NOT_AVAILABLE) => 503,
                status => status,
            };
            match (status, action) {
                (408 | 429 | 449 | 503, _) if busy < BUSY_RETRIES => {
                    let wait = result.retry_after().unwrap_or(BUSY_WAIT * 2_u32.pow(busy));
                    busy += 1;
                    tokio::time::sleep(wait).await;
                }
                (404, Action::Delete { if_match: None }) => absent[operation] = true,
                (409, Action::Create { .. }) | (404 | 412, Action::Replace { .. } | Action::Delete { .. }) => {
                    if repeated && let Some(etags) = self.written_by_us().await.map_err(Failure::committing)? {
                        return Ok(etags);
                    }
                    let id = id.clone();
                    return Err(match action {
                        Action::Create { .. } => CommitError::Conflict { operation, id },
                        _ => CommitError::PreconditionFailed { operation, id },
                    });
                }
                (status, _) => {
                    return Err(Failure::of_operation(status, id, self.container, &self.store.database).committing());
                }
            }
        }
    }

    async fn send(&self, sent: &[usize]) -> Result<Outcome, Failure> {
        let client = self.store.container(self.container).await?;
        self.execute(client, sent).await.map_err(|error| self.store.failure(self.container, &error))
    }

    async fn execute(&self, client: &ContainerClient, sent: &[usize]) -> Result<Outcome, CosmosError> {
        let mut batch = TransactionalBatch::new(self.partition.to_owned());
        for operation in sent {
            batch = self.add(batch, &self.operations[*operation])?;
        }
        let response = client.execute_transactional_batch(batch, None).await?;
        let repeated = repeated(&response.diagnostics());
        let answer = response.into_model()?;
        let results = answer.results();
        let blamed =
            results.iter().position(|result| !result.is_success() && result.status_code() != FAILED_DEPENDENCY);
        // A failed batch without a culprit would be none of ours: the first failure is as good as any.
        if let Some(failed) = blamed.or_else(|| results.iter().position(|result| !result.is_success())) {
            let result = Box::new(results[failed].clone());
            return Ok(Outcome::Failed { operation: sent[failed], result, repeated });
        }
        let mut etags = vec![None; self.operations.len()];
        for (operation, result) in sent.iter().zip(results) {
            if !matches!(self.operations[*operation].action, Action::Delete { .. }) {
                etags[*operation] = result.etag().map(|etag| Etag(etag.to_owned()));
            }
        }
        Ok(Outcome::Done(etags))
    }

    fn add(&self, batch: TransactionalBatch, operation: &Operation) -> Result<TransactionalBatch, CosmosError> {
        let id = operation.id.as_str();
        let item = |body: &str, lifetime: Option<Duration>| -> Result<serde_json::Value, CosmosError> {
            let body: &RawValue = serde_json::from_str(body)?;
            let item = Item { id, pk: self.partition, writer: &self.writer, ttl: lifetime.map(ttl), body };
            Ok(serde_json::to_value(item)?)
        };
        let matching = |etag: &Etag| Precondition::if_match(etag.0.clone());
        match &operation.action {
            Action::Create { body, ttl } => batch.create_item(item(body, *ttl)?),
            Action::Upsert { body, ttl } => batch.upsert_item(item(body, *ttl)?, None),
            Action::Replace { body, if_match, ttl } => {
                let options = BatchReplaceOptions::default().with_precondition(matching(if_match));
                batch.replace_item(id.to_owned(), item(body, *ttl)?, Some(options))
            }
            Action::Delete { if_match } => {
                let condition = |etag| BatchDeleteOptions::default().with_precondition(matching(etag));
                Ok(batch.delete_item(id.to_owned(), if_match.as_ref().map(condition)))
            }
        }
    }

    /// The etags of this very commit, if it happened in spite of what the last answer says. A batch happens whole or not
    /// at all, so one of its documents proves it. A commit that only deletes leaves no proof.
    async fn written_by_us(&self) -> Result<Option<Vec<Option<Etag>>>, Failure> {
        let reads = self.operations.iter().map(|operation| async move {
            match operation.action {
                Action::Delete { .. } => Ok(None),
                _ => self.store.stored(self.container, self.partition, &operation.id).await,
            }
        });
        let found = try_join_all(reads).await?;
        if !found.iter().flatten().any(|stored| stored.writer == self.writer) {
            return Ok(None);
        }
        let etags = self.operations.iter().zip(found).map(|(operation, stored)| match (&operation.action, stored) {
            (Action::Delete { .. }, _) => None,
            (_, Some(stored)) if stored.writer == self.writer => Some(Etag(stored.etag)),
            // Somebody has changed it since: no document has this etag, so whoever relies on it finds out.
            _ => Some(Etag("\"changed since\"".into())),
        });
        Ok(Some(etags.collect()))
    }
}

/// Whether the driver may have sent a request more than once.
fn repeated(diagnostics: &DiagnosticsContext) -> bool {
    diagnostics.request_count() > 1
        || diagnostics.requests().iter().any(|request| request.local_shard_retry_count() > 0)
}
