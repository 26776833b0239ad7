//! The Cosmos DB adapter where it meets what SQLite does not have: answers that are lost, throttling, limits, and
//! containers that are missing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use azure_core::credentials::Secret;
use azure_data_cosmos::{
    AccountReference, CosmosClient, RoutingStrategy,
    fault_injection::{
        FaultInjectionConditionBuilder, FaultInjectionErrorType, FaultInjectionResultBuilder, FaultInjectionRule,
        FaultInjectionRuleBuilder, FaultOperationType,
    },
};
use serde_json::{Value, json};
use sluice::{
    azure::cosmos::{
        CosmosDocuments,
        containers::{self, Created},
    },
    documents::{Action, CommitError, Container, Documents, DocumentsError, Etag, Operation, Query},
};

use crate::cosmos_emulator::{DATABASE, Emulator, Fault};

const LEDGER: Container = Container::Ledger;
const BATCH: FaultOperationType = FaultOperationType::BatchItem;

fn fault(operation: FaultOperationType, error: FaultInjectionErrorType, times: u32) -> Arc<FaultInjectionRule> {
    let result = FaultInjectionResultBuilder::new().with_error(error).build();
    let condition = FaultInjectionConditionBuilder::new().with_operation_type(operation).build();
    Arc::new(FaultInjectionRuleBuilder::new("fault", result).with_condition(condition).with_hit_limit(times).build())
}

async fn with_fault(rule: Arc<FaultInjectionRule>) -> CosmosDocuments {
    Emulator::in_process().with_containers().documents_in_process(vec![rule]).await
}

async fn write(store: &dyn Documents, operation: Operation) -> Etag {
    store.commit(LEDGER, "p", vec![operation]).await.unwrap()[0].clone().unwrap()
}

async fn raw(emulator: &Emulator, partition: &str, id: &str) -> Value {
    let account = AccountReference::with_authentication_key(emulator.url.clone().into(), Secret::new("a2V5"));
    let builder = CosmosClient::builder().with_runtime(emulator.runtime(Vec::new()).await);
    let client = builder.build(account, RoutingStrategy::PreferredRegions(Vec::new())).await.unwrap();
    let container = client.database_client(DATABASE).container_client(LEDGER.name(), None).await.unwrap();
    container.read_item(partition.to_owned(), id, None).await.unwrap().into_model().unwrap()
}

#[tokio::test]
async fn an_item_holds_the_document_under_body_beside_its_partition_and_lifetime() {
    let emulator = Emulator::in_process().with_containers();
    let store = emulator.documents_in_process(Vec::new()).await;
    let body = json!({"id": "another", "ttl": 5, "pk": "another", "_etag": "mine"});
    let mortal = Operation::create("evt:1", &body).with_ttl(Duration::from_millis(1500));
    write(&store, mortal).await;

    let item = raw(&emulator, "p", "evt:1").await;
    assert_eq!((&item["id"], &item["pk"], &item["ttl"]), (&json!("evt:1"), &json!("p"), &json!(2)));
    assert_eq!(item["body"], body);
    let document = store.read(LEDGER, "p", "evt:1").await.unwrap().unwrap();
    assert_eq!(document.parse::<Value>().unwrap(), body);

    write(&store, Operation::replace("evt:1", &json!({}), document.etag)).await;
    assert_eq!(raw(&emulator, "p", "evt:1").await["ttl"], Value::Null);
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_a_success_and_no_conflict() {
    for operation in ["create", "replace", "batch"] {
        let lost = fault(BATCH, FaultInjectionErrorType::ResponseTimeoutAfterService, 1);
        lost.disable();
        let store = with_fault(lost.clone()).await;
        let etag = write(&store, Operation::create("status", &json!({"n": 1}))).await;
        let operations = match operation {
            "create" => vec![Operation::create("evt:1", &json!({}))],
            "replace" => vec![Operation::replace("status", &json!({"n": 2}), etag)],
            _ => vec![
                Operation::create("evt:1", &json!({})),
                Operation::replace("status", &json!({"n": 2}), etag),
                Operation::delete("nothing"),
            ],
        };
        lost.enable();

        let etags = store.commit(LEDGER, "p", operations.clone()).await.unwrap();

        assert!(lost.hit_count() > 0, "{operation}: the fault met nothing");
        for (Operation { id, action }, etag) in operations.iter().zip(etags) {
            let found = store.read(LEDGER, "p", id).await.unwrap();
            assert_eq!(found.map(|document| document.etag), etag, "{operation} {id}");
            assert_eq!(etag.is_none(), matches!(action, Action::Delete { .. }));
        }
    }
}

#[tokio::test]
async fn a_conflict_with_somebody_else_stays_one_when_the_answer_was_lost() {
    let lost = fault(BATCH, FaultInjectionErrorType::ResponseTimeoutAfterService, 1);
    lost.disable();
    let store = with_fault(lost.clone()).await;
    write(&store, Operation::create("evt:1", &json!({"first": true}))).await;
    lost.enable();

    let operations = vec![Operation::create("evt:2", &json!({})), Operation::create("evt:1", &json!({}))];
    let error = store.commit(LEDGER, "p", operations).await.unwrap_err();

    assert!(matches!(&error, CommitError::Conflict { operation: 1, id } if id == "evt:1"), "{error:?}");
    assert_eq!(store.read(LEDGER, "p", "evt:2").await.unwrap(), None);
}

#[tokio::test]
async fn endless_throttling_ends_within_the_limit_and_names_the_container() {
    for operation in [BATCH, FaultOperationType::ReadItem, FaultOperationType::QueryItem] {
        let store = with_fault(fault(operation, FaultInjectionErrorType::TooManyRequests, u32::MAX)).await;
        let started = Instant::now();
        let text = match operation {
            BATCH => match store.commit(LEDGER, "p", vec![Operation::create("a", &json!({}))]).await.unwrap_err() {
                CommitError::Unavailable(text) => text,
                error => panic!("{error:?}"),
            },
            FaultOperationType::ReadItem => unavailable(store.read(LEDGER, "p", "a").await.unwrap_err()),
            _ => unavailable(store.query(LEDGER, &Query::all()).await.unwrap_err()),
        };
        assert!(started.elapsed() < Duration::from_secs(10), "{operation:?}: {:?}", started.elapsed());
        assert!(text.contains("container ledger") && text.contains("raise its throughput"), "{text}");
        println!("{operation:?}: {:?}: {text}", started.elapsed());
    }
}

fn unavailable(error: DocumentsError) -> String {
    match error {
        DocumentsError::Unavailable(text) => text,
        error => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn passing_trouble_is_not_noticed() {
    for error in [
        FaultInjectionErrorType::TooManyRequests,
        FaultInjectionErrorType::ServiceUnavailable,
        FaultInjectionErrorType::InternalServerError,
        FaultInjectionErrorType::ConnectionError,
        FaultInjectionErrorType::ResponseTimeout,
    ] {
        let store = with_fault(fault(BATCH, error, 1)).await;
        let etag = write(&store, Operation::create("a", &json!({}))).await;
        assert_eq!(store.read(LEDGER, "p", "a").await.unwrap().unwrap().etag, etag, "{error:?}");
    }
}

#[tokio::test]
async fn a_missing_container_or_database_is_told_with_what_to_do() {
    let store = Emulator::in_process().documents_in_process(Vec::new()).await;
    let text = unavailable(store.read(Container::Retries, "p", "a").await.unwrap_err());
    assert!(text.contains("database sluice or its container retries does not exist"), "{text}");
    assert!(text.contains("sluice init-azure"), "{text}");
    let error = store.commit(LEDGER, "p", vec![Operation::create("a", &json!({}))]).await.unwrap_err();
    assert!(matches!(&error, CommitError::Unavailable(text) if text.contains("container ledger")), "{error:?}");
}

#[tokio::test]
async fn containers_are_created_once_and_then_used() {
    let emulator = Emulator::in_process();
    let store = emulator.documents_in_process(Vec::new()).await;
    for expected in [Created::New, Created::Existed] {
        let report = containers::create(&store).await.unwrap();
        assert_eq!(report.len(), 1 + Container::ALL.len());
        assert!(report.iter().all(|(_, created)| *created == expected), "{report:?}");
    }
    store.connect().await.unwrap();
    write(&store, Operation::create("a", &json!({}))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_and_a_missing_role_are_told_with_what_to_do() {
    for (status, advice) in [
        (StatusCode::UNAUTHORIZED, "correct the connection string's key"),
        (StatusCode::FORBIDDEN, "give the identity the role Cosmos DB Built-in Data Contributor on database sluice"),
    ] {
        let emulator = Emulator::http().with_containers();
        emulator.fail(Fault { path: "/", status, after: false, delay: Duration::ZERO, times: 1000 });
        let store = emulator.documents();
        let text = unavailable(store.read(LEDGER, "p", "a").await.unwrap_err());
        assert!(text.contains("container ledger") && text.contains(advice), "{text}");
        let error = store.commit(LEDGER, "p", vec![Operation::create("a", &json!({}))]).await.unwrap_err();
        assert!(matches!(&error, CommitError::Unavailable(text) if text.contains(advice)), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_away_at_the_start_is_found_when_it_is_back() {
    let emulator = Emulator::http().with_containers();
    let away = |times| Fault {
        path: "/",
        status: StatusCode::SERVICE_UNAVAILABLE,
        after: false,
        delay: Duration::ZERO,
        times,
    };
    emulator.fail(away(1000));
    let store = emulator.documents();
    let text = unavailable(store.read(LEDGER, "p", "a").await.unwrap_err());
    assert!(text.contains("container ledger"), "{text}");
    emulator.heal();
    write(&store, Operation::create("a", &json!({}))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_never_answers_is_given_up_on_in_time() {
    let emulator = Emulator::http().with_containers();
    let store = CosmosDocuments::new(emulator.account(), DATABASE, Duration::from_secs(3));
    write(&store, Operation::create("a", &json!({}))).await;
    emulator.fail(Fault {
        path: "/docs",
        status: StatusCode::OK,
        after: false,
        delay: Duration::from_secs(60),
        times: 100,
    });
    let started = Instant::now();
    let error = store.commit(LEDGER, "p", vec![Operation::create("b", &json!({}))]).await.unwrap_err();
    assert!(matches!(&error, CommitError::Unavailable(text) if text.contains("no answer in time")), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_takes_effect_after_it_was_given_up_on_is_met_as_a_conflict_and_not_done_twice() {
    let emulator = Emulator::http().with_containers();
    let store = CosmosDocuments::new(emulator.account(), DATABASE, Duration::from_secs(3));
    write(&store, Operation::create("a", &json!({}))).await;
    let delay = Duration::from_secs(8);
    emulator.fail(Fault { path: "/docs", status: StatusCode::SERVICE_UNAVAILABLE, after: true, delay, times: 1 });
    let commit = || store.commit(LEDGER, "p", vec![Operation::create("b", &json!({"n": 1}))]);
    let error = commit().await.unwrap_err();
    assert!(matches!(&error, CommitError::Unavailable(text) if text.contains("container ledger")), "{error:?}");
    assert_eq!(store.read(LEDGER, "p", "b").await.unwrap(), None, "not yet");

    let began = Instant::now();
    while store.read(LEDGER, "p", "b").await.unwrap().is_none() {
        assert!(began.elapsed() < Duration::from_secs(20), "the write never took effect");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let again = commit().await.unwrap_err();
    assert!(matches!(&again, CommitError::Conflict { operation: 0, id } if id == "b"), "{again:?}");
    assert_eq!(store.count(LEDGER, &Query::partition("p")).await.unwrap(), 2);
}

#[tokio::test]
async fn ids_that_no_document_can_have_are_never_found() {
    let store = Emulator::in_process().with_containers().documents_in_process(Vec::new()).await;
    for id in ["", "a/b", "a\\b", "../status", "a?b", "a#b"] {
        assert_eq!(store.read(LEDGER, "p", id).await.unwrap(), None, "{id:?}");
    }
}

#[tokio::test]
async fn deletes_of_nothing_stop_no_commit() {
    let store = Emulator::in_process().with_containers().documents_in_process(Vec::new()).await;
    let etag = write(&store, Operation::create("there", &json!({}))).await;
    let mut operations: Vec<_> = (0..20).map(|n| Operation::delete(format!("nothing {n}"))).collect();
    operations.push(Operation::delete("there"));
    operations.push(Operation::create("new", &json!({})));
    let conflict = Operation::create("new", &json!({}));

    let etags = store.commit(LEDGER, "p", operations.clone()).await.unwrap();
    assert_eq!(etags.iter().filter(|etag| etag.is_some()).count(), 1);
    assert_eq!(store.read(LEDGER, "p", "there").await.unwrap(), None);

    let back = write(&store, Operation::create("there", &json!({}))).await;
    assert_ne!(etag, back);
    operations.pop();
    operations.push(conflict);
    let error = store.commit(LEDGER, "p", operations).await.unwrap_err();
    assert!(matches!(&error, CommitError::Conflict { operation: 21, .. }), "{error:?}");
    assert_eq!(store.read(LEDGER, "p", "there").await.unwrap().unwrap().etag, back, "nothing of it happened");
}
