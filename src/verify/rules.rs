//! What is looked at, and what is too young to be judged.

use std::time::Duration;

use crate::{
    clock::Timestamp,
    config::{self, Keep},
};

/// The sweep comes every few seconds: what it has not brought back by now, long after it was due, it does not bring back.
const SWEPT_WITHIN: Duration = Duration::from_secs(60);

/// Documents of one message expire at about the same time.
const EXPIRES_WITHIN: Duration = Duration::from_secs(3600);

/// What to check, and by which clock.
#[derive(Debug, Clone)]
pub struct CheckOptions {
    /// By the clock that the system stamps its records with.
    pub now: Timestamp,
    /// Only messages that were changed since then. What waits (retries, parked, spool, leases) is always looked at.
    pub since: Option<Timestamp>,
    /// What changed more recently than this is in flight, and not judged. For so long, too, a delivery that is nowhere
    /// to be found is looked for again: its message may be on the bus.
    pub settle: Duration,
    /// Messages looked at more closely at a time.
    pub concurrency: usize,
    /// How long delivery records are kept (`[delivery] keep_records`): older ones are not missed.
    pub keep_records: Duration,
    /// How long the ledger is kept (`[retention] ledger`): of a message that is older, events may be gone.
    pub keep_ledger: Keep,
}

impl CheckOptions {
    /// Everything, with two minutes to settle.
    pub fn new(now: Timestamp) -> Self {
        Self {
            now,
            since: None,
            settle: Duration::from_secs(120),
            concurrency: 16,
            keep_records: config::Delivery::default().keep_records,
            keep_ledger: Keep::Forever,
        }
    }

    pub(super) fn rules(&self) -> Rules {
        // A span that reaches beyond the calendar settles everything, or nothing.
        let before = |span: Duration| {
            let span = chrono::TimeDelta::from_std(span).unwrap_or(chrono::TimeDelta::MAX);
            self.now.checked_sub_signed(span).unwrap_or(Timestamp::MIN_UTC)
        };
        Rules {
            settled_until: before(self.settle),
            overdue_until: before(self.settle.saturating_add(SWEPT_WITHIN)),
            remembered_since: before(self.keep_records),
            // Times to live are counted in seconds, and by the store's own clock.
            complete_since: self
                .keep_ledger
                .ttl()
                .map_or(Timestamp::MIN_UTC, |keep| before(keep.saturating_sub(EXPIRES_WITHIN))),
        }
    }
}

/// The options as moments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    settled_until: Timestamp,
    overdue_until: Timestamp,
    remembered_since: Timestamp,
    complete_since: Timestamp,
}

impl Rules {
    /// Whether what happened then has had its time.
    pub fn has_settled(&self, at: Timestamp) -> bool {
        at <= self.settled_until
    }

    /// Whether what was due then should long have been done.
    pub fn is_overdue(&self, due_at: Timestamp) -> bool {
        due_at < self.overdue_until
    }

    /// Whether everything that happened then or later is still there.
    pub fn is_complete(&self, since: Timestamp) -> bool {
        since > self.complete_since
    }

    /// Whether what became of an event that was applied then must still be known. Its delivery was recorded later.
    pub fn is_remembered(&self, applied_at: Timestamp) -> bool {
        applied_at > self.remembered_since
    }
}
