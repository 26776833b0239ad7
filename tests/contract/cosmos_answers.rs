//! Answers of Cosmos DB that are easy to misread: a commit's own effect met a step later, and a replica that lags.

use std::{sync::Arc, time::Duration};

use azure_core::credentials::Secret;
use azure_data_cosmos::{
    AccountReference, CosmosClient, RoutingStrategy,
    fault_injection::{
        FaultInjectionConditionBuilder, FaultInjectionErrorType, FaultInjectionResultBuilder, FaultInjectionRule,
        FaultInjectionRuleBuilder, FaultOperationType,
    },
};
use serde_json::{Map, Value, json};
use sluice::{
    azure::cosmos::{Account, CosmosDocuments},
    config::{self, Connection},
    documents::{CommitError, Container, Documents, DocumentsError, Operation, Query},
};

use crate::cosmos_emulator::{DATABASE, Emulator};

const LEDGER: Container = Container::Ledger;

fn fault(operation: FaultOperationType, error: FaultInjectionErrorType, times: u32) -> Arc<FaultInjectionRule> {
    let result = FaultInjectionResultBuilder::new().with_error(error).build();
    let condition = FaultInjectionConditionBuilder::new().with_operation_type(operation).build();
    Arc::new(FaultInjectionRuleBuilder::new("fault", result).with_condition(condition).with_hit_limit(times).build())
}

#[tokio::test]
async fn a_commit_that_deletes_and_creates_is_a_success_when_its_answer_was_lost() {
    let lost = fault(FaultOperationType::BatchItem, FaultInjectionErrorType::ResponseTimeoutAfterService, 1);
    lost.disable();
    let store = Emulator::in_process().with_containers().documents_in_process(vec![lost.clone()]).await;
    store.commit(LEDGER, "p", vec![Operation::create("old", &json!({}))]).await.unwrap();
    lost.enable();

    // Sent again, the batch meets its own effect twice: the document that it deleted, and the one that it created.
    let operations = vec![Operation::delete("old"), Operation::create("new", &json!({}))];
    let etags = store.commit(LEDGER, "p", operations).await.unwrap();

    assert!(lost.hit_count() > 0, "the fault met nothing");
    let new = store.read(LEDGER, "p", "new").await.unwrap().unwrap();
    assert_eq!(etags, [None, Some(new.etag)]);
    assert_eq!(store.read(LEDGER, "p", "old").await.unwrap(), None);
}

#[tokio::test]
async fn a_replica_that_lags_is_unavailable_and_neither_empty_nor_missing() {
    let lagging = |operation| vec![fault(operation, FaultInjectionErrorType::ReadSessionNotAvailable, u32::MAX)];
    let emulator = Emulator::in_process().with_containers();
    let store = emulator.documents_in_process(lagging(FaultOperationType::ReadItem)).await;
    store.commit(LEDGER, "p", vec![Operation::create("a", &json!({}))]).await.unwrap();
    let text = match store.read(LEDGER, "p", "a").await {
        Err(DocumentsError::Unavailable(text)) => text,
        other => panic!("{other:?}"),
    };
    assert!(text.contains("container ledger") && text.contains("not available at the moment"), "{text}");

    let store = emulator.documents_in_process(lagging(FaultOperationType::BatchItem)).await;
    let text = match store.commit(LEDGER, "p", vec![Operation::create("b", &json!({}))]).await {
        Err(CommitError::Unavailable(text)) => text,
        other => panic!("{other:?}"),
    };
    assert!(text.contains("not available at the moment"), "{text}");
}

#[tokio::test]
async fn an_item_that_somebody_wrote_by_hand_hides_no_other() {
    let emulator = Emulator::in_process().with_containers();
    let store = emulator.documents_in_process(Vec::new()).await;
    store.commit(LEDGER, "p", vec![Operation::create("b", &json!({"n": 1}))]).await.unwrap();
    let account = AccountReference::with_authentication_key(emulator.url.clone().into(), Secret::new("a2V5"));
    let builder = CosmosClient::builder().with_runtime(emulator.runtime(Vec::new()).await);
    let client = builder.build(account, RoutingStrategy::PreferredRegions(Vec::new())).await.unwrap();
    let container = client.database_client(DATABASE).container_client(LEDGER.name(), None).await.unwrap();
    for item in [json!({"id": "a", "pk": "p", "body": {"n": 0}}), json!({"id": "c", "pk": "p"})] {
        let id = item["id"].as_str().unwrap().to_owned();
        container.create_item("p", &id, &item, None).await.unwrap();
    }

    let found = store.query(LEDGER, &Query::partition("p")).await.unwrap().documents;

    assert_eq!(found.iter().map(|document| document.id.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(found[0].parse::<Value>().unwrap(), json!({"n": 0}));
    assert!(matches!(found[2].parse::<Map<String, Value>>(), Err(DocumentsError::Unreadable { id, .. }) if id == "c"));
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_used_makes_the_store_unavailable_and_parks_nothing() {
    let text = "AccountEndpoint=http://cosmos.example:8081/;AccountKey=a2V5";
    let account = Account::from_connection(&Connection::Key(config::Secret::new(text))).unwrap();
    let store = CosmosDocuments::new(account, DATABASE, Duration::from_secs(2));
    let error = store.commit(LEDGER, "p", vec![Operation::create("a", &json!({}))]).await.unwrap_err();
    let CommitError::Unavailable(text) = &error else { panic!("{error:?}") };
    assert!(text.contains("container ledger") && text.contains("http"), "{text}");
    assert!(matches!(store.read(LEDGER, "p", "a").await, Err(DocumentsError::Unavailable(_))));
}
