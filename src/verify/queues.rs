//! The broker's queues, where somebody can say how full they are: what it gave up on, and what nobody takes.

use chrono::TimeDelta;

use super::{
    report::{Kind, Report},
    rules::CheckOptions,
    sample::{plain, quoted},
};
use crate::clock::{Timestamp, millis};

/// How full a subscription is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// `{topic}/{subscription}`.
    pub name: String,
    /// Messages that can be taken, or are in somebody's hands.
    pub waiting: u64,
    /// Messages that are not due yet.
    pub scheduled: u64,
    /// When the oldest of those that wait was enqueued.
    pub oldest: Option<Timestamp>,
    pub dead_letters: u64,
    /// Whether it carries deliveries to partners.
    pub is_deliveries: bool,
}

/// Adds what the queues show, right after [`super::check`]. A delivery that nothing keeps may be in a queue where messages
/// wait for long: it does not count as lost then, and cannot be judged.
pub fn check(queues: &[Queue], options: &CheckOptions, report: &mut Report) {
    let rules = options.rules();
    for queue in queues {
        let name = &queue.name;
        if queue.dead_letters > 0 {
            let mut sample = plain(format!("{name}: {} dead letters", queue.dead_letters));
            sample.command = Some(format!("sluice dead-letters list --subscription {}", quoted(name)));
            report.add_many(Kind::DeadLetters, queue.dead_letters, sample);
        }
        if let Some(oldest) = queue.oldest.filter(|oldest| rules.is_overdue(*oldest)) {
            let since = millis::text(oldest);
            let mut sample = plain(format!("{name}: {} messages, the oldest since {since}", queue.waiting));
            sample.command = Some("sluice status".to_owned());
            report.add_many(Kind::MessagesOld, queue.waiting, sample);
        }
        if may_hold_what_is_missing(queue, options, report)
            && let Some(missing) = report.findings.remove(&Kind::DeliveryMissing)
        {
            let count = missing.count;
            report.unjudged.push(format!("{count} deliveries that nothing keeps: they may be among those in {name}"));
        }
    }
}

/// Whether something has been in the queue for as long as what is missing was looked for.
fn may_hold_what_is_missing(queue: &Queue, options: &CheckOptions, report: &Report) -> bool {
    let looked_until = TimeDelta::from_std(report.took).ok().and_then(|took| options.now.checked_add_signed(took));
    let looked_for = TimeDelta::from_std(options.settle).unwrap_or(TimeDelta::MAX);
    let looked_since = looked_until.and_then(|until| until.checked_sub_signed(looked_for)).unwrap_or(options.now);
    let waits = queue.oldest.is_some_and(|oldest| oldest <= looked_since);
    queue.is_deliveries && (waits || queue.scheduled > 0)
}
