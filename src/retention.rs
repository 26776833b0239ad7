//! Retention: what is kept is not kept for ever, where the configuration says so.
//!
//! Documents get a time to live when they are written ([`Retained`], around the documents port, so that no writer can forget
//! it): each write begins it anew, and what was written before the setting has none. Bodies in blobs go by the day in their
//! names ([`OldBlobs`]).

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::{NaiveDate, TimeDelta};
use futures_util::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};

use crate::{
    app::App,
    audit,
    clock::Timestamp,
    config::Retention,
    deadline::within,
    documents::{
        Action, CommitError, Container, Document, Documents, DocumentsError, Etag, Operation, Page, Query,
        SharedDocuments,
    },
    ledger::records::OUTBOX_PREFIX,
};

/// Between two looks at old blobs: listing costs, and a day more or less does not matter.
const LOOK_EVERY: TimeDelta = TimeDelta::hours(1);
/// Blobs deleted after one look; more are left for the next, which then comes at once.
const MOST: usize = 1_000;
/// Where bodies are: `payloads/yyyy/mm/dd/{id}`.
const BODIES: &str = "payloads";

/// Documents that expire.
#[derive(Debug)]
pub struct Retained {
    inner: SharedDocuments,
    retention: Retention,
}

impl Retained {
    pub fn new(inner: SharedDocuments, retention: Retention) -> Self {
        Self { inner, retention }
    }

    fn with_ttl(&self, container: Container, partition: &str, mut operation: Operation) -> Operation {
        let keep = match container {
            // An announcement is owed until it is made.
            Container::Ledger if operation.id.starts_with(OUTBOX_PREFIX) => return operation,
            Container::Ledger => self.retention.ledger,
            Container::Parked => self.retention.parked,
            Container::Consent => self.retention.consent,
            Container::Registry if partition == audit::PARTITION => self.retention.audit,
            // They end by themselves, or have a time of their own.
            Container::Retries | Container::Spool | Container::Registry | Container::Deliveries => return operation,
        };
        if let Action::Create { ttl, .. } | Action::Upsert { ttl, .. } | Action::Replace { ttl, .. } =
            &mut operation.action
        {
            *ttl = ttl.or(keep.ttl());
        }
        operation
    }
}

#[async_trait]
impl Documents for Retained {
    async fn read(&self, container: Container, partition: &str, id: &str) -> Result<Option<Document>, DocumentsError> {
        self.inner.read(container, partition, id).await
    }

    async fn query(&self, container: Container, query: &Query) -> Result<Page, DocumentsError> {
        self.inner.query(container, query).await
    }

    async fn count(&self, container: Container, query: &Query) -> Result<u64, DocumentsError> {
        self.inner.count(container, query).await
    }

    async fn commit(
        &self,
        container: Container,
        partition: &str,
        operations: Vec<Operation>,
    ) -> Result<Vec<Option<Etag>>, CommitError> {
        let operations = operations.into_iter().map(|step| self.with_ttl(container, partition, step)).collect();
        self.inner.commit(container, partition, operations).await
    }

    async fn compact(&self) -> Result<Option<(u64, u64)>, DocumentsError> {
        self.inner.compact().await
    }
}

/// Wraps a store, where there is something to expire.
pub fn retained(documents: SharedDocuments, retention: Retention) -> SharedDocuments {
    if retention == Retention::default() {
        return documents;
    }
    Arc::new(Retained::new(documents, retention))
}

/// When this process last looked for old bodies.
#[derive(Debug, Default)]
pub struct OldBlobs(Mutex<Option<Timestamp>>);

impl OldBlobs {
    /// Deletes bodies whose day has passed, if it is time to look. Two processes at once do no harm.
    ///
    /// # Errors
    /// The blob store failed: the next look goes on.
    pub async fn remove(&self, app: &App) -> Result<usize, object_store::Error> {
        let Some(keep) = app.config.retention.blobs.ttl().and_then(|keep| TimeDelta::from_std(keep).ok()) else {
            return Ok(0);
        };
        let now = app.clock.now();
        {
            let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_some_and(|last| (now - last).abs() < LOOK_EVERY) {
                return Ok(0);
            }
            *last = Some(now);
        }
        // The whole of the last day has passed.
        let Some(until) = now.checked_sub_signed(keep + TimeDelta::days(1)) else { return Ok(0) };
        let (blobs, limit) = (app.blobs.as_ref(), app.config.dependencies.timeout);
        let mut removed = 0;
        for day in days_until(app, until.date_naive()).await? {
            let bodies = blobs.list(Some(&day)).take(MOST - removed).try_collect::<Vec<_>>();
            for body in within(limit, bodies).await? {
                match within(limit, blobs.delete(&body.location)).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => removed += 1,
                    Err(error) => return Err(error),
                }
            }
            if removed >= MOST {
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
                break;
            }
        }
        Ok(removed)
    }
}

/// The folders of days that lie at or before a date, the oldest first.
async fn days_until(app: &App, until: NaiveDate) -> Result<Vec<Path>, object_store::Error> {
    let mut level = vec![Path::from(BODIES)];
    for _ in ["year", "month", "day"] {
        let mut below = Vec::new();
        for folder in &level {
            let listed = app.blobs.list_with_delimiter(Some(folder));
            below.extend(within(app.config.dependencies.timeout, listed).await?.common_prefixes);
        }
        // A year or month whose first day is too young holds nothing old.
        below.retain(|folder| first_day(folder).is_some_and(|day| day <= until));
        level = below;
    }
    level.sort_unstable();
    Ok(level)
}

/// `payloads/2026/11` begins on the first of November.
fn first_day(folder: &Path) -> Option<NaiveDate> {
    let mut parts = folder.parts().skip(1).map(|part| part.as_ref().parse::<u32>().ok());
    let year = i32::try_from(parts.next()??).ok()?;
    NaiveDate::from_ymd_opt(year, parts.next().unwrap_or(Some(1))?, parts.next().unwrap_or(Some(1))?)
}
