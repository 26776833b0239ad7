//! What happens to work that failed: tried again at a due time, or parked for a person. Nothing disappears.
//!
//! A failed message becomes a retry record ([`records::RetryRecord`]) with a due time from the configured schedule. The
//! sweep ([`sweep::sweep`]) publishes due records again under a new message id. When the schedule is used up, or when
//! trying again cannot heal the failure, the message is parked with its reason and history. If the store cannot take a
//! record, a scheduled copy on the bus takes its place; only if that fails too does the processor fail its batch.

pub mod records;
pub mod sweep;

use std::time::Duration;

use uuid::Uuid;

use crate::{
    bus::{Message, Properties, Property, SharedBus},
    clock::{SharedClock, Timestamp},
    config,
    documents::{Action, CommitError, Container, Operation, SharedDocuments},
};
use records::{Attempt, Class, ParkedRecord, RetryRecord, StoredMessage, bucket_of, retry_partition};

/// Application property: which attempt a message is. Absent on the first.
pub const ATTEMPT: &str = "attempt";
/// Application property: which replay a message belongs to. Absent on what no operator replayed. It keeps the message ids of
/// a replay's attempts apart from those of the attempts before it, which the broker has seen.
pub const REPLAY: &str = "replay";
/// Application property: the failures before this attempt, as JSON.
pub const HISTORY: &str = "history";

/// Which attempt a message with these properties is, from 1.
pub fn attempt_of(properties: &Properties) -> u32 {
    match properties.get(ATTEMPT) {
        Some(Property::Integer(attempt)) => u32::try_from(*attempt).unwrap_or(1).max(1),
        _ => 1,
    }
}

/// What became of a failed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// A retry record or a scheduled copy: it comes back at this time.
    UntilDue(Timestamp),
    /// Parked.
    Parked,
}

/// Neither the store nor the bus took a failed message: only the broker's redelivery keeps it.
#[derive(Debug, thiserror::Error)]
#[error("a failed message could not be kept: store: {store}; bus: {bus}")]
pub struct NotKept {
    store: String,
    bus: String,
}

/// A failure, as it is recorded.
#[derive(Debug, Clone)]
pub struct Failure<'a> {
    pub class: Class,
    /// Without secrets and personal data: it is shown to operators and stored.
    pub error: String,
    pub vendor: Option<&'a str>,
    pub channel: Option<&'a str>,
}

/// When a message is tried again.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The wait before each attempt after the first.
    pub schedule: Vec<Duration>,
    /// Each wait is varied by up to this share of itself, both ways (0 to 1).
    pub jitter: f64,
    /// Whoever failed wants to be left alone for so long: the next attempt is not before that.
    pub not_within: Duration,
}

impl Plan {
    /// How long to wait after this attempt; `None` when the attempts are used up.
    fn wait(&self, attempt: u32) -> Option<Duration> {
        let wait = self.schedule.get(attempt as usize - 1)?;
        Some(self.jittered(*wait).max(self.not_within))
    }

    fn jittered(&self, wait: Duration) -> Duration {
        let share = if self.jitter > 0.0 { rand::random_range(-self.jitter..=self.jitter) } else { 0.0 };
        wait.mul_f64(1.0 + share)
    }
}

/// Keeps failed messages.
#[derive(Debug, Clone)]
pub struct Retries {
    bus: SharedBus,
    documents: SharedDocuments,
    clock: SharedClock,
    plan: Plan,
}

impl Retries {
    pub fn new(bus: SharedBus, documents: SharedDocuments, clock: SharedClock, config: &config::Retry) -> Self {
        let schedule = config.schedule.iter().map(|wait| **wait).collect();
        let plan = Plan { schedule, jitter: config.jitter, not_within: Duration::ZERO };
        Self { bus, documents, clock, plan }
    }

    /// Keeps a message whose processing failed: to be tried again, or parked.
    ///
    /// # Errors
    /// Nothing took it; the caller must not settle the message.
    pub async fn keep(&self, topic: &str, message: StoredMessage, failure: Failure<'_>) -> Result<Kept, NotKept> {
        self.keep_by(&self.plan, topic, message, failure).await
    }

    /// [`keep`](Self::keep), with a plan of the caller's own.
    ///
    /// # Errors
    /// Nothing took it; the caller must not settle the message.
    pub async fn keep_by(
        &self,
        plan: &Plan,
        topic: &str,
        mut message: StoredMessage,
        failure: Failure<'_>,
    ) -> Result<Kept, NotKept> {
        let now = self.clock.now();
        let attempt = message.attempt();
        let mut history = message.history();
        history.push(Attempt { attempt, at: now, error: shortened(&failure.error) });

        let wait = match failure.class {
            Class::Permanent => None,
            Class::Transient => plan.wait(attempt),
        };
        let Some(wait) = wait else {
            let reason = match failure.class {
                Class::Permanent => failure.error.clone(),
                Class::Transient => format!("gave up after {attempt} attempts: {}", failure.error),
            };
            return self.park(topic, message, history, reason, &failure).await;
        };
        message.properties.insert(ATTEMPT.into(), Property::Integer(i64::from(attempt) + 1));
        message.properties.insert(HISTORY.into(), Property::from(history_text(&history)));
        let id = message.record_id();
        let message_id = match message.properties.get(REPLAY).and_then(Property::as_str) {
            Some(replay) => format!("{id}:{replay}:{}", attempt + 1),
            None => format!("{id}:{}", attempt + 1),
        };
        self.wait(topic, message, message_id, now + wait, &failure).await
    }

    /// Puts a message off whose processing was not tried: it comes back at this time as the attempt that it is. Its message
    /// id is a new one, because duplicate detection has seen the old one.
    ///
    /// # Errors
    /// Nothing took it; the caller must not settle the message.
    pub async fn put_off(
        &self,
        topic: &str,
        message: StoredMessage,
        due_at: Timestamp,
        why: Failure<'_>,
    ) -> Result<Kept, NotKept> {
        let message_id = format!("{}:{}:{}", message.record_id(), message.attempt(), Uuid::now_v7());
        self.wait(topic, message, message_id, due_at, &why).await
    }

    async fn wait(
        &self,
        topic: &str,
        mut message: StoredMessage,
        message_id: String,
        due_at: Timestamp,
        failure: &Failure<'_>,
    ) -> Result<Kept, NotKept> {
        let id = message.record_id();
        let came_as = std::mem::replace(&mut message.message_id, message_id);
        let record = RetryRecord {
            bucket: retry_partition(&id, message.partner().as_deref()),
            id,
            due_at,
            attempt: message.attempt(),
            class: failure.class,
            topic: topic.to_owned(),
            message_key: message.message_key(),
            last_error: shortened(&failure.error),
            vendor: failure.vendor.map(str::to_owned),
            channel: failure.channel.map(str::to_owned),
            partner: message.partner(),
            message,
        };
        if let Err(store) = self.write(&record, &came_as).await {
            self.schedule_copy(topic, record.message, due_at, store).await?;
        }
        Ok(Kept::UntilDue(due_at))
    }

    /// Writes a record, unless the store has one of the same callback that is as far or further. An old delivery that
    /// comes again (its batch failed, its lock ran out) must not set a callback back: the broker has seen the message id
    /// of that attempt, and would drop it. The record that this very message came from (`came_as`) is not in the way:
    /// the sweep may not have deleted it yet, and must then find that it was changed.
    async fn write(&self, record: &RetryRecord, came_as: &str) -> Result<(), String> {
        let mut write = Operation::create(record.id.clone(), record);
        loop {
            match self.documents.commit(Container::Retries, &record.bucket, vec![write]).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Conflict { .. } | CommitError::PreconditionFailed { .. }) => {}
                Err(error) => return Err(error.to_string()),
            }
            let found = self.documents.read(Container::Retries, &record.bucket, &record.id).await;
            write = match found.map_err(|error| error.to_string())? {
                Some(document) => match document.parse::<RetryRecord>() {
                    Ok(known) if known.message.message_id == record.message.message_id => return Ok(()),
                    Ok(known) if known.attempt >= record.attempt && known.message.message_id != came_as => {
                        return Ok(());
                    }
                    _ => Operation::replace(record.id.clone(), record, document.etag),
                },
                // The sweep took it in between.
                None => Operation::create(record.id.clone(), record),
            };
        }
    }

    /// Removes the record of a message that is done after all. One that belongs to a later attempt stays.
    ///
    /// # Errors
    /// The store failed: the message comes back when it is due.
    pub async fn forget(&self, message: &StoredMessage) -> Result<(), CommitError> {
        let id = message.record_id();
        let partition = retry_partition(&id, message.partner().as_deref());
        let found = self.documents.read(Container::Retries, &partition, &id).await;
        let Some(document) = found.map_err(|error| CommitError::Unavailable(error.to_string()))? else { return Ok(()) };
        if document.parse::<RetryRecord>().is_ok_and(|known| known.attempt > message.attempt()) {
            return Ok(());
        }
        let delete = Operation { id, action: Action::Delete { if_match: Some(document.etag) } };
        match self.documents.commit(Container::Retries, &partition, vec![delete]).await {
            // Whoever changed it had a reason.
            Ok(_) | Err(CommitError::PreconditionFailed { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn park(
        &self,
        topic: &str,
        message: StoredMessage,
        history: Vec<Attempt>,
        reason: String,
        failure: &Failure<'_>,
    ) -> Result<Kept, NotKept> {
        let now = self.clock.now();
        let id = message.record_id();
        let record = ParkedRecord {
            bucket: bucket_of(&id),
            id,
            parked_at: now,
            reason,
            vendor: failure.vendor.map(str::to_owned),
            channel: failure.channel.map(str::to_owned),
            partner: message.partner(),
            topic: topic.to_owned(),
            message_key: message.message_key(),
            history,
            message,
        };
        let write = Operation::upsert(record.id.clone(), &record);
        match self.documents.commit(Container::Parked, &record.bucket, vec![write]).await {
            Ok(_) => Ok(Kept::Parked),
            // Not even parking works: come back in a while and find the same failure again.
            Err(store) => {
                let wait = self.plan.wait(1).unwrap_or(Duration::from_secs(5));
                let due_at = now + wait;
                let mut message = record.message;
                message.message_id = format!("{}:{}", record.id, Uuid::now_v7());
                self.schedule_copy(topic, message, due_at, store.to_string()).await?;
                Ok(Kept::UntilDue(due_at))
            }
        }
    }

    async fn schedule_copy(
        &self,
        topic: &str,
        message: StoredMessage,
        due_at: Timestamp,
        store: String,
    ) -> Result<(), NotKept> {
        let copy = Message { scheduled_enqueue_time: Some(due_at), ..message.into_message() };
        self.bus.publish(topic, copy).await.map_err(|bus| NotKept { store, bus: bus.to_string() })
    }
}

pub(crate) fn history_text(history: &[Attempt]) -> String {
    serde_json::to_string(history).expect("attempts serialise to JSON")
}

/// Errors travel with the message; a driver's diagnostics must not make it too large for the bus.
fn shortened(error: &str) -> String {
    const LONGEST: usize = 300;
    match error.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &error[..end]),
        None => error.to_owned(),
    }
}
