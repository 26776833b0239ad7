//! What every metric says now: read when somebody asks, computed from the counters that are kept anyway.

use super::{
    Meter, VendorCounts,
    catalogue::{self, Metric},
    histogram::Durations,
    survey::Survey,
};

/// A series' value now.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    pub metric: &'static Metric,
    pub attributes: Vec<(&'static str, String)>,
    pub value: Value,
}

/// A counter's, gauge's or histogram's.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Count(u64),
    Level(f64),
    Durations(Box<Durations>),
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Value::Count(count)
    }
}

impl From<f64> for Value {
    fn from(level: f64) -> Self {
        Value::Level(level)
    }
}

impl From<Durations> for Value {
    fn from(durations: Durations) -> Self {
        Value::Durations(Box::new(durations))
    }
}

#[derive(Default)]
struct Points(Vec<Point>);

impl Points {
    fn push<const N: usize>(&mut self, metric: &'static Metric, values: [&str; N], value: impl Into<Value>) {
        debug_assert_eq!(metric.attributes.len(), N, "{}", metric.name);
        let attributes = metric.attributes.iter().copied().zip(values.map(str::to_owned)).collect();
        self.0.push(Point { metric, attributes, value: value.into() });
    }
}

/// Every series that this process has, but for [`catalogue::ACK_P95`], which depends on who asked before.
pub fn points(meter: &Meter, in_flight: usize, survey: Option<&Survey>) -> Vec<Point> {
    let mut points = Points::default();
    for (vendor, counts) in meter.read() {
        of_vendor(&mut points, &vendor, &counts);
    }
    for (vendor, acks, processing) in meter.durations() {
        points.push(&catalogue::ACK_DURATION, [vendor], acks);
        points.push(&catalogue::PROCESSING_DURATION, [vendor], processing);
    }
    for (topic, sends) in meter.sends() {
        points.push(&catalogue::SEND_DURATION, [topic, "send"], sends);
    }
    for (topic, subscription, batches, oldest) in meter.batches() {
        points.push(&catalogue::PROCESS_DURATION, [subscription], batches);
        // A look at the queues themselves knows better.
        if let Some(oldest) = oldest.filter(|_| survey.is_none_or(|survey| survey.queues.is_empty())) {
            let subscription = format!("{topic}/{subscription}");
            points.push(&catalogue::OLDEST_AGE, [&subscription], oldest.as_secs_f64());
        }
    }
    for (partner, counts) in meter.read_partners() {
        for (outcome, count) in [("delivered", counts.delivered), ("failed", counts.failed), ("parked", counts.parked)]
        {
            points.push(&catalogue::DELIVERIES, [&partner, outcome], count);
        }
    }
    for (partner, deliveries) in meter.delivery_durations() {
        points.push(&catalogue::DELIVERY_DURATION, [&partner], deliveries);
    }
    points.push(&catalogue::IN_FLIGHT, [], in_flight as f64);
    if let Some(survey) = survey {
        of_survey(&mut points, survey);
    }
    points.0
}

fn of_vendor(points: &mut Points, vendor: &str, counts: &VendorCounts) {
    let outcomes = [
        ("published", counts.inbound.saturating_sub(counts.spooled)),
        ("spooled", counts.spooled),
        ("refused", counts.refused()),
        ("shed", counts.shed),
        ("not_durable", counts.not_durable),
    ];
    for (outcome, count) in outcomes {
        points.push(&catalogue::ACKS, [vendor, outcome], count);
    }
    for (reason, count) in &counts.refusals {
        points.push(&catalogue::VERIFICATION_FAILURES, [vendor, reason], *count);
    }
    points.push(&catalogue::SPOOLED, [vendor], counts.spooled);
    points.push(&catalogue::CALLBACKS, [vendor, "unique"], counts.unique_callbacks);
    points.push(&catalogue::CALLBACKS, [vendor, "duplicate"], counts.duplicate_callbacks);
    points.push(&catalogue::EVENTS, [vendor], counts.events_applied);
    points.push(&catalogue::PARKED, [vendor, "callback"], counts.parked);
    points.push(&catalogue::PARKED, [vendor, "delivery"], counts.parked_deliveries);
}

fn of_survey(points: &mut Points, survey: &Survey) {
    for queue in &survey.queues {
        let name = queue.subscription.as_str();
        let states = [
            ("active", queue.active),
            ("locked", queue.locked),
            ("scheduled", queue.scheduled),
            ("dead_letter", queue.dead_letters),
        ];
        for (state, count) in states {
            points.push(&catalogue::DEPTH, [name, state], count as f64);
        }
        points.push(&catalogue::OLDEST_AGE, [name], queue.oldest.as_secs_f64());
    }
    for (class, count) in &survey.retries_due {
        points.push(&catalogue::RETRIES_DUE, [class], *count as f64);
    }
    points.push(&catalogue::RETRIES_WAITING, [], survey.retries as f64);
    points.push(&catalogue::PARKED_RECORDS, [], survey.parked as f64);
    points.push(&catalogue::SPOOL_RECORDS, [], survey.spool as f64);
    for (partner, open) in &survey.breakers {
        points.push(&catalogue::BREAKER_OPEN, [partner], f64::from(u8::from(*open)));
    }
    for (vendor, ratio) in &survey.storms {
        points.push(&catalogue::STORM, [vendor], *ratio);
    }
}
