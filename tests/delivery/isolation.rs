//! A partner that stalls delays no other, and nothing is lost when a process dies over it.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::json;
use sluice::{
    clock::SystemClock,
    delivery::record::State,
    documents::Container,
    local::host::{FunctionApp, HostOptions, OneMachineHost},
};
use tokio::net::TcpListener;

use crate::{
    support::partner_double::{Act, PartnerDouble},
    support::{Fault, TestApp, config},
    world::{World, invoke, until},
};

#[tokio::test]
async fn a_batch_ends_within_its_budget_and_a_slow_answer_still_counts() {
    let (world, partner) = (World::start(), PartnerDouble::start().await);
    world.partner("acme", &partner.url, json!({ "timeout": "10s" })).await;
    partner.usually(Act::Stall(Duration::from_secs(8)));
    world.apply("SM1").await;
    let started = Instant::now();
    world.deliver().await;
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    let standing_in = world.retries().await;
    assert_eq!(standing_in[0]["attempt"], 1);
    assert_eq!(world.due_in().await, 40.0, "when the request must have ended, and a margin");

    until("the answer is recorded", async || world.records().await.iter().any(|r| r.state == State::Delivered)).await;
    until("nothing stands in for it any more", async || world.retries().await.is_empty()).await;
    world.after(60).await;
    assert_eq!(partner.seen().len(), 1);
}

#[tokio::test]
async fn a_slow_failure_takes_the_place_of_what_stood_in_for_it() {
    let (world, partner) = (World::start(), PartnerDouble::start().await);
    world.partner("acme", &partner.url, json!({ "timeout": "3s" })).await;
    partner.usually(Act::Stall(Duration::from_secs(60)));
    world.apply("SM1").await;
    world.deliver().await;
    until("the failure is kept", async || world.retries().await[0]["attempt"] == 2).await;
    assert_eq!(world.due_in().await, 5.0);
    partner.usually(Act::Answer(200));
    until("it is recorded", async || world.records().await.len() == 1).await;
    world.after(5).await;
    assert_eq!(world.record().await.state, State::Delivered);
    assert_eq!(world.record().await.attempted, 2);
}

#[tokio::test]
async fn a_process_that_dies_over_a_request_leaves_it_to_another_under_the_same_id() {
    let (world, partner) = (World::start(), PartnerDouble::start().await);
    world.partner("acme", &partner.url, json!({ "timeout": "5s" })).await;
    partner.next([Act::Stall(Duration::from_secs(60))]);
    world.apply("SM1").await;
    // Its tasks die with its runtime.
    let received = world.receive().await;
    let (_, handler) = world.second();
    let (locks, batch) = (received[0].lock.clone(), received);
    let dying = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let status = runtime.block_on(invoke(&handler, &batch));
        runtime.shutdown_background();
        status
    });
    let status = tokio::task::spawn_blocking(move || dying.join().unwrap()).await.unwrap();
    assert_eq!(status, StatusCode::OK, "the batch was given back in time");
    world.app.broker.complete(&[locks]).await.unwrap();
    assert!(world.records().await.is_empty(), "nobody wrote down what became of it");

    world.after(34).await;
    assert_eq!(partner.seen().len(), 1, "it may still be under way");
    world.after(2).await;
    let ids = partner.ids();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1], "the partner can tell that it is the same");
    assert_eq!(world.record().await.state, State::Delivered);
    assert!(world.retries().await.is_empty());
}

#[tokio::test]
async fn a_crash_between_the_answer_and_its_record_sends_it_again_under_the_same_id() {
    let (world, partner) = (World::start(), PartnerDouble::start().await);
    world.partner("acme", &partner.url, json!({})).await;
    world.apply("SM1").await;
    // The record cannot be written, and the process dies before it completes the message.
    world.app.documents.fail(|container, _, _| (container == Container::Deliveries).then_some(Fault::Before));
    let received = world.receive().await;
    assert_eq!(invoke(&world.app.handler, &received).await, StatusCode::OK);
    world.app.documents.heal();
    world.app.clock.advance(Duration::from_secs(61));
    assert_eq!(world.deliver().await, 1, "the lock has run out");
    let ids = partner.ids();
    assert_eq!((ids.len(), &ids[0]), (2, &ids[1]));

    // Now it is on record, and a third copy changes nothing.
    let copies = world.receive().await;
    assert!(copies.is_empty());
    assert_eq!(invoke(&world.app.handler, &received).await, StatusCode::OK);
    assert_eq!(partner.seen().len(), 2);
}

#[tokio::test]
async fn what_exceeds_the_concurrency_comes_back_and_all_of_it_arrives() {
    let (world, partner) = (World::start(), PartnerDouble::start().await);
    world.partner("acme", &partner.url, json!({ "concurrency": 2 })).await;
    partner.usually(Act::Stall(Duration::from_millis(600)));
    for index in 0..30 {
        world.apply(&format!("SM{index}")).await;
    }
    let started = Instant::now();
    world.deliver().await;
    assert!(started.elapsed() < Duration::from_secs(4), "30 requests take 9 s: {:?}", started.elapsed());
    let standing_in = world.retries().await;
    assert!(standing_in.len() > 20, "{}", standing_in.len());
    assert!(standing_in.iter().all(|record| record["attempt"] == 1), "no attempt is used up");
    until("all are on record", async || world.records().await.len() == 30).await;
    until("nothing stands in for them any more", async || world.retries().await.is_empty()).await;
    assert!(world.records().await.iter().all(|record| record.state == State::Delivered && record.attempted == 1));
    let mut ids = partner.ids();
    ids.sort();
    assert_eq!(ids.len(), 30, "none was sent twice");
    ids.dedup();
    assert_eq!(ids.len(), 30);
}

/// Through the one-machine host with its real clock, one batch at a time, as in Azure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_that_stalls_does_not_delay_another_ones_p95() {
    const EVENTS: usize = 400;
    let world = World { app: TestApp::with_clock(config(&[]), std::sync::Arc::new(SystemClock)) };
    let settings = |name: &str| match name {
        "CALLBACKS_TOPIC" => Some("callbacks".to_owned()),
        "DELIVERIES_TOPIC" => Some("deliveries".to_owned()),
        "AzureWebJobs.project-sql.Disabled" => Some("true".to_owned()),
        _ => None,
    };
    let functions = FunctionApp::load(env!("CARGO_MANIFEST_DIR").as_ref(), &settings).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (broker, app) = (std::sync::Arc::new(world.app.broker.clone()), &world.app.app);
    let options = HostOptions::from(&app.config);
    let handler = world.app.handler.clone();
    let host = OneMachineHost::new(functions, handler, broker, listener, &options, &app.clock).unwrap();
    tokio::spawn(host.run(std::future::pending()));

    let (healthy, stalling) = (PartnerDouble::start().await, PartnerDouble::start().await);
    world.partner("healthy", &healthy.url, json!({})).await;
    let mut p95s = Vec::new();
    for round in ["a", "b"] {
        let already = healthy.seen().len();
        let mut sent = Vec::new();
        for index in 0..EVENTS {
            let sid = format!("SM{round}{index}");
            sent.push((sid.clone(), tokio::time::Instant::now()));
            world.app.twilio(crate::world::PATH, &crate::support::receipt(&sid, "delivered")).await;
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        until("the healthy partner has all", async || healthy.seen().len() >= already + EVENTS).await;
        let seen = healthy.seen();
        let mut took: Vec<_> = sent
            .iter()
            .map(|(sid, at)| {
                let of = |seen: &&crate::support::partner_double::Seen| {
                    seen.json()["data"]["provider_message_id"] == sid.as_str()
                };
                seen.iter().find(of).unwrap().at.duration_since(*at)
            })
            .collect();
        took.sort();
        p95s.push(took[took.len() * 95 / 100]);
        if round == "a" {
            // From now on another partner wants the same events and answers nothing.
            stalling.usually(Act::Stall(Duration::from_secs(60)));
            world.partner("stalling", &stalling.url, json!({ "timeout": "1s" })).await;
            world.app.app.partners.changed();
        }
    }
    println!("p95 from callback to partner: {:?} alone, {:?} beside a partner that stalls", p95s[0], p95s[1]);
    assert!(!stalling.seen().is_empty(), "the other one was asked");
    // Whoever waited for the other one's answers would be a second late.
    assert!(p95s[1] < p95s[0] * 3 + Duration::from_millis(700), "{p95s:?}");
}
