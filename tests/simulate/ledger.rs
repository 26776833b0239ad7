//! An in-memory ledger that can be damaged on purpose.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use async_trait::async_trait;
use serde_json::{Value, json};
use sluice::{
    documents::{CommitError, Container, Document, Documents, DocumentsError, Etag, Operation, Page, Query},
    event::{Channel, Event, EventType},
    ledger::records::{EventRecord, STATUS_ID, StatusRecord, event_id},
    simulate::{Fact, Plan, model},
};

use crate::started;

#[derive(Debug, Default)]
pub struct FakeLedger {
    documents: Mutex<Stored>,
    /// So many reads fail first.
    pub unavailable: AtomicU32,
}

impl FakeLedger {
    /// Applies one callback of a plan as a perfect product would.
    pub fn apply(&self, plan: &Plan, callback: u32) {
        let story = (0..plan.stories()).find(|story| plan.callbacks_of(*story).contains(&callback)).unwrap();
        let (generator, told) = plan.story(story);
        let step = (callback - plan.callbacks_of(story).start) as usize;
        for fact in &told.steps[step] {
            self.apply_fact(generator.vendor(), told.channel, fact);
        }
    }

    pub fn apply_all(&self, plan: &Plan) {
        for story in 0..plan.stories() {
            let (generator, told) = plan.story(story);
            for (_, facts) in plan.callbacks_of(story).zip(&told.steps) {
                facts.iter().for_each(|fact| self.apply_fact(generator.vendor(), told.channel, fact));
            }
        }
    }

    fn apply_fact(&self, vendor: &str, channel: Channel, fact: &Fact) {
        let mut event = Event::new(fact.event_type, channel, vendor, &fact.message_id, fact.dedupe_key.clone());
        event.occurred_at = fact.at;
        let (key, id) = (event.message_key(), event_id(&fact.dedupe_key));
        let mut documents = self.documents.lock().unwrap();
        let record = EventRecord {
            announced_to: Vec::new(),
            id: id.clone(),
            key: key.clone(),
            writer: "w".into(),
            envelope_id: "e".into(),
            received_at: started(),
            applied_at: started(),
            event,
        };
        if documents.insert((key.clone(), id), json!(record)).is_some() {
            return;
        }
        let events: Vec<EventRecord> = partition_of(&documents, &key)
            .filter(|((_, id), _)| id.starts_with("evt:"))
            .map(|(_, body)| serde_json::from_value(body.clone()).unwrap())
            .collect();
        let facts: Vec<_> = events.iter().map(|record| (record.event.event_type, record.event.occurred_at)).collect();
        let count = |wanted| facts.iter().filter(|(event_type, _)| *event_type == wanted).count() as u64;
        let status = StatusRecord {
            id: STATUS_ID.into(),
            key: key.clone(),
            writer: "w".into(),
            channel,
            provider: vendor.into(),
            status: model::possible_statuses(&facts)[0],
            status_at: started(),
            decided_by: fact.dedupe_key.clone(),
            sequence: None,
            reason_code: None,
            events: facts.len() as u64,
            opens: count(EventType::MessageOpened),
            clicks: count(EventType::MessageClicked),
            first_event_at: started(),
            updated_at: started(),
        };
        documents.insert((key, STATUS_ID.into()), json!(status));
    }

    /// Changes documents behind the judge's back.
    pub fn damage(&self, change: impl FnOnce(&mut Stored)) {
        change(&mut self.documents.lock().unwrap());
    }
}

pub type Stored = BTreeMap<(String, String), Value>;

fn partition_of<'a>(stored: &'a Stored, key: &'a str) -> impl Iterator<Item = (&'a (String, String), &'a Value)> {
    stored.range((key.to_owned(), String::new())..).take_while(move |((partition, _), _)| partition == key)
}

#[async_trait]
impl Documents for FakeLedger {
    async fn read(&self, _: Container, _: &str, _: &str) -> Result<Option<Document>, DocumentsError> {
        unimplemented!("the judge queries")
    }

    /// Pages of three, so that continuations are followed.
    async fn query(&self, container: Container, query: &Query) -> Result<Page, DocumentsError> {
        assert_eq!(container, Container::Ledger);
        if self.unavailable.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Err(DocumentsError::Unavailable("not now".into()));
        }
        let skip: usize = query.continuation.as_ref().map_or(0, |text| text.parse().unwrap());
        let documents = self.documents.lock().unwrap();
        let partition = query.partition.clone().expect("the judge asks for partitions");
        let mut found = partition_of(&documents, &partition).skip(skip).map(|((partition, id), body)| Document {
            partition: partition.clone(),
            id: id.clone(),
            etag: Etag("1".into()),
            body: body.to_string(),
        });
        let documents: Vec<_> = found.by_ref().take(3).collect();
        let continuation = found.next().map(|_| (skip + documents.len()).to_string());
        Ok(Page { documents, continuation })
    }

    async fn count(&self, _: Container, _: &Query) -> Result<u64, DocumentsError> {
        unimplemented!("the judge queries")
    }

    async fn commit(&self, _: Container, _: &str, _: Vec<Operation>) -> Result<Vec<Option<Etag>>, CommitError> {
        unimplemented!("the judge changes nothing")
    }
}
