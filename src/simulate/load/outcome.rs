//! What came of a run.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hdrhistogram::Histogram;

use super::Obligations;
use crate::simulate::Latency;

/// How far a run is, for whoever watches it.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    acked: AtomicU64,
}

impl Progress {
    pub(super) fn count(&self, acked: bool) {
        self.done.fetch_add(1, Ordering::Relaxed);
        self.acked.fetch_add(u64::from(acked), Ordering::Relaxed);
    }

    /// Requests that ended, well or not.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Requests that ended with a 2xx.
    pub fn acked(&self) -> u64 {
        self.acked.load(Ordering::Relaxed)
    }
}

/// What came of a run. `sent` is `acked`, `refused` and `failed` together.
#[derive(Debug)]
pub struct Outcome {
    /// Requests in the plan, repeats included.
    pub planned: u64,
    pub sent: u64,
    pub acked: u64,
    /// Requests whose last answer was no 2xx, by status.
    pub refused: BTreeMap<u16, u64>,
    /// Requests whose last attempt had no whole answer, by reason.
    pub failed: BTreeMap<&'static str, u64>,
    /// Attempts after the first.
    pub retried: u64,
    /// Of the attempts with a 2xx: microseconds until the answer was read.
    pub latency: Histogram<u64>,
    pub elapsed: Duration,
    /// How long the target refused connections.
    pub paused: Duration,
    /// It refused for longer than there was patience for.
    pub gave_up: bool,
    /// Somebody asked to stop.
    pub stopped: bool,
    pub obligations: Arc<Obligations>,
}

impl Default for Outcome {
    fn default() -> Self {
        Self {
            planned: 0,
            sent: 0,
            acked: 0,
            refused: BTreeMap::new(),
            failed: BTreeMap::new(),
            retried: 0,
            latency: Latency::histogram(),
            elapsed: Duration::ZERO,
            paused: Duration::ZERO,
            gave_up: false,
            stopped: false,
            obligations: Arc::default(),
        }
    }
}

impl Outcome {
    /// Requests acknowledged per second of the time in which the target could be reached.
    pub fn rate(&self) -> f64 {
        let seconds = self.elapsed.saturating_sub(self.paused).as_secs_f64();
        if seconds > 0.0 { self.acked as f64 / seconds } else { 0.0 }
    }

    pub(super) fn record(&mut self, latency: Duration) {
        Latency::note(&mut self.latency, latency);
    }

    /// Adds what one connection did.
    pub(super) fn add(&mut self, other: Outcome) {
        self.sent += other.sent;
        self.acked += other.acked;
        self.retried += other.retried;
        for (status, count) in other.refused {
            *self.refused.entry(status).or_default() += count;
        }
        for (reason, count) in other.failed {
            *self.failed.entry(reason).or_default() += count;
        }
        let _ = self.latency.add(&other.latency);
    }
}
