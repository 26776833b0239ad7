//! A processor: a batch of envelopes in, their events in the ledger, every message accounted for.
//!
//! The way of a message: envelope → body → the vendor's normaliser → events ([`super::read`]) → consent → ledger →
//! outbox. Events of all messages of a batch are grouped by message key, and each group is applied in one commit. A message
//! that fails is kept as a retry record or parked, so that one bad message never fails its batch.

mod settle;
mod spans;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use futures_util::{StreamExt, stream};

use super::{opt_out, read::Problem};
use crate::{
    app::App,
    clock::Timestamp,
    envelope::Envelope,
    event::{Channel, Event},
    host::ServiceBusMessage,
    ledger::{Applied, Arrival, LedgerError, outbox},
    retry::NotKept,
    telemetry::{Span, Topic},
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
    received_at: Option<Timestamp>,
    new: usize,
    known: usize,
    problem: Option<Problem>,
}

/// Processes a batch of a channel's messages.
///
/// # Errors
/// A failed message could be kept nowhere: the whole batch must be delivered again.
/// `batch` is the span around it.
pub async fn process(
    app: &App,
    channel: Channel,
    messages: &[ServiceBusMessage],
    batch: &Span,
) -> Result<Processed, NotKept> {
    let mut outcomes: Vec<Outcome> = Vec::with_capacity(messages.len());
    let mut groups: HashMap<String, Vec<(usize, Arrival)>> = HashMap::new();
    let spans: Vec<Span> = messages.iter().map(|message| spans::of_message(app, channel, message, batch)).collect();
    let reading: Vec<_> =
        messages.iter().zip(&spans).map(|(message, span)| read(app, channel, message, span)).collect();
    let mut reading = stream::iter(reading).buffered(CONCURRENCY);
    while let Some((vendor, read)) = reading.next().await {
        let mut outcome = Outcome { vendor, ..Outcome::default() };
        match read {
            Ok(arrivals) => {
                outcome.received_at = arrivals.first().map(|arrival| arrival.received_at);
                for arrival in arrivals {
                    groups.entry(arrival.event.message_key()).or_default().push((outcomes.len(), arrival));
                }
            }
            Err(problem) => outcome.problem = Some(problem),
        }
        outcomes.push(outcome);
    }

    let mut applying = stream::iter(groups)
        .map(|(key, group)| {
            let (indexes, arrivals): (Vec<usize>, Vec<Arrival>) = group.into_iter().unzip();
            let commit = spans::of_commit(app, indexes.iter().map(|index| &spans[*index]), arrivals.len());
            async move { (apply(app, &key, &arrivals, commit).await, indexes) }
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
    settle::settle(app, channel, messages, outcomes, &spans).await
}

/// Turns a message into its events; names its vendor, where it could be told.
async fn read(
    app: &App,
    channel: Channel,
    message: &ServiceBusMessage,
    span: &Span,
) -> (Option<String>, Result<Vec<Arrival>, Problem>) {
    match Envelope::decode(&message.body) {
        Ok(envelope) => {
            span.describe(|| [("sluice.vendor", envelope.vendor.to_string().into())]);
            let traceparent = span.traceparent().or_else(|| envelope.traceparent.as_deref().map(str::to_owned));
            let read = arrivals(app, channel, &envelope, traceparent.map(Arc::from)).await;
            (Some(envelope.vendor.to_string()), read)
        }
        Err(error) => (None, Err(Problem::permanent(error))),
    }
}

async fn arrivals(
    app: &App,
    channel: Channel,
    envelope: &Envelope<'_>,
    traceparent: Option<Arc<str>>,
) -> Result<Vec<Arrival>, Problem> {
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
        traceparent: traceparent.clone(),
    };
    Ok(events.into_iter().map(arrival).collect())
}

/// Applies the events of one message key: wishes first, then the ledger, then what the ledger owes the bus.
///
/// The order makes a crash harmless. Recording a wish twice changes nothing, so it may come before the commit that
/// would make a second delivery a duplicate; after it, it could be lost. A wish that the ledger has already is not
/// recorded again: a repeat is received later, and would undo what the person has wished for since.
async fn apply(app: &App, key: &str, arrivals: &[Arrival], commit: Span) -> Result<Applied, Problem> {
    let failed = |error: LedgerError| {
        commit.fail(match error {
            LedgerError::Unavailable(_) => "unavailable",
            LedgerError::Refused(_) => "refused",
        });
        Problem::from(error)
    };
    let mut seen = HashSet::new();
    for arrival in arrivals {
        let event: &Event = &arrival.event;
        let Some(consent) = opt_out::wish(event, &app.config.channels) else { continue };
        if !seen.insert(event.dedupe_key.as_str()) || app.ledger.knows(key, event).await.map_err(failed)? {
            continue;
        }
        let at = super::status::effective_time(event, arrival.received_at);
        let recorded = opt_out::record(app.documents.as_ref(), &app.tokens, event, consent, at).await;
        recorded.map_err(Problem::transient)?;
    }
    let mut applied = app.ledger.apply(key, arrivals).await.map_err(failed)?;
    drop(commit);
    for record in std::mem::take(&mut applied.owed) {
        let send = spans::of_announcement(app, &record);
        let (topic, sender) = (&app.config.bus.deliveries_topic, send.traceparent());
        let asked = Instant::now();
        let published = outbox::publish(app.bus.as_ref(), app.documents.as_ref(), topic, &record, sender);
        let published = published.await;
        app.meter.sent_to(Topic::Deliveries, asked.elapsed());
        if let Err(error) = published {
            send.fail(match error {
                outbox::OutboxError::Publish(_) => "not_published",
                outbox::OutboxError::Delete(_) => "not_deleted",
            });
            // It stays in the outbox, where the sweep finds it, and so do those behind it: a bus that does not answer
            // must not be waited for once for each.
            // Named by its envelope: its own id holds the dedupe key, and so perhaps an address.
            tracing::warn!(key, envelope = record.envelope_id, %error, "announcements stay in the outbox");
            break;
        }
    }
    Ok(applied)
}
