//! What the tests share: requests to `/manage`, records that failed, and a timer that calls `run-replays`.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use serde_json::{Value, json};
use sluice::{
    clock::Timestamp,
    documents::{Container, Documents, Operation},
    retry::records::{Attempt, ParkedRecord, StoredMessage, bucket_of},
};

use crate::support::{TestApp, entity, receipt, text};

pub const PATH: &str = "/incoming/twilio/sms/status";

/// Asks as ana; the answer's JSON.
pub async fn ask(app: &TestApp, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(format!("/manage{path}"))
        .header("x-sluice-operator", "ana")
        .body(Body::from(body.to_string()))
        .unwrap();
    let response = app.send(request).await;
    (response.status(), serde_json::from_str(&text(response).await).unwrap())
}

pub async fn post(app: &TestApp, path: &str, body: Value) -> Value {
    let (status, answer) = ask(app, Method::POST, path, body).await;
    assert!(status.is_success(), "{path}: {status} {answer}");
    answer
}

pub async fn get(app: &TestApp, path: &str) -> Value {
    let (status, answer) = ask(app, Method::GET, path, json!({})).await;
    assert!(status.is_success(), "{path}: {status} {answer}");
    answer
}

/// The ids that a search finds, in its order.
pub async fn found(app: &TestApp, source: &str, filter: Value) -> Vec<String> {
    let page = post(app, &format!("/{source}/search"), json!({ "filter": filter })).await;
    page["records"].as_array().unwrap().iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect()
}

/// One call of the timer.
pub async fn tick(app: &TestApp) -> StatusCode {
    let body = r#"{"Data":{"timer":{"IsPastDue":false}},"Metadata":{"sys":{"MethodName":"run-replays"}}}"#;
    let request = Request::post("/run-replays").body(Body::from(body)).unwrap();
    app.send(request).await.status()
}

/// Orders a job and lets the timer work on it until it ends.
pub async fn complete(app: &TestApp, order: Value) -> Value {
    let job = post(app, "/replays", order).await;
    ended(app, job["id"].as_str().unwrap()).await
}

pub async fn ended(app: &TestApp, id: &str) -> Value {
    for _ in 0..50 {
        assert_eq!(tick(app).await, StatusCode::OK);
        let job = get(app, &format!("/replays/{id}")).await;
        if job["ended_at"].is_string() {
            return job;
        }
    }
    panic!("the job does not end: {}", get(app, &format!("/replays/{id}")).await);
}

/// A genuine callback, as its message waits for its processor.
pub async fn message(app: &TestApp, sid: &str) -> StoredMessage {
    app.twilio(PATH, &receipt(sid, "delivered")).await;
    let mut received = app.broker.receive(&entity("sms"), 1, Duration::ZERO).await.unwrap();
    let received = received.pop().expect("the callback is on the bus");
    app.broker.complete(&[received.lock]).await.unwrap();
    StoredMessage::from_message(&received.message)
}

/// Parks a genuine callback that failed once; a minute passes.
pub async fn park(app: &TestApp, sid: &str, change: impl FnOnce(&mut ParkedRecord)) -> String {
    let message = message(app, sid).await;
    let now: Timestamp = app.app.clock.now();
    let id = message.record_id();
    let mut record = ParkedRecord {
        bucket: bucket_of(&id),
        id: id.clone(),
        parked_at: now,
        reason: "gave up after 10 attempts: the ledger was away".into(),
        vendor: Some("twilio".into()),
        channel: Some("sms".into()),
        partner: None,
        topic: "callbacks".into(),
        message_key: message.message_key(),
        history: vec![Attempt { attempt: 1, at: now, error: "the ledger was away".into() }],
        message,
    };
    change(&mut record);
    write(app, Container::Parked, &record.bucket, &record.id, &record).await;
    app.clock.advance(Duration::from_secs(60));
    id
}

pub async fn write(app: &TestApp, container: Container, partition: &str, id: &str, body: &impl serde::Serialize) {
    app.documents.commit(container, partition, vec![Operation::upsert(id, body)]).await.unwrap();
}
