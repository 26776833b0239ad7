//! More than one page, since a moment, and in Cosmos DB.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde_json::json;
use sluice::{
    clock::Timestamp,
    documents::{Container, Documents, Operation},
    event::{Channel, Event, EventType},
    ledger::records::{Destination, EventRecord, STATUS_ID, StatusRecord, event_id},
    verify::{CheckOptions, Kind, Report, check},
};

use crate::support::{TestApp, cosmos::Emulator};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Writes a message with so many events, as the ledger does.
async fn write(documents: &dyn Documents, id: &str, events: usize, applied_at: Timestamp) {
    let mut operations = Vec::new();
    let mut status: Option<StatusRecord> = None;
    let key = format!("v:{id}");
    for number in 0..events {
        let dedupe = format!("v:{id}:{number}");
        let mut event = Event::new(EventType::MessageOpened, Channel::Email, "v", id, dedupe);
        event.text = Some("x".repeat(2000));
        match &mut status {
            Some(status) => status.fold(&event, applied_at, applied_at),
            None => status = Some(StatusRecord::first(&event, applied_at, applied_at)),
        }
        let record = EventRecord {
            id: event_id(&event.dedupe_key),
            key: key.clone(),
            writer: "w".into(),
            envelope_id: "e".into(),
            received_at: applied_at,
            applied_at,
            announced_to: Vec::<Destination>::new(),
            event,
        };
        operations.push(Operation::create(record.id.clone(), &record));
    }
    operations.push(Operation::create(STATUS_ID, &status.unwrap()));
    for some in operations.chunks(90) {
        documents.commit(Container::Ledger, &key, some.to_vec()).await.unwrap();
    }
}

fn options(since: Option<&str>) -> CheckOptions {
    CheckOptions { since: since.map(at), settle: Duration::ZERO, ..CheckOptions::new(at("2026-11-20T12:00:00Z")) }
}

async fn judge(documents: &dyn Documents, since: Option<&str>) -> Report {
    check(documents, &options(since), &|_| {}).await.unwrap()
}

/// Small messages, and one that fills more than one page by number and by bytes.
async fn fill(documents: &dyn Documents, events: usize) {
    for number in 0..40 {
        write(documents, &format!("a{number:02}"), 3, at("2026-11-20T08:00:00Z")).await;
    }
    write(documents, "large", events, at("2026-11-20T10:00:00Z")).await;
    write(documents, "z", 2, at("2026-11-20T11:00:00Z")).await;
}

async fn count_wrongly(documents: &dyn Documents, key: &str) {
    let found = documents.read(Container::Ledger, key, STATUS_ID).await.unwrap().unwrap();
    let mut status: serde_json::Value = found.parse().unwrap();
    status["events"] = json!(1);
    documents.commit(Container::Ledger, key, vec![Operation::upsert(STATUS_ID, &status)]).await.unwrap();
}

#[tokio::test]
async fn every_message_is_judged_however_many_pages_it_fills() {
    let app = TestApp::start();
    let documents = app.documents.inner.as_ref();
    fill(documents, 2500).await;
    let seen = AtomicU64::new(0);
    let told = |count| seen.store(count, Ordering::SeqCst);
    let report = check(documents, &options(None), &told).await.unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.checked.messages, report.checked.events), (42, 40 * 3 + 2500 + 2));
    assert_eq!(seen.load(Ordering::SeqCst), 42, "progress tells how many");
    for key in ["v:a00", "v:large", "v:z"] {
        count_wrongly(documents, key).await;
    }
    assert_eq!(judge(documents, None).await.count(Kind::CountersWrong), 3);
}

#[tokio::test]
async fn since_looks_at_what_changed_and_at_nothing_else() {
    let app = TestApp::start();
    let documents = app.documents.inner.as_ref();
    fill(documents, 100).await;
    for key in ["v:a00", "v:z"] {
        count_wrongly(documents, key).await;
    }
    let report = judge(documents, Some("2026-11-20T10:30:00Z")).await;
    assert_eq!((report.checked.messages, report.checked.events), (1, 2), "{report}");
    assert_eq!(report.count(Kind::CountersWrong), 1, "{report}");
    assert_eq!(judge(documents, Some("2026-11-20T10:00:00Z")).await.checked.messages, 2);
    assert_eq!(judge(documents, Some("2026-11-20T08:00:00Z")).await.checked.messages, 42);
}

#[tokio::test]
async fn cosmos_db_is_judged_as_the_embedded_store_is() {
    let emulator = Emulator::http().with_containers();
    let documents = emulator.documents();
    fill(&documents, 1100).await;
    let report = judge(&documents, None).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.checked.messages, report.checked.events), (42, 40 * 3 + 1100 + 2));
    count_wrongly(&documents, "v:large").await;
    assert_eq!(judge(&documents, None).await.count(Kind::CountersWrong), 1);
}

#[tokio::test]
async fn cosmos_db_leaves_out_what_was_not_written_since() {
    let emulator = Emulator::http().with_containers();
    let documents = emulator.documents();
    write(&documents, "z", 2, at("2026-11-20T11:00:00Z")).await;
    assert_eq!(judge(&documents, Some("2026-11-20T10:30:00Z")).await.checked.messages, 1);
    // By the store's own clock, and that is today.
    let later = (chrono::Utc::now() + Duration::from_secs(3600)).to_rfc3339();
    assert_eq!(judge(&documents, Some(&later)).await.checked.messages, 0);
    let query = sluice::documents::Query::all().written_since(at(&later));
    assert!(documents.query(Container::Ledger, &query).await.unwrap().documents.is_empty());
}

#[tokio::test]
async fn a_store_that_fails_is_an_error_and_no_verdict() {
    let emulator = Emulator::http().with_some_containers(&[Container::Ledger]);
    assert!(check(&emulator.documents(), &options(None), &|_| {}).await.is_err());
}
