//! An erasure's document: in container `registry`, one for each person, named by the token. No address is in it.

use std::{collections::BTreeMap, time::Duration};

use chrono::SubsecRound;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::{Timestamp, millis};

/// The partition of all erasures.
pub const PARTITION: &str = "erasures";
/// Ids of erasures start so; the token follows.
pub const PREFIX: &str = "erasure:";
/// Changes with each new erasure, so that processes see it with one small read.
pub const MARK_ID: &str = "latest";

/// Passes in a row that must find nothing: work moves from place to place while a pass goes on.
const CLEAN_PASSES: u32 = 2;
/// After so many the person's data keeps coming, or somebody keeps holding it.
const MOST_PASSES: u32 = 10;

/// Where data is kept, in the order in which it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "ErasurePlace")]
pub enum Place {
    /// The embedded broker's messages, in whatever state. Those of Service Bus cannot be changed.
    Bus,
    /// Service Bus's dead letters.
    DeadLetters,
    Spool,
    Retries,
    Parked,
    Ledger,
    Deliveries,
    Consent,
    Registry,
    Blobs,
    /// Free pages and logs of the embedded stores' files.
    Files,
}

impl Place {
    /// Every place, in order.
    pub const ALL: [Place; 11] = [
        Place::Bus,
        Place::DeadLetters,
        Place::Spool,
        Place::Retries,
        Place::Parked,
        Place::Ledger,
        Place::Deliveries,
        Place::Consent,
        Place::Registry,
        Place::Blobs,
        Place::Files,
    ];

    /// As it stands in reports.
    pub fn name(self) -> &'static str {
        match self {
            Place::Bus => "bus",
            Place::DeadLetters => "dead-letters",
            Place::Spool => "spool",
            Place::Retries => "retries",
            Place::Parked => "parked",
            Place::Ledger => "ledger",
            Place::Deliveries => "deliveries",
            Place::Consent => "consent",
            Place::Registry => "registry",
            Place::Blobs => "blobs",
            Place::Files => "files",
        }
    }

    /// The next one; `None` behind the last.
    pub fn next(self) -> Option<Place> {
        Self::ALL.into_iter().find(|place| *place > self)
    }
}

/// What became of what was found in a place. Looking again counts nothing twice but `looked_at`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ErasureCounts")]
pub struct Counts {
    /// Records, messages or blobs.
    pub looked_at: u64,
    /// They name a token now.
    pub tokenised: u64,
    pub removed: u64,
    /// Opt-outs, which stay.
    pub kept: u64,
    /// The person is still in them: the settings of partners, which only people change (`sluice partners update`).
    pub left: u64,
}

impl Counts {
    /// Whether the person was found.
    pub fn found(&self) -> bool {
        self.tokenised + self.removed + self.left > 0
    }

    /// Adds what another page came to.
    pub fn add(&mut self, other: Self) {
        self.looked_at += other.looked_at;
        self.tokenised += other.tokenised;
        self.removed += other.removed;
        self.kept += other.kept;
        self.left += other.left;
    }
}

/// Where an erasure stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ErasureState")]
pub enum State {
    /// It goes on when it is asked for again.
    Running,
    Done,
    /// It has come to its end, and the person's data kept coming meanwhile: ask again.
    Unsettled,
}

/// A file of the embedded stores that was rewritten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RewrittenFile")]
pub struct Rewritten {
    pub name: String,
    /// Bytes, with its log.
    pub before: u64,
    pub after: u64,
}

/// An erasure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Erasure {
    pub id: String,
    pub token: String,
    /// Tells this erasure from an earlier one of the same person.
    pub run: String,
    /// What was received until then is erased.
    #[serde(with = "millis")]
    #[schemars(with = "Timestamp")]
    pub at: Timestamp,
    pub who: String,
    /// The entry in the operators' log.
    pub audit: String,
    pub state: State,
    /// From 1.
    pub pass: u32,
    /// Passes in a row that found nothing.
    pub clean: u32,
    /// Whether this pass has found something.
    pub dirty: bool,
    pub place: Place,
    /// Where the next page of that place starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// Messages of the person that a processor holds: they are waited for.
    pub held: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_since: Option<Timestamp>,
    pub counts: BTreeMap<Place, Counts>,
    #[serde(default)]
    pub files: Vec<Rewritten>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

impl Erasure {
    /// One that has just begun.
    pub fn new(token: String, run: String, at: Timestamp, who: &str, audit: String) -> Self {
        Self {
            id: format!("{PREFIX}{token}"),
            token,
            run,
            // As it is read back: continuations go by it.
            at: at.trunc_subsecs(3),
            who: who.to_owned(),
            audit,
            state: State::Running,
            pass: 1,
            clean: 0,
            dirty: false,
            place: Place::Bus,
            position: None,
            held: 0,
            waits_since: None,
            counts: BTreeMap::new(),
            files: Vec::new(),
            ended_at: None,
        }
    }

    /// Goes on behind a place that was looked through. The files come when the rest is clean.
    pub fn turn(&mut self) {
        (self.position, self.waits_since, self.held) = (None, None, 0);
        match self.place.next() {
            Some(Place::Files) => {
                self.clean = if self.dirty { 0 } else { self.clean + 1 };
                self.place = match self.clean >= CLEAN_PASSES || self.pass >= MOST_PASSES {
                    true => Place::Files,
                    false => Place::Bus,
                };
                self.dirty = false;
                self.pass += u32::from(self.place == Place::Bus);
            }
            Some(next) => self.place = next,
            None => {
                let settled = self.clean >= CLEAN_PASSES && self.counts.values().all(|counts| counts.left == 0);
                self.state = if settled { State::Done } else { State::Unsettled };
            }
        }
    }

    /// What is written down of it: numbers by place.
    pub fn told(&self) -> Value {
        json!({ "passes": self.pass, "places": self.counts })
    }
}

/// What no erasure reaches, in words; `waits` is how long a message may wait in the broker.
pub fn out_of_reach(is_service_bus: bool, is_azure: bool, waits: Duration) -> Vec<String> {
    let mut notes = Vec::new();
    if is_service_bus {
        notes.push(format!(
            "messages that wait or are locked in Service Bus cannot be changed: they are applied without the person; the last \
             is gone after {}. Run the same again then, for what they left among retries",
            humantime_serde::re::humantime::format_duration(waits)
        ));
    }
    notes.push(match is_azure {
        true => {
            "backups of Cosmos DB, and versions and soft-deleted blobs in Blob Storage, end with their own retention"
                .to_owned()
        }
        false => "copies and backups of the data folder; blocks of the disk that the file system has freed".to_owned(),
    });
    notes.push("vendors, partners that events were delivered to, and what operators saved with --reveal".to_owned());
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn erasure() -> Erasure {
        Erasure::new("tok_1".into(), "r".into(), Timestamp::default(), "ana", "a".into())
    }

    fn pass(erasure: &mut Erasure) {
        loop {
            erasure.turn();
            if matches!(erasure.place, Place::Bus | Place::Files) {
                return;
            }
        }
    }

    #[test]
    fn the_files_come_once_two_passes_in_a_row_found_nothing() {
        let mut erasure = erasure();
        erasure.dirty = true;
        pass(&mut erasure);
        assert_eq!((erasure.place, erasure.pass, erasure.clean), (Place::Bus, 2, 0));
        pass(&mut erasure);
        erasure.dirty = true;
        pass(&mut erasure);
        assert_eq!((erasure.place, erasure.clean), (Place::Bus, 0), "what was found late counts");
        pass(&mut erasure);
        pass(&mut erasure);
        assert_eq!((erasure.place, erasure.pass), (Place::Files, 5));
        erasure.turn();
        assert_eq!(erasure.state, State::Done);
    }

    #[test]
    fn a_person_whose_data_keeps_coming_does_not_keep_it_going_for_ever() {
        let mut erasure = erasure();
        for _ in 0..MOST_PASSES {
            erasure.dirty = true;
            pass(&mut erasure);
        }
        assert_eq!(erasure.place, Place::Files);
        erasure.turn();
        assert_eq!(erasure.state, State::Unsettled);
    }
}
