//! What becomes of records that are replayed or discarded.

use std::{sync::atomic::Ordering, time::Duration};

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use serde_json::json;
use sluice::documents::{Action, Container, Documents, Operation};

use crate::{
    support::{Fault, TestApp, config, receipt},
    world::{PATH, complete, ended, found, get, park, post, tick, write},
};

fn ledger_down(container: Container, _: &str, _: &[Operation]) -> Option<Fault> {
    (container == Container::Ledger).then_some(Fault::Before)
}

/// Gives up after two attempts.
fn impatient() -> TestApp {
    let schedule = "[\"5s\", \"30s\", \"2m\", \"10m\", \"1h\", \"3h\", \"6h\", \"12h\", \"24h\"]";
    TestApp::with(config(&[(schedule, "[\"5s\"]")]))
}

/// Processes, lets the retry become due, and processes again.
async fn fail_twice(app: &TestApp) {
    assert_eq!(app.process("sms").await, 1);
    app.clock.advance(Duration::from_secs(7));
    assert_eq!(app.sweep().await, StatusCode::OK);
    assert_eq!(app.process("sms").await, 1, "the retry is not taken for a duplicate");
}

#[tokio::test]
async fn a_replayed_callback_is_applied() {
    let app = impatient();
    app.documents.fail(ledger_down);
    app.twilio(PATH, &receipt("SM1", "delivered")).await;
    fail_twice(&app).await;
    app.documents.heal();
    assert_eq!(found(&app, "parked", json!({})).await.len(), 1);

    let job = complete(&app, json!({"source": "parked"})).await;

    assert_eq!(job["state"], "done");
    assert_eq!((&job["progress"]["matched"], &job["progress"]["done"]), (&json!(1), &json!(1)));
    assert!(app.all(Container::Parked).await.is_empty());
    assert_eq!(app.process("sms").await, 1);
    assert_eq!(app.status("twilio:SM1").await.unwrap()["events"], 1);
    let audit = get(&app, "/audit").await;
    let entry = &audit["entries"][0];
    assert_eq!(
        (&entry["action"], &entry["who"], &entry["outcome"]),
        (&json!("parked.replay"), &json!("ana"), &json!("done"))
    );
    assert_eq!(entry["counts"]["done"], 1);
}

#[tokio::test]
async fn what_fails_again_is_parked_again_with_its_history() {
    let app = impatient();
    app.documents.fail(ledger_down);
    app.twilio(PATH, &receipt("SM1", "delivered")).await;
    fail_twice(&app).await;
    for replays in 1..=3 {
        // All within the broker's duplicate detection window.
        let job = complete(&app, json!({"source": "parked"})).await;
        assert_eq!(job["progress"]["done"], 1);
        fail_twice(&app).await;
        let parked: serde_json::Value = app.all(Container::Parked).await[0].parse().unwrap();
        let attempts: Vec<_> = parked["history"].as_array().unwrap().iter().map(|a| a["attempt"].clone()).collect();
        assert_eq!(attempts, [1, 2].repeat(1 + replays));
        assert!(parked["reason"].as_str().unwrap().starts_with("gave up after 2 attempts"), "{parked}");
    }
    app.documents.heal();
    complete(&app, json!({"source": "parked"})).await;
    assert_eq!(app.process("sms").await, 1);
    assert_eq!(app.status("twilio:SM1").await.unwrap()["events"], 1);
}

#[tokio::test]
async fn a_job_touches_what_matches_and_nothing_that_came_later() {
    let app = TestApp::start();
    let old = park(&app, "SM1", |record| record.vendor = Some("telnyx".into())).await;
    park(&app, "SM2", |_| {}).await;
    let job = post(&app, "/replays", json!({"source": "parked", "filter": {"vendor": "twilio"}})).await;
    app.clock.advance(Duration::from_secs(1));
    let young = park(&app, "SM3", |_| {}).await;
    let job = ended(&app, job["id"].as_str().unwrap()).await;
    assert_eq!((&job["progress"]["matched"], &job["progress"]["done"]), (&json!(1), &json!(1)));
    assert_eq!(found(&app, "parked", json!({})).await, [old, young]);
    assert_eq!(app.waiting().await, 1);
}

#[tokio::test]
async fn discarding_removes_what_matches_and_sends_nothing() {
    let app = TestApp::start();
    park(&app, "SM1", |_| {}).await;
    let kept = park(&app, "SM2", |record| record.vendor = Some("telnyx".into())).await;
    let order = json!({"source": "parked", "action": "discard", "filter": {"vendor": "twilio"}});
    let job = complete(&app, order).await;
    assert_eq!((&job["state"], &job["progress"]["done"]), (&json!("done"), &json!(1)));
    assert_eq!(found(&app, "parked", json!({})).await, [kept]);
    assert_eq!(app.waiting().await, 0);
    let audit = get(&app, "/audit").await;
    assert_eq!(audit["entries"][0]["action"], "parked.discard");
    assert_eq!(audit["entries"][0]["details"]["filter"]["vendor"], "twilio");
}

#[tokio::test]
async fn one_record_is_replayed_by_its_id() {
    let app = TestApp::start();
    let id = park(&app, "SM1", |_| {}).await;
    let other = park(&app, "SM2", |_| {}).await;
    let job = complete(&app, json!({"source": "parked", "filter": {"id": id}})).await;
    assert_eq!((&job["progress"]["matched"], &job["progress"]["done"]), (&json!(1), &json!(1)));
    assert_eq!(found(&app, "parked", json!({})).await, [other]);
    assert_eq!(app.process("sms").await, 1);
    assert_eq!(app.status("twilio:SM1").await.unwrap()["events"], 1);
}

#[tokio::test]
async fn a_crash_between_sending_and_removing_sends_the_same_message_again_which_the_broker_drops() {
    let app = TestApp::start();
    park(&app, "SM1", |_| {}).await;
    app.documents.fail(|container, _, _| (container == Container::Parked).then_some(Fault::Before));
    let job = post(&app, "/replays", json!({"source": "parked"})).await;
    tick(&app).await;
    assert_ne!(tick(&app).await, StatusCode::OK, "the store is away");
    let id = job["id"].as_str().unwrap();
    let seen = get(&app, &format!("/replays/{id}")).await;
    assert!(seen["problem"].as_str().unwrap().contains("injected"), "{seen}");
    assert_eq!(app.waiting().await, 1);
    app.documents.heal();
    let job = ended(&app, id).await;
    assert_eq!((&job["state"], &job["problem"]), (&json!("done"), &serde_json::Value::Null));
    assert_eq!(app.bus.published.load(Ordering::SeqCst), 2 + 1, "the callback and two replays of it");
    assert_eq!(app.waiting().await, 1, "the broker knows the second one");
    assert_eq!(app.process("sms").await, 1);
    assert_eq!(app.status("twilio:SM1").await.unwrap()["events"], 1);
}

#[tokio::test]
async fn a_broker_that_is_down_holds_a_replay_up_and_loses_nothing() {
    let app = TestApp::start();
    for number in 0..5 {
        park(&app, &format!("SM{number}"), |_| {}).await;
    }
    app.bus.down.store(true, Ordering::SeqCst);
    let job = post(&app, "/replays", json!({"source": "parked"})).await;
    tick(&app).await;
    assert_ne!(tick(&app).await, StatusCode::OK);
    assert_eq!(app.all(Container::Parked).await.len(), 5);
    app.bus.down.store(false, Ordering::SeqCst);
    let job = ended(&app, job["id"].as_str().unwrap()).await;
    assert_eq!(
        (&job["state"], &job["progress"]["done"], &job["progress"]["failed"]),
        (&json!("done"), &json!(5), &json!(0))
    );
    assert_eq!(app.process("sms").await, 5);
}

#[tokio::test]
async fn what_the_broker_refuses_stays_parked_and_is_counted() {
    let app = TestApp::start();
    let id = park(&app, "SM1", |record| record.topic = "nowhere".into()).await;
    park(&app, "SM2", |_| {}).await;
    let job = complete(&app, json!({"source": "parked"})).await;
    assert_eq!((&job["progress"]["done"], &job["progress"]["failed"]), (&json!(1), &json!(1)));
    assert_eq!(found(&app, "parked", json!({})).await, [id]);
}

#[tokio::test]
async fn a_history_that_grew_for_long_still_fits_the_bus() {
    let app = TestApp::start();
    park(&app, "SM1", |record| {
        let attempt = record.history[0].clone();
        let error = "ä".repeat(300);
        record.history = (1..=500)
            .map(|n| sluice::retry::records::Attempt { attempt: n, error: error.clone(), ..attempt.clone() })
            .collect();
    })
    .await;
    let job = complete(&app, json!({"source": "parked"})).await;
    assert_eq!(job["progress"]["done"], 1);
    app.documents.fail(ledger_down);
    assert_eq!(app.process("sms").await, 1);
    let retry: serde_json::Value = app.all(Container::Retries).await[0].parse().unwrap();
    let history: Vec<serde_json::Value> =
        serde_json::from_str(retry["message"]["properties"]["history"].as_str().unwrap()).unwrap();
    assert!(history.len() > 30 && history.len() < 60, "{}", history.len());
    assert_eq!(history[history.len() - 2]["attempt"], 500, "the latest are kept");
}

#[tokio::test]
async fn a_replayed_retry_is_due_at_once_and_keeps_its_attempt() {
    let app = TestApp::start();
    app.documents.fail(ledger_down);
    for sid in ["SM1", "SM2"] {
        app.twilio(PATH, &receipt(sid, "delivered")).await;
    }
    assert_eq!(app.process("sms").await, 2);
    app.documents.heal();
    assert_eq!(found(&app, "retries", json!({"reason": "injected"})).await.len(), 2);
    assert_eq!(app.sweep().await, StatusCode::OK);
    assert_eq!(app.process("sms").await, 0, "not due yet");
    app.clock.advance(Duration::from_millis(1));
    let one = json!({"text": "MessageSid=SM1"});
    let job = complete(&app, json!({"source": "retries", "filter": one})).await;
    assert_eq!((&job["progress"]["matched"], &job["progress"]["done"]), (&json!(1), &json!(1)));
    app.sweep().await;
    assert_eq!(app.process("sms").await, 1);
    assert_eq!(app.status("twilio:SM1").await.unwrap()["events"], 1);

    complete(&app, json!({"source": "retries", "action": "discard"})).await;
    assert!(app.all(Container::Retries).await.is_empty());
    app.clock.advance(Duration::from_secs(60));
    app.sweep().await;
    assert_eq!(app.process("sms").await, 0);
}

#[tokio::test]
async fn a_partners_retry_is_found_by_its_id_among_other_partners() {
    let app = TestApp::start();
    app.documents.fail(ledger_down);
    app.twilio(PATH, &receipt("SM1", "delivered")).await;
    assert_eq!(app.process("sms").await, 1);
    app.documents.heal();
    let mut record: serde_json::Value = app.all(Container::Retries).await[0].parse().unwrap();
    for partner in ["alpha", "beta", "gamma"] {
        let partition = format!("partner:{partner}");
        let id = format!("delivery-of-{partner}");
        record["id"] = json!(id);
        record["bucket"] = json!(partition);
        record["partner"] = json!(partner);
        write(&app, Container::Retries, &partition, &id, &record).await;
    }
    app.clock.advance(Duration::from_millis(1));
    let order = json!({"source": "retries", "action": "discard", "filter": {"id": "delivery-of-beta"}});
    let job = complete(&app, order).await;
    assert_eq!((&job["state"], &job["progress"]["done"]), (&json!("done"), &json!(1)));
    assert_eq!(found(&app, "retries", json!({"partner": "beta"})).await.len(), 0);
    assert_eq!(found(&app, "retries", json!({})).await.len(), 3);
}

#[tokio::test]
async fn who_orders_a_job_must_say_who_they_are() {
    let app = TestApp::start();
    park(&app, "SM1", |_| {}).await;
    let request = Request::post("/manage/replays").body(Body::from(r#"{"source":"parked"}"#)).unwrap();
    assert_eq!(app.send(request).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(tick(&app).await, StatusCode::OK);
    assert_eq!(app.all(Container::Parked).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_failed_again_before_its_record_is_removed_stays_parked() {
    let app = TestApp::start();
    let id = park(&app, "SM1", |_| {}).await;
    let again = {
        let document = app.all(Container::Parked).await.remove(0);
        let mut record: serde_json::Value = document.parse().unwrap();
        record["reason"] = json!("failed again");
        record["parked_at"] = json!("2026-11-20T11:00:00.000Z");
        record
    };
    let documents = app.documents.clone();
    app.documents.fail(move |container, partition, operations| {
        if container == Container::Parked && matches!(operations[0].action, Action::Delete { .. }) {
            // The processor is faster than the removal.
            let (documents, partition) = (documents.clone(), partition.to_owned());
            let upsert = Operation::upsert(operations[0].id.clone(), &again);
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(documents.commit(container, &partition, vec![upsert])).unwrap();
            })
            .join()
            .unwrap();
        }
        None
    });
    let job = complete(&app, json!({"source": "parked"})).await;
    assert_eq!((&job["state"], &job["progress"]["done"]), (&json!("done"), &json!(1)));
    let shown = get(&app, &format!("/parked/{id}")).await;
    assert_eq!(shown["record"]["reason"], "failed again");
}

#[tokio::test]
async fn a_record_or_job_of_another_version_holds_up_nothing() {
    let app = TestApp::start();
    write(&app, Container::Parked, "bucket-0", "0", &json!({"id": "0", "parked_at": "2026-11-20T09:00:00.000Z"})).await;
    write(&app, Container::Registry, "replays", "replay:0", &json!({"id": "0", "open": true})).await;
    park(&app, "SM1", |_| {}).await;
    let list = post(&app, "/parked/search", json!({})).await;
    assert_eq!((&list["unreadable"], list["records"].as_array().unwrap().len()), (&json!(1), 1));
    let job = complete(&app, json!({"source": "parked"})).await;
    assert_eq!((&job["progress"]["done"], &job["progress"]["unreadable"]), (&json!(1), &json!(1)));
    let job = complete(&app, json!({"source": "parked", "filter": {"id": "0"}})).await;
    assert_eq!((&job["state"], &job["progress"]["matched"]), (&json!("done"), &json!(0)));
    assert_eq!(app.all(Container::Parked).await.len(), 1);
}
