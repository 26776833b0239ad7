//! A system that has Ana in every place, in every encoding, beside Bo, who stays.

use std::{sync::atomic::Ordering, time::Duration};

use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use chrono::TimeDelta;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use sluice::{
    documents::Container,
    local::broker::Entity,
    retry::records::{Attempt, Class, ParkedRecord, RetryRecord, StoredMessage, bucket_of},
    verify::Report,
};

use crate::{
    find::Needles,
    support::{Fault, TestApp, config, entity, receipt},
    world::{PATH, ask, message, park, post, write},
};

pub const PHONE: &str = "+12025550143";
pub const MAIL: &str = "Ana.Lopez@example.com";
pub const BO: &str = "+12025550199";

pub fn ana() -> [Needles; 2] {
    [Needles::phone("12025550143"), Needles::email(MAIL)]
}

pub fn app() -> TestApp {
    TestApp::with(config(&[("jitter = 0.2", "jitter = 0.0")]))
}

/// A callback of the made-up vendor: JSON, which envelopes carry in base64, about Ana and about Bo.
pub async fn acme(app: &TestApp, id: &str, status: &str) -> StatusCode {
    acme_from(app, id, status, PHONE, MAIL).await
}

async fn acme_from(app: &TestApp, id: &str, status: &str, to: &str, name: &str) -> StatusCode {
    let time = app.app.clock.now();
    let event = |who: &str, to: &str| {
        json!({ "id": format!("{id}-{who}"), "status": status, "time": time, "error": { "code": "30003", "text": format!("{name} <{to}> is away") },
                "message": { "id": format!("{id}-{who}"), "to": to, "from": "+15017122661" } })
    };
    let bo = json!({ "id": format!("{id}-bo"), "status": status, "time": time, "message": { "id": format!("{id}-bo"), "to": BO } });
    let body = json!({ "events": [event("ana", to), bo] }).to_string();
    let seconds = time.timestamp().to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(b"demo-acme-sms-secret-not-a-secret").unwrap();
    mac.update(format!("v1:{seconds}:{body}").as_bytes());
    let request = Request::post("/incoming/acme-sms/sms/status")
        .header("content-type", "application/json")
        .header("x-acme-timestamp", seconds)
        .header("x-acme-signature", format!("v1={}", hex::encode(mac.finalize().into_bytes())))
        .body(Body::from(body))
        .unwrap();
    app.send(request).await.status()
}

/// An inbound message from Ana.
pub async fn inbound(app: &TestApp, sid: &str, text: &str) {
    let parameters =
        [("MessageSid", sid), ("SmsStatus", "received"), ("From", PHONE), ("To", "+15017122661"), ("Body", text)];
    assert!(app.twilio("/incoming/twilio/sms/inbound", &parameters).await.status().is_success());
}

/// Ana everywhere.
pub async fn everywhere(app: &TestApp) {
    // Applied, delivered to nobody who answers: retries and records of a partner, with her number in announcements.
    let partner = json!({ "endpoint": "http://127.0.0.1:9/events", "allow_internal": true });
    assert_eq!(ask(app, Method::PUT, "/partners/acme", partner).await.0, StatusCode::CREATED);
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    app.twilio(PATH, &receipt("SM1", "delivered")).await;
    inbound(app, "SM2", "my name is Ana, write to Ana.Lopez@example.com or call +1 (202) 555-0143").await;
    inbound(app, "SM3", "STOP").await;
    app.twilio(
        "/incoming/twilio/whatsapp/status",
        &[("MessageSid", "SM4"), ("MessageStatus", "read"), ("To", "whatsapp:+12025550143")],
    )
    .await;
    assert_eq!(acme(app, "A1", "failed").await, StatusCode::OK);
    app.process("sms").await;
    deliver(app).await;
    // What was applied and not announced.
    app.bus.down.store(true, Ordering::SeqCst);
    let received = message_in_hand(app, "SM5").await;
    invoke(app, "process-sms", &received).await;
    // The spool, and its last resort.
    app.twilio(PATH, &receipt("SM6", "sent")).await;
    app.documents.fail(|container, _, _| (container == Container::Spool).then_some(Fault::Before));
    app.twilio(PATH, &receipt("SM7", "sent")).await;
    app.documents.heal();
    app.bus.down.store(false, Ordering::SeqCst);
    // Bodies that need a blob: applied and never looked at again, parked, and (below) waiting.
    let long = format!("{} {MAIL} {PHONE}", "long ".repeat(60_000));
    inbound(app, "SM8", &long).await;
    app.process("sms").await;
    inbound(app, "SM16", &long).await;
    parked(app, taken_by(app, |message| message.message.subject.as_deref() == Some("SM16")).await).await;
    // Waiting for a retry, parked, parked and unreadable.
    retry(app, "SM10").await;
    park(app, "SM11", |record| record.reason = format!("gave up on {PHONE}")).await;
    acme_parked(app).await;
    park(app, "SM12", |record| {
        record.message = serde_json::from_value(
            json!({ "message_id": "broken", "body": format!("to={MAIL}&n=1-202-555-0143 broken") }),
        )
        .unwrap();
    })
    .await;
    // An operator's search, running and done.
    post(app, "/replays", json!({ "source": "parked", "filter": { "reason": MAIL, "text": "12025550143" } })).await;
    // On the bus: dead, scheduled and waiting.
    app.twilio(PATH, &receipt("SM13", "sent")).await;
    let mut received = Vec::new();
    for message in app.broker.receive(&entity("sms"), 10, Duration::ZERO).await.unwrap() {
        match message.message.subject.as_deref() {
            Some("SM13") => drop(app.broker.dead_letter(&[message.lock], "NoLuck", "nobody took it").await.unwrap()),
            _ => received.push(message.lock),
        }
    }
    app.broker.release(&received).await.unwrap();
    let mut scheduled = message(app, "SM14").await.into_message();
    scheduled.message_id = "scheduled".into();
    scheduled.scheduled_enqueue_time = Some(app.app.clock.now() + TimeDelta::hours(1));
    app.app.bus.publish("callbacks", scheduled).await.unwrap();
    app.twilio(PATH, &receipt("SM15", "sent")).await;
    inbound(app, "SM9", &long).await;
    assert_eq!(acme(app, "A2", "delivered").await, StatusCode::OK);
}

/// A message that a test holds, as a processor would.
pub async fn message_in_hand(app: &TestApp, sid: &str) -> Vec<sluice::local::broker::Received> {
    app.bus.down.store(false, Ordering::SeqCst);
    app.twilio(PATH, &receipt(sid, "sent")).await;
    let received = app.broker.receive(&entity("sms"), 1, Duration::ZERO).await.unwrap();
    assert_eq!(received.len(), 1);
    received
}

/// Processes what a test holds, while the bus takes no announcement, and completes it.
pub async fn invoke(app: &TestApp, function: &str, received: &[sluice::local::broker::Received]) {
    app.bus.down.store(true, Ordering::SeqCst);
    let body = crate::support::invocation_of(function, received);
    let request = Request::post(format!("/{function}")).body(body.into()).unwrap();
    assert_eq!(app.send(request).await.status(), StatusCode::OK);
    let locks: Vec<_> = received.iter().map(|message| message.lock.clone()).collect();
    app.broker.complete(&locks).await.unwrap();
}

/// Takes every announcement to `deliver`.
pub async fn deliver(app: &TestApp) -> usize {
    let subscription = Entity { topic: "deliveries".into(), subscription: "deliver".into(), dead_letter: false };
    let mut trigger = app.transport.trigger(&app.broker, subscription);
    let mut done = 0;
    while let Some(body) = trigger.next("deliver").await {
        let request = Request::post("/deliver").body(Body::from(body)).unwrap();
        assert_eq!(app.send(request).await.status(), StatusCode::OK);
        done += trigger.settle(true).await;
    }
    done
}

async fn retry(app: &TestApp, sid: &str) {
    let message = taken(app, sid).await;
    let id = message.record_id();
    let record = RetryRecord {
        bucket: bucket_of(&id),
        id,
        due_at: app.app.clock.now() + TimeDelta::minutes(1),
        attempt: 2,
        class: Class::Transient,
        topic: "callbacks".into(),
        message_key: message.message_key(),
        last_error: format!("{PHONE} was busy"),
        vendor: Some("twilio".into()),
        channel: Some("sms".into()),
        partner: None,
        message,
    };
    write(app, Container::Retries, &record.bucket, &record.id, &record).await;
}

/// Parked with its body in base64, for Ana and Bo.
async fn acme_parked(app: &TestApp) {
    assert_eq!(acme(app, "A3", "sent").await, StatusCode::OK);
    let message = taken_by(app, |message| message.message.properties["vendor"].as_str() == Some("acme-sms")).await;
    parked(app, message).await;
}

async fn parked(app: &TestApp, message: StoredMessage) {
    let id = message.record_id();
    let record = ParkedRecord {
        bucket: bucket_of(&id),
        id,
        parked_at: app.app.clock.now(),
        reason: "gave up after 10 attempts".into(),
        vendor: message.properties["vendor"].as_str().map(str::to_owned),
        channel: Some("sms".into()),
        partner: None,
        topic: "callbacks".into(),
        message_key: message.message_key(),
        history: vec![Attempt { attempt: 1, at: app.app.clock.now(), error: "away".into() }],
        message,
    };
    write(app, Container::Parked, &record.bucket, &record.id, &record).await;
}

/// A genuine callback's message, taken off the bus.
async fn taken(app: &TestApp, sid: &str) -> StoredMessage {
    app.twilio(PATH, &receipt(sid, "sent")).await;
    let sid = sid.to_owned();
    taken_by(app, move |message| message.message.subject.as_deref() == Some(&sid)).await
}

async fn taken_by(app: &TestApp, is_wanted: impl Fn(&sluice::local::broker::Received) -> bool) -> StoredMessage {
    let (mut taken, mut others) = (None, Vec::new());
    for message in app.broker.receive(&entity("sms"), 50, Duration::ZERO).await.unwrap() {
        if is_wanted(&message) {
            app.broker.complete(&[message.lock]).await.unwrap();
            taken = Some(StoredMessage::from_message(&message.message));
        } else {
            others.push(message.lock);
        }
    }
    app.broker.release(&others).await.unwrap();
    taken.expect("the callback is on the bus")
}

/// What is amiss, but for what waits for a partner that never answers, and for what no timer worked on.
pub fn amiss(report: &Report) -> Vec<String> {
    let kinds = report.findings.keys().map(|kind| format!("{kind:?}"));
    kinds.filter(|kind| !["RetryOverdue", "ReplayStuck"].contains(&kind.as_str())).collect()
}

/// Asks for an erasure until it ends.
pub async fn erase(app: &TestApp, recipient: &str) -> Value {
    let mut run = Value::Null;
    for _ in 0..60 {
        let erasure = post(app, "/erasures", json!({ "recipient": recipient, "run": run })).await;
        if erasure["state"] != "running" {
            return erasure;
        }
        run = erasure["run"].clone();
    }
    panic!("the erasure does not end");
}
