//! Files: one process writes, others may look, and what cannot be opened says why.

use std::{path::Path, sync::Arc};

use rusqlite::Connection;
use serde_json::json;
use sluice::{
    bus::{Bus, Message, Topology},
    clock::SystemClock,
    documents::{CommitError, Container, Documents, Operation, Query},
    local::{
        broker::{Broker, OpenError, read_depths},
        documents::LocalDocuments,
    },
};

use crate::{
    clock::ManualClock,
    test_broker::{TestBroker, deliver, ids, message, sms, topology},
};

fn open_broker(path: &Path) -> Result<Broker, OpenError> {
    Broker::open(path, &topology(), Arc::new(SystemClock))
}

fn open_documents(path: &Path) -> Result<LocalDocuments, OpenError> {
    LocalDocuments::open(path, Arc::new(ManualClock::new()))
}

fn open_read_only(path: &Path) -> Result<LocalDocuments, OpenError> {
    LocalDocuments::open_read_only(path, Arc::new(ManualClock::new()))
}

async fn create(documents: &LocalDocuments, id: &str) -> Result<(), CommitError> {
    documents.commit(Container::Ledger, "p", vec![Operation::create(id, &json!({}))]).await.map(drop)
}

#[tokio::test]
async fn a_second_open_of_a_file_is_told_who_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let (broker_path, documents_path) = (folder.path().join("b"), folder.path().join("d"));
    let (broker, documents) = (open_broker(&broker_path).unwrap(), open_documents(&documents_path).unwrap());
    let clone = broker.clone();
    drop(broker);
    let own = Some(std::process::id());
    for _ in 0..2 {
        let error = open_broker(&broker_path).unwrap_err();
        assert!(matches!(&error, OpenError::InUse { path, owner } if *path == broker_path && *owner == own), "{error}");
        let error = open_documents(&documents_path).unwrap_err();
        assert!(matches!(error, OpenError::InUse { owner, .. } if owner == own), "{error}");
    }
    clone.publish("callbacks", message("a")).await.unwrap();
    create(&documents, "a").await.unwrap();

    drop((clone, documents));
    open_broker(&broker_path).unwrap();
    open_documents(&documents_path).unwrap();
}

#[tokio::test]
async fn a_file_with_pages_of_another_size_is_used_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.sqlite");
    let page_size = |path: &Path| {
        let connection = Connection::open(path).unwrap();
        connection.pragma_query_value(None, "page_size", |row| row.get::<_, i64>(0)).unwrap()
    };
    let smaller = Connection::open(&path).unwrap();
    smaller.execute_batch("PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; VACUUM").unwrap();
    smaller.close().unwrap();
    let test = TestBroker::open_in(folder);
    test.publish(&["a", "b"]).await;
    assert_eq!(ids(&test.receive(1).await), ["a"]);
    let test = test.reopen();
    assert_eq!(ids(&test.receive(2).await), ["a", "b"]);
    assert_eq!(page_size(&path), 4096);

    let new = TestBroker::open();
    assert_eq!(page_size(&new.path()), 8192, "or this shows nothing");
}

#[tokio::test]
async fn a_reader_beside_the_writer_sees_fresh_commits_and_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("documents.sqlite");
    let writer = open_documents(&path).unwrap();
    let reader = open_read_only(&path).unwrap();
    for n in 1..=20 {
        let id = n.to_string();
        create(&writer, &id).await.unwrap();
        assert!(reader.read(Container::Ledger, "p", &id).await.unwrap().is_some());
        assert_eq!(reader.count(Container::Ledger, &Query::all()).await.unwrap(), n);
        assert_eq!(reader.query(Container::Ledger, &Query::all()).await.unwrap().documents.len() as u64, n);
    }
    let error = create(&reader, "mine").await.unwrap_err();
    assert!(matches!(error, CommitError::Refused(_)), "{error:?}");
}

#[tokio::test]
async fn a_reader_works_alone_and_does_not_keep_the_writer_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("documents.sqlite");
    create(&open_documents(&path).unwrap(), "a").await.unwrap();

    let reader = open_read_only(&path).unwrap();
    assert!(reader.read(Container::Ledger, "p", "a").await.unwrap().is_some());
    let writer = open_documents(&path).unwrap();
    create(&writer, "b").await.unwrap();
    assert!(reader.read(Container::Ledger, "p", "b").await.unwrap().is_some());
    drop(writer);
    assert_eq!(reader.count(Container::Ledger, &Query::all()).await.unwrap(), 2);
    create(&open_documents(&path).unwrap(), "c").await.unwrap();
    assert_eq!(reader.count(Container::Ledger, &Query::all()).await.unwrap(), 3);
}

#[tokio::test]
async fn depths_can_be_read_from_outside_with_and_without_a_broker() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.sqlite");
    let broker = open_broker(&path).unwrap();
    for id in ["a", "b", "c"] {
        broker.publish("callbacks", message(id)).await.unwrap();
    }
    let received = broker.receive(&sms(), 2, std::time::Duration::ZERO).await.unwrap();
    broker.dead_letter(&[received[0].lock.clone()], "r", "d").await.unwrap();

    assert_eq!(read_depths(&path).unwrap(), broker.depths().await.unwrap());
    let find = |entity| read_depths(&path).unwrap().into_iter().find(|depth| depth.entity == entity).unwrap();
    let depth = find(sms());
    assert_eq!((depth.active, depth.locked, depth.dead_letters), (1, 1, 1));
    drop(broker);
    let depth = find(sms());
    assert_eq!((depth.active + depth.locked, depth.dead_letters), (2, 1));
    assert_eq!(find(deliver()).active, 0);
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (broker_path, documents_path) = (folder.path().join("b"), folder.path().join("d"));
    drop((open_broker(&broker_path).unwrap(), open_documents(&documents_path).unwrap()));
    for path in [&broker_path, &documents_path] {
        Connection::open(path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    }
    let errors = [
        open_broker(&broker_path).unwrap_err(),
        read_depths(&broker_path).unwrap_err(),
        open_documents(&documents_path).unwrap_err(),
        open_read_only(&documents_path).unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error}");
        assert!(error.to_string().contains("use a newer one"), "{error}");
    }
    for path in [&broker_path, &documents_path] {
        let file = Connection::open(path).unwrap();
        let version: i64 = file.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, 99);
    }
}

#[tokio::test]
async fn a_file_of_an_older_version_is_brought_up_to_date() {
    let older = [
        "ALTER TABLE message DROP COLUMN session_id; PRAGMA user_version = 2;",
        "ALTER TABLE message DROP COLUMN session_id; ALTER TABLE message DROP COLUMN scheduled; PRAGMA user_version = 1;",
    ];
    for changes in older {
        let test = TestBroker::open();
        test.publish(&["a"]).await;
        let clock = Arc::clone(&test.clock);
        let folder = test.close();
        let path = folder.path().join("broker.sqlite");
        Connection::open(&path).unwrap().execute_batch(changes).unwrap();
        assert_eq!(read_depths(&path).unwrap().iter().map(|depth| depth.active).sum::<u64>(), 1, "{changes}");

        let broker = Broker::open(&path, &topology(), clock).unwrap();

        broker.publish("callbacks", Message { session_id: Some("s".into()), ..message("b") }).await.unwrap();
        let received = broker.receive(&sms(), 10, std::time::Duration::ZERO).await.unwrap();
        assert_eq!(ids(&received), ["a", "b"], "{changes}");
        let sessions: Vec<_> = received.iter().map(|received| received.message.session_id.as_deref()).collect();
        assert_eq!(sessions, [None, Some("s")], "{changes}");
    }
}

#[tokio::test]
async fn a_reader_creates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nothing.sqlite");
    assert!(matches!(open_read_only(&path).unwrap_err(), OpenError::Missing { .. }));
    assert!(matches!(read_depths(&path).unwrap_err(), OpenError::Missing { .. }));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    let text = "these are my notes, and they are not a database\n".repeat(100);
    std::fs::write(&path, &text).unwrap();
    assert!(matches!(open_broker(&path).unwrap_err(), OpenError::Sqlite { .. }));
    assert!(matches!(open_documents(&path).unwrap_err(), OpenError::Sqlite { .. }));
    assert!(matches!(read_depths(&path).unwrap_err(), OpenError::Sqlite { .. }));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    let nowhere = folder.path().join("no such folder").join("file");
    assert!(matches!(open_broker(&nowhere).unwrap_err(), OpenError::Io { .. }));
}

#[tokio::test]
async fn a_subscription_that_left_the_topology_keeps_its_messages_and_gets_no_more() {
    let test = TestBroker::open();
    test.publish(&["a"]).await;
    let clock = Arc::clone(&test.clock);
    let folder = test.close();
    let path = folder.path().join("broker.sqlite");
    let mut without = topology();
    without.topics[0].subscriptions.retain(|subscription| subscription.name != "sms");

    let broker = Broker::open(&path, &without, clock.clone()).unwrap();
    broker.publish("callbacks", message("b")).await.unwrap();
    let received = broker.receive(&sms(), 10, std::time::Duration::ZERO).await.unwrap();
    assert_eq!(ids(&received), ["a"]);
    broker.complete(&[received[0].lock.clone()]).await.unwrap();
    drop(broker);

    let broker = Broker::open(&path, &Topology { topics: Vec::new() }, clock.clone()).unwrap();
    assert!(broker.publish("callbacks", message("c")).await.is_err());
    drop(broker);
    let broker = Broker::open(&path, &topology(), clock).unwrap();
    broker.publish("callbacks", message("d")).await.unwrap();
    assert_eq!(ids(&broker.receive(&sms(), 10, std::time::Duration::ZERO).await.unwrap()), ["d"]);
}
