//! Time to live: an expired document is gone for everybody, whether or not the store has removed it yet.

use std::time::Duration;

use serde_json::json;
use sluice::documents::{Action, CommitError, Comparison, Container, Documents, Etag, Operation, Query};

use crate::adapters::{Store, on_every_store};

const LEDGER: Container = Container::Ledger;
const LIFETIME: Duration = Duration::from_secs(2);

on_every_store!(
    #[cosmos_emulator: ignore = "the Cosmos DB emulator never expires documents"]
    an_expired_document_is_invisible_to_reads_queries_and_counts,
    a_create_over_an_expired_document_succeeds,
    a_replace_or_delete_of_an_expired_document_fails,
    a_delete_without_an_etag_of_an_expired_document_succeeds,
    every_write_sets_the_time_to_live_anew,
    expired_documents_do_not_hold_up_what_is_alive,
);

async fn write(store: &dyn Documents, operation: Operation) -> Etag {
    store.commit(LEDGER, "p", vec![operation]).await.unwrap()[0].clone().expect("a write has an etag")
}

async fn exists(store: &dyn Documents, id: &str) -> bool {
    store.read(LEDGER, "p", id).await.unwrap().is_some()
}

async fn an_expired_document_is_invisible_to_reads_queries_and_counts(world: &dyn Store) {
    let store = world.documents();
    write(&*store, Operation::create("mortal", &json!({"n": 1})).with_ttl(LIFETIME)).await;
    write(&*store, Operation::create("immortal", &json!({"n": 2}))).await;
    let queries = || {
        [
            Query::partition("p"),
            Query::all().id_prefix("mortal"),
            Query::all().filter("n", Comparison::LessOrEqual, 1),
            Query::all().order_by("n"),
        ]
    };
    for (query, matches) in queries().iter().zip([2, 1, 1, 2]) {
        assert_eq!(store.count(LEDGER, query).await.unwrap(), matches, "{query:?}");
    }

    world.pass(LIFETIME).await;

    assert!(!exists(&*store, "mortal").await);
    assert!(exists(&*store, "immortal").await);
    for (query, matches) in queries().iter().zip([1, 0, 0, 1]) {
        assert_eq!(store.count(LEDGER, query).await.unwrap(), matches, "{query:?}");
        assert_eq!(store.query(LEDGER, query).await.unwrap().documents.len(), matches as usize, "{query:?}");
    }
}

async fn a_create_over_an_expired_document_succeeds(world: &dyn Store) {
    let store = world.documents();
    let first = write(&*store, Operation::create("a", &json!({})).with_ttl(LIFETIME)).await;
    world.pass(LIFETIME).await;

    let second = write(&*store, Operation::create("a", &json!({"again": true}))).await;

    assert_ne!(first, second);
    world.pass(LIFETIME).await;
    assert!(exists(&*store, "a").await, "the first one's time to live is not the second one's");
}

async fn a_replace_or_delete_of_an_expired_document_fails(world: &dyn Store) {
    let store = world.documents();
    let etag = write(&*store, Operation::create("a", &json!({})).with_ttl(LIFETIME)).await;
    world.pass(LIFETIME).await;

    let delete = Operation { id: "a".into(), action: Action::Delete { if_match: Some(etag.clone()) } };
    for operation in [Operation::replace("a", &json!({}), etag), delete] {
        let error = store.commit(LEDGER, "p", vec![operation]).await.unwrap_err();
        assert!(matches!(error, CommitError::PreconditionFailed { .. }), "{error:?}");
    }
    assert!(!exists(&*store, "a").await);
}

async fn a_delete_without_an_etag_of_an_expired_document_succeeds(world: &dyn Store) {
    let store = world.documents();
    write(&*store, Operation::create("a", &json!({})).with_ttl(LIFETIME)).await;
    world.pass(LIFETIME).await;
    store.commit(LEDGER, "p", vec![Operation::delete("a")]).await.unwrap();
    assert!(!exists(&*store, "a").await);
}

async fn every_write_sets_the_time_to_live_anew(world: &dyn Store) {
    let store = world.documents();
    let half = LIFETIME / 2;
    let extended = write(&*store, Operation::create("extended", &json!({})).with_ttl(LIFETIME)).await;
    write(&*store, Operation::create("kept", &json!({})).with_ttl(LIFETIME)).await;
    write(&*store, Operation::create("cut", &json!({}))).await;
    world.pass(half).await;
    write(&*store, Operation::replace("extended", &json!({}), extended).with_ttl(LIFETIME)).await;
    write(&*store, Operation::upsert("kept", &json!({}))).await;
    write(&*store, Operation::upsert("cut", &json!({})).with_ttl(half)).await;

    world.pass(half).await;
    assert!(exists(&*store, "extended").await);
    assert!(exists(&*store, "kept").await);
    assert!(!exists(&*store, "cut").await);
    world.pass(half).await;
    assert!(!exists(&*store, "extended").await);
    assert!(exists(&*store, "kept").await);
}

async fn expired_documents_do_not_hold_up_what_is_alive(world: &dyn Store) {
    let store = world.documents();
    for batch in 0..12 {
        let mortal = |n| Operation::create(format!("mortal {batch} {n:02}"), &json!({})).with_ttl(LIFETIME);
        store.commit(LEDGER, "p", (0..100).map(mortal).collect()).await.unwrap();
    }
    write(&*store, Operation::create("zz", &json!({})).with_ttl(10 * LIFETIME)).await;
    world.pass(4 * LIFETIME).await;

    for turn in 0..5 {
        // Whatever a store removes with a commit, it is never what is still alive.
        write(&*store, Operation::upsert("turn", &json!({"n": turn}))).await;
        assert_eq!(store.count(LEDGER, &Query::all()).await.unwrap(), 2);
    }
    assert!(exists(&*store, "zz").await);
}
