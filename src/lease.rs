//! Leases: of several instances, one works on a thing at a time.
//!
//! A lease is a document in container `registry`, partition `leases`, taken, renewed and given back under its etag. No
//! instance trusts another's clock, and none needs its own to be right. A holder counts its time from the moment before
//! it wrote, by its own steady clock. Whoever wants the lease of a dead holder watches it: only when the etag has stayed
//! the same for longer than the lease lasts, by the watcher's own steady clock, is it free. The watcher starts later than
//! the holder, and waits longer, so a lease never has two holders.
//!
//! A holder must not begin what it may not finish in time: see [`Lease::lasts`]. What no lease can prevent is a holder
//! that is frozen (a suspended machine) between that look and its work; the work's own etags are the net below.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    clock::{SharedClock, Timestamp, millis},
    documents::{
        Action, CommitError, Container, Document, Documents, DocumentsError, Etag, Operation, Query, SharedDocuments,
        query_all,
    },
};

/// The partition of all leases.
const PARTITION: &str = "leases";
const ID_PREFIX: &str = "lease:";
/// Lease documents of which nobody hears any more are removed by the store, where it can.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Why it is not known whether a lease is held. The caller must act as if it were not.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LeaseError {
    #[error("a lease cannot be read: {0}")]
    Read(#[from] DocumentsError),
    #[error("a lease cannot be written: {0}")]
    Write(#[from] CommitError),
}

/// The document.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    id: String,
    owner: Uuid,
    /// For people: leases do not go by it.
    #[serde(with = "millis")]
    renewed_at: Timestamp,
    /// How long it lasts from then on.
    duration_ms: u64,
}

/// A lease as it stands in the store, whoever looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The name that it was taken by.
    pub name: String,
    pub renewed_at: Timestamp,
    /// How long it lasts from then on, unless it is renewed again.
    pub lasts: Duration,
}

/// Every lease that somebody holds, or held when he died. What cannot be read is passed over.
///
/// # Errors
/// The store failed.
pub async fn standing(documents: &dyn Documents) -> Result<Vec<Standing>, DocumentsError> {
    let found = query_all(documents, Container::Registry, Query::partition(PARTITION)).await?;
    let read = |document: Document| {
        let record = document.parse::<Record>().ok()?;
        let name = record.id.strip_prefix(ID_PREFIX)?.to_owned();
        Some(Standing { name, renewed_at: record.renewed_at, lasts: Duration::from_millis(record.duration_ms) })
    };
    Ok(found.into_iter().filter_map(read).collect())
}

/// A lease of somebody else, as it was when it was first seen so.
#[derive(Debug)]
struct Watched {
    etag: Etag,
    since: Instant,
}

/// Takes leases. Clones share what they have seen, which must be kept between two attempts.
#[derive(Debug, Clone)]
pub struct Leases {
    documents: SharedDocuments,
    clock: SharedClock,
    duration: Duration,
    watched: Arc<Mutex<HashMap<String, Watched>>>,
}

impl Leases {
    /// Leases that last so long unless they are renewed.
    pub fn new(documents: SharedDocuments, clock: SharedClock, duration: Duration) -> Self {
        Self { documents, clock, duration, watched: Arc::default() }
    }

    /// Takes the lease of this name; `None` while somebody else may hold it. A dead holder's lease is free once it has been
    /// asked for twice, more than a lease's duration (and a quarter of it, for clocks that run slow) apart.
    ///
    /// # Errors
    /// The store failed. The lease may have been taken: it then runs out like a dead holder's.
    pub async fn take(&self, name: &str) -> Result<Option<Lease>, LeaseError> {
        let id = format!("{ID_PREFIX}{name}");
        let found = self.documents.read(Container::Registry, PARTITION, &id).await?;
        match &found {
            Some(document) if !self.is_dead(&id, document) => return Ok(None),
            Some(_) => tracing::warn!(lease = name, "its holder has not renewed it in time: it is taken over"),
            None => {}
        }
        self.watched().remove(&id);

        let mut lease =
            Lease { leases: self.clone(), id, owner: Uuid::now_v7(), etag: unknown(), until: Instant::now() };
        let taken = lease.write(found.map(|document| document.etag)).await?;
        Ok(taken.then_some(lease))
    }

    /// Frees every lease there is. Only for a store that this process alone has just opened: whoever held them is gone.
    ///
    /// # Errors
    /// The store failed; the leases that are left run out.
    pub async fn free_all(&self) -> Result<(), LeaseError> {
        let documents = self.documents.as_ref();
        for document in query_all(documents, Container::Registry, Query::partition(PARTITION)).await? {
            documents.commit(Container::Registry, PARTITION, vec![Operation::delete(document.id)]).await?;
        }
        Ok(())
    }

    /// Whether a lease has not been renewed for longer than it lasts. A document that cannot be read is watched like one
    /// of ours.
    fn is_dead(&self, id: &str, found: &Document) -> bool {
        let lasts = match found.parse::<Record>() {
            Ok(record) => Duration::from_millis(record.duration_ms),
            Err(_) => self.duration,
        };
        let mut watched = self.watched();
        match watched.get(id) {
            Some(watched) if watched.etag == found.etag => watched.since.elapsed() > lasts.saturating_add(lasts / 4),
            _ => {
                watched.insert(id.to_owned(), Watched { etag: found.etag.clone(), since: Instant::now() });
                false
            }
        }
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<String, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lease that is held. Dropped without [`Lease::release`] it runs out.
#[derive(Debug)]
#[must_use = "a lease that is not released keeps everybody waiting until it runs out"]
pub struct Lease {
    leases: Leases,
    id: String,
    owner: Uuid,
    etag: Etag,
    until: Instant,
}

impl Lease {
    /// Whether the lease is held for so long from now on.
    pub fn lasts(&self, time: Duration) -> bool {
        self.until.checked_duration_since(Instant::now()).is_some_and(|left| left >= time)
    }

    /// Renews the lease, also one that has run out and that nobody has taken. `false`: somebody has, and what it protects
    /// must not be touched any more.
    ///
    /// # Errors
    /// The store failed. The lease lasts as long as it did before.
    pub async fn renew(&mut self) -> Result<bool, LeaseError> {
        if self.write(Some(self.etag.clone())).await? {
            return Ok(true);
        }
        // An earlier renewal without an answer may have happened: then the document is ours, under another etag.
        let found = self.leases.documents.read(Container::Registry, PARTITION, &self.id).await?;
        let ours = found.filter(|document| document.parse::<Record>().is_ok_and(|record| record.owner == self.owner));
        let renewed = match ours {
            Some(document) => self.write(Some(document.etag)).await?,
            None => false,
        };
        if !renewed {
            self.until = Instant::now();
        }
        Ok(renewed)
    }

    /// Gives the lease back. Where that fails it runs out.
    pub async fn release(self) {
        let delete = Operation { id: self.id, action: Action::Delete { if_match: Some(self.etag) } };
        if let Err(error) = self.leases.documents.commit(Container::Registry, PARTITION, vec![delete]).await {
            tracing::debug!(%error, "a lease is not given back: it runs out");
        }
    }

    /// Writes the document, unless it is not what is expected: `None` means that there is none.
    async fn write(&mut self, expected: Option<Etag>) -> Result<bool, CommitError> {
        let Leases { documents, clock, duration, .. } = &self.leases;
        let record = Record {
            id: self.id.clone(),
            owner: self.owner,
            renewed_at: clock.now(),
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        };
        let write = match expected {
            None => Operation::create(self.id.clone(), &record),
            Some(etag) => Operation::replace(self.id.clone(), &record, etag),
        };
        let write = write.with_ttl(FORGOTTEN_AFTER.max(*duration * 2));
        // Whoever watches begins to count when this write can be seen, which is later.
        let sent = Instant::now();
        match documents.commit(Container::Registry, PARTITION, vec![write]).await {
            Ok(etags) => {
                // Without an etag the next renewal reads it back.
                self.etag = etags.into_iter().next().flatten().unwrap_or_else(unknown);
                self.until = sent + *duration;
                Ok(true)
            }
            Err(CommitError::Conflict { .. } | CommitError::PreconditionFailed { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// An etag that no document has. An empty one might count as none.
fn unknown() -> Etag {
    Etag("\"unknown\"".into())
}
