//! What a job does to one record.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Action, Record, RecoveryError, Source, record::Origin};
use crate::{
    app::App,
    bus::{Message, Property, PublishError},
    documents::{Action as Write, CommitError, Container, Etag, Operation},
    ledger::records::digest,
    retry::{
        ATTEMPT, HISTORY, REPLAY, history_text,
        records::{Attempt, RetryRecord, StoredMessage},
    },
};

/// What a message may carry of its past: its properties have 64 KB in Service Bus, and it will fail again.
const LONGEST_HISTORY: usize = 24 * 1024;

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Somebody else changed or took it after it was found: it is theirs now.
    Gone,
    /// It cannot be done, and stays where it is.
    Refused(String),
}

/// Replays or discards a record that is kept as a document.
///
/// # Errors
/// A dependency failed: the same again is harmless.
pub async fn act(app: &App, source: Source, action: Action, record: Record) -> Result<Outcome, RecoveryError> {
    let Some((container, _)) = source.container() else { return Ok(Outcome::Gone) };
    match (action, source) {
        (Action::Discard, _) => remove(app, container, &record).await,
        (Action::Replay, Source::Retries) => make_due(app, &record).await,
        (Action::Replay, _) => {
            let replayed = publish(app, &record).await?;
            if replayed != Outcome::Done {
                return Ok(replayed);
            }
            // Under its etag: if the replayed message has failed already, the record that it left must stay.
            remove(app, container, &record).await?;
            Ok(Outcome::Done)
        }
    }
}

/// Sends a record's message back to its topic, and returns once the broker has it on disk.
///
/// # Errors
/// The broker did not answer: it may have it all the same.
pub async fn publish(app: &App, record: &Record) -> Result<Outcome, RecoveryError> {
    match app.bus.publish(&record.summary.topic, replayed(record)).await {
        Ok(()) => Ok(Outcome::Done),
        Err(PublishError::Refused(reason)) => Ok(Outcome::Refused(format!("the broker refused the message: {reason}"))),
        Err(error) => Err(error.into()),
    }
}

/// The message as it goes out again: attempts start anew, its past stays with it.
fn replayed(record: &Record) -> Message {
    let mut message = record.message.clone();
    let (id, replay) = match &record.origin {
        // A record that is parked again is another replay's.
        Origin::Document { .. } => (record.summary.id.clone(), format!("p{}", record.made_at.timestamp_millis())),
        Origin::DeadLetter { queue, sequence_number } => {
            let place = format!("{queue}/{sequence_number}/{}", record.made_at.timestamp_micros());
            (base_id(&message), format!("d{}", hex::encode(&Sha256::digest(place)[..8])))
        }
    };
    message.properties.remove(ATTEMPT);
    let history = recent(&record.summary.history);
    if history.is_empty() {
        message.properties.remove(HISTORY);
    } else {
        message.properties.insert(HISTORY.into(), Property::from(history_text(history)));
    }
    message.message_id = format!("{id}:{replay}");
    message.properties.insert(REPLAY.into(), Property::from(replay));
    message.into_message()
}

/// What the id begins with: the id of the record that the message leaves where it fails; for what is not ours, its own.
fn base_id(message: &StoredMessage) -> String {
    let is_ours = message.correlation_id.as_deref().is_some_and(|id| Uuid::try_parse(id).is_ok());
    if is_ours || message.properties.contains_key(crate::ledger::outbox::DELIVERY) {
        return message.record_id();
    }
    digest(&message.message_id)
}

/// The last attempts, as many as may travel.
fn recent(history: &[Attempt]) -> &[Attempt] {
    let mut recent = history;
    while let [_, later @ ..] = recent
        && history_text(recent).len() > LONGEST_HISTORY
    {
        recent = later;
    }
    recent
}

/// Lets the sweep take a retry record at once.
async fn make_due(app: &App, record: &Record) -> Result<Outcome, RecoveryError> {
    let Origin::Document { partition, etag } = &record.origin else { return Ok(Outcome::Gone) };
    let now = app.clock.now();
    if record.summary.at <= now {
        return Ok(Outcome::Done);
    }
    let found = app.documents.read(Container::Retries, partition, &record.summary.id).await?;
    let Some(document) = found.filter(|document| document.etag == *etag) else { return Ok(Outcome::Gone) };
    let due = RetryRecord { due_at: now, ..document.parse()? };
    changed(app, Container::Retries, partition, Operation::replace(due.id.clone(), &due, document.etag)).await
}

async fn remove(app: &App, container: Container, record: &Record) -> Result<Outcome, RecoveryError> {
    let Origin::Document { partition, etag } = &record.origin else { return Ok(Outcome::Gone) };
    let delete = delete(record.summary.id.clone(), etag.clone());
    changed(app, container, partition, delete).await
}

fn delete(id: String, etag: Etag) -> Operation {
    Operation { id, action: Write::Delete { if_match: Some(etag) } }
}

async fn changed(
    app: &App,
    container: Container,
    partition: &str,
    operation: Operation,
) -> Result<Outcome, RecoveryError> {
    match app.documents.commit(container, partition, vec![operation]).await {
        Ok(_) => Ok(Outcome::Done),
        Err(CommitError::PreconditionFailed { .. }) => Ok(Outcome::Gone),
        Err(error) => Err(error.into()),
    }
}
