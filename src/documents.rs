//! The documents port: what the rest of the program needs of a document store, in Cosmos DB's terms.
//!
//! Documents live in a [`Container`], under a partition key and an id. [`Documents::commit`] applies several operations
//! to one partition atomically. Every document has an [`Etag`] that changes with each write; `replace` and `delete` can
//! demand one. A document with a `ttl` is gone (for reads and queries) once it expires.
//!
//! Bodies are JSON objects as text; the store keeps them as they are. What every adapter refuses is in [`limits`], and
//! what pages have in common in [`continuation`].

mod body;
pub(crate) mod continuation;
pub(crate) mod limits;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::clock::Timestamp;

/// The containers that the program uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Container {
    /// Per message: events, status, outbox. Partition: the message key.
    Ledger,
    /// Things to try again at a due time. Partition: a bucket.
    Retries,
    /// Given up on; waits for a person. Partition: a bucket.
    Parked,
    /// What ingest could not hand to the broker in time. Partition: a bucket.
    Spool,
    /// Opt-outs. Partition: a keyed address.
    Consent,
    /// Settings and counters that instances share.
    Registry,
    /// What became of each delivery to a partner. Partition: the message key.
    Deliveries,
}

impl Container {
    /// Every container.
    pub const ALL: [Container; 7] = [
        Container::Ledger,
        Container::Retries,
        Container::Parked,
        Container::Spool,
        Container::Consent,
        Container::Registry,
        Container::Deliveries,
    ];

    /// The container's name in the store.
    pub fn name(self) -> &'static str {
        match self {
            Container::Ledger => "ledger",
            Container::Retries => "retries",
            Container::Parked => "parked",
            Container::Spool => "spool",
            Container::Consent => "consent",
            Container::Registry => "registry",
            Container::Deliveries => "deliveries",
        }
    }
}

/// The version of a document, opaque to callers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Etag(pub String);

/// A document as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    pub partition: String,
    pub id: String,
    pub etag: Etag,
    /// A JSON object.
    pub body: String,
}

impl Document {
    /// Reads the body into a type.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, DocumentsError> {
        serde_json::from_str(&self.body).map_err(|error| DocumentsError::Unreadable {
            partition: self.partition.clone(),
            id: self.id.clone(),
            reason: without_values(&error),
        })
    }
}

/// Why JSON has not the expected shape, without the values that serde's own words quote: they may be personal data.
pub(crate) fn without_values(error: &serde_json::Error) -> String {
    let (text, line, column) = (error.to_string(), error.line(), error.column());
    if error.is_data() && !text.starts_with("missing field") {
        return format!("a value is not of the expected kind at line {line} column {column}");
    }
    text
}

/// One step of an atomic commit. Ids must not hold `/`, `\`, `?` or `#` and have at most 1,023 bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    pub id: String,
    pub action: Action,
}

/// What a step does to its document.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Fails with [`CommitError::Conflict`] where the document exists.
    Create { body: String, ttl: Option<Duration> },
    /// Creates or overwrites.
    Upsert { body: String, ttl: Option<Duration> },
    /// Fails with [`CommitError::PreconditionFailed`] where the document is missing or has another etag.
    Replace { body: String, if_match: Etag, ttl: Option<Duration> },
    /// Removes a document. Without `if_match` a missing document is a success; with one it is
    /// [`CommitError::PreconditionFailed`].
    Delete { if_match: Option<Etag> },
}

impl Operation {
    pub fn create(id: impl Into<String>, body: &impl Serialize) -> Self {
        Self { id: id.into(), action: Action::Create { body: encode(body), ttl: None } }
    }

    pub fn upsert(id: impl Into<String>, body: &impl Serialize) -> Self {
        Self { id: id.into(), action: Action::Upsert { body: encode(body), ttl: None } }
    }

    pub fn replace(id: impl Into<String>, body: &impl Serialize, if_match: Etag) -> Self {
        Self { id: id.into(), action: Action::Replace { body: encode(body), if_match, ttl: None } }
    }

    pub fn delete(id: impl Into<String>) -> Self {
        Self { id: id.into(), action: Action::Delete { if_match: None } }
    }

    /// Lets the document expire so long after this write.
    pub fn with_ttl(mut self, lifetime: Duration) -> Self {
        if let Action::Create { ttl, .. } | Action::Upsert { ttl, .. } | Action::Replace { ttl, .. } = &mut self.action
        {
            *ttl = Some(lifetime);
        }
        self
    }
}

fn encode(body: &impl Serialize) -> String {
    serde_json::to_string(body).expect("document types serialise to JSON")
}

/// Why a commit changed nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// A `create` met an existing document. `operation` is its index.
    #[error("document {id} exists already (operation {operation})")]
    Conflict { operation: usize, id: String },
    /// A `replace` or `delete` met a missing document or another version of it.
    #[error("document {id} was changed by somebody else (operation {operation})")]
    PreconditionFailed { operation: usize, id: String },
    /// The commit is malformed or over the store's limits (100 operations, 2 MB): retrying cannot heal it.
    #[error("the store refused the commit: {0}")]
    Refused(String),
    /// The store cannot be reached, is overloaded or failed. Whether the commit happened is not known.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}

/// Why a read gave nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DocumentsError {
    /// The store cannot be reached, is overloaded or failed: try again later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The query or its continuation is malformed.
    #[error("the store refused the query: {0}")]
    Refused(String),
    /// A stored document does not have the shape this version of the program expects.
    #[error("document {partition}/{id} is unreadable: {reason}")]
    Unreadable { partition: String, id: String, reason: String },
}

/// How a filter compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A condition on a top-level property of the body. Numbers compare as numbers, texts by their UTF-8 bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    pub field: &'static str,
    pub comparison: Comparison,
    pub value: serde_json::Value,
}

/// What to look for. Results come ordered by `order_by`, then partition, then id.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Query {
    /// Only this partition.
    pub partition: Option<String>,
    /// Only partitions behind this one, in the order of their bytes.
    pub after_partition: Option<String>,
    /// Only ids that start so.
    pub id_prefix: Option<String>,
    /// What was last written before this moment is not wanted. Cosmos DB leaves it out by an index (in whole seconds, by its
    /// own clock); the embedded store does not know when it wrote what, and leaves out nothing.
    pub written_since: Option<Timestamp>,
    pub filters: Vec<Filter>,
    /// A top-level property to sort by, ascending.
    pub order_by: Option<&'static str>,
    /// Documents a page; 0 means 100.
    pub page_size: usize,
    /// Bytes of bodies after which a page ends early, with one document at least; 0 means no limit.
    pub page_bytes: usize,
    /// Where the page before ended.
    pub continuation: Option<String>,
}

impl Query {
    /// All documents of a partition.
    pub fn partition(partition: impl Into<String>) -> Self {
        Self { partition: Some(partition.into()), ..Self::default() }
    }

    /// All documents of a container.
    pub fn all() -> Self {
        Self::default()
    }

    pub fn id_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.id_prefix = Some(prefix.into());
        self
    }

    pub fn filter(mut self, field: &'static str, comparison: Comparison, value: impl Into<serde_json::Value>) -> Self {
        self.filters.push(Filter { field, comparison, value: value.into() });
        self
    }

    pub fn order_by(mut self, field: &'static str) -> Self {
        self.order_by = Some(field);
        self
    }

    /// Skips this partition and all before it: with a page of one, each query finds the next partition that there is.
    pub fn after_partition(mut self, partition: impl Into<String>) -> Self {
        self.after_partition = Some(partition.into());
        self
    }

    /// Leaves out what was last written before, where the store can tell.
    pub fn written_since(mut self, since: Timestamp) -> Self {
        self.written_since = Some(since);
        self
    }

    pub fn page_size(mut self, documents: usize) -> Self {
        self.page_size = documents;
        self
    }

    pub fn page_bytes(mut self, bytes: usize) -> Self {
        self.page_bytes = bytes;
        self
    }
}

/// A page of results.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    pub documents: Vec<Document>,
    /// Present while there may be more.
    pub continuation: Option<String>,
}

/// Reads, queries and commits documents.
#[async_trait]
pub trait Documents: Send + Sync + std::fmt::Debug {
    async fn read(&self, container: Container, partition: &str, id: &str) -> Result<Option<Document>, DocumentsError>;

    async fn query(&self, container: Container, query: &Query) -> Result<Page, DocumentsError>;

    /// How many documents the query matches; paging and order are ignored.
    async fn count(&self, container: Container, query: &Query) -> Result<u64, DocumentsError>;

    /// Applies all operations or none, and returns the new etags by operation (`None` for a delete).
    async fn commit(
        &self,
        container: Container,
        partition: &str,
        operations: Vec<Operation>,
    ) -> Result<Vec<Option<Etag>>, CommitError>;

    /// Rewrites the store's file without what was deleted from it, where there is one. Returns its size in bytes before and
    /// after, with its log. Takes as long as the file is large; commits wait or fail meanwhile, reads go on.
    async fn compact(&self) -> Result<Option<(u64, u64)>, DocumentsError> {
        Ok(None)
    }
}

/// The store that every part of the program shares.
pub type SharedDocuments = Arc<dyn Documents>;

/// Follows every page of a query.
pub async fn query_all(
    documents: &dyn Documents,
    container: Container,
    mut query: Query,
) -> Result<Vec<Document>, DocumentsError> {
    let mut found = Vec::new();
    loop {
        let page = documents.query(container, &query).await?;
        found.extend(page.documents);
        match page.continuation {
            Some(continuation) => query.continuation = Some(continuation),
            None => return Ok(found),
        }
    }
}
