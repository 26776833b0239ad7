//! All that is kept of one message, without the texts: a message may have many events.

use super::{
    model::Known,
    report::{Kind, Sample},
    sample::of_message,
};
use crate::{
    clock::Timestamp,
    delivery::record::{DeliveryRecord, State},
    documents::{Container, Document, Documents, DocumentsError, Query},
    ledger::records::{
        Destination, EVENT_PREFIX, EventRecord, OUTBOX_PREFIX, OutboxRecord, STATUS_ID, StatusRecord, event_id,
        outbox_id, public_id,
    },
};

/// Bytes of bodies in memory at once.
pub(super) const PAGE_BYTES: usize = 4 << 20;
/// Documents read at once.
pub(super) const PAGE: usize = 1000;

/// One message.
#[derive(Debug)]
pub(super) struct Gathered {
    /// The message key.
    pub key: String,
    pub events: Vec<Told>,
    pub status: Option<StatusRecord>,
    pub outbox: Vec<Owed>,
    pub deliveries: Vec<Made>,
    /// What a single document shows by itself.
    pub problems: Vec<(Kind, Sample)>,
    /// The last change in the ledger.
    pub changed_at: Option<Timestamp>,
}

/// An event.
#[derive(Debug)]
pub(super) struct Told {
    pub known: Known,
    pub reason_code: Option<String>,
    pub applied_at: Timestamp,
    pub announced_to: Vec<Destination>,
}

/// An entry of the outbox.
#[derive(Debug)]
pub(super) struct Owed {
    pub event: String,
    pub destinations: Vec<Destination>,
    pub created_at: Timestamp,
}

/// A delivery.
#[derive(Debug)]
pub(super) struct Made {
    pub event: String,
    pub partner: String,
    pub state: State,
    /// Whether one of the attempts that are kept was answered with 2xx.
    pub is_answered: bool,
    pub updated_at: Timestamp,
}

impl Gathered {
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            events: Vec::new(),
            status: None,
            outbox: Vec::new(),
            deliveries: Vec::new(),
            problems: Vec::new(),
            changed_at: None,
        }
    }

    /// Reads one message. The ledger comes first: what is delivered while this reads is found all the same.
    pub async fn read(documents: &dyn Documents, key: &str) -> Result<Self, DocumentsError> {
        let mut gathered = Self::new(key);
        for container in [Container::Ledger, Container::Deliveries] {
            let mut query = Query::partition(key).page_size(PAGE).page_bytes(PAGE_BYTES);
            loop {
                let page = documents.query(container, &query).await?;
                page.documents.iter().for_each(|document| gathered.add(container, document));
                match page.continuation {
                    Some(continuation) => query.continuation = Some(continuation),
                    None => break,
                }
            }
        }
        Ok(gathered)
    }

    /// Adds a document of the ledger or of the deliveries. Those of one container come in the order of their ids, so the
    /// status comes behind the events that it counts.
    pub fn add(&mut self, container: Container, document: &Document) {
        let added = match (container, document.id.as_str()) {
            (Container::Deliveries, _) => document.parse().map(|record| self.add_delivery(document, record)),
            (_, STATUS_ID) => document.parse().map(|record| self.add_status(document, record)),
            (_, id) if id.starts_with(EVENT_PREFIX) => document.parse().map(|record| self.add_event(document, record)),
            (_, id) if id.starts_with(OUTBOX_PREFIX) => document.parse().map(|record| self.add_owed(document, record)),
            _ => return self.problem(Kind::Unreadable, "a document in the ledger that is no record of it"),
        };
        if added.is_err() {
            // Its id is not told: it holds the vendor's words.
            let what = match (container, document.id.as_str()) {
                (Container::Deliveries, _) => "a delivery record",
                (_, STATUS_ID) => "the status",
                (_, id) if id.starts_with(EVENT_PREFIX) => "an event",
                _ => "an entry of the outbox",
            };
            self.problem(Kind::Unreadable, format!("{what} is of another version, or damaged"));
        }
    }

    fn add_event(&mut self, document: &Document, record: EventRecord) {
        self.changed(record.applied_at);
        let EventRecord { id, key, received_at, applied_at, announced_to, event, .. } = record;
        let public_id = public_id(&event.dedupe_key);
        if id != document.id || id != event_id(&event.dedupe_key) {
            self.problem(Kind::Misfiled, format!("{} {public_id} under an id that is not its own", event.event_type));
        }
        if key != document.partition || key != event.message_key() {
            self.problem(Kind::Misfiled, format!("{} {public_id} belongs to another message", event.event_type));
        }
        let known = Known {
            event_type: event.event_type,
            occurred_at: event.occurred_at,
            received_at,
            sequence: event.sequence,
            public_id,
        };
        self.events.push(Told { known, reason_code: event.reason_code, applied_at, announced_to });
    }

    fn add_status(&mut self, document: &Document, record: StatusRecord) {
        self.changed(record.updated_at);
        if record.key != document.partition {
            self.problem(Kind::Misfiled, "the status belongs to another message");
        }
        self.status = Some(record);
    }

    fn add_owed(&mut self, document: &Document, record: OutboxRecord) {
        self.changed(record.created_at);
        let OutboxRecord { key, destinations, created_at, event, .. } = record;
        if document.id != outbox_id(&event.dedupe_key) || key != document.partition || key != event.message_key() {
            self.problem(Kind::Misfiled, format!("an announcement of {} under another's id", event.event_type));
        }
        self.outbox.push(Owed { event: public_id(&event.dedupe_key), destinations, created_at });
    }

    fn add_delivery(&mut self, document: &Document, record: DeliveryRecord) {
        let DeliveryRecord { key, partner, event_id, state, attempts, updated_at, .. } = record;
        if document.id != delivery_id(&partner, &event_id) || key != document.partition {
            self.problem(Kind::Misfiled, format!("a delivery of {event_id} under an id that is not its own"));
        }
        let is_answered =
            attempts.iter().any(|attempt| attempt.status.is_some_and(|status| (200..300).contains(&status)));
        self.deliveries.push(Made { event: event_id, partner, state, is_answered, updated_at });
    }

    pub fn problem(&mut self, kind: Kind, what: impl std::fmt::Display) {
        let sample = of_message(&self.key, what);
        self.problems.push((kind, sample));
    }

    fn changed(&mut self, at: Timestamp) {
        self.changed_at = self.changed_at.max(Some(at));
    }
}

/// The id of a delivery: equal for its message, its record, and what keeps it for another attempt.
pub(super) fn delivery_id(partner: &str, event: &str) -> String {
    format!("{}.{event}", Destination::Partner(partner.to_owned()))
}
