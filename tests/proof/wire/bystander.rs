//! A partner beside the one that fails: what it is owed comes to it as fast as before.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::{
    oracle::Findings,
    world::{FIRST_PARTNER, World},
};

/// Compares how long receipts took from the vendor to the bystander: those that came before the faults, and those since.
pub async fn is_not_slowed(world: &World, findings: &mut Findings) {
    let first = world.faults.log().into_iter().find(|fault| fault.method == "wire").expect("there were faults");
    world.reached(1.0).await;
    let bystander = world.partners.iter().find(|partner| partner.name != FIRST_PARTNER).expect("there are two");
    everything_has_come(|| bystander.double.seen().len()).await;

    let came = receipts(world);
    let (mut calm, mut beside) = (Vec::new(), Vec::new());
    let mut counted = std::collections::HashSet::new();
    for seen in bystander.double.seen() {
        let id = seen.json()["data"]["provider_message_id"].as_str().unwrap_or_default().to_owned();
        // A receipt may come twice; the first counts.
        let Some(came) = came.get(&id).filter(|_| counted.insert(id.clone())) else { continue };
        let took = seen.at.into_std().saturating_duration_since(*came);
        if *came < first.at { calm.push(took) } else { beside.push(took) }
    }
    if calm.len() < 5 || beside.len() < 20 {
        let sample = format!("{} receipts before the faults, {} beside them", calm.len(), beside.len());
        return findings.add("too few receipts to tell", None, sample);
    }
    let (calm, beside) = (p95(calm), p95(beside));
    println!("p95 from vendor to bystander: {calm:?} before the faults, {beside:?} beside them");
    if beside > calm * 3 + Duration::from_millis(300) {
        findings.add("the bystander was slowed", None, format!("p95 {beside:?}, and {calm:?} before the faults"));
    }
}

/// When each message's `delivered` came to the door first and was acknowledged, by the vendor's id.
fn receipts(world: &World) -> HashMap<String, Instant> {
    let mut came = HashMap::new();
    for visit in world.door.visits().into_iter().filter(|visit| visit.status < 300) {
        let body: HashMap<String, String> = form_urlencoded::parse(&visit.body).into_owned().collect();
        if let (Some("delivered"), Some(id)) = (body.get("MessageStatus").map(String::as_str), body.get("MessageSid")) {
            let first = came.entry(id.clone()).or_insert(visit.came);
            *first = visit.came.min(*first);
        }
    }
    came
}

/// Waits until nothing has come for a second.
async fn everything_has_come(count: impl Fn() -> usize) {
    let mut before = count();
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = count();
        if now == before {
            return;
        }
        before = now;
    }
}

fn p95(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[took.len() * 95 / 100]
}
