//! The ledger against deliveries: each event is announced to each destination exactly as often as it must be.

use std::collections::{BTreeMap, HashMap, HashSet};

use axum::body::Bytes;
use serde_json::Value;
use sluice::{
    delivery::record::{DeliveryRecord, State},
    documents::{Container, Query, query_all},
    ledger::records::{EventRecord, public_id},
    local::broker::Entity,
    retry::records::ParkedRecord,
};

use super::{Allowed, Findings};
use crate::world::{ARCHIVE, Owed, World};

/// Checks partners and the subscription; returns how many deliveries were owed.
pub async fn check(world: &World, events: &[EventRecord], allowed: Allowed, findings: &mut Findings) -> u64 {
    let documents = world.store();
    let found = query_all(documents, Container::Deliveries, Query::all().page_size(1000)).await.unwrap();
    let records: Vec<DeliveryRecord> = found.iter().map(|document| document.parse().unwrap()).collect();
    let found = query_all(documents, Container::Parked, Query::all().page_size(1000)).await.unwrap();
    let parked: HashSet<String> = found.iter().map(|document| document.parse::<ParkedRecord>().unwrap().id).collect();
    let names: HashSet<&str> = world.partners.iter().map(|partner| partner.name).collect();
    for record in records.iter().filter(|record| !names.contains(record.partner.as_str())) {
        findings.add("delivery of nothing", Some(&record.key), format!("{}: there is no such partner", record.id));
    }
    let mut owed = 0;
    for partner in &world.partners {
        let wanted: BTreeMap<String, &EventRecord> = events
            .iter()
            .filter(|record| partner.wants(&record.event))
            .map(|record| (public_id(&record.event.dedupe_key), record))
            .collect();
        owed += wanted.len() as u64;
        let records = records.iter().filter(|record| record.partner == partner.name);
        Check { partner, wanted, parked: &parked, allowed, findings }.run(records);
    }
    archive(world, events, findings).await;
    owed
}

/// One partner.
struct Check<'a> {
    partner: &'a Owed,
    /// The events that it is owed, by `webhook-id`.
    wanted: BTreeMap<String, &'a EventRecord>,
    /// Ids of what is parked.
    parked: &'a HashSet<String>,
    allowed: Allowed,
    findings: &'a mut Findings,
}

impl Check<'_> {
    fn run<'r>(mut self, records: impl Iterator<Item = &'r DeliveryRecord>) {
        let got = self.got();
        let mut recorded: HashMap<&str, &DeliveryRecord> = HashMap::new();
        for record in records {
            if recorded.insert(&record.event_id, record).is_some() {
                self.findings.add("two delivery records", Some(&record.key), record.id.clone());
            }
            if !self.wanted.contains_key(&record.event_id) {
                self.findings.add("delivery of nothing", Some(&record.key), record.id.clone());
            }
        }
        let may_park = self.allowed.parked == Some(self.partner.name);
        for (id, event) in &self.wanted {
            let (key, name) = (Some(event.key.as_str()), self.partner.name);
            let record = recorded.get(id.as_str());
            let parked = self.parked.contains(&format!("partner:{name}.{id}"));
            match record.map(|record| record.state) {
                Some(State::Parked) if may_park && parked => continue,
                Some(State::Delivered) => {}
                _ if may_park && parked => continue,
                _ if self.allowed.records_may_lack => {}
                None => self.findings.add("delivery without a record", key, format!("{id} to {name}")),
                Some(state) => self.findings.add("delivery unfinished", key, format!("{id} to {name} is {state:?}")),
            }
            if !got.contains(id) {
                self.findings.add("not delivered", key, format!("{id} never came to {name}"));
            }
        }
    }

    /// The ids that the partner really got; each is for an event, and has one body.
    fn got(&mut self) -> HashSet<String> {
        let mut bodies: HashMap<String, Bytes> = HashMap::new();
        for seen in self.partner.double.seen() {
            let id = seen.header("webhook-id").to_owned();
            let Some(event) = self.wanted.get(&id) else {
                self.findings.add("delivery of nothing", None, format!("{id} came to {}", self.partner.name));
                continue;
            };
            let key = Some(event.key.as_str());
            let first = bodies.entry(id.clone()).or_insert_with(|| seen.body.clone());
            if *first != seen.body {
                self.findings.add("two bodies", key, format!("{id} came to {} with two bodies", self.partner.name));
            }
            let said: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
            if said["data"] != serde_json::to_value(&event.event).unwrap() {
                self.findings.add("delivery differs", key, format!("{id} at {}", self.partner.name));
            }
        }
        bodies.into_keys().collect()
    }
}

/// The subscription has every event under one message id, and nothing else.
async fn archive(world: &World, events: &[EventRecord], findings: &mut Findings) {
    let entity = Entity::subscription("deliveries", ARCHIVE);
    let mut bodies: HashMap<String, Bytes> = HashMap::new();
    let mut from = 0;
    loop {
        let page = world.test.broker.peek(&entity, from, 1000).await.unwrap();
        let Some(last) = page.last() else { break };
        from = last.sequence_number + 1;
        for received in page {
            let message = received.message;
            let first = bodies.entry(message.message_id.clone()).or_insert_with(|| message.body.clone());
            if *first != message.body {
                findings.add("two bodies", message.subject.as_deref(), message.message_id);
            }
        }
    }
    for record in events {
        let id = format!("{ARCHIVE}.{}", public_id(&record.event.dedupe_key));
        let Some(body) = bodies.remove(&id) else {
            findings.add("not announced", Some(&record.key), id);
            continue;
        };
        let said: Value = serde_json::from_slice(&body).unwrap_or_default();
        if said["data"] != serde_json::to_value(&record.event).unwrap() {
            findings.add("announcement differs", Some(&record.key), id);
        }
    }
    for id in bodies.into_keys() {
        findings.add("announcement of nothing", None, id);
    }
}
