//! Values that can be read but not be meant: with them the program would start, and then refuse or lose what it is there
//! to keep.

use std::{collections::BTreeSet, time::Duration};

use bytesize::ByteSize;
use toml::Spanned;

use super::{ConfigError, File, Keep, error::Locator};
use crate::delivery::changes::{LONGEST_TIMEOUT, MOST_AT_ONCE, MOST_WAITS};

/// What is left of a bus message of 256 KB (Service Bus Standard) beside 64 KB of properties.
const LARGEST_ENVELOPE: ByteSize = ByteSize::kib(192);
/// Longer than anybody waits for a retry, and far from what a date can hold.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);
/// Cosmos DB counts the seconds in 32 bits.
const LONGEST_RETENTION: Duration = Duration::from_secs(60 * 365 * 24 * 3600);
/// The deliveries topic's own subscription, and what its filter says.
const RESERVED_DESTINATIONS: [&str; 2] = ["deliver", "partner"];

pub(super) fn check(at: &Locator, file: &File) -> Result<(), ConfigError> {
    let (ingest, bus, dependencies) = (file.ingest.get_ref(), file.bus.get_ref(), file.dependencies.get_ref());
    let (retry, outbox) = (file.retry.get_ref(), file.outbox.get_ref());
    let not_zero = "must be more than 0";

    let table = Table { at, name: "dependencies", start: start(&file.dependencies) };
    table.refuse_if("timeout", dependencies.timeout.is_zero(), not_zero)?;

    let table = Table { at, name: "ingest", start: start(&file.ingest) };
    table.refuse_if("body_limit", ingest.body_limit.as_u64() == 0, not_zero)?;
    table.refuse_if("body_timeout", ingest.body_timeout.is_zero(), not_zero)?;
    table.refuse_if("publish_timeout", ingest.publish_timeout.is_zero(), not_zero)?;
    table.refuse_if("spool_timeout", ingest.spool_timeout.is_zero(), not_zero)?;
    let few = ingest.in_flight < 4;
    table.refuse_if("in_flight", few, "must be at least 4, or some priorities would have no share")?;
    let small = ingest.largest_bodies() / 2 < ingest.body_limit.as_u64();
    table.refuse_if("body_memory", small, "must be at least twice body_limit: half of it is for low priority")?;
    let problem = format!("must not exceed {LARGEST_ENVELOPE}: the bus would refuse the envelope");
    table.refuse_if("claim_check_above", ingest.claim_check_above > LARGEST_ENVELOPE, &problem)?;

    let table = Table { at, name: "bus", start: start(&file.bus) };
    table.refuse_if("callbacks_topic", bus.callbacks_topic.is_empty(), "is empty")?;
    table.refuse_if("deliveries_topic", bus.deliveries_topic.is_empty(), "is empty")?;
    let same = bus.deliveries_topic == bus.callbacks_topic;
    table.refuse_if("deliveries_topic", same, "must be another topic than callbacks_topic")?;
    table.refuse_if("time_to_live", bus.time_to_live.is_zero(), not_zero)?;
    let problem = "must be longer than dependencies.timeout: a batch that waits for it would lose its locks";
    table.refuse_if("lock_duration", bus.lock_duration <= dependencies.timeout, problem)?;
    table.refuse_if("max_delivery_count", bus.max_delivery_count == 0, not_zero)?;

    let table = Table { at, name: "retry", start: start(&file.retry) };
    table.refuse_if("schedule", retry.schedule.is_empty(), "is empty: whatever fails once would be parked")?;
    let unfit = retry.schedule.iter().any(|wait| wait.is_zero() || **wait > LONGEST_WAIT);
    table.refuse_if("schedule", unfit, "each wait must be more than 0 and at most a year")?;
    table.refuse_if("jitter", !(0.0..=1.0).contains(&retry.jitter), "must lie between 0 and 1")?;
    table.refuse_if("sweep_limit", retry.sweep_limit == 0, not_zero)?;
    table.refuse_if("sweep_rate", retry.sweep_rate == 0, not_zero)?;

    if let Some(delivery) = &file.delivery {
        let table = Table { at, name: "delivery", start: start(delivery) };
        let delivery = delivery.get_ref();
        table.refuse_if("schedule", delivery.schedule.is_empty(), "is empty: whatever fails once would be parked")?;
        let unfit = delivery.schedule.iter().any(|wait| wait.is_zero() || **wait > LONGEST_WAIT);
        table.refuse_if("schedule", unfit, "each wait must be more than 0 and at most a year")?;
        let many = delivery.schedule.len() > MOST_WAITS;
        table.refuse_if("schedule", many, &format!("has more than {MOST_WAITS} waits"))?;
        table.refuse_if("jitter", !(0.0..=1.0).contains(&delivery.jitter), "must lie between 0 and 1")?;
        let unfit = delivery.timeout.is_zero() || delivery.timeout > LONGEST_TIMEOUT;
        table.refuse_if("timeout", unfit, &format!("must be more than 0 and at most {LONGEST_TIMEOUT:?}"))?;
        let unfit = !(1..=MOST_AT_ONCE).contains(&delivery.concurrency);
        table.refuse_if("concurrency", unfit, &format!("must lie between 1 and {MOST_AT_ONCE}"))?;
        table.refuse_if("former_secret", delivery.former_secret > LONGEST_WAIT, "must be at most a year")?;
        table.refuse_if("disable_after", delivery.disable_after.is_zero(), not_zero)?;
        let unfit = delivery.keep_records.is_zero() || delivery.keep_records > LONGEST_WAIT;
        table.refuse_if("keep_records", unfit, "must be more than 0 and at most a year")?;
    }

    if let Some(retention) = &file.retention {
        let table = Table { at, name: "retention", start: start(retention) };
        let retention = retention.get_ref();
        let kept = [retention.ledger, retention.parked, retention.consent, retention.audit, retention.blobs];
        for (key, keep) in ["ledger", "parked", "consent", "audit", "blobs"].into_iter().zip(kept) {
            let unfit = keep.ttl().is_some_and(|time| time < Duration::from_secs(1) || time > LONGEST_RETENTION);
            table.refuse_if(key, unfit, "must be at least a second and at most 60 years, or forever")?;
        }
        let retries: Duration = retry.schedule.iter().map(|wait| **wait).sum();
        let on_its_way = Keep::For(bus.time_to_live.saturating_add(retries));
        let problem = format!("must be at least {on_its_way}, the sum of bus.time_to_live and retry.schedule: ");
        let again = format!("{problem}a callback that comes back later would be applied again");
        table.refuse_if("ledger", retention.ledger < on_its_way, &again)?;
        let records = file.delivery.as_ref().map(|delivery| delivery.get_ref().keep_records).unwrap_or_default();
        let problem_of_records =
            "must not be shorter than delivery.keep_records: deliveries would outlive their events";
        table.refuse_if("ledger", retention.ledger < Keep::For(records), problem_of_records)?;
        let lost = format!("{problem}the body of a callback that comes back later would be lost");
        table.refuse_if("blobs", retention.blobs < on_its_way, &lost)?;
        let problem = "must not be shorter than parked: what is parked could not be replayed without its body";
        table.refuse_if("blobs", retention.blobs < retention.parked, problem)?;
    }

    let table = Table { at, name: "outbox", start: start(&file.outbox) };
    let names = &outbox.destinations;
    let plain = |name: &String| {
        !name.is_empty()
            && name.len() <= 40
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    let problem = "each must be 1 to 40 of A-Z, a-z, 0-9, -, _ and .";
    table.refuse_if("destinations", !names.iter().all(plain), problem)?;
    let twice = names.iter().collect::<BTreeSet<_>>().len() < names.len();
    table.refuse_if("destinations", twice, "names one twice")?;
    let ours = names.iter().any(|name| RESERVED_DESTINATIONS.contains(&name.as_str()));
    table.refuse_if("destinations", ours, "has the name of a subscription that is there already")
}

fn start<T>(table: &Spanned<T>) -> usize {
    table.span().start
}

/// A table of the file: knows where its keys are.
struct Table<'a> {
    at: &'a Locator<'a>,
    name: &'static str,
    start: usize,
}

impl Table<'_> {
    fn refuse_if(&self, key: &str, refused: bool, problem: &str) -> Result<(), ConfigError> {
        if !refused {
            return Ok(());
        }
        let text = self.at.text.get(self.start..).unwrap_or_default();
        let is_key =
            |line: &str| line.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='));
        let lines: usize = text.split_inclusive('\n').take_while(|line| !is_key(line)).map(str::len).sum();
        // Written in another way, for example as an inline table: where the table begins.
        let offset = if lines < text.len() { self.start + lines } else { self.start };
        Err(self.at.value(offset..offset, format!("{}.{key}", self.name), problem.to_owned()))
    }
}
