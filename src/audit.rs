//! The operators' log: who did what, to what, when, and how it ended. One document per action in container `registry`,
//! written before the action and completed after it: an entry that stays `started` is an action that was cut off.
//!
//! Entries hold no personal data: whoever adds one passes tokens where people are meant.

use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    clock::{Timestamp, millis},
    documents::{
        CommitError, Comparison, Container, Document, Documents, DocumentsError, Etag, Operation, Page, Query,
    },
};

/// The partition of the entries.
pub const PARTITION: &str = "audit";

/// One action of an operator's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditRecord {
    /// Begins with the time, so that ids sort as the actions did.
    pub id: String,
    #[serde(with = "millis")]
    #[schemars(with = "Timestamp")]
    pub at: Timestamp,
    /// As the operator said.
    pub who: String,
    /// A resource and a verb: `parked.replay`.
    pub action: String,
    /// What it was done to: an id, or the id of a job.
    pub what: String,
    /// What else the operator said: a filter, a new setting.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub details: Value,
    /// `started`, `done`, or what went wrong.
    pub outcome: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How many records were touched, by what became of them.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub counts: Value,
}

/// An entry whose action is under way.
#[derive(Debug, Clone)]
pub struct Started {
    record: AuditRecord,
    etag: Option<Etag>,
}

/// Writes down what is about to happen. If that fails, it should not happen.
///
/// # Errors
/// The store failed.
pub async fn start(
    documents: &dyn Documents,
    now: Timestamp,
    who: &str,
    action: &str,
    what: &str,
    details: Value,
) -> Result<Started, CommitError> {
    let record = AuditRecord {
        // Of one millisecond, those of one process are in order, too.
        id: format!("{}-{}", millis::text(now), Uuid::now_v7().simple()),
        at: now,
        who: who.to_owned(),
        action: action.to_owned(),
        what: what.to_owned(),
        details,
        outcome: "started".to_owned(),
        ended_at: None,
        counts: Value::Null,
    };
    let create = Operation::create(record.id.clone(), &record);
    let mut etags = documents.commit(Container::Registry, PARTITION, vec![create]).await?;
    tracing::info!(who, action, what, "an operator acts");
    Ok(Started { record, etag: etags.pop().flatten() })
}

impl Started {
    /// The entry's id, for an action that somebody else will end.
    pub fn id(&self) -> &str {
        &self.record.id
    }

    /// Writes down how it ended. A store that fails now is only logged: the action has happened.
    pub async fn end(mut self, documents: &dyn Documents, now: Timestamp, outcome: &str, counts: Value) {
        (self.record.outcome, self.record.counts, self.record.ended_at) = (outcome.to_owned(), counts, Some(now));
        let write = match self.etag.take() {
            Some(etag) => Operation::replace(self.record.id.clone(), &self.record, etag),
            None => Operation::upsert(self.record.id.clone(), &self.record),
        };
        if let Err(error) = documents.commit(Container::Registry, PARTITION, vec![write]).await {
            tracing::error!(%error, id = self.record.id, outcome, "how an operator's action ended is not written down");
        }
    }
}

/// Writes down how an action ended that another process may have started.
pub async fn end(documents: &dyn Documents, id: &str, now: Timestamp, outcome: &str, counts: Value) {
    let found = documents.read(Container::Registry, PARTITION, id).await;
    match found.and_then(|found| found.map(|document| Ok((document.parse()?, document.etag))).transpose()) {
        Ok(Some((record, etag))) => Started { record, etag: Some(etag) }.end(documents, now, outcome, counts).await,
        Ok(None) => tracing::error!(id, outcome, "the entry of an operator's action is missing"),
        Err(error) => tracing::error!(%error, id, outcome, "the entry of an operator's action cannot be read"),
    }
}

/// Entries of a time, oldest first.
///
/// # Errors
/// The store failed, or the continuation is malformed.
pub async fn list(
    documents: &dyn Documents,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    limit: usize,
    continuation: Option<String>,
) -> Result<Page, DocumentsError> {
    let mut query = Query::partition(PARTITION).page_size(limit);
    if let Some(since) = since {
        query = query.filter("at", Comparison::GreaterOrEqual, millis::text(since));
    }
    if let Some(until) = until {
        query = query.filter("at", Comparison::Less, millis::text(until + TimeDelta::milliseconds(1)));
    }
    query.continuation = continuation;
    documents.query(Container::Registry, &query).await
}

/// The entry in a document.
///
/// # Errors
/// It is of another version.
pub fn parse(document: &Document) -> Result<AuditRecord, DocumentsError> {
    document.parse()
}
