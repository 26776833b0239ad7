//! What a restart keeps, and what a failure leaves alone.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use sluice::{
    bus::{Bus, PublishError},
    clock::{Clock, SystemClock, Timestamp},
    documents::{CommitError, Container, Documents, Operation, Query},
    local::{
        broker::{Broker, Settlement},
        documents::LocalDocuments,
    },
};

use crate::{
    clock::ManualClock,
    test_broker::{MAX_DELIVERIES, TestBroker, ids, message, sms, topology},
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

/// Makes whatever the writer does panic, while it is told to.
#[derive(Debug, Default)]
struct BrokenClock {
    broken: AtomicBool,
}

impl Clock for BrokenClock {
    fn now(&self) -> Timestamp {
        assert!(!self.broken.load(Ordering::SeqCst), "the clock is broken");
        SystemClock.now()
    }
}

#[tokio::test]
async fn a_job_that_panics_is_answered_and_does_not_end_the_writer() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(BrokenClock::default());
    let broker = Broker::open(&folder.path().join("broker.sqlite"), &topology(), clock.clone()).unwrap();
    let documents = LocalDocuments::open(&folder.path().join("documents.sqlite"), clock.clone()).unwrap();
    let create = || vec![Operation::create("a", &json!({}))];
    for _ in 0..2 {
        clock.broken.store(true, Ordering::SeqCst);
        let error = broker.publish("callbacks", message("a")).await.unwrap_err();
        assert!(matches!(error, PublishError::Unavailable(_)), "{error:?}");
        let error = documents.commit(Container::Ledger, "p", create()).await.unwrap_err();
        assert!(matches!(error, CommitError::Unavailable(_)), "{error:?}");
        clock.broken.store(false, Ordering::SeqCst);
    }

    broker.publish("callbacks", message("a")).await.unwrap();
    documents.commit(Container::Ledger, "p", create()).await.unwrap();
    let received = broker.receive(&sms(), 10, Duration::ZERO).await.unwrap();
    assert_eq!(ids(&received), ["a"], "nothing of the failed jobs was kept");
    assert_eq!(broker.complete(&[received[0].lock.clone()]).await.unwrap(), [Settlement::Done]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_fails_leaves_no_trace_and_can_be_tried_again() {
    let test = TestBroker::open();
    let file = rusqlite::Connection::open(test.path()).unwrap();
    file.execute_batch(
        "CREATE TRIGGER fault BEFORE INSERT ON message WHEN new.message_id = 'poison'
         BEGIN SELECT RAISE(ABORT, 'a fault of the disk'); END",
    )
    .unwrap();
    let publishers = (0..64).map(|n| {
        let broker = test.broker.clone();
        let id = if n % 16 == 0 { "poison".to_owned() } else { n.to_string() };
        tokio::spawn(async move { (id.clone(), broker.publish("callbacks", message(&id)).await) })
    });
    let mut failed = Vec::new();
    for publisher in publishers.collect::<Vec<_>>() {
        match publisher.await.unwrap() {
            (id, Ok(())) => assert_ne!(id, "poison"),
            // Its neighbours in the transaction fail with it.
            (id, Err(PublishError::Unavailable(_))) => failed.push(id),
            (id, Err(error)) => panic!("{id}: {error:?}"),
        }
    }
    assert_eq!(failed.iter().filter(|id| *id == "poison").count(), 4);
    file.execute_batch("DROP TRIGGER fault").unwrap();
    for id in &failed {
        test.publish(&[id]).await;
    }

    let received = test.receive(100).await;
    assert_eq!(received.len(), 61, "60 others and one poison, each once");
    assert_eq!(ids(&received).into_iter().collect::<HashSet<_>>().len(), 61);
    assert_eq!(received.iter().map(|received| received.sequence_number).collect::<HashSet<_>>().len(), 61);
}

#[tokio::test]
async fn a_renewal_that_fails_leaves_the_lock_as_it_was() {
    let test = TestBroker::open();
    test.publish(&["a"]).await;
    let received = test.receive_one().await;
    let until = received.lock.expires_at();
    let file = rusqlite::Connection::open(test.path()).unwrap();
    file.execute_batch("CREATE TRIGGER fault BEFORE UPDATE ON queue BEGIN SELECT RAISE(ABORT, 'no'); END").unwrap();
    test.clock.advance(Duration::from_secs(5));

    assert!(test.broker.renew(&received.lock).await.is_err());
    assert_eq!(received.lock.expires_at(), until);
    file.execute_batch("DROP TRIGGER fault").unwrap();
    assert_eq!(test.broker.renew(&received.lock).await.unwrap(), Settlement::Done);
    assert_eq!(test.complete(&received).await, Settlement::Done);
}
