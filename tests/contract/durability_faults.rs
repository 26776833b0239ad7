//! Faults: a transaction that fails is answered, leaves no trace on disk or in memory, and does not end the writer.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rusqlite::Connection;
use serde_json::json;
use sluice::{
    bus::{Bus, Message, PublishError},
    clock::{Clock, SystemClock, Timestamp},
    documents::{CommitError, Container, Documents, Operation},
    local::{
        broker::{Broker, Settlement},
        documents::LocalDocuments,
    },
};

use crate::test_broker::{TestBroker, ids, message, properties, sms, topology};

/// Lets the message `poison` fail where it is written, until it is dropped.
struct Fault(Connection);

impl Fault {
    fn open(path: &std::path::Path) -> Self {
        let file = Connection::open(path).unwrap();
        file.execute_batch(
            "CREATE TRIGGER fault BEFORE INSERT ON message WHEN new.message_id = 'poison'
             BEGIN SELECT RAISE(ABORT, 'a fault of the disk'); END",
        )
        .unwrap();
        Self(file)
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        self.0.execute_batch("DROP TRIGGER fault").unwrap();
    }
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
    let fault = Fault::open(&test.path());
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
    drop(fault);
    for id in &failed {
        test.publish(&[id]).await;
    }

    let received = test.receive(100).await;
    assert_eq!(received.len(), 61, "60 others and one poison, each once");
    assert_eq!(ids(&received).into_iter().collect::<HashSet<_>>().len(), 61);
    assert_eq!(received.iter().map(|received| received.sequence_number).collect::<HashSet<_>>().len(), 61);
}

#[tokio::test]
async fn sequence_numbers_of_a_failed_transaction_are_skipped_not_reused() {
    let mut test = TestBroker::open();
    let mut last = 0;
    for turn in 0..3 {
        let fault = Fault::open(&test.path());
        // The first number after a restart: taking it reserves many, and that is undone too.
        assert!(test.broker.publish("callbacks", message("poison")).await.is_err());
        drop(fault);
        test.publish(&[&turn.to_string()]).await;
        let received = test.receive_one().await;
        assert!(received.sequence_number > last, "{} after {last}", received.sequence_number);
        last = received.sequence_number;
        test.complete(&received).await;
        test = test.reopen();
    }
}

/// A clock that keeps whoever asks waiting while it is told to: what is handed to the writer meanwhile shares its next
/// transaction.
#[derive(Debug, Default)]
struct SlowClock {
    stopped: AtomicBool,
    /// Somebody waits.
    asked: AtomicBool,
}

impl Clock for SlowClock {
    fn now(&self) -> Timestamp {
        while self.stopped.load(Ordering::SeqCst) {
            self.asked.store(true, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(1));
        }
        SystemClock.now()
    }
}

/// Messages are written at the end of their transaction: whoever looked before that is told of them.
#[tokio::test]
async fn a_receiver_that_shares_the_transaction_of_a_publication_has_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(SlowClock::default());
    let broker = Broker::open(&folder.path().join("broker.sqlite"), &topology(), clock.clone()).unwrap();
    let publish = |message: Message| {
        let broker = broker.clone();
        tokio::spawn(async move { broker.publish("callbacks", message).await })
    };
    clock.stopped.store(true, Ordering::SeqCst);
    // Keeps the writer busy until the others have gathered, and is for somebody else.
    let first = publish(Message { properties: properties(&[("channel", "email".into())]), ..message("first") });
    let began = std::time::Instant::now();
    while !clock.asked.load(Ordering::SeqCst) {
        assert!(began.elapsed() < Duration::from_secs(20), "the writer has not taken it");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let published = publish(message("a"));
    tokio::time::sleep(Duration::from_millis(20)).await;
    let receiver = tokio::spawn({
        let broker = broker.clone();
        async move { broker.receive(&sms(), 1, Duration::from_secs(20)).await }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    let released = std::time::Instant::now();
    clock.stopped.store(false, Ordering::SeqCst);

    assert_eq!(ids(&receiver.await.unwrap().unwrap()), ["a"]);
    // A receiver looks by itself after a second.
    assert!(released.elapsed() < Duration::from_millis(900), "{:?}", released.elapsed());
    first.await.unwrap().unwrap();
    published.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_renewal_in_a_transaction_that_fails_leaves_the_lock_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.sqlite");
    let clock = Arc::new(SlowClock::default());
    let broker = Broker::open(&path, &topology(), clock.clone()).unwrap();
    broker.publish("callbacks", message("a")).await.unwrap();
    let lock = broker.receive(&sms(), 1, Duration::ZERO).await.unwrap().remove(0).lock;
    let until = lock.expires_at();
    let fault = Fault::open(&path);

    clock.stopped.store(true, Ordering::SeqCst);
    let publish = |id: &'static str| {
        let broker = broker.clone();
        tokio::spawn(async move { broker.publish("callbacks", message(id)).await })
    };
    let first = publish("first");
    let began = std::time::Instant::now();
    while !clock.asked.load(Ordering::SeqCst) {
        assert!(began.elapsed() < Duration::from_secs(20), "the writer has not taken it");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let renewal = tokio::spawn({
        let (broker, lock) = (broker.clone(), lock.clone());
        async move { broker.renew(&lock).await }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    let poison = publish("poison");
    tokio::time::sleep(Duration::from_millis(20)).await;
    clock.stopped.store(false, Ordering::SeqCst);

    first.await.unwrap().unwrap();
    assert!(poison.await.unwrap().is_err());
    assert!(renewal.await.unwrap().is_err(), "they shared a transaction");
    assert_eq!(lock.expires_at(), until);
    drop(fault);
    assert_eq!(broker.renew(&lock).await.unwrap(), Settlement::Done);
    assert!(lock.expires_at() > until);
    assert_eq!(broker.complete(&[lock]).await.unwrap(), [Settlement::Done]);
}
