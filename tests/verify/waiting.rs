//! Retries, parked records, the spool, leases and replays, damaged.

use std::{sync::atomic::Ordering, time::Duration};

use serde_json::{Value, json};
use sluice::{
    documents::{Container, Document},
    lease::Leases,
    verify::Kind,
};

use crate::{
    assert_only, edit, put,
    support::{
        TestApp,
        partner_double::{Act, PartnerDouble},
        receipt,
    },
    verify,
    world::{PATH, World},
};

/// A delivery that failed this way: it is in the retry table, or parked.
async fn failed(status: u16) -> World {
    let (world, partner) = (World::start(), PartnerDouble::start().await);
    world.partner("acme", &partner.url, json!({})).await;
    partner.usually(Act::Answer(status));
    world.apply("SM1").await;
    assert_eq!(world.deliver().await, 1);
    world
}

async fn only(app: &TestApp, container: Container) -> Document {
    let mut found = app.all(container).await;
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[tokio::test]
async fn a_retry_that_nobody_makes_is_found() {
    let world = failed(503).await;
    let report = verify(&world.app).await;
    assert_only(&report, Kind::RetryOverdue);
    let sample = &report.findings[&Kind::RetryOverdue].samples[0];
    assert!(sample.command.as_ref().unwrap().starts_with("sluice retries show partner:acme.evt_"), "{sample:?}");
}

#[tokio::test]
async fn a_lease_that_nobody_renews_counts_once_work_waits_for_it() {
    let world = failed(503).await;
    let app = &world.app;
    let leases = Leases::new(app.documents.clone(), app.app.clock.clone(), Duration::from_secs(30));
    for name in ["sweep:partner:acme", "sweep:spool"] {
        // Dropped and not released, as a process that is killed does.
        drop(leases.take(name).await.unwrap().unwrap());
    }
    let report = verify(app).await;
    assert_eq!((report.count(Kind::RetryOverdue), report.count(Kind::LeaseAbandoned)), (1, 1), "{report}");
    assert_eq!(report.checked.leases, 2);
    assert!(report.to_string().contains("lease sweep:partner:acme was last renewed at 2026-11-20T10:00:00.000Z"));
}

#[tokio::test]
async fn a_retry_with_an_impossible_attempt_is_found() {
    for attempt in [0, 9] {
        let world = failed(503).await;
        let retry = only(&world.app, Container::Retries).await;
        edit(&world.app, Container::Retries, &retry.partition, &retry.id, |record| {
            record["attempt"] = json!(attempt);
            record["due_at"] = json!("2026-12-01T00:00:00.000Z");
        })
        .await;
        assert_only(&verify(&world.app).await, Kind::RetryImpossible);
    }
}

#[tokio::test]
async fn a_retry_in_anothers_partition_is_found() {
    let world = failed(503).await;
    let retry = only(&world.app, Container::Retries).await;
    let mut body: Value = retry.parse().unwrap();
    body["due_at"] = json!("2026-12-01T00:00:00.000Z");
    put(&world.app, Container::Retries, "partner:other", &retry.id, &body).await;
    put(&world.app, Container::Retries, &retry.partition, &retry.id, &body).await;
    assert_only(&verify(&world.app).await, Kind::Misfiled);
}

#[tokio::test]
async fn a_parked_record_must_say_why() {
    let world = failed(400).await;
    let parked = only(&world.app, Container::Parked).await;
    edit(&world.app, Container::Parked, &parked.partition, &parked.id, |record| record["reason"] = json!(" ")).await;
    let report = verify(&world.app).await;
    assert_only(&report, Kind::ParkedWithoutReason);
    assert!(report.to_string().contains("sluice parked show partner:acme.evt_"), "{report}");
}

#[tokio::test]
async fn what_waits_and_cannot_be_read_is_found() {
    for container in [Container::Retries, Container::Parked, Container::Spool] {
        let app = TestApp::start();
        put(&app, container, "bucket-0", "0", &json!({ "due_at": "2026-12-01T00:00:00.000Z" })).await;
        assert_only(&verify(&app).await, Kind::Unreadable);
    }
    let app = TestApp::start();
    put(&app, Container::Registry, "replays", "replay:1", &json!({})).await;
    assert_only(&verify(&app).await, Kind::Unreadable);
}

#[tokio::test]
async fn a_callback_that_stays_in_the_spool_is_found() {
    let app = TestApp::start();
    app.bus.down.store(true, Ordering::SeqCst);
    app.twilio(PATH, &receipt("SM1", "delivered")).await;
    assert_only(&verify(&app).await, Kind::SpoolStuck);
}

#[tokio::test]
async fn a_replay_that_nobody_works_on_is_found() {
    let world = failed(400).await;
    let order = json!({ "source": "parked" });
    assert!(world.ask(axum::http::Method::POST, "replays", order).await.0.is_success());
    let report = verify(&world.app).await;
    assert_only(&report, Kind::JobAbandoned);
    assert!(report.to_string().contains("sluice replays show"), "{report}");
    assert_eq!(report.checked.jobs, 1);
}

#[tokio::test]
async fn an_empty_store_is_consistent() {
    let app = TestApp::start();
    let report = verify(&app).await;
    assert!(report.is_clean() && report.checked.messages == 0, "{report}");
}
