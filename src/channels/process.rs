//! A processor: a batch of envelopes in, their events in the ledger, every message accounted for.
//!
//! The way of a message: envelope → body → the vendor's normaliser → events ([`super::read`]) → consent → ledger → outbox. Events of all
//! messages of a batch are grouped by message key, and each group is applied in one commit. A message that fails is
//! kept as a retry record or parked, so that one bad message never fails its batch.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures_util::{StreamExt, stream};

use super::{opt_out, read::Problem};
use crate::{
    app::App,
    envelope::Envelope,
    event::{Channel, Event},
    host::ServiceBusMessage,
    ledger::{Applied, Arrival, outbox},
    retry::{Failure, Kept, NotKept},
    telemetry::Count,
};

/// Bodies fetched, partitions written to, and failed messages kept at once: enough to fill the store's group commit.
const CONCURRENCY: usize = 128;

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Processed {
    pub messages: usize,
    /// Events that were new.
    pub applied: usize,
    /// Events that the ledger had already.
    pub duplicates: usize,
    /// Messages kept for another attempt, or parked.
    pub failed: usize,
}

/// A message that was read: its vendor, and how its events fared.
#[derive(Debug, Default)]
struct Outcome {
    vendor: Option<String>,
    new: usize,
    known: usize,
    problem: Option<Problem>,
}

/// Processes a batch of a channel's messages.
///
/// # Errors
/// A failed message could be kept nowhere: the whole batch must be delivered again.
pub async fn process(app: &App, channel: Channel, messages: &[ServiceBusMessage]) -> Result<Processed, NotKept> {
    let mut outcomes: Vec<Outcome> = Vec::with_capacity(messages.len());
    let mut groups: HashMap<String, Vec<(usize, Arrival)>> = HashMap::new();
    let reading: Vec<_> = messages.iter().map(|message| read(app, channel, message)).collect();
    let mut reading = stream::iter(reading).buffered(CONCURRENCY);
    while let Some((vendor, read)) = reading.next().await {
        let mut outcome = Outcome { vendor, ..Outcome::default() };
        match read {
            Ok(arrivals) => {
                for arrival in arrivals {
                    groups.entry(arrival.event.message_key()).or_default().push((outcomes.len(), arrival));
                }
            }
            Err(problem) => outcome.problem = Some(problem),
        }
        outcomes.push(outcome);
    }

    let mut applying = stream::iter(groups)
        .map(|(key, group)| async move {
            let (indexes, arrivals): (Vec<usize>, Vec<Arrival>) = group.into_iter().unzip();
            (apply(app, &key, &arrivals).await, indexes)
        })
        .buffer_unordered(CONCURRENCY);
    while let Some((result, indexes)) = applying.next().await {
        match result {
            Ok(applied) => {
                for (index, new) in indexes.into_iter().zip(applied.new) {
                    if new {
                        outcomes[index].new += 1;
                    } else {
                        outcomes[index].known += 1;
                    }
                }
            }
            Err(problem) => {
                for index in indexes {
                    outcomes[index].problem = Some(problem.clone());
                }
            }
        }
    }
    drop(applying);
    settle(app, channel, messages, outcomes).await
}

/// Turns a message into its events; names its vendor, where it could be told.
async fn read(
    app: &App,
    channel: Channel,
    message: &ServiceBusMessage,
) -> (Option<String>, Result<Vec<Arrival>, Problem>) {
    match Envelope::decode(&message.body) {
        Ok(envelope) => (Some(envelope.vendor.to_string()), arrivals(app, channel, &envelope).await),
        Err(error) => (None, Err(Problem::permanent(error))),
    }
}

async fn arrivals(app: &App, channel: Channel, envelope: &Envelope<'_>) -> Result<Vec<Arrival>, Problem> {
    let mut events = super::read::events(app, channel, envelope).await?;
    // Without them, what waited while somebody was erased would bring the person back.
    let erasures = app.erasures.current().await.map_err(Problem::transient)?;
    events.iter_mut().for_each(|event| erasures.forget(event, envelope.time, &app.tokens));
    let envelope_id: Arc<str> = envelope.id.as_str().into();
    // Without the partners nobody can tell who is owed these events.
    let partners = app.partners.current().await.map_err(Problem::transient)?;
    let arrival = |event| Arrival {
        destinations: app.destinations(&partners, &event),
        event,
        envelope_id: envelope_id.clone(),
        received_at: envelope.time,
    };
    Ok(events.into_iter().map(arrival).collect())
}

/// Applies the events of one message key: wishes first, then the ledger, then what the ledger owes the bus.
///
/// The order makes a crash harmless. Recording a wish twice changes nothing, so it may come before the commit that
/// would make a second delivery a duplicate; after it, it could be lost. A wish that the ledger has already is not
/// recorded again: a repeat is received later, and would undo what the person has wished for since.
async fn apply(app: &App, key: &str, arrivals: &[Arrival]) -> Result<Applied, Problem> {
    let mut seen = HashSet::new();
    for arrival in arrivals {
        let event: &Event = &arrival.event;
        let Some(consent) = opt_out::wish(event, &app.config.channels) else { continue };
        if !seen.insert(event.dedupe_key.as_str()) || app.ledger.knows(key, event).await? {
            continue;
        }
        let at = super::status::effective_time(event, arrival.received_at);
        let recorded = opt_out::record(app.documents.as_ref(), &app.tokens, event, consent, at).await;
        recorded.map_err(Problem::transient)?;
    }
    let mut applied = app.ledger.apply(key, arrivals).await?;
    let topic = &app.config.bus.deliveries_topic;
    for record in std::mem::take(&mut applied.owed) {
        if let Err(error) = outbox::publish(app.bus.as_ref(), app.documents.as_ref(), topic, &record).await {
            // It stays in the outbox, where the sweep finds it, and so do those behind it: a bus that does not answer
            // must not be waited for once for each.
            // Named by its envelope: its own id holds the dedupe key, and so perhaps an address.
            tracing::warn!(key, envelope = record.envelope_id, %error, "announcements stay in the outbox");
            break;
        }
    }
    Ok(applied)
}

/// Counts what went well and keeps what did not.
async fn settle(
    app: &App,
    channel: Channel,
    messages: &[ServiceBusMessage],
    outcomes: Vec<Outcome>,
) -> Result<Processed, NotKept> {
    let mut processed = Processed { messages: messages.len(), ..Processed::default() };
    let mut failed = Vec::new();
    for (message, outcome) in messages.iter().zip(outcomes) {
        processed.applied += outcome.new;
        processed.duplicates += outcome.known;
        let vendor = outcome.vendor.as_deref().unwrap_or_default();
        app.meter.add(vendor, Count::Applied, outcome.new as u64);
        if let Some(problem) = outcome.problem {
            failed.push((message, outcome.vendor, problem));
            continue;
        }
        let callback =
            if outcome.new > 0 || outcome.known == 0 { Count::UniqueCallback } else { Count::DuplicateCallback };
        app.meter.add(vendor, callback, 1);
    }
    processed.failed = failed.len();
    // At once: a store that does not answer must not be waited for once for each message, or the batch outlives its
    // locks.
    let keeping: Vec<_> =
        failed.into_iter().map(|(message, vendor, problem)| keep(app, channel, message, vendor, problem)).collect();
    let mut keeping = stream::iter(keeping).buffer_unordered(CONCURRENCY);
    while let Some(kept) = keeping.next().await {
        kept?;
    }
    Ok(processed)
}

/// Keeps a failed message for another attempt, or parks it.
async fn keep(
    app: &App,
    channel: Channel,
    message: &ServiceBusMessage,
    vendor: Option<String>,
    problem: Problem,
) -> Result<(), NotKept> {
    let (vendor, channel, error) = (vendor.as_deref(), channel.name(), problem.error.clone());
    let envelope = message.correlation_id.as_deref().unwrap_or_default();
    let failure = Failure { class: problem.class, error: problem.error, vendor, channel: Some(channel) };
    match app.retries.keep(&app.config.bus.callbacks_topic, message.into(), failure).await? {
        Kept::UntilDue(due_at) => {
            tracing::warn!(channel, vendor, envelope, error, %due_at, "a callback is tried again");
        }
        Kept::Parked => {
            app.meter.add(vendor.unwrap_or_default(), Count::Parked, 1);
            tracing::error!(channel, vendor, envelope, error, "a callback is parked");
        }
    }
    Ok(())
}
