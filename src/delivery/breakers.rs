//! The breakers of all partners, shared through container `registry`, partition [`PARTITION`].
//!
//! Each process counts failures in a row by itself and writes only what changes: that a breaker opened, who probes, that it
//! closed. Every process looks at most every [`OLDEST`], so that all of them stop within seconds; a probe is claimed under
//! the document's etag, so that one of them probes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    breaker::{Breaker, FAILURES, Verdict},
    cached::Cached,
};
use crate::{
    clock::{SharedClock, Timestamp},
    documents::{
        CommitError, Container, Document, Documents, DocumentsError, Operation, Query, SharedDocuments, query_all,
    },
};

/// The partition of every breaker's document; the id is the partner's name.
pub const PARTITION: &str = "breakers";
const OLDEST: Duration = Duration::from_secs(1);
/// When a claim cannot be written: how long to wait before the next look.
const STORE_AWAY: Duration = Duration::from_secs(10);
/// Rounds against others who write the same document.
const ROUNDS: u32 = 5;

/// A breaker as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerRecord {
    pub id: String,
    pub key: String,
    #[serde(flatten)]
    pub breaker: Breaker,
    pub updated_at: Timestamp,
}

/// What a partner's attempt may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    Pass,
    /// This attempt is the probe; its result goes to [`Breakers::succeeded`] or [`Breakers::failed`] with this name.
    Probe(String),
    /// Come back at this time.
    Wait(Timestamp),
}

impl Admission {
    fn prober(&self) -> Option<&str> {
        match self {
            Admission::Probe(by) => Some(by),
            Admission::Pass | Admission::Wait(_) => None,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Streak {
    failures: u32,
    since: Timestamp,
}

/// The breakers.
#[derive(Debug)]
pub struct Breakers {
    documents: SharedDocuments,
    clock: SharedClock,
    cached: Cached<BTreeMap<String, BreakerRecord>>,
    /// Failures in a row, in this process, of partners whose breaker is closed.
    streaks: Mutex<HashMap<String, Streak>>,
}

impl Breakers {
    pub fn new(documents: SharedDocuments, clock: SharedClock) -> Self {
        Self { documents, clock, cached: Cached::new(OLDEST), streaks: Mutex::default() }
    }

    /// All breakers that ever opened, by partner.
    ///
    /// # Errors
    /// The store does not answer, and this process never had a copy.
    pub async fn current(&self) -> Result<Arc<BTreeMap<String, BreakerRecord>>, DocumentsError> {
        self.cached.get(read(self.documents.as_ref())).await
    }

    /// Until when nothing can be sent, as far as this process knows; claims nothing.
    pub async fn waits_until(&self, partner: &str) -> Option<Timestamp> {
        let current = self.current().await.ok()?;
        match current.get(partner)?.breaker.ask(self.clock.now()) {
            Verdict::Wait(until) => Some(until),
            Verdict::Pass | Verdict::Probe => None,
        }
    }

    /// What an attempt may do now. Whoever is let through as a probe has until `patience` from now.
    pub async fn admit(&self, partner: &str, patience: Duration) -> Admission {
        let now = self.clock.now();
        // Without the registry the endpoint is innocent: a breaker protects, it does not decide what is kept.
        let Ok(current) = self.current().await else { return Admission::Pass };
        match current.get(partner).map_or(Verdict::Pass, |record| record.breaker.ask(now)) {
            Verdict::Pass => Admission::Pass,
            Verdict::Wait(until) => Admission::Wait(until),
            Verdict::Probe => self.claim(partner, now, patience).await,
        }
    }

    async fn claim(&self, partner: &str, now: Timestamp, patience: Duration) -> Admission {
        let by = uuid::Uuid::now_v7().to_string();
        let mut admission = Admission::Pass;
        let written = self.change(partner, |breaker| {
            // Our own claim, whose answer was lost.
            let claimed = breaker.probed_by(&by);
            admission = match breaker.ask(now) {
                Verdict::Pass => Admission::Pass,
                Verdict::Wait(until) if !claimed => Admission::Wait(until),
                Verdict::Wait(_) | Verdict::Probe => Admission::Probe(by.clone()),
            };
            (!claimed && matches!(admission, Admission::Probe(_))).then(|| breaker.claim(&by, now + patience))
        });
        match written.await {
            Ok(_) => admission,
            Err(error) => {
                tracing::warn!(partner, %error, "no probe: it cannot be written down who probes");
                Admission::Wait(now + STORE_AWAY)
            }
        }
    }

    /// The endpoint answered.
    pub async fn succeeded(&self, partner: &str, admission: &Admission) {
        self.streaks().remove(partner);
        let Some(by) = admission.prober() else { return };
        let closed = self.change(partner, |breaker| breaker.probed_by(by).then(Breaker::default)).await;
        match closed {
            Ok(true) => tracing::info!(partner, "the endpoint answers again: its breaker is closed"),
            Ok(false) => {}
            // The claim runs out, and another probe follows.
            Err(error) => tracing::warn!(partner, %error, "a breaker could not be closed"),
        }
    }

    /// The endpoint failed. Returns since when it has done nothing else, once its breaker has opened.
    pub async fn failed(&self, partner: &str, admission: &Admission) -> Option<Timestamp> {
        let now = self.clock.now();
        let since = match admission.prober() {
            Some(_) => now,
            None => {
                let mut streaks = self.streaks();
                let streak = streaks.entry(partner.to_owned()).or_insert(Streak { failures: 0, since: now });
                streak.failures += 1;
                if streak.failures < FAILURES {
                    return None;
                }
                let since = streak.since;
                streaks.remove(partner);
                since
            }
        };
        let mut failing_since = None;
        let opened = self.change(partner, |breaker| {
            let ours = admission.prober().map_or(!breaker.is_open(), |by| breaker.probed_by(by));
            let opened = breaker.opened(since, now);
            failing_since = if ours { opened.failing_since } else { breaker.failing_since };
            ours.then_some(opened)
        });
        match opened.await {
            Ok(true) if admission.prober().is_none() => {
                tracing::warn!(partner, "the endpoint fails: nothing is sent until a probe succeeds");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(partner, %error, "a breaker could not be opened"),
        }
        failing_since
    }

    /// Closes a breaker, because a person knows better: the endpoint was changed, or enabled again.
    ///
    /// # Errors
    /// The store failed.
    pub async fn reset(&self, partner: &str) -> Result<(), DocumentsError> {
        self.streaks().remove(partner);
        self.change(partner, |breaker| breaker.is_open().then(Breaker::default)).await?;
        Ok(())
    }

    /// Writes what `next` makes of the breaker; `false` when it wants no change. `next` may be asked more than once.
    async fn change(
        &self,
        partner: &str,
        mut next: impl FnMut(&Breaker) -> Option<Breaker> + Send,
    ) -> Result<bool, DocumentsError> {
        for _ in 0..ROUNDS {
            let found = self.documents.read(Container::Registry, PARTITION, partner).await?;
            let known = found.as_ref().map(Document::parse::<BreakerRecord>).transpose()?;
            let Some(breaker) = next(&known.map(|record| record.breaker).unwrap_or_default()) else {
                return Ok(false);
            };
            let (id, key) = (partner.to_owned(), PARTITION.to_owned());
            let record = BreakerRecord { id, key, breaker, updated_at: self.clock.now() };
            let write = match found {
                Some(document) => Operation::replace(partner, &record, document.etag),
                None => Operation::create(partner, &record),
            };
            match self.documents.commit(Container::Registry, PARTITION, vec![write]).await {
                Ok(_) => {
                    self.cached.expire();
                    return Ok(true);
                }
                // Somebody else was faster; or this was our own write, whose answer was lost: `next` sees which.
                Err(CommitError::Conflict { .. } | CommitError::PreconditionFailed { .. }) => {}
                Err(CommitError::Unavailable(problem)) => return Err(DocumentsError::Unavailable(problem)),
                Err(CommitError::Refused(problem)) => return Err(DocumentsError::Refused(problem)),
            }
        }
        Err(DocumentsError::Unavailable("others keep changing it".into()))
    }

    fn streaks(&self) -> MutexGuard<'_, HashMap<String, Streak>> {
        self.streaks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads all breakers that ever opened, by partner.
///
/// # Errors
/// The store failed.
pub async fn read(documents: &dyn Documents) -> Result<BTreeMap<String, BreakerRecord>, DocumentsError> {
    let found = query_all(documents, Container::Registry, Query::partition(PARTITION)).await?;
    let mut breakers = BTreeMap::new();
    for document in found {
        match document.parse::<BreakerRecord>() {
            Ok(record) => {
                breakers.insert(document.id, record);
            }
            // As if it were closed: what is sent then is tried again, should it fail.
            Err(error) => tracing::error!(%error, "a breaker cannot be read"),
        }
    }
    Ok(breakers)
}
