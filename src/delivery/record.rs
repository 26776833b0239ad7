//! What became of a delivery: a document in container `deliveries`, partition the message key, id the delivery's.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    clock::{Timestamp, millis},
    documents::{CommitError, Container, Document, Documents, DocumentsError, Operation},
};

/// Attempts that are kept; those before are only counted.
const KEPT: usize = 20;
/// Rounds against others who write the same document.
const ROUNDS: u32 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is tried again.
    Pending,
    /// The partner answered 2xx.
    Delivered,
    /// Given up on: it is in container `parked`.
    Parked,
}

/// One request, or why there was none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub number: u32,
    #[serde(with = "millis")]
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    pub latency_ms: u64,
    /// What the partner said, the first 4 KB of it. It may hold personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
}

/// A delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryRecord {
    pub id: String,
    /// The message key.
    pub key: String,
    pub partner: String,
    /// `webhook-id`, equal for every attempt.
    pub event_id: String,
    pub event_type: String,
    pub state: State,
    /// The latest, in their order.
    pub attempts: Vec<Attempt>,
    /// How many there were in all.
    pub attempted: u32,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Adds an attempt to the record that was `found` before it, or to `first`, the record before any. A delivered one stays
/// delivered.
///
/// # Errors
/// The store failed, or others kept writing.
pub async fn add(
    documents: &dyn Documents,
    mut found: Option<Document>,
    first: DeliveryRecord,
    state: State,
    attempt: Option<Attempt>,
    keep_for: Duration,
) -> Result<(), CommitError> {
    let unavailable = |error: DocumentsError| CommitError::Unavailable(error.to_string());
    let mut failed = CommitError::Unavailable("others keep changing it".into());
    for _ in 0..ROUNDS {
        let known = found.as_ref().map(Document::parse::<DeliveryRecord>).transpose().map_err(unavailable)?;
        let mut record = known.unwrap_or_else(|| first.clone());
        if let Some(attempt) = &attempt
            // Our own write, whose answer was lost.
            && !record.attempts.contains(attempt)
        {
            record.attempts.push(attempt.clone());
            record.attempted += 1;
        }
        let surplus = record.attempts.len().saturating_sub(KEPT);
        record.attempts.drain(..surplus);
        record.updated_at = first.updated_at;
        if record.state != State::Delivered {
            record.state = state;
        }
        let id = record.id.clone();
        let write = match found {
            Some(document) => Operation::replace(id, &record, document.etag),
            None => Operation::create(id, &record),
        };
        match documents.commit(Container::Deliveries, &first.key, vec![write.with_ttl(keep_for)]).await {
            Ok(_) => return Ok(()),
            Err(error @ (CommitError::Conflict { .. } | CommitError::PreconditionFailed { .. })) => failed = error,
            Err(error) => return Err(error),
        }
        found = documents.read(Container::Deliveries, &first.key, &first.id).await.map_err(unavailable)?;
    }
    Err(failed)
}
