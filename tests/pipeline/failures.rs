//! Work that fails: tried again, parked, and never in the way of other work.

use std::{sync::atomic::Ordering, time::Duration};

use axum::http::StatusCode;
use bytes::Bytes;
use object_store::ObjectStoreExt;
use sluice::{
    bus::{Bus, Message, Properties},
    documents::{Container, Documents, Operation},
    retry::records::{SpoolRecord, StoredMessage},
};

use crate::support::{Fault, TestApp, config, receipt};

const PATH: &str = "/incoming/twilio/sms/status";
const KEY: &str = "twilio:SM1";

fn ledger_down(container: Container, _: &str, _: &[Operation]) -> Option<Fault> {
    (container == Container::Ledger).then_some(Fault::Before)
}

#[tokio::test]
async fn what_a_dead_store_held_up_is_applied_once_the_store_is_back() {
    let app = TestApp::start();
    app.documents.fail(ledger_down);
    for index in 0..20 {
        app.twilio(PATH, &receipt(&format!("SM{index}"), "delivered")).await;
    }
    assert_eq!(app.process("sms").await, 20, "the batch is completed: retry records hold the work");
    assert_eq!(app.all(Container::Retries).await.len(), 20);

    app.documents.heal();
    assert_eq!(app.sweep().await, StatusCode::OK);
    assert_eq!(app.process("sms").await, 0, "not due yet");
    app.clock.advance(Duration::from_secs(7));
    assert_eq!(app.sweep().await, StatusCode::OK);
    assert_eq!(app.process("sms").await, 20);
    assert!(app.all(Container::Retries).await.is_empty());
    for index in 0..20 {
        assert_eq!(app.status(&format!("twilio:SM{index}")).await.unwrap()["events"], 1);
    }
}

#[tokio::test]
async fn attempts_used_up_are_parked_with_reason_and_history() {
    let app = TestApp::with(config(&[(
        "[\"5s\", \"30s\", \"2m\", \"10m\", \"1h\", \"3h\", \"6h\", \"12h\", \"24h\"]",
        "[\"5s\", \"30s\"]",
    )]));
    app.documents.fail(ledger_down);
    app.twilio(PATH, &receipt("SM1", "delivered")).await;
    for _ in 0..3 {
        assert_eq!(app.process("sms").await, 1);
        app.clock.advance(Duration::from_secs(60));
        app.sweep().await;
    }
    assert!(app.all(Container::Retries).await.is_empty());
    let parked = app.all(Container::Parked).await;
    let parked: serde_json::Value = parked[0].parse().unwrap();
    assert!(parked["reason"].as_str().unwrap().starts_with("gave up after 3 attempts"), "{parked}");
    let attempts: Vec<_> = parked["history"].as_array().unwrap().iter().map(|a| a["attempt"].clone()).collect();
    assert_eq!(attempts, [1, 2, 3]);
    assert_eq!(parked["message_key"], KEY);
    assert!(parked["message"]["body"].as_str().unwrap().contains("SM1"), "the bytes are kept");
}

#[tokio::test]
async fn unreadable_messages_are_parked_with_their_bytes_and_do_not_fail_the_batch() {
    let app = TestApp::start();
    let garbage: [&'static [u8]; 3] = [
        b"\xff\xfenot json",
        br#"{"specversion":"1.0","id":"1","source":"/x","type":"sluice.callback.received.v9"}"#,
        br#"{"specversion":"1.0","id":"01936f00-0000-7000-8000-00000000000a","source":"/x","type":"sluice.callback.received.v1","time":"2026-11-20T10:00:00Z","vendor":"gone","servicetype":"sms","dedupekey":"k","dataclassification":"personal","data":""}"#,
    ];
    for (index, body) in garbage.iter().enumerate() {
        let mut properties = Properties::new();
        properties.insert("channel".into(), "sms".into());
        let message = Message {
            message_id: format!("g{index}"),
            content_type: None,
            correlation_id: None,
            subject: None,
            session_id: None,
            properties,
            time_to_live: None,
            scheduled_enqueue_time: None,
            body: Bytes::from_static(body),
        };
        app.broker.publish("callbacks", message).await.unwrap();
    }
    app.twilio(PATH, &receipt("SM1", "delivered")).await;
    assert_eq!(app.process("sms").await, 4);
    assert_eq!(app.status(KEY).await.unwrap()["events"], 1, "the good one is applied");
    let mut reasons: Vec<String> = Vec::new();
    for document in app.all(Container::Parked).await {
        reasons.push(document.parse::<serde_json::Value>().unwrap()["reason"].as_str().unwrap().to_owned());
    }
    reasons.sort();
    assert_eq!(reasons.len(), 3);
    assert!(reasons[0].starts_with("not an envelope"), "{reasons:?}");
    assert!(reasons[1].contains("received.v9\" is unknown"), "{reasons:?}");
    assert!(reasons[2].contains("not configured any more"), "{reasons:?}");
}

#[tokio::test]
async fn when_the_store_cannot_even_take_a_retry_record_a_scheduled_copy_waits_on_the_bus() {
    let app = TestApp::start();
    app.documents.fail(|_, _, _| Some(Fault::Before));
    app.twilio(PATH, &receipt("SM1", "delivered")).await;
    assert_eq!(app.process("sms").await, 1);
    assert_eq!(app.waiting().await, 1, "the scheduled copy");
    app.documents.heal();
    assert_eq!(app.process("sms").await, 0, "not due yet");
    app.clock.advance(Duration::from_secs(7));
    assert_eq!(app.process("sms").await, 1);
    assert_eq!(app.status(KEY).await.unwrap()["events"], 1);
}

#[tokio::test]
async fn when_nothing_can_keep_a_failed_message_the_batch_is_given_back_after_a_pause() {
    let app = TestApp::start();
    app.twilio(PATH, &receipt("SM1", "delivered")).await;
    app.documents.fail(|_, _, _| Some(Fault::Before));
    app.bus.down.store(true, Ordering::SeqCst);
    let started = std::time::Instant::now();
    assert_eq!(app.process("sms").await, 0);
    assert!(started.elapsed() >= Duration::from_secs(5), "redelivery must not burn its tries in seconds");
    assert_eq!(app.waiting().await, 1, "abandoned, not lost");

    app.documents.heal();
    app.bus.down.store(false, Ordering::SeqCst);
    assert_eq!(app.process("sms").await, 1);
    assert_eq!(app.status(KEY).await.unwrap()["events"], 1);
}

#[tokio::test]
async fn two_sweeps_at_once_bring_each_record_back_once() {
    let app = TestApp::start();
    app.documents.fail(ledger_down);
    for index in 0..50 {
        app.twilio(PATH, &receipt(&format!("SM{index}"), "delivered")).await;
    }
    app.process("sms").await;
    app.documents.heal();
    app.clock.advance(Duration::from_secs(7));
    let (one, two) = tokio::join!(app.sweep(), app.sweep());
    assert_eq!((one, two), (StatusCode::OK, StatusCode::OK));
    assert_eq!(app.process("sms").await, 50, "the second copy of each is a duplicate to the broker");
}

#[tokio::test]
async fn an_old_delivery_that_comes_again_does_not_set_a_retry_back() {
    let app = TestApp::start();
    app.documents.fail(ledger_down);
    app.twilio(PATH, &receipt("SM1", "delivered")).await;
    // The first delivery fails and is kept, but the host dies before it completes the message.
    let entity = crate::support::entity("sms");
    let received = app.broker.receive(&entity, 1, Duration::ZERO).await.unwrap();
    let body = crate::support::invocation_of("process-sms", &received);
    let request = axum::http::Request::post("/process-sms").body(body.into()).unwrap();
    assert_eq!(app.send(request).await.status(), StatusCode::OK);
    // Meanwhile the retry comes and fails, too.
    app.clock.advance(Duration::from_secs(7));
    assert_eq!(app.sweep().await, StatusCode::OK);
    assert_eq!(app.process("sms").await, 1);
    // Now the lock runs out. Were attempt 2 kept again, the broker would drop it: it has seen that message id.
    app.clock.advance(Duration::from_secs(61));
    assert_eq!(app.process("sms").await, 1);
    let record: serde_json::Value = app.all(Container::Retries).await[0].parse().unwrap();
    assert_eq!(record["attempt"], 3);

    app.documents.heal();
    assert_eq!(app.sweep().await, StatusCode::OK);
    assert_eq!(app.process("sms").await, 1);
    assert_eq!(app.status(KEY).await.unwrap()["events"], 1);
}

fn message(id: &str, body: Vec<u8>) -> Message {
    let mut properties = Properties::new();
    properties.insert("channel".into(), "sms".into());
    Message {
        message_id: id.into(),
        content_type: None,
        correlation_id: None,
        subject: None,
        session_id: None,
        properties,
        time_to_live: None,
        scheduled_enqueue_time: None,
        body: body.into(),
    }
}

fn spooled(app: &TestApp, id: &str, message: &Message) -> SpoolRecord {
    SpoolRecord {
        id: id.into(),
        bucket: "bucket-0".into(),
        due_at: app.app.clock.now(),
        topic: "callbacks".into(),
        message: StoredMessage::from_message(message),
    }
}

#[tokio::test]
async fn what_the_broker_will_never_take_is_parked_and_holds_up_nothing() {
    let app = TestApp::start();
    app.documents.fail(ledger_down);
    app.twilio(PATH, &receipt("SM1", "delivered")).await;
    app.process("sms").await;
    app.documents.heal();

    // More than a page of them, in both spools, all due before the retry.
    for index in 0..600 {
        let record = spooled(&app, &format!("s{index}"), &message("", b"{}".to_vec()));
        let write = Operation::create(record.id.clone(), &record);
        app.documents.commit(Container::Spool, "bucket-0", vec![write]).await.unwrap();
    }
    let record = serde_json::to_vec(&spooled(&app, "b", &message("", b"{}".to_vec()))).unwrap();
    app.app.blobs.put(&"spool/refused.json".into(), record.into()).await.unwrap();
    app.app.blobs.put(&"spool/torn.json".into(), "{".into()).await.unwrap();
    let unreadable = serde_json::json!({ "due_at": "2026-11-20T10:00:00.000Z" });
    let write = (0..90).map(|index| Operation::create(format!("u{index}"), &unreadable)).collect();
    app.documents.commit(Container::Retries, "bucket-0", write).await.unwrap();

    app.clock.advance(Duration::from_secs(7));
    assert_eq!(app.sweep().await, StatusCode::OK);
    assert!(app.all(Container::Spool).await.is_empty());
    assert_eq!(app.all(Container::Parked).await.len(), 601);
    assert_eq!(app.process("sms").await, 1);
    assert_eq!(app.status(KEY).await.unwrap()["events"], 1);
}

#[tokio::test]
async fn records_that_cannot_be_read_hold_up_none_behind_them() {
    let app = TestApp::start();
    let unreadable = serde_json::json!({ "due_at": "2026-11-20T09:00:00.000Z" });
    for page in 0..6 {
        let write = (0..90).map(|index| Operation::create(format!("u{page}-{index}"), &unreadable)).collect();
        app.documents.commit(Container::Retries, "bucket-0", write).await.unwrap();
    }
    app.documents.fail(ledger_down);
    app.twilio(PATH, &receipt("SM1", "delivered")).await;
    app.process("sms").await;
    app.documents.heal();
    app.clock.advance(Duration::from_secs(7));
    assert_eq!(app.sweep().await, StatusCode::OK);
    assert_eq!(app.process("sms").await, 1);
}

#[tokio::test]
async fn a_spool_that_fails_does_not_hold_up_the_retries() {
    let app = TestApp::start();
    app.documents.fail(ledger_down);
    app.twilio(PATH, &receipt("SM1", "delivered")).await;
    app.process("sms").await;
    app.documents.heal();
    let blobs = app.folder.path().join("blobs");
    std::fs::remove_dir_all(&blobs).unwrap();
    std::fs::create_dir_all(blobs.join("spool/x.json")).unwrap();
    std::os::unix::fs::symlink("x.json", blobs.join("spool/x.json/x.json")).unwrap();
    app.clock.advance(Duration::from_secs(7));
    app.sweep().await;
    assert_eq!(app.process("sms").await, 1);
}

#[tokio::test]
async fn a_store_that_never_answers_is_waited_for_once_and_not_for_each_message() {
    let app = TestApp::with(config(&[("timeout = \"10s\"", "timeout = \"1s\"")]));
    app.documents.fail(|_, _, _| Some(Fault::Hang));
    for index in 0..40 {
        app.twilio(PATH, &receipt(&format!("SM{index}"), "delivered")).await;
    }
    let started = std::time::Instant::now();
    assert_eq!(app.process("sms").await, 40);
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    assert_eq!(app.waiting().await, 40, "scheduled copies");
}

/// A named pipe in the place of a file: opening it to read waits until this is dropped.
///
/// Without that, whoever waits in a blocking thread would keep a test that has failed from ending.
struct Pipe(std::path::PathBuf);

impl Pipe {
    fn in_place_of(file: std::path::PathBuf) -> Self {
        std::fs::remove_file(&file).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
        Self(file)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // Open at both ends, it waits for nobody; once its name is gone nobody comes after this.
        let ends = std::fs::OpenOptions::new().read(true).write(true).open(&self.0);
        std::fs::remove_file(&self.0).ok();
        drop(ends);
    }
}

#[tokio::test]
async fn a_blob_store_that_never_answers_holds_up_only_what_waits_for_it() {
    let app = TestApp::with(config(&[("timeout = \"10s\"", "timeout = \"1s\"")]));
    let text = "grüße ".repeat(60_000);
    for sid in ["SM8", "SM9"] {
        let inbound = [("MessageSid", sid), ("SmsStatus", "received"), ("Body", text.as_str())];
        app.twilio("/incoming/twilio/sms/inbound", &inbound).await;
    }
    app.twilio(PATH, &receipt("SM1", "delivered")).await;
    let payloads = app.folder.path().join("blobs/payloads/2026/11/20");
    let blobs = std::fs::read_dir(payloads).unwrap().map(|entry| entry.unwrap().path());
    let pipes: Vec<_> = blobs.map(Pipe::in_place_of).collect();
    assert_eq!(pipes.len(), 2);
    let started = std::time::Instant::now();
    assert_eq!(app.process("sms").await, 3);
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    assert_eq!(app.status(KEY).await.unwrap()["events"], 1);
    assert_eq!(app.all(Container::Retries).await.len(), 2);
}
