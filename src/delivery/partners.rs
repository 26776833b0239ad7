//! The partners as every process sees them: a copy of the registry that is at most [`OLDEST`] old when it is used.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{
    cached::Cached,
    partner::{PARTITION, Partner},
};
use crate::{
    documents::{Container, Documents, DocumentsError, Query, SharedDocuments, query_all},
    event::Event,
    ledger::records::Destination,
};

/// A change of a partner reaches every process within this time, as long as the store answers.
const OLDEST: Duration = Duration::from_secs(2);

/// All partners at one time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    partners: BTreeMap<String, Arc<Partner>>,
    /// Documents that this version of the program cannot read.
    unreadable: BTreeSet<String>,
}

/// A partner, as far as a process can tell.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    Partner(Arc<Partner>),
    /// There is one of this name, and this version of the program cannot read it: wait for a person, or for another one.
    Unreadable,
    /// There is none of this name.
    No,
}

impl Snapshot {
    /// Whom an event is owed to.
    pub fn destinations(&self, event: &Event) -> impl Iterator<Item = Destination> {
        let wanting = self.partners.values().filter(|partner| partner.wants(event)).map(|partner| partner.name());
        // Its filters are not known: a delivery that waits can be looked at, an event that was never owed is lost.
        wanting.chain(self.unreadable.iter().map(String::as_str)).map(|name| Destination::Partner(name.to_owned()))
    }

    /// Every partner that can be read, by name.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Partner>> {
        self.partners.values()
    }

    pub fn get(&self, name: &str) -> Known {
        match self.partners.get(name) {
            Some(partner) => Known::Partner(Arc::clone(partner)),
            None if self.unreadable.contains(name) => Known::Unreadable,
            None => Known::No,
        }
    }
}

/// The cache.
#[derive(Debug)]
pub struct Partners {
    documents: SharedDocuments,
    cached: Cached<Snapshot>,
}

impl Partners {
    pub fn new(documents: SharedDocuments) -> Self {
        Self { documents, cached: Cached::new(OLDEST) }
    }

    /// All partners now, or as they were when the store last answered.
    ///
    /// # Errors
    /// The store does not answer, and this process never had a copy: try again later.
    pub async fn current(&self) -> Result<Arc<Snapshot>, DocumentsError> {
        self.cached.get(read(self.documents.as_ref())).await
    }

    /// One partner; one that the copy does not have is looked for in the store, since it may be new.
    ///
    /// # Errors
    /// As [`current`](Self::current), or a new one could not be looked for.
    pub async fn find(&self, name: &str) -> Result<Known, DocumentsError> {
        match self.current().await?.get(name) {
            Known::No => Ok(match self.documents.read(Container::Registry, PARTITION, name).await? {
                None => Known::No,
                Some(document) => document.parse().map_or(Known::Unreadable, |found| Known::Partner(Arc::new(found))),
            }),
            known => Ok(known),
        }
    }

    /// Takes notice of a change that this process made.
    pub fn changed(&self) {
        self.cached.expire();
    }
}

/// Reads all partners.
///
/// # Errors
/// The store failed.
pub async fn read(documents: &dyn Documents) -> Result<Snapshot, DocumentsError> {
    let mut snapshot = Snapshot::default();
    for document in query_all(documents, Container::Registry, Query::partition(PARTITION)).await? {
        match document.parse::<Partner>() {
            Ok(partner) => {
                snapshot.partners.insert(document.id, Arc::new(partner));
            }
            Err(error) => {
                tracing::error!(%error, "a partner cannot be read: its deliveries wait");
                snapshot.unreadable.insert(document.id);
            }
        }
    }
    Ok(snapshot)
}
