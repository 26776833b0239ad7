//! The spans of a batch: one for each message in its own trace, one for each commit, one for each announcement.

use opentelemetry::trace::SpanKind;

use crate::{
    app::App,
    event::Channel,
    host::ServiceBusMessage,
    ledger::records::OutboxRecord,
    retry,
    telemetry::{ATTEMPT_BEFORE, Span},
};

/// Continues the message's trace, and points at the batch and at the attempt that failed before.
pub(super) fn of_message(app: &App, channel: Channel, message: &ServiceBusMessage, batch: &Span) -> Span {
    let topic = &app.config.bus.callbacks_topic;
    let span = app.tracing.start(SpanKind::Consumer, "process", topic, app.tracing.context_of(&message.properties));
    span.describe_messaging(app.config.messaging_system(), "process", topic);
    span.describe(|| {
        [
            ("messaging.destination.subscription.name", channel.name().into()),
            ("messaging.message.conversation_id", message.correlation_id.clone().unwrap_or_default().into()),
            ("messaging.message.body.size", i64::try_from(message.body.len()).unwrap_or(i64::MAX).into()),
            ("sluice.attempt", i64::from(retry::attempt_of(&message.properties)).into()),
        ]
    });
    span.link(batch.context());
    let before = message.properties.get(ATTEMPT_BEFORE).and_then(|before| before.as_str());
    span.link(before.and_then(|before| app.tracing.parse(before, None)));
    span
}

/// A part of the first message's trace that points at the others, where several share a commit.
pub(super) fn of_commit<'a>(app: &App, messages: impl Iterator<Item = &'a Span>, events: usize) -> Span {
    let mut contexts: Vec<_> = messages.filter_map(Span::context).collect();
    contexts.dedup();
    let mut contexts = contexts.into_iter();
    let span = app.tracing.start(SpanKind::Client, "commit", "ledger", contexts.next());
    span.describe(|| {
        [
            ("db.system.name", app.config.db_system().into()),
            ("db.operation.name", "commit".into()),
            ("db.collection.name", "ledger".into()),
            ("sluice.events", i64::try_from(events).unwrap_or(i64::MAX).into()),
        ]
    });
    for other in contexts {
        span.link(Some(other));
    }
    span
}

/// Continues the trace of the message that the event came with.
pub(super) fn of_announcement(app: &App, record: &OutboxRecord) -> Span {
    let parent = record.traceparent.as_deref().and_then(|traceparent| app.tracing.parse(traceparent, None));
    let topic = &app.config.bus.deliveries_topic;
    let span = app.tracing.start(SpanKind::Producer, "send", topic, parent);
    span.describe_messaging(app.config.messaging_system(), "send", topic);
    span.describe(|| {
        [
            ("messaging.message.conversation_id", record.envelope_id.clone().into()),
            ("messaging.batch.message_count", i64::try_from(record.destinations.len()).unwrap_or(i64::MAX).into()),
            ("sluice.event.type", record.event.event_type.name().into()),
        ]
    });
    span
}
