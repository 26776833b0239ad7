//! Races: of many who want the same thing, one gets it.

use serde_json::{Value, json};
use sluice::documents::{CommitError, Container, Documents, Etag, Operation, Query, SharedDocuments};

use crate::adapters::{Store, on_every_store};

const LEDGER: Container = Container::Ledger;
const RIVALS: usize = 64;

on_every_store!(
    of_concurrent_replaces_under_one_etag_exactly_one_wins,
    of_concurrent_creates_of_one_id_exactly_one_wins,
    of_concurrent_commits_that_share_one_create_nothing_of_the_losers_remains,
    no_increment_is_lost,
);

async fn race<F>(rival: impl Fn(usize) -> F) -> Vec<Result<Vec<Option<Etag>>, CommitError>>
where
    F: Future<Output = Result<Vec<Option<Etag>>, CommitError>> + Send + 'static,
{
    let rivals: Vec<_> = (0..RIVALS).map(|n| tokio::spawn(rival(n))).collect();
    let mut outcomes = Vec::new();
    for rival in rivals {
        outcomes.push(rival.await.unwrap());
    }
    outcomes
}

async fn commit(store: SharedDocuments, operations: Vec<Operation>) -> Result<Vec<Option<Etag>>, CommitError> {
    store.commit(LEDGER, "p", operations).await
}

async fn read(store: &dyn Documents, id: &str) -> (Value, Etag) {
    let document = store.read(LEDGER, "p", id).await.unwrap().unwrap();
    (document.parse().unwrap(), document.etag)
}

/// The one rival that won.
fn winner(outcomes: &[Result<Vec<Option<Etag>>, CommitError>]) -> usize {
    let winners: Vec<_> = (0..outcomes.len()).filter(|n| outcomes[*n].is_ok()).collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    winners[0]
}

async fn of_concurrent_replaces_under_one_etag_exactly_one_wins(world: &dyn Store) {
    let store = world.documents();
    let mut etag = commit(store.clone(), vec![Operation::create("a", &json!({}))]).await.unwrap()[0].clone().unwrap();
    for round in 0..10 {
        let outcomes = race(|n| {
            let body = json!({"round": round, "rival": n});
            commit(store.clone(), vec![Operation::replace("a", &body, etag.clone())])
        })
        .await;
        let winner = winner(&outcomes);
        let losers = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
        assert!(losers.into_iter().all(|error| matches!(error, CommitError::PreconditionFailed { .. })));
        let (body, current) = read(&*store, "a").await;
        assert_eq!(body, json!({"round": round, "rival": winner}));
        assert_eq!(Some(&current), outcomes[winner].as_ref().unwrap()[0].as_ref());
        etag = current;
    }
}

async fn of_concurrent_creates_of_one_id_exactly_one_wins(world: &dyn Store) {
    let store = world.documents();
    for round in 0..10 {
        let id = format!("evt:{round}");
        let outcomes =
            race(|n| commit(store.clone(), vec![Operation::create(id.as_str(), &json!({"rival": n}))])).await;
        let winner = winner(&outcomes);
        let losers = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
        assert!(losers.into_iter().all(|error| matches!(error, CommitError::Conflict { .. })));
        assert_eq!(read(&*store, &id).await.0, json!({"rival": winner}));
    }
}

async fn of_concurrent_commits_that_share_one_create_nothing_of_the_losers_remains(world: &dyn Store) {
    let store = world.documents();
    let outcomes = race(|n| {
        let own = Operation::create(format!("own:{n}"), &json!({}));
        commit(store.clone(), vec![own, Operation::create("shared", &json!({}))])
    })
    .await;
    let winner = winner(&outcomes);
    let own = store.query(LEDGER, &Query::partition("p").id_prefix("own:")).await.unwrap();
    assert_eq!(own.documents.len(), 1);
    assert_eq!(own.documents[0].id, format!("own:{winner}"));
}

async fn no_increment_is_lost(world: &dyn Store) {
    let store = world.documents();
    commit(store.clone(), vec![Operation::create("counter", &json!({"n": 0}))]).await.unwrap();
    let outcomes = race(|_| {
        let store = store.clone();
        async move {
            loop {
                let (body, etag) = read(&*store, "counter").await;
                let n = body["n"].as_u64().unwrap() + 1;
                match commit(store.clone(), vec![Operation::replace("counter", &json!({"n": n}), etag)]).await {
                    Err(CommitError::PreconditionFailed { .. }) => {}
                    outcome => return outcome,
                }
            }
        }
    })
    .await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(read(&*store, "counter").await.0, json!({"n": RIVALS}));
}
