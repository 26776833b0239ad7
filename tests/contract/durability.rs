//! What a restart keeps, and what leaves the file.

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use futures_util::future::join_all;
use serde_json::json;
use sluice::{
    bus::{Bus, Message},
    documents::{Container, Documents, Operation, Query},
    local::{broker::Settlement, documents::LocalDocuments},
};

use crate::{
    clock::ManualClock,
    test_broker::{LOCK, MAX_DELIVERIES, TestBroker, ids, message},
};

#[tokio::test]
async fn a_restart_makes_locked_messages_available_at_once_and_keeps_their_delivery_count() {
    let mut test = TestBroker::open();
    test.publish(&["a", "b"]).await;
    for delivery in 1..=MAX_DELIVERIES {
        let received = test.receive(1).await;
        assert_eq!((ids(&received), received[0].delivery_count), (vec!["a"], delivery));
        test = test.reopen();
    }
    assert_eq!(ids(&test.receive(2).await), ["b"], "what was held by so many that died waits for its lock");
    test.clock.advance(LOCK);
    assert_eq!(ids(&test.receive(2).await), ["b"], "one restart too many");
    assert_eq!(ids(&test.dead_letters().await), ["a"]);
}

#[tokio::test]
async fn a_restart_keeps_messages_their_order_and_what_was_settled() {
    let test = TestBroker::open();
    test.publish(&["a", "b", "c", "d"]).await;
    let received = test.receive(2).await;
    test.complete(&received[1]).await;

    let test = test.reopen();

    assert_eq!(ids(&test.receive(10).await), ["a", "c", "d"]);
}

#[tokio::test]
async fn sequence_numbers_never_repeat_even_when_everything_was_completed() {
    let mut test = TestBroker::open();
    let mut last = 0;
    for turn in 0..5 {
        for n in 0..3 {
            test.publish(&[&format!("{turn} {n}")]).await;
            let received = test.receive_one().await;
            assert!(received.sequence_number > last);
            last = received.sequence_number;
            assert_eq!(test.complete(&received).await, Settlement::Done);
        }
        test = test.reopen();
    }
}

#[tokio::test]
async fn etags_never_repeat_even_when_everything_was_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let mut etags = HashMap::new();
    for turn in 0..5 {
        let documents = open_documents(folder.path());
        for n in 0..3 {
            let written =
                documents.commit(Container::Ledger, "p", vec![Operation::create("a", &json!({}))]).await.unwrap();
            assert_eq!(etags.insert(written[0].clone(), (turn, n)), None);
            documents.commit(Container::Ledger, "p", vec![Operation::delete("a")]).await.unwrap();
        }
    }
}

fn open_documents(folder: &std::path::Path) -> LocalDocuments {
    LocalDocuments::open(&folder.join("documents.sqlite"), Arc::new(ManualClock::new())).unwrap()
}

#[tokio::test]
async fn closing_waits_for_what_was_handed_over() {
    let folder = tempfile::tempdir().unwrap();
    let documents = open_documents(folder.path());
    let commits: Vec<_> = (0..100)
        .map(|n| {
            let documents = documents.clone();
            tokio::spawn(async move {
                let operation = Operation::create(format!("{n}"), &json!({}));
                documents.commit(Container::Ledger, "p", vec![operation]).await
            })
        })
        .collect();
    drop(documents);
    for commit in commits {
        commit.await.unwrap().unwrap();
    }
    let documents = open_documents(folder.path());
    assert_eq!(documents.count(Container::Ledger, &Query::all()).await.unwrap(), 100);
}

#[tokio::test]
async fn expired_documents_leave_the_file_as_fast_as_they_come() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("documents.sqlite");
    let clock = Arc::new(ManualClock::new());
    let documents = LocalDocuments::open(&path, clock.clone()).unwrap();
    for second in 0..60 {
        let mortal = |n| Operation::create(format!("{second} {n}"), &json!({})).with_ttl(Duration::from_secs(1));
        for batch in 0..3 {
            let operations = (batch * 100..batch * 100 + 100).map(mortal).collect();
            documents.commit(Container::Ledger, "p", operations).await.unwrap();
        }
        clock.advance(Duration::from_secs(1));
    }
    drop(documents);
    let file = rusqlite::Connection::open(path).unwrap();
    let rows: i64 = file.query_row("SELECT count(*) FROM document", [], |row| row.get(0)).unwrap();
    assert!(rows < 6 * 300, "{rows} rows of 18,000 are left");
}

/// Answers travel through the runtime that opened the file, as long as there is one.
#[test]
fn callers_get_their_answers_after_the_runtime_that_opened_the_broker_has_ended() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let opening = runtime();
    let test = opening.block_on(async { TestBroker::open() });
    drop(opening);
    let ids: Vec<_> = (0..500).map(|n| n.to_string()).collect();
    runtime().block_on(async {
        let publishes = ids.iter().map(|id| test.broker.publish("callbacks", message(id)));
        let published = tokio::time::timeout(Duration::from_secs(60), join_all(publishes)).await;
        assert!(published.expect("everybody has an answer").iter().all(Result::is_ok));
        assert_eq!(test.receive(1000).await.len(), ids.len());
    });
}

/// A checkpoint that took long is not repeated at once, so something else must bound the log.
#[tokio::test]
async fn the_write_ahead_log_stays_small_however_much_is_written() {
    const MEGABYTE: u64 = 1024 * 1024;
    let test = TestBroker::open();
    for round in 0..20 {
        let publishes = (0..20).map(|n| {
            let large = Message { body: vec![7; 250_000].into(), ..message(&format!("{round}:{n}")) };
            test.broker.publish("callbacks", large)
        });
        assert!(join_all(publishes).await.iter().all(Result::is_ok));
    }
    let size = |path: &Path| std::fs::metadata(path).unwrap().len();
    assert!(size(&test.path().with_extension("sqlite-wal")) < 48 * MEGABYTE);
    assert!(size(&test.path()) > 50 * MEGABYTE, "most of the 100 MB has left the log");
}
