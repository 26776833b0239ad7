//! What is owed to partners, and what became of it.

use std::{sync::atomic::Ordering, time::Duration};

use axum::http::Method;
use serde_json::{Value, json};
use sluice::{
    documents::{Container, Document},
    verify::{CheckOptions, Kind},
};

use crate::{
    assert_only, delete, edit, judge, put,
    support::partner_double::{Act, PartnerDouble},
    verify,
    world::World,
};

const KEY: &str = "twilio:SM1";

/// An event that was announced to `acme`, which answers so.
async fn world(act: Act) -> (World, PartnerDouble) {
    let (world, partner) = (World::start(), PartnerDouble::start().await);
    world.partner("acme", &partner.url, json!({ "timeout": "1s" })).await;
    partner.usually(act);
    world.apply("SM1").await;
    assert_eq!(world.deliver().await, 1);
    (world, partner)
}

async fn only(world: &World, container: Container) -> Document {
    let mut found = world.app.all(container).await;
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

async fn event_id(world: &World) -> String {
    let documents = world.app.all(Container::Ledger).await;
    documents.into_iter().find(|document| document.id.starts_with("evt:")).unwrap().id
}

/// Moves on until the retry is due, but lets nobody make it.
async fn verify_before_due(world: &World) -> sluice::verify::Report {
    let options = CheckOptions { settle: Duration::ZERO, ..CheckOptions::new(world.app.app.clock.now()) };
    judge(&world.app, options).await
}

#[tokio::test]
async fn delivered_waiting_and_parked_are_all_as_they_should_be() {
    for act in [Act::Answer(200), Act::Answer(503), Act::Answer(400)] {
        let (world, _) = world(act).await;
        let report = verify_before_due(&world).await;
        assert!(report.is_clean(), "{report}");
        assert_eq!((report.checked.owed, report.checked.deliveries), (1, 1));
    }
}

#[tokio::test]
async fn what_waits_behind_an_open_breaker_is_as_it_should_be_though_it_has_no_record() {
    let (world, _) = world(Act::Answer(503)).await;
    for sid in ["SM2", "SM3", "SM4", "SM5", "SM6", "SM7"] {
        world.apply(sid).await;
        world.deliver().await;
    }
    assert!(world.records().await.len() < 7, "the breaker is open");
    let report = verify_before_due(&world).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.checked.owed, 7);
    // Nor are they overdue: nobody asks a partner whose breaker is open.
    let report = verify(&world.app).await;
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn an_event_that_was_announced_and_never_delivered_is_found() {
    let (world, _) = world(Act::Answer(200)).await;
    let record = only(&world, Container::Deliveries).await;
    delete(&world.app, Container::Deliveries, KEY, &record.id).await;
    let report = verify(&world.app).await;
    assert_only(&report, Kind::DeliveryMissing);
    assert!(report.to_string().contains("partner:acme.evt_"), "{report}");
}

#[tokio::test]
async fn a_delivery_that_is_to_be_tried_again_and_that_nobody_keeps_is_found() {
    let (world, _) = world(Act::Answer(503)).await;
    let retry = only(&world, Container::Retries).await;
    delete(&world.app, Container::Retries, &retry.partition, &retry.id).await;
    assert_only(&verify(&world.app).await, Kind::DeliveryMissing);
}

#[tokio::test]
async fn a_parked_delivery_that_is_not_among_what_is_parked_is_found_unless_somebody_discarded_it() {
    let (world, _) = world(Act::Answer(400)).await;
    let parked = only(&world, Container::Parked).await;
    let copy: Value = parked.parse().unwrap();
    delete(&world.app, Container::Parked, &parked.partition, &parked.id).await;
    assert_only(&verify(&world.app).await, Kind::DeliveryMissing);

    put(&world.app, Container::Parked, &parked.partition, &parked.id, &copy).await;
    let order = json!({ "source": "parked", "action": "discard", "filter": { "partner": "acme" } });
    let (status, answer) = world.ask(Method::POST, "replays", order).await;
    assert!(status.is_success(), "{answer}");
    nothing_parked(&world).await;
    let report = verify(&world.app).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.checked.discarded, 1);
}

#[tokio::test]
async fn a_parked_delivery_that_was_replayed_is_as_it_should_be() {
    let (world, partner) = world(Act::Answer(400)).await;
    partner.usually(Act::Answer(200));
    let order = json!({ "source": "parked", "action": "replay" });
    assert!(world.ask(Method::POST, "replays", order).await.0.is_success());
    nothing_parked(&world).await;
    assert_eq!(world.deliver().await, 1);
    let report = verify(&world.app).await;
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn a_delivery_on_the_bus_is_looked_for_again_before_it_counts_as_lost() {
    let (world, partner) = world(Act::Answer(503)).await;
    partner.usually(Act::Answer(200));
    world.app.clock.advance(Duration::from_secs(300));
    assert_eq!(world.app.sweep().await, 200);
    assert!(world.retries().await.is_empty(), "its message is on the bus");
    let options = CheckOptions { settle: Duration::from_secs(20), ..CheckOptions::new(world.app.app.clock.now()) };
    let began = std::time::Instant::now();
    let late = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.deliver().await
    };
    let (report, delivered) = tokio::join!(judge(&world.app, options), late);
    assert!(report.is_clean() && delivered == 1, "{report}");
    assert!(began.elapsed() < Duration::from_secs(15), "it goes on as soon as nothing is missing");
}

#[tokio::test]
async fn a_delivery_of_an_event_that_is_not_there_is_found() {
    let (world, _) = world(Act::Answer(200)).await;
    for document in world.app.all(Container::Ledger).await {
        delete(&world.app, Container::Ledger, KEY, &document.id).await;
    }
    assert_only(&verify(&world.app).await, Kind::DeliveryUnfounded);
}

#[tokio::test]
async fn a_delivery_to_a_partner_that_the_event_was_not_announced_to_is_found() {
    let (world, _) = world(Act::Answer(200)).await;
    let id = event_id(&world).await;
    let change = |event: &mut Value| event["announced_to"] = json!(["partner:acme", "partner:other"]);
    edit(&world.app, Container::Ledger, KEY, &id, change).await;
    assert_only(&verify(&world.app).await, Kind::DeliveryMissing);
    edit(&world.app, Container::Ledger, KEY, &id, |event| event["announced_to"] = json!(["sql"])).await;
    assert_only(&verify(&world.app).await, Kind::DeliveryUninvited);
}

#[tokio::test]
async fn a_delivery_of_an_event_of_an_earlier_version_is_as_it_should_be() {
    let (world, _) = world(Act::Answer(200)).await;
    let id = event_id(&world).await;
    let forget = |event: &mut Value| drop(event.as_object_mut().unwrap().remove("announced_to").unwrap());
    edit(&world.app, Container::Ledger, KEY, &id, forget).await;
    let report = verify(&world.app).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.checked.owed, 0);
}

#[tokio::test]
async fn a_delivery_that_counts_as_made_needs_an_answer_with_2xx() {
    let (world, _) = world(Act::Answer(200)).await;
    let id = only(&world, Container::Deliveries).await.id;
    let change = |record: &mut Value| record["attempts"][0]["status"] = json!(500);
    edit(&world.app, Container::Deliveries, KEY, &id, change).await;
    assert_only(&verify(&world.app).await, Kind::DeliveryUnanswered);
}

#[tokio::test]
async fn a_delivery_under_the_wrong_id_is_found() {
    let (world, _) = world(Act::Answer(200)).await;
    let record = only(&world, Container::Deliveries).await;
    delete(&world.app, Container::Deliveries, KEY, &record.id).await;
    put(&world.app, Container::Deliveries, KEY, "partner:acme.other", &record.parse::<Value>().unwrap()).await;
    assert_only(&verify(&world.app).await, Kind::Misfiled);
}

#[tokio::test]
async fn delivery_records_that_have_expired_are_not_missed() {
    let (world, _) = world(Act::Answer(200)).await;
    world.app.clock.advance(Duration::from_secs(31 * 24 * 3600));
    let report = verify(&world.app).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.checked.deliveries, report.checked.owed), (0, 0));
}

#[tokio::test]
async fn an_announcement_that_stays_in_the_outbox_is_found() {
    let (world, partner) = (World::start(), PartnerDouble::start().await);
    world.partner("acme", &partner.url, json!({})).await;
    world.app.twilio(crate::world::PATH, &crate::support::receipt("SM1", "delivered")).await;
    world.app.bus.down.store(true, Ordering::SeqCst);
    world.app.process("sms").await;
    let report = verify(&world.app).await;
    assert_only(&report, Kind::OutboxStuck);
    assert_eq!(report.checked.owed, 0, "it was never sent, so nobody misses it");

    let outbox = world.app.all(Container::Ledger).await.into_iter().find(|one| one.id.starts_with("out:")).unwrap();
    let change = |entry: &mut Value| entry["destinations"] = json!(["partner:other"]);
    edit(&world.app, Container::Ledger, KEY, &outbox.id, change).await;
    let report = verify(&world.app).await;
    assert_eq!((report.count(Kind::OutboxUnfounded), report.count(Kind::OutboxStuck)), (1, 1), "{report}");
}

/// The sweep comes every two seconds: what its partner has no room for is put off again and again, for a second at the least.
/// It is in the retry table between two sweeps, and on the bus right after each.
#[tokio::test]
async fn a_delivery_that_commutes_in_step_with_the_sweep_is_not_lost() {
    let (world, _) = world(Act::Answer(503)).await;
    let retry = only(&world, Container::Retries).await;
    let copy: Value = retry.parse().unwrap();
    world.app.clock.advance(Duration::from_secs(3));
    delete(&world.app, Container::Retries, &retry.partition, &retry.id).await;
    let options = CheckOptions { settle: Duration::from_secs(2), ..CheckOptions::new(world.app.app.clock.now()) };
    let commute = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        put(&world.app, Container::Retries, &retry.partition, &retry.id, &copy).await;
        tokio::time::sleep(Duration::from_millis(1400)).await;
        delete(&world.app, Container::Retries, &retry.partition, &retry.id).await;
    };
    let (report, ()) = tokio::join!(judge(&world.app, options), commute);
    assert!(report.is_clean(), "{report}");
}

/// Lets the job that was ordered do its work.
async fn nothing_parked(world: &World) {
    for _ in 0..50 {
        sluice::recovery::run::run_slices(&world.app.app).await.unwrap();
        if world.parked().await.is_empty() {
            return;
        }
    }
    panic!("{:?} are still parked", world.parked().await);
}
