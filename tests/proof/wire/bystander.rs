//! A partner beside the one that fails: what it is owed comes to it, and soon.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use sluice::{
    clock::{Clock, Timestamp},
    documents::{Container, Query, query_all},
    ledger::records::{EVENT_PREFIX, EventRecord},
    local::broker::{Entity, Received},
};

use super::scenarios::BREAKER_OPEN;
use crate::{
    oracle::Findings,
    world::{ARCHIVE, FIRST_PARTNER, Owed, World},
};

/// What a partner may take of a batch's time by design: the courier's budget.
const BUDGET: Duration = Duration::from_secs(1);

/// Compares how long receipts took from the bus to the bystander: those published before the faults, and those since.
pub async fn is_not_slowed(world: &World, findings: &mut Findings) {
    world.reached(1.0).await;
    let bystander = world.partners.iter().find(|partner| partner.name != FIRST_PARTNER).expect("there are two");
    let Some(published) = everything_has_come(world, bystander).await else {
        return findings.add("the bystander waits", None, "not everything came within the time".into());
    };
    let mut came: HashMap<String, Instant> = HashMap::new();
    for seen in bystander.double.seen() {
        // What comes twice counts once.
        came.entry(seen.header("webhook-id").to_owned()).or_insert(seen.at.into_std());
    }
    let began = jumps(world, "wire").first().copied().expect("there were faults");
    let (mut calm, mut beside) = (Vec::new(), Vec::new());
    for (id, published) in published {
        let took = came[&id].saturating_duration_since(published);
        if published < began { calm.push(took) } else { beside.push(took) }
    }
    if calm.len() < 3 || beside.len() < 10 {
        let sample = format!("{} receipts before the faults, {} beside them", calm.len(), beside.len());
        return findings.add("too few receipts to tell", None, sample);
    }
    let (calm, beside) = (p95(calm), p95(beside));
    let machine = p95(processing(world, began).await);
    let figures = format!("{calm:?} before the faults, {beside:?} beside them; processing took {machine:?}");
    println!("p95 from the bus to the bystander: {figures}");
    if beside > (calm + machine) * 3 + BUDGET {
        findings.add("the bystander was slowed", None, format!("p95 {figures}"));
    }
}

/// How long callbacks that came beside the faults took to the ledger. No partner has a part in that, so a machine that is
/// busy with something else shows in it.
async fn processing(world: &World, since: Instant) -> Vec<Duration> {
    let events = Query::all().id_prefix(EVENT_PREFIX).page_size(1000);
    let events = query_all(world.store(), Container::Ledger, events).await.unwrap();
    let events = events.iter().map(|document| document.parse::<EventRecord>().unwrap());
    let took = events.map(|event| (instant(world, event.received_at), instant(world, event.applied_at)));
    took.filter(|(came, _)| *came >= since).map(|(came, applied)| applied.saturating_duration_since(came)).collect()
}

/// Waits until nothing waits to be processed and the bystander has everything; returns when each of its events was
/// published, by `webhook-id`.
async fn everything_has_come(world: &World, bystander: &Owed) -> Option<HashMap<String, Instant>> {
    const PATIENCE: Duration = Duration::from_secs(30);
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let depths = world.test.broker.depths().await.unwrap();
        let callbacks = depths.iter().filter(|depth| depth.entity.topic == "callbacks");
        let waiting: u64 = callbacks.map(|depth| depth.active + depth.locked + depth.scheduled).sum();
        let published = published(world, bystander).await;
        let got = bystander.double.ids();
        if waiting == 0 && published.keys().all(|id| got.contains(id)) {
            return Some(published);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    None
}

/// When each event that the bystander is owed was published: the subscription that nothing reads has them all.
async fn published(world: &World, bystander: &Owed) -> HashMap<String, Instant> {
    let archive = Entity::subscription("deliveries", ARCHIVE);
    let all = world.test.broker.peek(&archive, 0, 10_000).await.unwrap();
    let says = |received: &Received, name: &str, text: &str| {
        received.message.properties.get(name).and_then(|property| property.as_str()) == Some(text)
    };
    let owed = |received: &&Received| {
        bystander.channel.is_none_or(|channel| says(received, "channel", channel.name()))
            && bystander.event_type.is_none_or(|name| says(received, "type", name))
    };
    let id = |received: &Received| received.message.message_id.trim_start_matches("archive.").to_owned();
    all.iter().filter(owed).map(|received| (id(received), instant(world, received.enqueued_at))).collect()
}

/// When it was so late by the run's clock, which was set forward meanwhile.
fn instant(world: &World, stamp: Timestamp) -> Instant {
    let jumps = jumps(world, "clock");
    let ago = (world.clock.now() - stamp).to_std().unwrap_or_default();
    let now = Instant::now();
    // After `index` jumps, those that were still to come lie between then and now.
    let mut candidates = (0..=jumps.len()).map(|index| {
        let still_to_come = BREAKER_OPEN * (jumps.len() - index) as u32;
        (index, now.checked_sub(ago.saturating_sub(still_to_come)).unwrap_or(now))
    });
    let fits = |(index, at): &(usize, Instant)| {
        index.checked_sub(1).is_none_or(|before| jumps[before] <= *at) && jumps.get(*index).is_none_or(|next| at < next)
    };
    // A stamp of the very moment of a jump fits nowhere.
    candidates.clone().find(fits).or_else(|| candidates.next_back()).map_or(now, |(_, at)| at)
}

/// When faults of this kind were noted.
fn jumps(world: &World, method: &str) -> Vec<Instant> {
    world.faults.log().into_iter().filter(|fault| fault.method == method).map(|fault| fault.at).collect()
}

fn p95(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took.get(took.len() * 95 / 100).copied().unwrap_or_default()
}
