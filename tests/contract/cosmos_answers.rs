//! Answers of Cosmos DB that are easy to misread: a commit's own effect met a step later, and a replica that lags.

use std::sync::Arc;

use azure_data_cosmos::fault_injection::{
    FaultInjectionConditionBuilder, FaultInjectionErrorType, FaultInjectionResultBuilder, FaultInjectionRule,
    FaultInjectionRuleBuilder, FaultOperationType,
};
use serde_json::json;
use sluice::documents::{CommitError, Container, Documents, DocumentsError, Operation};

use crate::cosmos_emulator::Emulator;

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
