//! A look at what all instances share: how much waits, and where. It asks the store, so it is made seldom.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::meter::read_counts;
use crate::{
    clock::{SharedClock, millis},
    delivery::{Breakers, breaker::Verdict},
    documents::{Comparison, Container, DocumentsError, Query, SharedDocuments},
};

/// Over how long the retry-storm ratio is taken, at least.
const STORM_WINDOW: Duration = Duration::from_secs(300);
/// Fewer callbacks than this say nothing of a storm.
const STORM_AT_LEAST: u64 = 20;
/// An older look is none: better no number than one that is no longer true.
const STALE_AFTER: Duration = Duration::from_secs(300);

/// What was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Survey {
    /// The subscriptions; empty where the broker tells that by itself, as Service Bus does.
    pub queues: Vec<Queue>,
    pub retries: u64,
    /// By class.
    pub retries_due: BTreeMap<&'static str, u64>,
    pub parked: u64,
    pub spool: u64,
    /// Of each partner whose breaker ever opened, whether it is open.
    pub breakers: BTreeMap<String, bool>,
    /// Acknowledged against new, of each vendor that sends enough.
    pub storms: BTreeMap<String, f64>,
}

/// A subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queue {
    /// `topic/subscription`
    pub subscription: String,
    pub active: u64,
    pub locked: u64,
    pub scheduled: u64,
    pub dead_letters: u64,
    /// How long the oldest has waited; zero where nothing waits.
    pub oldest: Duration,
}

/// Makes surveys, and keeps the last one.
#[derive(Debug)]
pub struct Surveyor {
    documents: SharedDocuments,
    breakers: Arc<Breakers>,
    clock: SharedClock,
    last: Mutex<Last>,
}

/// Of each vendor.
type Totals = BTreeMap<String, (u64, u64)>;

#[derive(Debug, Default)]
struct Last {
    survey: Option<(Instant, Arc<Survey>)>,
    /// Acknowledged and new callbacks of each vendor at two former looks, the older one first.
    totals: Vec<(Instant, Totals)>,
}

impl Surveyor {
    pub fn new(documents: SharedDocuments, breakers: Arc<Breakers>, clock: SharedClock) -> Self {
        Self { documents, breakers, clock, last: Mutex::default() }
    }

    /// The last survey, unless it is too old to be believed.
    pub fn last(&self) -> Option<Arc<Survey>> {
        let last = self.lock();
        last.survey.as_ref().filter(|(when, _)| when.elapsed() < STALE_AFTER).map(|(_, survey)| Arc::clone(survey))
    }

    /// Whether the last survey is older than this.
    pub fn is_due(&self, after: Duration) -> bool {
        self.lock().survey.as_ref().is_none_or(|(when, _)| when.elapsed() >= after)
    }

    /// Looks now. `queues` is what the caller knows of the subscriptions.
    ///
    /// # Errors
    /// The store failed: the last survey stays.
    pub async fn look(&self, queues: Vec<Queue>) -> Result<Arc<Survey>, DocumentsError> {
        let documents = self.documents.as_ref();
        let now = self.clock.now();
        let due = Query::all().filter("due_at", Comparison::LessOrEqual, millis::text(now));
        let mut survey = Survey {
            queues,
            retries: documents.count(Container::Retries, &Query::all()).await?,
            parked: documents.count(Container::Parked, &Query::all()).await?,
            spool: documents.count(Container::Spool, &Query::all()).await?,
            ..Survey::default()
        };
        for class in ["transient", "permanent"] {
            let due = due.clone().filter("class", Comparison::Equal, class);
            survey.retries_due.insert(class, documents.count(Container::Retries, &due).await?);
        }
        for (partner, record) in self.breakers.current().await?.iter() {
            survey.breakers.insert(partner.clone(), record.breaker.ask(now) != Verdict::Pass);
        }
        let counts = read_counts(documents).await?;
        let totals = counts.into_iter().map(|(vendor, counts)| (vendor, (counts.inbound, counts.unique_callbacks)));
        let mut last = self.lock();
        survey.storms = last.storms(Instant::now(), totals.collect());
        let survey = Arc::new(survey);
        last.survey = Some((Instant::now(), Arc::clone(&survey)));
        Ok(survey)
    }

    fn lock(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Last {
    /// The ratios since the older of the former looks, which is one to two windows ago.
    fn storms(&mut self, now: Instant, totals: BTreeMap<String, (u64, u64)>) -> BTreeMap<String, f64> {
        let before = self.totals.first().map(|(_, before)| before);
        let ratio = |(vendor, (inbound, unique)): (&String, &(u64, u64))| {
            let (inbound_before, unique_before) = before?.get(vendor).copied().unwrap_or_default();
            // An instance's totals are forgotten after a month: then these shrink.
            let (inbound, unique) = (inbound.checked_sub(inbound_before)?, unique.checked_sub(unique_before)?);
            (inbound >= STORM_AT_LEAST && unique > 0).then(|| (vendor.clone(), inbound as f64 / unique as f64))
        };
        let ratios = totals.iter().filter_map(ratio).collect();
        if self.totals.last().is_none_or(|(when, _)| now.duration_since(*when) >= STORM_WINDOW) {
            self.totals.push((now, totals));
        }
        if self.totals.len() > 2 {
            self.totals.remove(0);
        }
        ratios
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_storm_is_told_of_the_last_minutes_and_forgotten_after_them() {
        let (mut last, start) = (Last::default(), Instant::now());
        let mut look = |minute: u64, inbound: u64, unique: u64| {
            let totals = BTreeMap::from([("twilio".to_owned(), (inbound, unique))]);
            last.storms(start + Duration::from_secs(60 * minute), totals).get("twilio").copied()
        };
        assert_eq!(look(0, 1_000, 1_000), None, "nothing to compare with");
        assert_eq!(look(1, 1_010, 1_002), None, "too few");
        assert_eq!(look(3, 1_300, 1_100), Some(3.0));
        assert_eq!(look(6, 1_300, 1_100), Some(3.0));
        assert_eq!(look(12, 1_300, 1_100), Some(3.0));
        assert_eq!(look(18, 1_400, 1_200), Some(1.0), "a quarter of an hour later");
    }
}
