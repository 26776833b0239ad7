//! Jobs under way: told to rest, to go on and to end; worked on by more than one; slowed down.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use sluice::documents::Container;

use crate::{
    support::TestApp,
    world::{ask, ended, get, park, post, tick},
};

/// With so many parked records, and a timer that calls `run-replays` again and again.
async fn busy(records: usize, runners: usize) -> (Arc<TestApp>, tokio::task::JoinSet<()>) {
    let app = Arc::new(TestApp::start());
    for number in 0..records {
        park(&app, &format!("SM{number}"), |_| {}).await;
    }
    let mut timers = tokio::task::JoinSet::new();
    for _ in 0..runners {
        let app = app.clone();
        timers.spawn(async move {
            loop {
                assert_eq!(tick(&app).await, StatusCode::OK);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
    (app, timers)
}

async fn until(app: &TestApp, id: &str, reached: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        let job = get(app, &format!("/replays/{id}")).await;
        if reached(&job) {
            return job;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{job}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn done(job: &Value) -> u64 {
    job["progress"]["done"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_job_stops_within_a_second_and_goes_on_where_it_was() {
    let (app, _timers) = busy(300, 1).await;
    let job = post(&app, "/replays", json!({"source": "parked", "rate": 100})).await;
    let id = job["id"].as_str().unwrap().to_owned();
    let seen = until(&app, &id, |job| done(job) >= 50).await;
    assert!(seen["eta_seconds"].as_f64().unwrap() > 0.0, "{seen}");

    post(&app, &format!("/replays/{id}/pause"), json!({})).await;
    let paused = Instant::now();
    let mut published = app.bus.published.load(Ordering::SeqCst);
    let mut last_publish = Instant::now();
    while paused.elapsed() < Duration::from_secs(2) {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let now = app.bus.published.load(Ordering::SeqCst);
        if now != published {
            (published, last_publish) = (now, Instant::now());
        }
    }
    let stopped_after = last_publish.saturating_duration_since(paused);
    println!("the last record went out {} ms after the pause", stopped_after.as_millis());
    assert!(stopped_after < Duration::from_secs(1), "{stopped_after:?}");
    let resting = get(&app, &format!("/replays/{id}")).await;
    assert_eq!(resting["state"], "paused");
    let left = app.all(Container::Parked).await.len() as u64;
    assert_eq!(done(&resting) + left, 300, "what was done is written down");
    assert!(left > 0);

    post(&app, &format!("/replays/{id}/resume"), json!({})).await;
    let job = until(&app, &id, |job| job["state"] == "done").await;
    assert_eq!((done(&job), &job["progress"]["gone"]), (300, &json!(0)));
    assert_eq!(app.waiting().await, 300);
    let audit = get(&app, "/audit").await;
    let actions: Vec<_> = audit["entries"].as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["parked.replay", "replays.paused", "replays.resumed"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aborted_job_stops_for_good_and_what_it_did_stays_done() {
    let (app, _timers) = busy(200, 1).await;
    let job = post(&app, "/replays", json!({"source": "parked", "rate": 100})).await;
    let id = job["id"].as_str().unwrap().to_owned();
    until(&app, &id, |job| done(job) >= 30).await;
    let aborted = post(&app, &format!("/replays/{id}/abort"), json!({})).await;
    assert_eq!(aborted["state"], "aborted");
    tokio::time::sleep(Duration::from_millis(1000)).await;
    let left = app.all(Container::Parked).await.len() as u64;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(app.all(Container::Parked).await.len() as u64, left);
    let job = get(&app, &format!("/replays/{id}")).await;
    assert_eq!((&job["state"], done(&job) + left), (&json!("aborted"), 200));
    assert_eq!(app.waiting().await, 200 - left);
    let (status, answer) = ask(&app, Method::POST, &format!("/replays/{id}/resume"), json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(answer["detail"].as_str().unwrap().contains("is aborted: it cannot be resumed"), "{answer}");
    let audit = get(&app, "/audit").await;
    let entry = &audit["entries"][0];
    assert_eq!((&entry["outcome"], &entry["counts"]["done"]), (&json!("aborted"), &job["progress"]["done"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_workers_at_once_send_nothing_twice() {
    let (app, _timers) = busy(300, 3).await;
    let sent = app.bus.published.load(Ordering::SeqCst);
    let job = post(&app, "/replays", json!({"source": "parked", "rate": 1000})).await;
    let job = until(&app, job["id"].as_str().unwrap(), |job| job["state"] == "done").await;
    assert_eq!((done(&job), &job["progress"]["gone"]), (300, &json!(0)));
    assert_eq!(app.bus.published.load(Ordering::SeqCst) - sent, 300);
    assert_eq!(app.waiting().await, 300);
}

/// The lease is stolen: both work on the same records.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_lease_ran_out_does_no_harm() {
    let (app, _timers) = busy(400, 2).await;
    let job = post(&app, "/replays", json!({"source": "parked", "rate": 200})).await;
    let id = job["id"].as_str().unwrap().to_owned();
    until(&app, &id, |job| done(job) >= 20).await;
    for _ in 0..3 {
        app.clock.advance(Duration::from_secs(11));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let job = until(&app, &id, |job| job["state"] == "done").await;
    assert!(done(&job) <= 400, "{job}");
    assert!(app.all(Container::Parked).await.is_empty());
    assert_eq!(app.waiting().await, 400, "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_records_a_second_are_touched_than_was_said() {
    let (app, _timers) = busy(100, 1).await;
    let started = Instant::now();
    let job = post(&app, "/replays", json!({"source": "parked", "rate": 50})).await;
    until(&app, job["id"].as_str().unwrap(), |job| job["state"] == "done").await;
    assert!(started.elapsed() >= Duration::from_millis(1900), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_job_on_dead_letters_that_cannot_get_past_others_says_so() {
    // Locks are short, and records are many.
    let app = TestApp::with(crate::support::config(&[
        ("lock_duration = \"60s\"", "lock_duration = \"2s\""),
        ("timeout = \"10s\"", "timeout = \"1s\""),
    ]));
    for number in 0..500 {
        app.twilio(crate::world::PATH, &crate::support::receipt(&format!("SM{number}"), "delivered")).await;
    }
    loop {
        let received = app.broker.receive(&crate::support::entity("sms"), 500, Duration::ZERO).await.unwrap();
        if received.is_empty() {
            break;
        }
        let locks: Vec<_> = received.iter().map(|received| received.lock.clone()).collect();
        app.broker.dead_letter(&locks, "r", "d").await.unwrap();
    }
    let order = json!({"source": "dead-letters", "filter": {"text": "MessageSid=SM499"}});
    let job = post(&app, "/replays", order).await;
    let id = job["id"].as_str().unwrap().to_owned();
    assert_eq!(tick(&app).await, StatusCode::OK);
    // The clock runs on whenever the broker is asked: what was passed over is available again at once.
    let app = Arc::new(app);
    let running = app.clone();
    let clock = tokio::spawn(async move {
        loop {
            running.clock.advance(Duration::from_secs(3));
            tokio::task::yield_now().await;
        }
    });
    let job = ended(&app, &id).await;
    clock.abort();
    assert_eq!(job["state"], "failed");
    assert!(job["problem"].as_str().unwrap().contains("dead letters do not match"), "{job}");
    assert_eq!(post(&app, "/dead-letters/count", json!({})).await["matched"], 500, "nothing is lost");
}
