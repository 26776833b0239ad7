//! Who was erased, for those that process: what waited or was under way in the meantime must not bring a person back.
//!
//! An erasure stands for as long as a callback can be on its way ([`stands_for`]). Events of callbacks that were received
//! before it are applied without the person; later ones are new, and as they are.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::erasure::{Erasure, MARK_ID, PARTITION, PREFIX};
use crate::{
    clock::Timestamp,
    config::Config,
    delivery::cached::Cached,
    documents::{Container, DocumentsError, Etag, Query, SharedDocuments, query_all},
    event::Event,
    person::Person,
    telemetry::Tokens,
};

/// An erasure is known to every process within this time, as long as the store answers.
pub(super) const OLDEST: Duration = Duration::from_secs(2);
/// For what is replayed, or comes out of the spool after an outage.
const MARGIN: Duration = Duration::from_secs(14 * 24 * 3600);

/// How long a callback may be on its way: in the broker, among the retries, and a while for people.
pub fn stands_for(config: &Config) -> Duration {
    let retries: Duration = config.retry.schedule.iter().map(|wait| **wait).sum();
    config.bus.time_to_live.saturating_add(retries).saturating_add(MARGIN)
}

/// The erasures that stand.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// When, by the person's token.
    erased_at: HashMap<String, Timestamp>,
}

impl Snapshot {
    /// Takes whoever was erased since the callback was received out of its event.
    pub fn forget(&self, event: &mut Event, received_at: Timestamp, tokens: &Tokens) {
        if self.erased_at.is_empty() {
            return;
        }
        let people = [&event.recipient, &event.sender].into_iter().flatten();
        for person in people.filter_map(|address| Person::parse(address)).collect::<Vec<_>>() {
            if self.erased_at.get(&person.token(tokens)).is_some_and(|erased_at| received_at <= *erased_at) {
                event.forget(&person, tokens);
            }
        }
    }
}

/// A copy of the standing erasures that is at most [`OLDEST`] old when it is used.
#[derive(Debug)]
pub struct Erasures {
    documents: SharedDocuments,
    cached: Cached<Arc<Snapshot>>,
    /// As of this version of the mark: without a new erasure, a look costs one small read.
    read: Mutex<Option<(Option<Etag>, Arc<Snapshot>)>>,
}

impl Erasures {
    pub fn new(documents: SharedDocuments) -> Self {
        Self { documents, cached: Cached::new(OLDEST), read: Mutex::default() }
    }

    /// All that stand now, or that stood when the store last answered.
    ///
    /// # Errors
    /// The store does not answer, and this process never had a copy: try again later.
    pub async fn current(&self) -> Result<Arc<Snapshot>, DocumentsError> {
        Ok(Arc::clone(&*self.cached.get(self.read()).await?))
    }

    /// Lets this process look again at once.
    pub fn expire(&self) {
        self.cached.expire();
    }

    async fn read(&self) -> Result<Arc<Snapshot>, DocumentsError> {
        let documents = self.documents.as_ref();
        let mark = documents.read(Container::Registry, PARTITION, MARK_ID).await?.map(|mark| mark.etag);
        {
            let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, snapshot)) = read.as_ref().filter(|(known, _)| *known == mark) {
                return Ok(Arc::clone(snapshot));
            }
        }
        let mut snapshot = Snapshot::default();
        let all = Query::partition(PARTITION).id_prefix(PREFIX);
        for document in query_all(documents, Container::Registry, all).await? {
            match document.parse::<Erasure>() {
                Ok(Erasure { token, at, .. }) => drop(snapshot.erased_at.insert(token, at)),
                // One that a later version wrote must not stop everybody's work.
                Err(error) => tracing::error!(%error, "an erasure cannot be read and is passed over"),
            }
        }
        let snapshot = Arc::new(snapshot);
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some((mark, Arc::clone(&snapshot)));
        Ok(snapshot)
    }
}
