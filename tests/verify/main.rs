//! `sluice verify`: each kind of difference is seen in a store that is damaged on purpose, and a system at work is clean.

mod busy;
mod command_line;
mod damage;
mod deliveries;
mod model;
mod paging;
mod queues;
#[path = "../support/mod.rs"]
pub mod support;
mod waiting;
#[path = "../delivery/world.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod world;

use std::time::Duration;

use serde_json::Value;
use sluice::{
    documents::{Container, Operation},
    verify::{CheckOptions, Kind, Report, check},
};
use support::TestApp;

/// Judges everything a while after it happened, without waiting for what is nowhere.
async fn verify(app: &TestApp) -> Report {
    app.clock.advance(Duration::from_secs(300));
    judge(app, CheckOptions { settle: Duration::ZERO, ..CheckOptions::new(app.app.clock.now()) }).await
}

async fn judge(app: &TestApp, options: CheckOptions) -> Report {
    check(app.documents.as_ref(), &options, &|_| {}).await.unwrap()
}

/// The only finding, once.
#[track_caller]
fn assert_only(report: &Report, kind: Kind) {
    let found: Vec<_> = report.findings.iter().map(|(kind, finding)| (*kind, finding.count)).collect();
    assert_eq!(found, [(kind, 1)], "{report}");
}

/// Changes a document behind the program's back.
async fn edit(app: &TestApp, container: Container, partition: &str, id: &str, change: impl FnOnce(&mut Value)) {
    let document = app.documents.inner.read(container, partition, id).await.unwrap().unwrap();
    let mut body: Value = document.parse().unwrap();
    change(&mut body);
    put(app, container, partition, id, &body).await;
}

async fn put(app: &TestApp, container: Container, partition: &str, id: &str, body: &Value) {
    app.documents.inner.commit(container, partition, vec![Operation::upsert(id, body)]).await.unwrap();
}

async fn delete(app: &TestApp, container: Container, partition: &str, id: &str) {
    app.documents.inner.commit(container, partition, vec![Operation::delete(id)]).await.unwrap();
}

/// The body of a document.
async fn body(app: &TestApp, container: Container, partition: &str, id: &str) -> Value {
    app.documents.inner.read(container, partition, id).await.unwrap().unwrap().parse().unwrap()
}
