//! What the judge found.

use std::time::Duration;

use serde::Serialize;

use super::check::{Checked, Damage};
use crate::simulate::Latency;

/// One kind of damage: how often, and where to look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub count: u64,
    /// The first few.
    pub samples: Vec<String>,
}

/// Everything that was found. Only zeros mean that every promise was kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Verdict {
    /// Messages and calls of which at least one callback left.
    pub messages: u64,
    /// Events that acknowledged callbacks oblige the ledger to.
    pub owed: u64,
    /// Events in the ledger.
    pub found: u64,
    /// Of the events that are as they should be: from received at the door to applied, by the target's own clock.
    pub applied: Latency,
    /// Acknowledged, and not there.
    pub lost: Finding,
    /// There twice, or counted more often than it is there.
    pub applied_twice: Finding,
    /// There, though no callback said it.
    pub not_sent_by_us: Finding,
    /// There, with another meaning than it was sent with.
    pub events_wrong: Finding,
    /// The status does not follow from the events.
    pub statuses_wrong: Finding,
    #[serde(serialize_with = "seconds")]
    pub took: Duration,
}

/// Samples kept of each finding.
const SAMPLES: usize = 5;

impl Verdict {
    /// Whether nothing at all is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings().iter().all(|(_, finding)| finding.count == 0)
    }

    /// Every kind of damage with its name.
    pub fn findings(&self) -> [(&'static str, &Finding); 5] {
        [
            ("lost", &self.lost),
            ("applied twice", &self.applied_twice),
            ("not sent by us", &self.not_sent_by_us),
            ("events wrong", &self.events_wrong),
            ("statuses wrong", &self.statuses_wrong),
        ]
    }

    pub(super) fn add(&mut self, checked: Checked) {
        self.messages += checked.messages;
        self.owed += checked.owed;
        self.found += checked.found;
        for (damage, sample) in checked.damages {
            let finding = match damage {
                Damage::Lost => &mut self.lost,
                Damage::AppliedTwice => &mut self.applied_twice,
                Damage::NotSentByUs => &mut self.not_sent_by_us,
                Damage::EventWrong => &mut self.events_wrong,
                Damage::StatusWrong => &mut self.statuses_wrong,
            };
            finding.count += 1;
            if finding.samples.len() < SAMPLES {
                finding.samples.push(sample);
            }
        }
    }
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}
