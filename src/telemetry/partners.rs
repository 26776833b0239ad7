//! What each partner was sent: counters and latencies, added up over all instances as the vendors' are.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// Upper ends of the latency's classes in milliseconds; the last class has none.
const CLASSES: [u64; 20] =
    [2, 5, 10, 20, 35, 50, 75, 100, 150, 200, 300, 500, 750, 1_000, 1_500, 2_500, 5_000, 10_000, 20_000, 30_000];

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    Delivered,
    /// It is tried again.
    Failed,
    /// It failed for good.
    Parked,
}

/// The totals of one partner.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PartnerCounts {
    pub attempts: u64,
    pub delivered: u64,
    pub failed: u64,
    pub parked: u64,
    /// Answers by how long they took, in classes.
    pub latencies: Vec<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
}

/// The latest failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastError {
    pub at: Timestamp,
    pub error: String,
}

impl PartnerCounts {
    fn count(&mut self, sent: Sent, took: Duration, error: Option<LastError>) {
        self.attempts += 1;
        match sent {
            Sent::Delivered => self.delivered += 1,
            Sent::Failed => self.failed += 1,
            Sent::Parked => self.parked += 1,
        }
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let class = CLASSES.iter().position(|end| took <= *end).unwrap_or(CLASSES.len());
        self.latencies.resize(CLASSES.len() + 1, 0);
        self.latencies[class] += 1;
        if error.is_some() {
            self.last_error = error;
        }
    }

    /// Adds another instance's totals.
    pub fn add(&mut self, other: Self) {
        self.attempts += other.attempts;
        self.delivered += other.delivered;
        self.failed += other.failed;
        self.parked += other.parked;
        self.latencies.resize(self.latencies.len().max(other.latencies.len()), 0);
        for (total, count) in self.latencies.iter_mut().zip(other.latencies) {
            *total += count;
        }
        let at = |error: &Option<LastError>| error.as_ref().map(|error| error.at);
        if at(&other.last_error) > at(&self.last_error) {
            self.last_error = other.last_error;
        }
    }

    /// The share of attempts that were delivered; `None` before the first.
    pub fn success_rate(&self) -> Option<f64> {
        (self.attempts > 0).then(|| self.delivered as f64 / self.attempts as f64)
    }

    /// The upper end of the class in which this share (0 to 1) of all latencies lies, in milliseconds; the longest that an
    /// exchange may take where the class has none.
    pub fn latency_ms(&self, share: f64) -> Option<u64> {
        let wanted = (self.latencies.iter().sum::<u64>() as f64 * share).ceil() as u64;
        let mut seen = 0;
        let class = self.latencies.iter().position(|count| {
            seen += count;
            seen >= wanted && wanted > 0
        })?;
        CLASSES.get(class).or(CLASSES.last()).copied()
    }
}

/// The counters of one process.
#[derive(Debug, Default)]
pub(super) struct PartnerMeter(Mutex<BTreeMap<String, PartnerCounts>>);

impl PartnerMeter {
    pub fn count(&self, partner: &str, sent: Sent, took: Duration, error: Option<LastError>) {
        let mut partners = self.partners();
        if let Some(counts) = partners.get_mut(partner) {
            counts.count(sent, took, error);
        } else {
            partners.entry(partner.to_owned()).or_default().count(sent, took, error);
        }
    }

    pub fn read(&self) -> BTreeMap<String, PartnerCounts> {
        self.partners().clone()
    }

    fn partners(&self) -> MutexGuard<'_, BTreeMap<String, PartnerCounts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_at_the_ends_of_their_classes() {
        let mut counts = PartnerCounts::default();
        assert_eq!((counts.latency_ms(0.5), counts.success_rate()), (None, None));
        for took in [1, 3, 3, 40, 60_000] {
            counts.count(Sent::Delivered, Duration::from_millis(took), None);
        }
        let mut both = PartnerCounts::default();
        both.add(counts);
        assert_eq!([0.2, 0.5, 0.8, 1.0].map(|share| both.latency_ms(share).unwrap()), [2, 5, 50, 30_000]);
    }
}
