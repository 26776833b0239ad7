//! Every metric and every span that there is. `docs/telemetry.md` lists the same, and a test compares them.

/// What a metric's numbers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the process ends.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations, in classes.
    Histogram,
}

/// A metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    /// As UCUM writes it: `s`, `1`, `{callback}`.
    pub unit: &'static str,
    pub description: &'static str,
    /// The attributes of each of its series.
    pub attributes: &'static [&'static str],
}

const fn metric(
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    attributes: &'static [&'static str],
    description: &'static str,
) -> Metric {
    Metric { name, kind, unit, description, attributes }
}

use Kind::{Counter, Gauge, Histogram};

pub const ACKS: Metric = metric(
    "sluice.acks",
    Counter,
    "{callback}",
    &["vendor", "outcome"],
    "Callbacks answered at the door: published, spooled, refused (not verified), shed (too much at a time), not_durable",
);
pub const ACK_DURATION: Metric =
    metric("sluice.ack.duration", Histogram, "s", &["vendor"], "From a verified callback's first byte to its answer");
pub const ACK_P95: Metric = metric(
    "sluice.ack.duration.p95",
    Gauge,
    "s",
    &["vendor"],
    "Of sluice.ack.duration, since the export before; only exported",
);
pub const VERIFICATION_FAILURES: Metric = metric(
    "sluice.verification.failures",
    Counter,
    "{callback}",
    &["vendor", "reason"],
    "Callbacks that could not be verified",
);
pub const SPOOLED: Metric =
    metric("sluice.spooled", Counter, "{callback}", &["vendor"], "Callbacks that went to the spool");
pub const SEND_DURATION: Metric = metric(
    "messaging.client.operation.duration",
    Histogram,
    "s",
    &["messaging.destination.name", "messaging.operation.name"],
    "How long the broker takes to take a message",
);
pub const PROCESS_DURATION: Metric = metric(
    "messaging.process.duration",
    Histogram,
    "s",
    &["messaging.destination.subscription.name"],
    "How long a batch takes",
);
pub const PROCESSING_DURATION: Metric = metric(
    "sluice.processing.duration",
    Histogram,
    "s",
    &["vendor"],
    "From a callback's receipt to its events' commit",
);
pub const CALLBACKS: Metric = metric(
    "sluice.callbacks.processed",
    Counter,
    "{callback}",
    &["vendor", "outcome"],
    "Callbacks that were processed: unique, or duplicate (brought nothing new)",
);
pub const EVENTS: Metric =
    metric("sluice.events.applied", Counter, "{event}", &["vendor"], "Events that the ledger did not have");
pub const PARKED: Metric =
    metric("sluice.parked", Counter, "{message}", &["vendor", "kind"], "Given up on: callback or delivery");
pub const DELIVERIES: Metric = metric(
    "sluice.deliveries",
    Counter,
    "{attempt}",
    &["partner", "outcome"],
    "Attempts to deliver: delivered, failed (tried again), parked",
);
pub const DELIVERY_DURATION: Metric =
    metric("sluice.delivery.duration", Histogram, "s", &["partner"], "How long partners take to answer");
pub const IN_FLIGHT: Metric =
    metric("sluice.door.in_flight", Gauge, "{callback}", &[], "Callbacks between their body and their answer");
pub const DEPTH: Metric = metric(
    "sluice.subscription.depth",
    Gauge,
    "{message}",
    &["subscription", "state"],
    "Messages of a subscription: active, locked, scheduled, dead_letter. One machine only",
);
pub const OLDEST_AGE: Metric = metric(
    "sluice.subscription.oldest_age",
    Gauge,
    "s",
    &["subscription"],
    "How long the oldest message has waited; in Azure, of those that the last batch brought",
);
pub const RETRIES_DUE: Metric =
    metric("sluice.retries.due", Gauge, "{record}", &["class"], "Retry records whose time has come");
pub const RETRIES_WAITING: Metric = metric("sluice.retries.waiting", Gauge, "{record}", &[], "All retry records");
pub const PARKED_RECORDS: Metric = metric("sluice.parked.records", Gauge, "{record}", &[], "What waits for a person");
pub const SPOOL_RECORDS: Metric =
    metric("sluice.spool.records", Gauge, "{record}", &[], "Callbacks in the spool that are not relayed yet");
pub const BREAKER_OPEN: Metric =
    metric("sluice.breaker.open", Gauge, "1", &["partner"], "1 while a partner's breaker is open, else 0");
pub const STORM: Metric = metric(
    "sluice.retry_storm.ratio",
    Gauge,
    "1",
    &["vendor"],
    "Callbacks acknowledged against those that were new, of all instances, in the last 5 to 10 minutes",
);

/// All of them.
pub const METRICS: &[Metric] = &[
    ACKS,
    ACK_DURATION,
    ACK_P95,
    VERIFICATION_FAILURES,
    SPOOLED,
    SEND_DURATION,
    PROCESS_DURATION,
    PROCESSING_DURATION,
    CALLBACKS,
    EVENTS,
    PARKED,
    DELIVERIES,
    DELIVERY_DURATION,
    IN_FLIGHT,
    DEPTH,
    OLDEST_AGE,
    RETRIES_DUE,
    RETRIES_WAITING,
    PARKED_RECORDS,
    SPOOL_RECORDS,
    BREAKER_OPEN,
    STORM,
];

/// A kind of span: its name (`{topic}` is a topic's), its kind, and its attributes.
#[derive(Debug, PartialEq, Eq)]
pub struct SpanKind {
    pub name: &'static str,
    pub kind: &'static str,
    pub attributes: &'static [&'static str],
}

/// All spans.
pub const SPANS: &[SpanKind] = &[
    SpanKind {
        name: "ingest /incoming/{vendor}/{servicetype}/{*requesttype}",
        kind: "server",
        attributes: &[
            "http.request.method",
            "http.route",
            "http.response.status_code",
            "sluice.vendor",
            "sluice.channel",
            "sluice.refusal",
            "error.type",
        ],
    },
    SpanKind {
        name: "send {topic}",
        kind: "producer",
        attributes: &[
            "messaging.system",
            "messaging.operation.name",
            "messaging.operation.type",
            "messaging.destination.name",
            "messaging.message.conversation_id",
            "messaging.batch.message_count",
            "sluice.event.type",
            "error.type",
        ],
    },
    SpanKind {
        name: "receive {topic}",
        kind: "consumer",
        attributes: &[
            "messaging.system",
            "messaging.operation.name",
            "messaging.operation.type",
            "messaging.destination.name",
            "messaging.destination.subscription.name",
            "messaging.batch.message_count",
            "error.type",
        ],
    },
    SpanKind {
        name: "process {topic}",
        kind: "consumer",
        attributes: &[
            "messaging.system",
            "messaging.operation.name",
            "messaging.operation.type",
            "messaging.destination.name",
            "messaging.destination.subscription.name",
            "messaging.message.conversation_id",
            "messaging.message.body.size",
            "sluice.attempt",
            "sluice.vendor",
            "sluice.partner",
            "error.type",
        ],
    },
    SpanKind {
        name: "commit ledger",
        kind: "client",
        attributes: &["db.system.name", "db.operation.name", "db.collection.name", "sluice.events", "error.type"],
    },
    SpanKind {
        name: "POST",
        kind: "client",
        attributes: &[
            "http.request.method",
            "http.request.resend_count",
            "http.response.status_code",
            "sluice.partner",
            "error.type",
        ],
    },
];
