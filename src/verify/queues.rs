//! The broker's queues, where somebody can say how full they are: what it gave up on, and what nobody takes.

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
    /// When the oldest of these was enqueued.
    pub oldest: Option<Timestamp>,
    pub dead_letters: u64,
    /// Whether it carries deliveries to partners.
    pub is_deliveries: bool,
}

/// Adds what the queues show. A delivery that nothing keeps may be one of those that nobody has taken yet: it does not count
/// as lost then, and cannot be judged.
pub fn check(queues: &[Queue], options: &CheckOptions, report: &mut Report) {
    let rules = options.rules();
    for queue in queues {
        let name = &queue.name;
        if queue.dead_letters > 0 {
            let mut sample = plain(format!("{name}: {} dead letters", queue.dead_letters));
            sample.command = Some(format!("sluice dead-letters list --subscription {}", quoted(name)));
            report.add_many(Kind::DeadLetters, queue.dead_letters, sample);
        }
        let Some(oldest) = queue.oldest.filter(|oldest| rules.is_overdue(*oldest)) else { continue };
        let since = millis::text(oldest);
        let mut sample = plain(format!("{name}: {} messages, the oldest since {since}", queue.waiting));
        sample.command = Some("sluice status".to_owned());
        report.add_many(Kind::MessagesOld, queue.waiting, sample);
        if queue.is_deliveries
            && let Some(missing) = report.findings.remove(&Kind::DeliveryMissing)
        {
            let count = missing.count;
            report.unjudged.push(format!("{count} deliveries that nothing keeps: they may be among those in {name}"));
        }
    }
}
