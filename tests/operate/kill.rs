//! A server that is killed in the middle of a replay: every record arrives, once.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sluice::{
    app::topology,
    clock::SystemClock,
    documents::{Container, Documents, Operation, Query, query_all},
    local::{
        broker::{Broker, read_depths},
        documents::LocalDocuments,
        engine,
    },
    retry::records::{ParkedRecord, StoredBody, StoredMessage, bucket_of},
};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    server::{KEY, Server},
    support::{TestApp, config, entity},
    world::message,
};

/// A data folder with so many parked callbacks, all genuine but for their ids: `twilio:SM0`, `twilio:SM1`...
pub async fn parked(count: usize) -> TempDir {
    let app = TestApp::start();
    let template = message(&app, "SMTEMPLATE").await;
    let StoredBody::Text(envelope) = &template.body else { panic!("an envelope is text") };
    let first_id = template.correlation_id.clone().unwrap();
    let now = app.app.clock.now();
    let mut batches = std::collections::BTreeMap::<String, Vec<Operation>>::new();
    for number in 0..count {
        let id = Uuid::now_v7().to_string();
        let sid = format!("SM{number}");
        let record = ParkedRecord {
            id: id.clone(),
            bucket: bucket_of(&id),
            parked_at: now + Duration::from_millis(number as u64 / 10),
            reason: "gave up after 10 attempts: the ledger was away".into(),
            vendor: Some("twilio".into()),
            channel: Some("sms".into()),
            partner: None,
            topic: "callbacks".into(),
            message_key: Some(format!("twilio:{sid}")),
            history: Vec::new(),
            message: StoredMessage {
                message_id: format!("{id}:10"),
                correlation_id: Some(id.clone()),
                subject: Some(sid.clone()),
                body: StoredBody::Text(envelope.replace("SMTEMPLATE", &sid).replace(&first_id, &id)),
                ..template.clone()
            },
        };
        let batch = batches.entry(record.bucket.clone()).or_default();
        batch.push(Operation::upsert(id, &record));
        if batch.len() == 100 {
            app.documents.commit(Container::Parked, &record.bucket, std::mem::take(batch)).await.unwrap();
        }
    }
    for (bucket, batch) in batches.into_iter().filter(|(_, batch)| !batch.is_empty()) {
        app.documents.commit(Container::Parked, &bucket, batch).await.unwrap();
    }
    app.folder
}

async fn ask(server: &Server, post: Option<Value>, path: &str) -> Option<Value> {
    let client = reqwest::Client::new();
    let url = format!("{}/manage{path}", server.url);
    let request = match post {
        Some(body) => client.post(url).body(body.to_string()),
        None => client.get(url),
    };
    let request = request.header("x-functions-key", KEY).header("x-sluice-operator", "ana");
    let response = request.send().await.ok()?;
    assert!(response.status().is_success(), "{path}: {}", response.status());
    serde_json::from_str(&response.text().await.ok()?).ok()
}

async fn until(server: &Server, id: &str, reached: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        let job = ask(server, None, &format!("/replays/{id}")).await.unwrap();
        if reached(&job) {
            return job;
        }
        assert!(started.elapsed() < Duration::from_secs(180), "{job}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn done(job: &Value) -> u64 {
    job["progress"]["done"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again_in_the_middle_of_a_replay_every_record_is_applied_once() {
    const RECORDS: usize = 3000;
    let folder = parked(RECORDS).await;
    let mut server = Server::start(folder.path()).await;
    let job = ask(&server, Some(json!({"source": "parked", "rate": 1000})), "/replays").await.unwrap();
    let id = job["id"].as_str().unwrap();
    for kill in 1..=2 {
        let before = ask(&server, None, &format!("/replays/{id}")).await.map_or(0, |job| done(&job));
        until(&server, id, |job| done(job) > before + 300).await;
        let wait = rand::random_range(0..400);
        tokio::time::sleep(Duration::from_millis(wait)).await;
        println!("kill {kill} after {wait} ms");
        server.kill();
        server = Server::start(folder.path()).await;
    }
    let job = until(&server, id, |job| job["state"] == "done").await;
    println!("{job}");
    assert_eq!(job["progress"]["matched"], RECORDS);
    assert_eq!(job["progress"]["failed"], 0);
    let documents =
        LocalDocuments::open_read_only(&engine::paths(folder.path()).documents, Arc::new(SystemClock)).unwrap();
    let started = Instant::now();
    loop {
        let events = documents.count(Container::Ledger, &Query::all().id_prefix("evt:")).await.unwrap();
        if events == RECORDS as u64 {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{events} events");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for status in query_all(&documents, Container::Ledger, Query::all().id_prefix("status")).await.unwrap() {
        assert_eq!(status.parse::<Value>().unwrap()["events"], 1, "{}", status.partition);
    }
    assert_eq!(documents.count(Container::Parked, &Query::all()).await.unwrap(), 0);
    assert_eq!(documents.count(Container::Retries, &Query::all()).await.unwrap(), 0);
}

/// How many messages wait for the processor of text messages.
fn waiting(folder: &TempDir) -> u64 {
    let depths = read_depths(&engine::paths(folder.path()).broker).unwrap();
    depths.iter().find(|depth| depth.entity == entity("sms")).map_or(0, |depth| depth.active)
}

/// Takes a minute and a half, so that it is run by its name: `cargo test --test operate -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "100,000 records at 2,000/s take a minute and a half; .ci/run runs it"]
async fn a_hundred_thousand_records_paused_killed_and_resumed_arrive_once_each() {
    const RECORDS: usize = 100_000;
    const RATE: usize = 2000;
    let folder = parked(RECORDS).await;
    // Nobody takes the messages away, so that they can be counted where they arrive.
    let alone = |command: &mut std::process::Command| {
        command.env("AzureWebJobs_process_sms_Disabled", "1").env("AzureWebJobs.process-sms.Disabled", "1");
    };
    let server = Server::start_with(folder.path(), alone).await;
    let started = Instant::now();
    let order = json!({"source": "parked", "filter": {"vendor": "twilio"}, "rate": RATE});
    let job = ask(&server, Some(order), "/replays").await.unwrap();
    let id = job["id"].as_str().unwrap();

    let running = until(&server, id, |job| done(job) >= RECORDS as u64 * 3 / 10).await;
    println!("at {:?}: {}", started.elapsed(), running["progress"]);
    let asked = Instant::now();
    ask(&server, Some(json!({})), &format!("/replays/{id}/pause")).await.unwrap();
    let (mut last, mut changed) = (waiting(&folder), asked);
    while asked.elapsed() < Duration::from_secs(3) {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let now = waiting(&folder);
        if now != last {
            (last, changed) = (now, Instant::now());
        }
    }
    let stopped = changed - asked;
    println!("paused at {last} records; the last arrived {} ms after the pause was asked for", stopped.as_millis());
    assert!(stopped < Duration::from_secs(1), "{stopped:?}");
    ask(&server, Some(json!({})), &format!("/replays/{id}/resume")).await.unwrap();

    until(&server, id, |job| done(job) >= RECORDS as u64 / 2).await;
    println!(
        "at {:?}: killed at {} records, peak memory {} MB",
        started.elapsed(),
        waiting(&folder),
        server.peak_memory() >> 20
    );
    server.kill();
    let server = Server::start_with(folder.path(), alone).await;
    let job = until(&server, id, |job| job["state"] == "done").await;
    println!("at {:?}: {}", started.elapsed(), job["progress"]);
    println!("peak memory of the second server: {} MB", server.peak_memory() >> 20);
    assert!(server.peak_memory() < 150 << 20);
    server.kill();

    let paths = engine::paths(folder.path());
    let broker = Broker::open(&paths.broker, &topology(&config(&[])), Arc::new(SystemClock)).unwrap();
    let (mut arrived, mut twice) = (HashSet::new(), 0);
    loop {
        let received = broker.receive(&entity("sms"), 500, Duration::ZERO).await.unwrap();
        if received.is_empty() {
            break;
        }
        for received in received {
            twice += usize::from(!arrived.insert(received.message.subject.unwrap()));
        }
    }
    println!("arrived: {} records, {twice} of them twice", arrived.len());
    assert_eq!((arrived.len(), twice), (RECORDS, 0));
    let documents = LocalDocuments::open_read_only(&paths.documents, Arc::new(SystemClock)).unwrap();
    assert_eq!(documents.count(Container::Parked, &Query::all()).await.unwrap(), 0);
}
