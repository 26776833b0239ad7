//! The breaker: an endpoint that fails is left alone, by every instance, but for one probe.

use std::{sync::atomic::Ordering, time::Duration};

use axum::http::Method;
use serde_json::{Value, json};
use sluice::{
    delivery::{breaker, breakers::BreakerRecord},
    documents::Container,
    retry::records::RetryRecord,
};

use crate::{
    support::partner_double::{Act, PartnerDouble},
    world::{World, invoke, until},
};

async fn breaker(world: &World) -> breaker::Breaker {
    let found = world.app.app.documents.read(Container::Registry, "breakers", "acme").await.unwrap();
    found.map(|document| document.parse::<BreakerRecord>().unwrap().breaker).unwrap_or_default()
}

/// Five events whose partner fails, one at a time.
async fn opened(world: &World, partner: &PartnerDouble) {
    partner.usually(Act::Answer(503));
    for index in 0..5 {
        world.apply(&format!("SMo{index}")).await;
        world.deliver().await;
        // A batch waits for hardly a moment where a partner fails: on a busy machine the answer comes behind it.
        let failed = async || records(world).await.iter().filter(|record| record.attempt == 2).count();
        until("its failure is kept", async || failed().await == index + 1).await;
    }
    assert_eq!(partner.seen().len(), 5);
    assert!(breaker(world).await.is_open());
}

async fn records(world: &World) -> Vec<RetryRecord> {
    world.app.all(Container::Retries).await.iter().map(|document| document.parse().unwrap()).collect()
}

#[tokio::test]
async fn after_five_failures_nothing_is_sent_until_a_probe_and_no_attempt_is_used_up() {
    let (world, partner) = (World::start(), PartnerDouble::start().await);
    world.partner("acme", &partner.url, json!({})).await;
    opened(&world, &partner).await;

    world.apply("SM1").await;
    assert_eq!(world.deliver().await, 1);
    assert_eq!(partner.seen().len(), 5, "the endpoint is left alone");
    let waiting = records(&world).await.into_iter().find(|record| record.message_key.as_deref() == Some("twilio:SM1"));
    let waiting = waiting.unwrap();
    assert_eq!((waiting.attempt, waiting.due_at - world.app.app.clock.now()), (1, chrono::TimeDelta::seconds(60)));

    // Still failing: one probe, and it is shut for another minute.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    world.after(61).await;
    assert_eq!(partner.seen().len(), 6, "one probe");
    assert!(breaker(&world).await.is_open());

    // It works again: one probe closes the breaker, and everything arrives.
    partner.usually(Act::Answer(200));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for _ in 0..6 {
        world.after(61).await;
    }
    assert_eq!(breaker(&world).await, breaker::Breaker::default());
    assert!(records(&world).await.is_empty());
    let delivered =
        world.records().await.iter().filter(|record| record.attempts.last().unwrap().error.is_none()).count();
    assert_eq!(delivered, 6);
}

#[tokio::test]
async fn a_breaker_that_one_instance_opened_stops_the_other_within_seconds_and_one_of_them_probes() {
    let (world, partner) = (World::start(), PartnerDouble::start().await);
    world.partner("acme", &partner.url, json!({ "timeout": "5s" })).await;
    let (other, other_handler) = world.second();
    assert!(other.breakers.current().await.unwrap().is_empty(), "the other one has looked, and seen nothing");
    opened(&world, &partner).await;

    // The other instance's copy is a second old at the most.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    world.apply("SM1").await;
    let received = world.receive().await;
    invoke(&other_handler, &received).await;
    world.app.broker.complete(&[received[0].lock.clone()]).await.unwrap();
    assert_eq!(partner.seen().len(), 5);

    // Both have something to send when a probe is due: one sends.
    world.apply("SM2").await;
    world.apply("SM3").await;
    let received = world.receive().await;
    let (one, two) = received.split_at(1);
    world.app.clock.advance(Duration::from_secs(61));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    partner.usually(Act::Stall(Duration::from_millis(500)));
    tokio::join!(invoke(&world.app.handler, one), invoke(&other_handler, two));
    until("the probe closes it", async || breaker(&world).await == breaker::Breaker::default()).await;
    assert_eq!(partner.seen().len(), 6, "one probe");
}

#[tokio::test]
async fn an_instance_that_dies_as_it_probes_is_succeeded_by_another() {
    let (world, partner) = (World::start(), PartnerDouble::start().await);
    world.partner("acme", &partner.url, json!({ "timeout": "5s" })).await;
    opened(&world, &partner).await;
    world.app.clock.advance(Duration::from_secs(61));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let patience = Duration::from_secs(35);
    let died = world.second().0.breakers.admit("acme", patience).await;
    assert!(matches!(died, sluice::delivery::breakers::Admission::Probe(_)), "{died:?}");

    partner.usually(Act::Answer(200));
    world.apply("SM1").await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    world.deliver().await;
    assert_eq!(partner.seen().len(), 5, "somebody is probing");
    world.app.clock.advance(Duration::from_secs(36));
    world.apply("SM2").await;
    world.deliver().await;
    assert_eq!(partner.seen().len(), 6);
    assert_eq!(breaker(&world).await, breaker::Breaker::default());
}

#[tokio::test]
async fn a_registry_that_is_away_keeps_nobody_from_sending() {
    let (world, partner) = (World::start(), PartnerDouble::start().await);
    world.partner("acme", &partner.url, json!({})).await;
    world.apply("SM1").await;
    world.app.documents.fail(|container, _, _| {
        (container == Container::Registry || container == Container::Deliveries)
            .then_some(crate::support::Fault::Before)
    });
    assert_eq!(world.deliver().await, 1);
    assert_eq!(partner.seen().len(), 1);
    assert!(world.app.documents.commits.load(Ordering::SeqCst) > 0);
    assert!(world.retries().await.is_empty(), "it is delivered, though nobody could write it down");
}

#[tokio::test]
async fn an_endpoint_that_has_failed_for_five_days_is_disabled() {
    let (world, partner) = (World::start(), PartnerDouble::start().await);
    world.partner("acme", &partner.url, json!({})).await;
    opened(&world, &partner).await;
    let shown = async || world.ask(Method::GET, "partners/acme", Value::Null).await.1;
    for (hours, state) in [(119, "enabled"), (2, "disabled")] {
        world.app.clock.advance(Duration::from_secs(hours * 3600));
        tokio::time::sleep(Duration::from_millis(1100)).await;
        world.apply(&format!("SM{hours}")).await;
        world.deliver().await;
        assert_eq!(shown().await["state"], state, "after {hours} more hours");
    }
    assert_eq!(shown().await["reason"], "it has failed since 2026-11-20T10:00:00.000Z");
    assert!(world.audit().await.contains(&"sluice partner.disabled acme done".to_owned()));

    // A person repairs it, enables it, and it starts afresh.
    world.ask(Method::POST, "partners/acme/enable", json!({})).await;
    assert_eq!(breaker(&world).await, breaker::Breaker::default());
    partner.usually(Act::Answer(200));
    let before = partner.seen().len();
    world.apply("SMnew").await;
    world.deliver().await;
    assert_eq!(partner.seen().len(), before + 1);
}

#[tokio::test]
async fn what_a_disabled_partner_is_owed_is_parked_in_one_sweep_though_its_breaker_is_open() {
    let (world, partner) = (World::start(), PartnerDouble::start().await);
    world.partner("acme", &partner.url, json!({})).await;
    opened(&world, &partner).await;
    for index in 0..10 {
        world.apply(&format!("SMw{index}")).await;
    }
    world.deliver().await;
    assert_eq!(records(&world).await.len(), 15, "they wait behind the breaker");
    world.ask(Method::POST, "partners/acme/disable", json!({ "reason": "it is gone" })).await;

    world.after(61).await;
    assert_eq!((records(&world).await.len(), world.parked().await.len()), (0, 15));
    assert_eq!(partner.seen().len(), 5, "nothing was sent");
}
