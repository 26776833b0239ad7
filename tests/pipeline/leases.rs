//! Leases: one holder at a time, whatever the clocks say, and none for ever.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use sluice::{
    clock::{Clock, SystemClock, Timestamp},
    documents::{Container, Documents, Operation, Query},
    lease::{Lease, LeaseError, Leases},
    local::engine::Engine,
};
use tokio::time::{Instant, sleep};

use crate::support::{Fault, TestApp, config};

const LASTS: Duration = Duration::from_secs(2);

/// A clock that is set wrong.
#[derive(Debug)]
struct Off(chrono::TimeDelta);

impl Clock for Off {
    fn now(&self) -> Timestamp {
        SystemClock.now() + self.0
    }
}

/// An instance of the program whose clock is off by so many hours.
fn instance(app: &TestApp, hours: i64) -> Leases {
    Leases::new(app.documents.clone(), Arc::new(Off(chrono::TimeDelta::hours(hours))), LASTS)
}

async fn taken(leases: &Leases) -> Option<Lease> {
    leases.take("work").await.unwrap()
}

/// Asks until the lease is there; returns how long that took.
async fn wait_for(leases: &Leases) -> (Lease, Duration) {
    let began = Instant::now();
    loop {
        if let Some(lease) = taken(leases).await {
            return (lease, began.elapsed());
        }
        assert!(began.elapsed() < LASTS * 20, "the lease is never free");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_lease_has_one_holder_and_is_free_at_once_when_it_is_given_back() {
    let app = TestApp::start();
    let (one, two) = (instance(&app, 0), instance(&app, 0));
    let lease = taken(&one).await.unwrap();
    assert!(lease.lasts(LASTS / 2) && !lease.lasts(LASTS * 2));
    assert!(taken(&two).await.is_none());
    assert!(taken(&one).await.is_none(), "not even its own instance holds it twice");
    assert!(two.take("other work").await.unwrap().is_some());
    lease.release().await;
    assert!(taken(&two).await.is_some());
}

#[tokio::test]
async fn a_dead_holders_lease_is_taken_over_when_it_has_run_out_and_not_before_whatever_the_clocks_say() {
    for hours in [-5, 0, 5] {
        let app = TestApp::start();
        drop(taken(&instance(&app, 0)).await.unwrap());
        let (lease, took) = wait_for(&instance(&app, hours)).await;
        assert!(took > LASTS, "{hours} hours off: taken after {took:?}");
        assert!(lease.lasts(Duration::from_millis(1)));
    }
}

#[tokio::test]
async fn a_lease_that_is_renewed_is_kept_for_as_long_as_it_is() {
    let app = TestApp::start();
    let (one, two) = (instance(&app, 0), instance(&app, 3));
    let mut lease = taken(&one).await.unwrap();
    let began = Instant::now();
    while began.elapsed() < LASTS * 4 {
        assert!(lease.renew().await.unwrap());
        assert!(taken(&two).await.is_none(), "after {:?}", began.elapsed());
        sleep(LASTS / 8).await;
    }
}

#[tokio::test]
async fn of_many_who_want_a_lease_one_gets_it_also_when_its_holder_died() {
    let app = TestApp::start();
    let instances: Vec<_> = (0..16).map(|_| instance(&app, 0)).collect();
    let winners = || async { join_all(instances.iter().map(taken)).await.into_iter().flatten().collect::<Vec<_>>() };
    assert_eq!(winners().await.len(), 1);
    assert!(winners().await.is_empty());
    sleep(LASTS * 2).await;
    assert_eq!(winners().await.len(), 1, "the first winner is dead");
}

#[tokio::test]
async fn whoever_lost_a_lease_learns_it_at_the_next_renewal() {
    let app = TestApp::start();
    let (one, two) = (instance(&app, 0), instance(&app, 0));
    let mut frozen = taken(&one).await.unwrap();
    let (_lease, _) = wait_for(&two).await;
    assert!(!frozen.lasts(Duration::ZERO), "its own clock says so, too");
    assert!(!frozen.renew().await.unwrap());
    frozen.release().await;
    assert!(taken(&one).await.is_none(), "what is another's cannot be given back");
}

#[tokio::test]
async fn a_lease_that_ran_out_and_that_nobody_took_is_renewed() {
    let app = TestApp::start();
    let mut lease = taken(&instance(&app, 0)).await.unwrap();
    sleep(LASTS + Duration::from_millis(50)).await;
    assert!(!lease.lasts(Duration::ZERO));
    assert!(lease.renew().await.unwrap());
    assert!(lease.lasts(LASTS / 2));
}

#[tokio::test]
async fn a_renewal_whose_answer_was_lost_is_recognised_as_ones_own() {
    let app = TestApp::start();
    let mut lease = taken(&instance(&app, 0)).await.unwrap();
    app.documents.fail(|container, _, _| (container == Container::Registry).then_some(Fault::After));
    assert!(matches!(lease.renew().await, Err(LeaseError::Write(_))));
    app.documents.heal();
    assert!(lease.renew().await.unwrap());
    assert!(taken(&instance(&app, 0)).await.is_none());
}

#[tokio::test]
async fn a_server_that_was_killed_does_not_wait_for_its_own_leases() {
    let folder = tempfile::tempdir().unwrap();
    let server = Engine::open(folder.path(), config(&[])).await.unwrap();
    drop(taken(&server.app.leases).await.unwrap());
    server.close().await;
    let server = Engine::open(folder.path(), config(&[])).await.unwrap();
    assert!(taken(&server.app.leases).await.is_some());
}

#[tokio::test]
async fn leases_that_nobody_can_read_run_out_like_others_and_all_can_be_freed() {
    let app = TestApp::start();
    let damage = Operation::upsert("lease:work", &serde_json::json!({ "owner": 7 }));
    app.documents.commit(Container::Registry, "leases", vec![damage]).await.unwrap();
    let leases = instance(&app, 0);
    let (lease, took) = wait_for(&leases).await;
    assert!(took > LASTS, "{took:?}");
    drop(lease);
    leases.free_all().await.unwrap();
    assert!(taken(&leases).await.is_some());
    assert_eq!(app.documents.count(Container::Registry, &Query::partition("leases")).await.unwrap(), 1);
}
