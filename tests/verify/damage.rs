//! The ledger, damaged.

use std::time::Duration;

use serde_json::json;
use sluice::{documents::Container, verify::Kind};

use crate::{
    assert_only, body, delete, edit, put,
    support::{TestApp, receipt},
    verify,
    world::PATH,
};

const KEY: &str = "twilio:SM1";

/// A message with two events.
async fn app() -> TestApp {
    let app = TestApp::start();
    for status in ["sent", "delivered"] {
        app.twilio(PATH, &receipt("SM1", status)).await;
        app.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(app.process("sms").await, 2);
    app
}

/// The id of the event document of a type.
async fn event(app: &TestApp, event_type: &str) -> String {
    let documents = app.all(Container::Ledger).await;
    let found = documents.iter().find(|document| {
        document.parse::<serde_json::Value>().unwrap()["event"]["type"] == event_type && document.id.starts_with("evt:")
    });
    found.unwrap().id.clone()
}

#[tokio::test]
async fn a_message_that_nobody_touched_is_consistent() {
    let report = verify(&app().await).await;
    assert!(report.is_clean() && report.unjudged.is_empty(), "{report}");
    assert_eq!((report.checked.messages, report.checked.events, report.checked.in_flight), (1, 2, 0));
}

#[tokio::test]
async fn events_without_a_status_are_found() {
    let app = app().await;
    delete(&app, Container::Ledger, KEY, "status").await;
    let report = verify(&app).await;
    assert_only(&report, Kind::StatusMissing);
    let sample = &report.findings[&Kind::StatusMissing].samples[0];
    assert_eq!(sample.command.as_deref(), Some("sluice show twilio:SM1"));
}

#[tokio::test]
async fn a_status_that_went_backwards_is_found() {
    let app = app().await;
    edit(&app, Container::Ledger, KEY, "status", |status| status["status"] = json!("message.sent")).await;
    let report = verify(&app).await;
    assert_only(&report, Kind::StatusWrong);
    assert!(report.to_string().contains("message.sent where its events say message.delivered"), "{report}");
}

#[tokio::test]
async fn every_field_of_a_status_must_follow_from_the_events() {
    let changes = [
        ("decided_by", json!("twilio:SM1:somebody")),
        ("status_at", json!("2026-11-20T09:00:00Z")),
        ("sequence", json!(7)),
        ("reason_code", json!("30003")),
        ("first_event_at", json!("2026-11-20T09:00:00Z")),
    ];
    for (field, value) in changes {
        let app = app().await;
        edit(&app, Container::Ledger, KEY, "status", |status| status[field] = value).await;
        assert_only(&verify(&app).await, Kind::StatusWrong);
    }
}

#[tokio::test]
async fn a_status_that_counts_other_events_than_there_are_is_found() {
    for counter in ["events", "opens", "clicks"] {
        let app = app().await;
        edit(&app, Container::Ledger, KEY, "status", |status| status[counter] = json!(3)).await;
        assert_only(&verify(&app).await, Kind::CountersWrong);
    }
}

#[tokio::test]
async fn a_lost_event_leaves_a_status_that_remembers_it() {
    let app = app().await;
    delete(&app, Container::Ledger, KEY, &event(&app, "message.sent").await).await;
    let report = verify(&app).await;
    assert_eq!(report.count(Kind::CountersWrong), 1, "{report}");
}

#[tokio::test]
async fn an_event_that_was_applied_twice_is_found() {
    let app = app().await;
    let id = event(&app, "message.sent").await;
    let mut copy = body(&app, Container::Ledger, KEY, &id).await;
    copy["id"] = json!("evt:twilio:SM1:Sent");
    put(&app, Container::Ledger, KEY, "evt:twilio:SM1:Sent", &copy).await;
    edit(&app, Container::Ledger, KEY, "status", |status| status["events"] = json!(3)).await;
    let report = verify(&app).await;
    assert_eq!((report.count(Kind::AppliedTwice), report.count(Kind::Misfiled)), (1, 1), "{report}");
}

#[tokio::test]
async fn an_event_of_another_message_is_found() {
    let app = app().await;
    let id = event(&app, "message.sent").await;
    edit(&app, Container::Ledger, KEY, &id, |event| event["event"]["provider_message_id"] = json!("SM2")).await;
    assert_only(&verify(&app).await, Kind::Misfiled);
}

#[tokio::test]
async fn what_nobody_can_read_is_found_and_not_quoted() {
    for id in ["status".to_owned(), event(&app().await, "message.sent").await] {
        let app = app().await;
        edit(&app, Container::Ledger, KEY, &id, |record| *record = json!({ "to": "+12025550143" })).await;
        let report = verify(&app).await;
        assert_eq!(report.count(Kind::Unreadable), 1, "{report}");
        assert!(!report.to_string().contains("2025550143"), "{report}");
    }
    let app = app().await;
    put(&app, Container::Ledger, KEY, "other", &json!({})).await;
    assert_only(&verify(&app).await, Kind::Unreadable);
}

#[tokio::test]
async fn what_changed_a_moment_ago_is_in_flight_and_not_judged() {
    let app = app().await;
    edit(&app, Container::Ledger, KEY, "status", |status| status["status"] = json!("message.sent")).await;
    let options = sluice::verify::CheckOptions::new(sluice::clock::Clock::now(app.app.clock.as_ref()));
    let report = crate::judge(&app, options).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.checked.messages, report.checked.in_flight), (0, 1));
}

#[tokio::test]
async fn events_of_an_earlier_version_do_not_tell_whom_they_were_announced_to() {
    let app = app().await;
    let id = event(&app, "message.sent").await;
    assert!(body(&app, Container::Ledger, KEY, &id).await.get("announced_to").is_none(), "to nobody: left out");
    assert!(verify(&app).await.is_clean());
}
