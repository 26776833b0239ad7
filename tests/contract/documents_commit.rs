//! Commits: what each operation demands and does, and that all of them happen or none.

use serde_json::{Value, json};
use sluice::documents::{Action, CommitError, Container, Documents, Etag, Operation, Query};

use crate::adapters::{Store, on_every_store};

const LEDGER: Container = Container::Ledger;

on_every_store!(
    a_created_document_is_read_back_as_it_was_written,
    a_create_conflicts_with_an_existing_document,
    an_upsert_creates_and_overwrites,
    a_replace_demands_the_current_etag,
    a_replace_of_a_missing_document_fails,
    a_delete_without_an_etag_never_fails,
    a_delete_with_an_etag_demands_it,
    containers_and_partitions_do_not_mix,
    a_failed_commit_leaves_nothing_behind_wherever_it_fails,
    a_commit_answers_with_one_etag_an_operation,
    every_write_changes_the_etag,
    an_etag_is_not_reused_after_delete_and_create,
);

async fn commit(store: &dyn Documents, operation: Operation) -> Result<Option<Etag>, CommitError> {
    store.commit(LEDGER, "p", vec![operation]).await.map(|etags| etags[0].clone())
}

async fn write(store: &dyn Documents, operation: Operation) -> Etag {
    commit(store, operation).await.unwrap().expect("a write has an etag")
}

async fn body(store: &dyn Documents, id: &str) -> Option<Value> {
    store.read(LEDGER, "p", id).await.unwrap().map(|document| document.parse().unwrap())
}

async fn a_created_document_is_read_back_as_it_was_written(store: &dyn Store) {
    let store = store.documents();
    let body = json!({"text": "naïve \"quotes\" \u{1f4e8}", "number": 12.5, "list": [1, null], "nested": {"a": true}});
    let etag = write(&*store, Operation::create("evt:1", &body)).await;

    let document = store.read(LEDGER, "p", "evt:1").await.unwrap().unwrap();

    assert_eq!((document.partition.as_str(), document.id.as_str()), ("p", "evt:1"));
    assert_eq!(document.etag, etag);
    assert_eq!(document.parse::<Value>().unwrap(), body);
    assert_eq!(store.read(LEDGER, "p", "evt:2").await.unwrap(), None);
}

async fn a_create_conflicts_with_an_existing_document(store: &dyn Store) {
    let store = store.documents();
    write(&*store, Operation::create("a", &json!({"n": 1}))).await;

    let error = commit(&*store, Operation::create("a", &json!({"n": 2}))).await.unwrap_err();

    assert!(matches!(&error, CommitError::Conflict { operation: 0, id } if id == "a"), "{error:?}");
    assert_eq!(body(&*store, "a").await, Some(json!({"n": 1})));
}

async fn an_upsert_creates_and_overwrites(store: &dyn Store) {
    let store = store.documents();
    for n in 1..=2 {
        write(&*store, Operation::upsert("a", &json!({"n": n}))).await;
        assert_eq!(body(&*store, "a").await, Some(json!({"n": n})));
    }
}

async fn a_replace_demands_the_current_etag(store: &dyn Store) {
    let store = store.documents();
    let stale = write(&*store, Operation::create("a", &json!({"n": 1}))).await;
    let current = write(&*store, Operation::replace("a", &json!({"n": 2}), stale.clone())).await;

    let error = commit(&*store, Operation::replace("a", &json!({"n": 3}), stale)).await.unwrap_err();

    assert!(matches!(&error, CommitError::PreconditionFailed { operation: 0, id } if id == "a"), "{error:?}");
    assert_eq!(body(&*store, "a").await, Some(json!({"n": 2})));
    assert_eq!(store.read(LEDGER, "p", "a").await.unwrap().unwrap().etag, current);
}

async fn a_replace_of_a_missing_document_fails(store: &dyn Store) {
    let store = store.documents();
    let etag = write(&*store, Operation::create("other", &json!({}))).await;

    let error = commit(&*store, Operation::replace("a", &json!({}), etag)).await.unwrap_err();

    assert!(matches!(error, CommitError::PreconditionFailed { operation: 0, .. }), "{error:?}");
    assert_eq!(body(&*store, "a").await, None);
}

async fn a_delete_without_an_etag_never_fails(store: &dyn Store) {
    let store = store.documents();
    write(&*store, Operation::create("a", &json!({}))).await;
    for _ in 0..2 {
        assert_eq!(commit(&*store, Operation::delete("a")).await.unwrap(), None);
        assert_eq!(body(&*store, "a").await, None);
    }
}

async fn a_delete_with_an_etag_demands_it(store: &dyn Store) {
    let store = store.documents();
    let delete = |etag: &Etag| Operation { id: "a".into(), action: Action::Delete { if_match: Some(etag.clone()) } };
    let stale = write(&*store, Operation::create("a", &json!({}))).await;
    let current = write(&*store, Operation::upsert("a", &json!({}))).await;

    let error = commit(&*store, delete(&stale)).await.unwrap_err();
    assert!(matches!(&error, CommitError::PreconditionFailed { operation: 0, id } if id == "a"), "{error:?}");
    assert_eq!(commit(&*store, delete(&current)).await.unwrap(), None);
    assert_eq!(body(&*store, "a").await, None);
    let error = commit(&*store, delete(&current)).await.unwrap_err();
    assert!(matches!(error, CommitError::PreconditionFailed { .. }), "missing: {error:?}");
}

async fn containers_and_partitions_do_not_mix(store: &dyn Store) {
    let store = store.documents();
    for container in Container::ALL {
        for partition in ["p", "q", "p'", "P"] {
            let operation = Operation::create("a", &json!({"container": container.name(), "partition": partition}));
            store.commit(container, partition, vec![operation]).await.unwrap();
        }
    }
    store.commit(LEDGER, "q", vec![Operation::delete("a")]).await.unwrap();

    let read = |container, partition| {
        let store = &store;
        async move { store.read(container, partition, "a").await.unwrap().map(|found| found.parse::<Value>().unwrap()) }
    };
    assert_eq!(read(LEDGER, "q").await, None);
    assert_eq!(read(LEDGER, "p'").await, Some(json!({"container": "ledger", "partition": "p'"})));
    assert_eq!(read(Container::Spool, "q").await, Some(json!({"container": "spool", "partition": "q"})));
    assert_eq!(store.count(LEDGER, &Query::all()).await.unwrap(), 3);
    assert_eq!(store.count(Container::Retries, &Query::all()).await.unwrap(), 4);
}

async fn a_failed_commit_leaves_nothing_behind_wherever_it_fails(store: &dyn Store) {
    let store = store.documents();
    let stale = write(&*store, Operation::create("kept", &json!({"n": 1}))).await;
    let current = write(&*store, Operation::upsert("kept", &json!({"n": 2}))).await;
    write(&*store, Operation::create("doomed", &json!({}))).await;
    let good = || {
        vec![
            Operation::create("new", &json!({})),
            Operation::upsert("kept", &json!({"n": 3})),
            Operation::delete("doomed"),
        ]
    };
    let failing = [
        Operation::create("present", &json!({})),
        Operation::replace("present", &json!({}), stale.clone()),
        Operation::replace("absent", &json!({}), stale.clone()),
        Operation { id: "present".into(), action: Action::Delete { if_match: Some(stale) } },
    ];
    write(&*store, Operation::create("present", &json!({}))).await;

    for bad in failing {
        for position in 0..=3 {
            let mut operations = good();
            operations.insert(position, bad.clone());
            let error = store.commit(LEDGER, "p", operations).await.unwrap_err();
            let (CommitError::Conflict { operation, id } | CommitError::PreconditionFailed { operation, id }) = error
            else {
                panic!("{error:?}");
            };
            assert_eq!((operation, id), (position, bad.id.clone()));
            assert_eq!(body(&*store, "new").await, None);
            assert_eq!(body(&*store, "absent").await, None);
            assert_eq!(body(&*store, "doomed").await, Some(json!({})));
            assert_eq!(store.read(LEDGER, "p", "kept").await.unwrap().unwrap().etag, current);
            assert_eq!(store.count(LEDGER, &Query::partition("p")).await.unwrap(), 3);
        }
    }
    store.commit(LEDGER, "p", good()).await.unwrap();
    assert_eq!(store.count(LEDGER, &Query::partition("p")).await.unwrap(), 3);
}

async fn a_commit_answers_with_one_etag_an_operation(store: &dyn Store) {
    let store = store.documents();
    let old = write(&*store, Operation::create("c", &json!({}))).await;
    let operations = vec![
        Operation::create("a", &json!({})),
        Operation::delete("b"),
        Operation::replace("c", &json!({}), old),
        Operation::upsert("d", &json!({})),
    ];

    let etags = store.commit(LEDGER, "p", operations).await.unwrap();

    assert_eq!(etags.len(), 4);
    assert_eq!(etags[1], None);
    for (position, id) in [(0, "a"), (2, "c"), (3, "d")] {
        assert_eq!(store.read(LEDGER, "p", id).await.unwrap().map(|document| document.etag), etags[position]);
    }
}

async fn every_write_changes_the_etag(store: &dyn Store) {
    let store = store.documents();
    let mut etags = vec![write(&*store, Operation::create("a", &json!({}))).await];
    for turn in 0..20 {
        let operation = match turn % 2 {
            0 => Operation::upsert("a", &json!({})),
            _ => Operation::replace("a", &json!({}), etags[etags.len() - 1].clone()),
        };
        let etag = write(&*store, operation).await;
        assert!(!etags.contains(&etag), "{etag:?} was used before");
        etags.push(etag);
    }
}

async fn an_etag_is_not_reused_after_delete_and_create(store: &dyn Store) {
    let store = store.documents();
    let mut etags = Vec::new();
    for _ in 0..10 {
        let etag = write(&*store, Operation::create("a", &json!({}))).await;
        assert!(!etags.contains(&etag), "{etag:?} was used before");
        etags.push(etag);
        commit(&*store, Operation::delete("a")).await.unwrap();
    }
    write(&*store, Operation::create("a", &json!({}))).await;
    let error = commit(&*store, Operation::replace("a", &json!({}), etags[0].clone())).await.unwrap_err();
    assert!(matches!(error, CommitError::PreconditionFailed { .. }), "{error:?}");
}
