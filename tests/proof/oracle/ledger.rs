//! The whole ledger: nothing that nobody sent, nothing under two ids, and every field as it was sent.

use std::collections::{HashMap, HashSet};

use sluice::{
    event::Channel,
    ledger::records::EventRecord,
    simulate::{Fact, Outcome, Standing},
};

use super::Findings;
use crate::world::World;

/// A fact that left, and who told it.
struct Told {
    fact: Fact,
    vendor: String,
    channel: Channel,
}

/// Every fact of a callback that left, by its dedupe key.
fn told(world: &World, outcome: &Outcome) -> HashMap<String, Told> {
    let mut told = HashMap::new();
    for number in 0..world.plan.stories() {
        let (generator, story) = world.plan.story(number);
        for (callback, facts) in world.plan.callbacks_of(number).zip(story.steps) {
            if outcome.obligations.standing(callback) == Standing::Unsent {
                continue;
            }
            for fact in facts {
                let (vendor, channel) = (generator.vendor().to_owned(), story.channel);
                told.insert(fact.dedupe_key.clone(), Told { fact, vendor, channel });
            }
        }
    }
    told
}

pub fn check(world: &World, outcome: &Outcome, events: &[EventRecord], findings: &mut Findings) {
    let told = told(world, outcome);
    let mut seen = HashSet::new();
    for record in events {
        let (key, event) = (record.key.as_str(), &record.event);
        if !seen.insert(&event.dedupe_key) {
            findings.add("applied twice", Some(key), format!("{key}: {} is in the ledger twice", event.dedupe_key));
        }
        let Some(Told { fact, vendor, channel }) = told.get(&event.dedupe_key) else {
            findings.add("nobody sent", Some(key), format!("{key}: {}", event.dedupe_key));
            continue;
        };
        let mut differs = |what: &str, same: bool| {
            if !same {
                findings.add("payload differs", Some(key), format!("{key}: {what} of {}", event.dedupe_key));
            }
        };
        differs("type", event.event_type == fact.event_type);
        differs("vendor", event.provider == *vendor);
        differs("channel", event.channel == *channel);
        differs("message id", event.provider_message_id == fact.message_id);
        differs("status", event.provider_status == fact.status);
        differs("time", event.occurred_at == fact.at);
        let sent = &fact.recipient;
        differs("recipient", event.recipient.as_ref() == Some(sent));
    }
}
