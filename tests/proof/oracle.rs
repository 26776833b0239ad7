//! The oracle: compares what was promised with everything that is there once the system is quiet.
//!
//! Obligations, facts and the naive status model come from [`sluice::simulate`], whose judge says what is lost, there
//! twice, or wrong. What that judge cannot see is checked here: [`ledger`] looks at the whole of it and at every field
//! that the plan knows; [`deliveries`] matches the ledger with partners' records and with what they really got.

mod deliveries;
mod ledger;

use std::{collections::BTreeMap, fmt, time::Duration};

use sluice::{
    clock::Clock,
    documents::{Container, Query, query_all},
    ledger::records::{EVENT_PREFIX, EventRecord},
    retry::records::ParkedRecord,
    simulate::{Outcome, Standing, VerifyOptions, verify},
    verify::{CheckOptions, Kind, check},
};

use crate::world::World;

/// A promise that was broken.
#[derive(Debug, Clone)]
pub struct Finding {
    pub kind: &'static str,
    pub count: u64,
    /// The record concerned, where it is one: its message key.
    pub key: Option<String>,
    /// The first of them.
    pub sample: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}: {}", self.kind, self.count, self.sample)
    }
}

/// What a scenario allows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allowed {
    /// Deliveries to this partner may end parked.
    pub parked: Option<&'static str>,
    /// The store failed while deliveries were written down. By design a request that was made is not made again for want
    /// of a record, so a record may be missing, or not know its end; the partner has the event all the same.
    pub records_may_lack: bool,
}

/// What was counted on the way.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counted {
    pub obligations: u64,
    pub events: u64,
    pub deliveries: u64,
}

/// Findings of each kind: how many, and the first.
#[derive(Debug, Default)]
pub struct Findings(BTreeMap<&'static str, Finding>);

impl Findings {
    pub fn add(&mut self, kind: &'static str, key: Option<&str>, sample: String) {
        let key = key.map(str::to_owned);
        self.0.entry(kind).or_insert(Finding { kind, count: 0, key, sample }).count += 1;
    }

    pub fn into_vec(self) -> Vec<Finding> {
        self.0.into_values().collect()
    }
}

/// Judges a quiet system.
pub async fn judge(world: &World, outcome: &Outcome, allowed: Allowed) -> (Vec<Finding>, Counted) {
    let documents = world.store();
    let options = VerifyOptions { timeout: Duration::ZERO, interval: Duration::from_millis(1), concurrency: 16 };
    let verdict = verify(&world.plan, &outcome.obligations, documents, &options, &|_, _| {}).await.unwrap();
    let mut all: Vec<Finding> = Vec::new();
    for (kind, finding) in verdict.findings() {
        if let Some(sample) = finding.samples.first() {
            let key = sample.split_once(": ").map(|(key, _)| key.to_owned());
            all.push(Finding { kind, count: finding.count, key, sample: sample.clone() });
        }
    }

    let mut findings = Findings::default();
    consistent(world, allowed, &mut all).await;
    let found = query_all(documents, Container::Ledger, Query::all().id_prefix(EVENT_PREFIX).page_size(1000));
    let mut events: Vec<EventRecord> = Vec::new();
    for document in found.await.unwrap() {
        match document.parse() {
            Ok(event) => events.push(event),
            Err(error) => findings.add("unreadable", Some(&document.partition), error.to_string()),
        }
    }
    ledger::check(world, outcome, &events, &mut findings);
    parked(world, allowed, &mut findings).await;
    let deliveries = deliveries::check(world, &events, allowed, &mut findings).await;
    all.extend(findings.into_vec());
    let acked = |callback: &u32| outcome.obligations.standing(*callback) == Standing::Acked;
    let obligations = (0..world.plan.callbacks()).filter(acked).count() as u64;
    (all, Counted { obligations, events: events.len() as u64, deliveries })
}

/// What `sluice verify` would say of it: whether everything that is kept fits together.
async fn consistent(world: &World, allowed: Allowed, all: &mut Vec<Finding>) {
    // The clock was set back at times: nothing that is there may count as too young to be judged.
    let now = world.clock.now() + chrono::TimeDelta::hours(1);
    let options = CheckOptions { settle: Duration::ZERO, ..CheckOptions::new(now) };
    let report = check(world.store(), &options, &|_| {}).await.unwrap();
    for (kind, finding) in report.findings {
        if kind == Kind::DeliveryMissing && allowed.records_may_lack {
            continue;
        }
        let sample = finding.samples.first().map(|sample| sample.what.clone()).unwrap_or_default();
        all.push(Finding { kind: kind.meaning(), count: finding.count, key: None, sample });
    }
}

/// What is parked says why, and may be there only where the scenario lets it.
async fn parked(world: &World, allowed: Allowed, findings: &mut Findings) {
    let documents = world.store();
    for document in query_all(documents, Container::Parked, Query::all().page_size(1000)).await.unwrap() {
        let record: ParkedRecord = document.parse().unwrap();
        let key = record.message_key.as_deref();
        if record.reason.is_empty() || record.history.is_empty() {
            findings.add("parked without a reason", key, record.id.clone());
        }
        if record.partner.is_none() || record.partner.as_deref() != allowed.parked {
            let partner = record.partner.as_deref().unwrap_or("no partner");
            findings.add("parked", key, format!("{} ({partner}): {}", record.id, record.reason));
        }
    }
}
