//! What `project-sql` answers to a batch.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use serde_json::{Value, json};
use sluice::{
    bus::{Bus, Message, Properties},
    documents::Container,
    local::broker::Received,
    retry::records::{ParkedRecord, RetryRecord},
};

use crate::{
    support::{TestApp, invocation_of, receipt, text},
    world::{PATH, app, subscription},
};

async fn batch(app: &TestApp) -> Vec<Received> {
    app.broker.receive(&subscription(), 256, Duration::ZERO).await.unwrap()
}

async fn answer(app: &TestApp, batch: &[Received]) -> (StatusCode, String) {
    let request = Request::post("/project-sql").body(Body::from(invocation_of("project-sql", batch))).unwrap();
    let response = app.send(request).await;
    (response.status(), text(response).await)
}

async fn rows(app: &TestApp, batch: &[Received]) -> Vec<Value> {
    let (status, body) = answer(app, batch).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    answer["Outputs"].get("rows").map(|rows| rows.as_array().unwrap().clone()).unwrap_or_default()
}

/// A message that claims to be an announcement.
async fn publish(app: &TestApp, id: &str, body: impl Into<Vec<u8>>) {
    let mut properties = Properties::new();
    for (name, value) in [("destination", "sql"), ("vendor", "twilio"), ("channel", "sms")] {
        properties.insert(name.into(), value.into());
    }
    properties.insert("delivery".into(), format!("sql.{id}").into());
    let message = Message {
        message_id: id.into(),
        content_type: None,
        correlation_id: None,
        subject: None,
        session_id: None,
        properties,
        time_to_live: None,
        scheduled_enqueue_time: None,
        body: body.into().into(),
    };
    app.broker.publish("deliveries", message).await.unwrap();
}

#[tokio::test]
async fn the_answer_is_what_the_sql_binding_reads() {
    let app = app();
    let mut receipt = receipt("SM1", "undelivered").to_vec();
    receipt.push(("ErrorCode", "30003"));
    app.twilio(PATH, &receipt).await;
    app.process("sms").await;
    let (status, body) = answer(&app, &batch(&app).await).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body, include_str!("../golden/g15_answer_sql_rows.json").trim());
}

#[tokio::test]
async fn one_event_is_one_row_however_often_a_batch_has_it() {
    let app = app();
    for sid in ["SM1", "SM2"] {
        app.twilio(PATH, &receipt(sid, "delivered")).await;
    }
    app.process("sms").await;
    let mut batch = batch(&app).await;
    batch.extend(batch.clone());
    assert_eq!(batch.len(), 4);
    let rows = rows(&app, &batch).await;
    let mut keys: Vec<_> = rows.iter().map(|row| row["message_key"].as_str().unwrap()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["twilio:SM1", "twilio:SM2"]);
}

#[tokio::test]
async fn what_is_no_announcement_is_parked_and_its_neighbours_are_written() {
    let app = app();
    app.twilio(PATH, &receipt("SM1", "delivered")).await;
    app.process("sms").await;
    let good = batch(&app).await;
    let mut long: Value = serde_json::from_slice(&good[0].message.body).unwrap();
    long["id"] = json!("x".repeat(37));
    let mut later = long.clone();
    later["data"]["type"] = json!("message.teleported to +12025550143");
    publish(&app, "m1", "{\"id\": \"+12025550143\", ").await;
    publish(&app, "m2", long.to_string()).await;
    publish(&app, "m3", later.to_string()).await;
    publish(&app, "m4", [0xff, 0x00]).await;
    let mut all = batch(&app).await;
    assert_eq!(all.len(), 4);
    all.splice(2..2, good);
    assert_eq!(rows(&app, &all).await.len(), 1);

    let parked = app.all(Container::Parked).await;
    let mut reasons = Vec::new();
    for document in &parked {
        let record: ParkedRecord = document.parse().unwrap();
        assert_eq!((record.topic.as_str(), record.vendor.as_deref()), ("deliveries", Some("twilio")));
        assert!(!record.reason.contains("555"), "{}", record.reason);
        reasons.push(record.reason);
    }
    assert_eq!(reasons.iter().filter(|reason| reason.starts_with("the message is no announcement")).count(), 3);
    assert!(reasons.contains(&"`event_id` is not varchar(36)".to_owned()), "{reasons:?}");
    // Nothing is left that a database could be asked for.
    let (_, body) = answer(&app, &all[..2]).await;
    assert!(body.starts_with(r#"{"Outputs":{},"#), "{body}");
}

#[tokio::test]
async fn a_row_that_the_database_does_not_take_waits_for_a_time_and_comes_again() {
    let app = app();
    app.twilio(PATH, &receipt("SM1", "delivered")).await;
    app.process("sms").await;
    for delivery in 1..=3 {
        let batch = batch(&app).await;
        assert_eq!(batch[0].delivery_count, delivery);
        assert_eq!(rows(&app, &batch).await.len(), 1);
        // As the host does when the binding fails.
        app.broker.abandon(&[batch[0].lock.clone()]).await.unwrap();
    }
    let last = batch(&app).await;
    assert_eq!(rows(&app, &last).await.len(), 0);
    app.broker.complete(&[last[0].lock.clone()]).await.unwrap();
    let retries = app.all(Container::Retries).await;
    let record: RetryRecord = retries[0].parse().unwrap();
    assert_eq!((retries.len(), record.topic.as_str(), record.attempt), (1, "deliveries", 2));
    assert!(record.last_error.contains("did not take the row in 3 deliveries"), "{}", record.last_error);

    app.clock.advance(Duration::from_secs(60));
    assert_eq!(app.sweep().await, StatusCode::OK);
    let again = batch(&app).await;
    assert_eq!((again.len(), again[0].delivery_count), (1, 1));
    assert_eq!(rows(&app, &again).await[0]["message_key"], "twilio:SM1");
}
