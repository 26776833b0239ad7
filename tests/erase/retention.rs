//! How long what is kept is kept, by the clock.

use std::time::Duration;

use axum::http::StatusCode;
use sluice::{
    bus::Message,
    config::Keep,
    documents::Container,
    verify::{CheckOptions, check},
};

use crate::{
    find::in_files,
    seed::{PHONE, ana, inbound},
    support::{TestApp, config, receipt},
    world::{PATH, message},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn app() -> TestApp {
    TestApp::with(config(&[
        ("ledger = \"forever\"", "ledger = \"60d\""),
        ("parked = \"forever\"", "parked = \"30d\""),
        ("consent = \"forever\"", "consent = \"90d\""),
        ("audit = \"forever\"", "audit = \"20d\""),
        ("blobs = \"forever\"", "blobs = \"40d\""),
    ]))
}

async fn counts(app: &TestApp) -> [usize; 5] {
    let audit = app.all(Container::Registry).await.iter().filter(|document| document.partition == "audit").count();
    let blobs = walk(&app.folder.path().join("blobs"));
    let count = async |container| app.all(container).await.len();
    [count(Container::Ledger).await, count(Container::Parked).await, count(Container::Consent).await, audit, blobs]
}

fn walk(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { walk(&path) } else { 1 }).sum()
}

#[tokio::test]
async fn each_container_ends_at_its_own_time_and_not_before() {
    let app = app();
    inbound(&app, "SM1", "STOP").await;
    inbound(&app, "SM2", &"long ".repeat(60_000)).await;
    app.twilio(PATH, &receipt("SM3", "sent")).await;
    app.process("sms").await;
    // What nobody can read is parked by the program itself.
    let broken =
        Message { message_id: "broken".into(), body: "broken".into(), ..message(&app, "SM4").await.into_message() };
    app.app.bus.publish("callbacks", broken).await.unwrap();
    app.process("sms").await;
    crate::seed::erase(&app, "bo@example.com").await;
    // SM1 has its opt-out and its keyword's event.
    assert_eq!(counts(&app).await, [7, 1, 1, 1, 1]);
    for (days, expected) in [
        (19, [7, 1, 1, 1, 1]),
        (2, [7, 1, 1, 0, 1]),
        (10, [7, 0, 1, 0, 1]),
        (8, [7, 0, 1, 0, 1]),
        (3, [7, 0, 1, 0, 0]),
        (17, [7, 0, 1, 0, 0]),
        (2, [0, 0, 1, 0, 0]),
        (28, [0, 0, 1, 0, 0]),
        (2, [0, 0, 0, 0, 0]),
    ] {
        app.clock.advance(DAY * days);
        assert_eq!(app.sweep().await, StatusCode::OK);
        assert_eq!(counts(&app).await, expected, "{}", app.app.clock.now());
    }
}

#[tokio::test]
async fn a_message_that_lives_longer_than_its_first_event_is_not_amiss_and_what_is_owed_does_not_expire() {
    let app = app();
    app.twilio(PATH, &receipt("SM1", "sent")).await;
    app.process("sms").await;
    app.clock.advance(DAY * 50);
    app.twilio(PATH, &receipt("SM1", "delivered")).await;
    app.process("sms").await;
    app.clock.advance(DAY * 20);
    assert_eq!(app.documents_of("twilio:SM1").await.len(), 2, "the later event, and the status");
    let options = CheckOptions { keep_ledger: Keep::For(DAY * 60), ..CheckOptions::new(app.app.clock.now()) };
    let report = check(app.documents.as_ref(), &options, &|_| {}).await.unwrap();
    assert_eq!(report.findings.len(), 0, "{report}");
    let strict = CheckOptions { keep_ledger: Keep::Forever, ..options };
    let report = check(app.documents.as_ref(), &strict, &|_| {}).await.unwrap();
    assert_ne!(report.findings.len(), 0, "an event that is missing without reason is seen");
}

#[tokio::test]
async fn what_expired_is_gone_from_the_files_once_they_are_rewritten() {
    let app = app();
    for index in 0..1_000 {
        app.twilio(PATH, &receipt(&format!("SM{index}"), "delivered")).await;
    }
    app.process("sms").await;
    app.clock.advance(DAY * 61);
    crate::seed::erase(&app, PHONE).await;
    assert_eq!(in_files(app.folder.path(), &ana()), Vec::<std::path::PathBuf>::new());
}
