//! The ledger: what is known of every message, written so that each event has exactly one effect.
//!
//! All documents of a message share a partition (the message key), so one atomic commit creates the event documents
//! (audit trail and inbox in one), moves the status, and notes in the outbox what is owed to the bus. A second copy of
//! an event meets the document of the first and changes nothing. A conflict against a document that this very call
//! wrote (its answer was lost, the driver tried again) is recognised by the writer id and is a success.

pub mod announcement;
pub mod outbox;
pub mod records;

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use uuid::Uuid;

use crate::{
    channels::status,
    clock::{SharedClock, Timestamp},
    documents::{CommitError, Container, Document, DocumentsError, Operation, SharedDocuments},
    event::{Event, EventType},
};
use records::{Destination, EventRecord, OutboxRecord, STATUS_ID, StatusRecord, event_id, outbox_id};

/// Rounds of read and commit without progress before a busy partition counts as unavailable.
const ROUNDS: u32 = 50;
/// A commit holds at most this many operations (Cosmos DB takes 100) ...
const OPERATIONS: usize = 90;
/// ... and about this many bytes of event text (Cosmos DB takes 2 MB a batch).
const COMMIT_BYTES: usize = 1_000_000;

/// An event on its way into the ledger.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub event: Event,
    pub envelope_id: Arc<str>,
    pub received_at: Timestamp,
    /// Whom it is announced to, once it is applied.
    pub destinations: Vec<Destination>,
    /// The W3C context of the span that brought it, for whoever it is announced to.
    pub traceparent: Option<Arc<str>>,
}

/// What became of the arrivals of one message: for each, whether it was new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub new: Vec<bool>,
    /// Outbox documents that this call created and that wait for [`outbox::publish`].
    pub owed: Vec<OutboxRecord>,
}

/// Why events were not applied. Whatever was committed stays, and trying all of them again is safe.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// Try again later.
    #[error("{0}")]
    Unavailable(String),
    /// Trying again cannot heal it: park the callback.
    #[error("{0}")]
    Refused(String),
}

impl From<DocumentsError> for LedgerError {
    fn from(error: DocumentsError) -> Self {
        match error {
            DocumentsError::Unavailable(_) => LedgerError::Unavailable(error.to_string()),
            DocumentsError::Refused(_) | DocumentsError::Unreadable { .. } => LedgerError::Refused(error.to_string()),
        }
    }
}

/// Applies events.
#[derive(Debug, Clone)]
pub struct Ledger {
    documents: SharedDocuments,
    clock: SharedClock,
}

/// An arrival that is not yet known to be in the ledger.
struct Pending<'a> {
    index: usize,
    id: String,
    arrival: &'a Arrival,
}

impl Ledger {
    pub fn new(documents: SharedDocuments, clock: SharedClock) -> Self {
        Self { documents, clock }
    }

    /// Whether an event of this message is in the ledger.
    ///
    /// # Errors
    /// The store failed.
    pub async fn knows(&self, key: &str, event: &Event) -> Result<bool, LedgerError> {
        Ok(self.documents.read(Container::Ledger, key, &event_id(&event.dedupe_key)).await?.is_some())
    }

    /// Applies the events of one message, each exactly once.
    ///
    /// # Errors
    /// The store failed, or will never take these events.
    pub async fn apply(&self, key: &str, arrivals: &[Arrival]) -> Result<Applied, LedgerError> {
        let writer = Uuid::now_v7().to_string();
        let mut applied = Applied { new: vec![false; arrivals.len()], owed: Vec::new() };
        let mut seen = HashSet::new();
        let mut pending: Vec<Pending> = arrivals
            .iter()
            .enumerate()
            .map(|(index, arrival)| Pending { index, id: event_id(&arrival.event.dedupe_key), arrival })
            .filter(|pending| seen.insert(pending.id.clone()))
            .collect();

        // Rounds without progress: a callback of any size may take as many others as it needs.
        let mut round = 0;
        while !pending.is_empty() {
            if round == ROUNDS {
                return Err(LedgerError::Unavailable(format!("the partition stayed busy for {ROUNDS} rounds")));
            }
            let before = pending.len();
            let current = self.documents.read(Container::Ledger, key, STATUS_ID).await?;
            let group = self.group_size(&pending);
            let (operations, owed) = self.commit_of(key, &writer, &pending[..group], current)?;
            match self.documents.commit(Container::Ledger, key, operations).await {
                Ok(_) => {
                    for done in pending.drain(..group) {
                        applied.new[done.index] = true;
                    }
                    applied.owed.extend(owed);
                }
                Err(CommitError::Conflict { id, .. }) if id != STATUS_ID => {
                    let ours = self.drop_known(key, &writer, &mut pending, group).await?;
                    if !ours.is_empty() {
                        // The commit is atomic, so finding one of its events means that all of it is there.
                        applied.owed.extend(owed);
                    }
                    for index in ours {
                        applied.new[index] = true;
                    }
                }
                Err(CommitError::Conflict { .. } | CommitError::PreconditionFailed { .. }) => {
                    // Another event of the same message moved the status in between: read it and fold again.
                    if round > 2 {
                        tokio::time::sleep(Duration::from_millis(rand::random_range(1..=u64::from(round)))).await;
                    }
                }
                Err(CommitError::Unavailable(problem)) => return Err(LedgerError::Unavailable(problem)),
                Err(CommitError::Refused(problem)) => return Err(LedgerError::Refused(problem)),
            }
            round = if pending.len() < before { 0 } else { round + 1 };
        }
        Ok(applied)
    }

    /// How many of the pending events go into one commit: an event and its outbox entry each, and the status.
    fn group_size(&self, pending: &[Pending]) -> usize {
        let mut operations = 1;
        let mut bytes = 0;
        let fitting = pending.iter().take_while(|pending| {
            let event = &pending.arrival.event;
            let documents = if pending.arrival.destinations.is_empty() { 1 } else { 2 };
            let text = [&event.text, &event.reason, &event.url].into_iter().flatten().map(String::len).sum::<usize>();
            operations += documents;
            bytes += (text + 600) * documents;
            operations <= OPERATIONS && bytes <= COMMIT_BYTES
        });
        fitting.count().max(1)
    }

    fn commit_of(
        &self,
        key: &str,
        writer: &str,
        group: &[Pending],
        current: Option<Document>,
    ) -> Result<(Vec<Operation>, Vec<OutboxRecord>), LedgerError> {
        let now = self.clock.now();
        let mut operations = Vec::with_capacity(group.len() * 2 + 1);
        let mut owed = Vec::new();
        let mut status: Option<StatusRecord> = current.as_ref().map(Document::parse).transpose()?;
        for Pending { id, arrival, .. } in group {
            let Arrival { event, envelope_id, received_at, destinations, traceparent } = arrival;
            match &mut status {
                Some(status) => status.fold(event, *received_at, now),
                None => status = Some(StatusRecord::first(event, *received_at, now)),
            }
            let record = EventRecord {
                id: id.clone(),
                key: key.to_owned(),
                writer: writer.to_owned(),
                envelope_id: envelope_id.to_string(),
                received_at: *received_at,
                applied_at: now,
                announced_to: destinations.clone(),
                event: event.clone(),
            };
            operations.push(Operation::create(id.clone(), &record));
            if destinations.is_empty() {
                continue;
            }
            let record = OutboxRecord {
                id: outbox_id(&event.dedupe_key),
                key: key.to_owned(),
                destinations: destinations.clone(),
                created_at: now,
                received_at: Some(*received_at),
                envelope_id: envelope_id.to_string(),
                traceparent: traceparent.as_deref().map(str::to_owned),
                event: event.clone(),
            };
            operations.push(Operation::create(record.id.clone(), &record));
            owed.push(record);
        }
        if let Some(mut status) = status {
            status.writer = writer.to_owned();
            operations.push(match current {
                Some(document) => Operation::replace(STATUS_ID, &status, document.etag),
                None => Operation::create(STATUS_ID, &status),
            });
        }
        Ok((operations, owed))
    }

    /// Takes the events that the ledger has already out of the first `group` pending ones; returns the indexes of those
    /// that this very call wrote.
    async fn drop_known(
        &self,
        key: &str,
        writer: &str,
        pending: &mut Vec<Pending<'_>>,
        group: usize,
    ) -> Result<Vec<usize>, LedgerError> {
        let reads = pending[..group].iter().map(|pending| self.documents.read(Container::Ledger, key, &pending.id));
        let found = try_join_all(reads).await?;
        let mut ours = Vec::new();
        let mut known = HashSet::new();
        for (pending, document) in pending.iter().zip(found) {
            let Some(document) = document else { continue };
            known.insert(pending.index);
            if document.parse::<EventRecord>()?.writer == writer {
                ours.push(pending.index);
            }
        }
        pending.retain(|pending| !known.contains(&pending.index));
        Ok(ours)
    }
}

impl StatusRecord {
    /// The status after a message's first event.
    pub fn first(event: &Event, received_at: Timestamp, now: Timestamp) -> Self {
        let at = status::effective_time(event, received_at);
        let mut first = Self {
            id: STATUS_ID.to_owned(),
            key: event.message_key(),
            writer: String::new(),
            channel: event.channel,
            provider: event.provider.clone(),
            status: event.event_type,
            status_at: at,
            decided_by: event.dedupe_key.clone(),
            sequence: event.sequence,
            reason_code: event.reason_code.clone(),
            events: 0,
            opens: 0,
            clicks: 0,
            first_event_at: at,
            updated_at: now,
        };
        first.count(event);
        first
    }

    /// The status after one more event.
    pub fn fold(&mut self, event: &Event, received_at: Timestamp, now: Timestamp) {
        let at = status::effective_time(event, received_at);
        if status::displaces(event, received_at, self) {
            self.status = event.event_type;
            self.status_at = at;
            self.decided_by = event.dedupe_key.clone();
            self.sequence = event.sequence;
            self.reason_code = event.reason_code.clone();
        }
        self.first_event_at = self.first_event_at.min(at);
        self.updated_at = now;
        self.count(event);
    }

    fn count(&mut self, event: &Event) {
        self.events += 1;
        match event.event_type {
            EventType::MessageOpened => self.opens += 1,
            EventType::MessageClicked => self.clicks += 1,
            _ => {}
        }
    }
}
