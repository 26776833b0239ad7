//! The end of a batch: what went well is counted, what did not is kept.

use futures_util::{StreamExt, stream};

use super::{super::read::Problem, CONCURRENCY, Outcome, Processed};
use crate::{
    app::App,
    event::Channel,
    host::ServiceBusMessage,
    retry::{
        Failure, Kept, NotKept,
        records::{Class, StoredMessage},
    },
    telemetry::{Count, Span},
};

/// Counts what went well and keeps what did not.
pub(super) async fn settle(
    app: &App,
    channel: Channel,
    messages: &[ServiceBusMessage],
    outcomes: Vec<Outcome>,
    spans: &[Span],
) -> Result<Processed, NotKept> {
    let mut processed = Processed { messages: messages.len(), ..Processed::default() };
    let mut failed = Vec::new();
    for ((message, outcome), span) in messages.iter().zip(outcomes).zip(spans) {
        processed.applied += outcome.new;
        processed.duplicates += outcome.known;
        let vendor = outcome.vendor.as_deref().unwrap_or_default();
        app.meter.add(vendor, Count::Applied, outcome.new as u64);
        if let Some(problem) = outcome.problem {
            span.fail(match problem.class {
                Class::Transient => "transient",
                Class::Permanent => "permanent",
            });
            failed.push((message, outcome.vendor, problem, span));
            continue;
        }
        let callback =
            if outcome.new > 0 || outcome.known == 0 { Count::UniqueCallback } else { Count::DuplicateCallback };
        app.meter.add(vendor, callback, 1);
        if let Some(received_at) = outcome.received_at {
            app.meter.processed(vendor, (app.clock.now() - received_at).to_std().unwrap_or_default());
        }
    }
    processed.failed = failed.len();
    // At once: a store that does not answer must not be waited for once for each message, or the batch outlives its
    // locks.
    let keeping: Vec<_> = failed
        .into_iter()
        .map(|(message, vendor, problem, span)| keep(app, channel, message, vendor, problem, span))
        .collect();
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
    span: &Span,
) -> Result<(), NotKept> {
    let (vendor, channel, error) = (vendor.as_deref(), channel.name(), problem.error.clone());
    let envelope = message.correlation_id.as_deref().unwrap_or_default();
    let failure = Failure { class: problem.class, error: problem.error, vendor, channel: Some(channel) };
    let mut message = StoredMessage::from(message);
    message.remember(span);
    match app.retries.keep(&app.config.bus.callbacks_topic, message, failure).await? {
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
