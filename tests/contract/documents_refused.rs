//! Commits that no store takes: they are refused whole, and retrying does not help.

use serde_json::json;
use sluice::documents::{Action, CommitError, Container, Documents, Operation, Query};

use crate::adapters::{Store, on_every_store};

on_every_store!(
    a_commit_holds_one_to_a_hundred_operations,
    a_commit_holds_at_most_two_megabytes,
    ids_have_one_to_1023_bytes_and_no_separators,
    an_id_appears_once_in_a_commit,
    a_body_is_a_json_object,
    a_bad_body_harms_no_other_commit,
);

async fn refused(store: &dyn Documents, operations: Vec<Operation>) {
    let error = store.commit(Container::Ledger, "p", operations).await.unwrap_err();
    assert!(matches!(error, CommitError::Refused(_)), "{error:?}");
    assert_eq!(store.count(Container::Ledger, &Query::all()).await.unwrap(), 0);
}

async fn a_commit_holds_one_to_a_hundred_operations(store: &dyn Store) {
    let store = store.documents();
    let operations = |count| (0..count).map(|n| Operation::create(format!("{n:03}"), &json!({}))).collect::<Vec<_>>();

    refused(&*store, operations(0)).await;
    refused(&*store, operations(101)).await;
    assert_eq!(store.commit(Container::Ledger, "p", operations(100)).await.unwrap().len(), 100);
}

async fn a_commit_holds_at_most_two_megabytes(store: &dyn Store) {
    let store = store.documents();
    let text = |bytes| json!({"text": "x".repeat(bytes)});

    refused(&*store, vec![Operation::create("a", &text(2 * 1024 * 1024))]).await;
    let half = || text(1024 * 1024);
    refused(&*store, vec![Operation::create("a", &half()), Operation::upsert("b", &half())]).await;
    store.commit(Container::Ledger, "p", vec![Operation::create("a", &half())]).await.unwrap();
}

async fn ids_have_one_to_1023_bytes_and_no_separators(store: &dyn Store) {
    let store = store.documents();
    for id in ["", "a/b", "a\\b", "a?b", "a#b", &"x".repeat(1024), &"é".repeat(512)] {
        refused(&*store, vec![Operation::create("good", &json!({})), Operation::create(id, &json!({}))]).await;
        refused(&*store, vec![Operation::delete(id)]).await;
    }
    let odd = ["it's", "\"quoted\"", "a:b", "a b", "%_*", "日本語", &"x".repeat(1023)];
    for id in odd {
        store.commit(Container::Ledger, "p", vec![Operation::create(id, &json!({}))]).await.unwrap();
        assert_eq!(store.read(Container::Ledger, "p", id).await.unwrap().unwrap().id, id);
    }
}

async fn an_id_appears_once_in_a_commit(store: &dyn Store) {
    let store = store.documents();
    refused(&*store, vec![Operation::create("a", &json!({})), Operation::upsert("a", &json!({}))]).await;
    refused(&*store, vec![Operation::upsert("a", &json!({})), Operation::delete("a")]).await;
}

fn raw(id: &str, body: &str) -> Operation {
    Operation { id: id.into(), action: Action::Upsert { body: body.into(), ttl: None } }
}

async fn a_body_is_a_json_object(store: &dyn Store) {
    let store = store.documents();
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(1500), "]".repeat(1500));
    for body in ["", "null", "[]", "7", "\"text\"", "{", "{}{}", "{\"a\":}", "{'a':1}", "{\"a\":1e999}", deep.as_str()]
    {
        refused(&*store, vec![raw("a", body)]).await;
    }
    store.commit(Container::Ledger, "p", vec![raw("a", " {\"a\" : 1}\n")]).await.unwrap();
}

async fn a_bad_body_harms_no_other_commit(store: &dyn Store) {
    let store = store.documents();
    let good = (0..32).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            let operation = Operation::create(format!("{n}"), &json!({"due_at": "2026"}));
            store.commit(Container::Retries, "p", vec![operation]).await
        })
    });
    let good: Vec<_> = good.collect();
    for _ in 0..32 {
        let error = store.commit(Container::Retries, "p", vec![raw("bad", "{\"due_at\":")]).await.unwrap_err();
        assert!(matches!(error, CommitError::Refused(_)), "{error:?}");
    }
    for commit in good {
        commit.await.unwrap().unwrap();
    }
    let due = Query::all().filter("due_at", sluice::documents::Comparison::LessOrEqual, "2027");
    assert_eq!(store.count(Container::Retries, &due).await.unwrap(), 32);
}
