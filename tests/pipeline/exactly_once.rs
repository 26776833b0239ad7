//! Every acknowledged callback has exactly one effect, whatever is repeated, reordered or lost in between.

use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use sluice::documents::Container;

use crate::support::{Fault, TestApp, receipt};

const PATH: &str = "/incoming/twilio/sms/status";
const KEY: &str = "twilio:SM1";

#[tokio::test]
async fn a_message_ends_delivered_in_whatever_order_its_receipts_come() {
    let app = TestApp::start();
    for status in ["delivered", "sent", "queued", "sending"] {
        assert_eq!(app.twilio(PATH, &receipt("SM1", status)).await.status(), StatusCode::OK);
        app.process("sms").await;
    }
    let status = app.status(KEY).await.unwrap();
    assert_eq!(status["status"], "message.delivered");
    assert_eq!(status["events"], 4);
    assert_eq!(app.ids(KEY).await.len(), 5, "four events in the audit trail, and the status");
}

#[tokio::test]
async fn repeats_are_applied_once_even_when_duplicate_detection_has_forgotten_them() {
    let app = TestApp::start();
    for _ in 0..3 {
        for _ in 0..2 {
            assert_eq!(app.twilio(PATH, &receipt("SM1", "delivered")).await.status(), StatusCode::OK);
        }
        // Past the broker's window: now only the ledger knows.
        app.clock.advance(std::time::Duration::from_secs(3600));
    }
    assert_eq!(app.process("sms").await, 3, "the broker drops what it remembers");
    assert_eq!(app.status(KEY).await.unwrap()["events"], 1);
    let meter = &app.app.meter.read()["twilio"];
    assert_eq!((meter.inbound, meter.unique_callbacks, meter.events_applied), (6, 1, 1));
}

#[tokio::test]
async fn repeats_within_one_batch_and_within_one_callback_are_applied_once() {
    let app = TestApp::start();
    for status in ["queued", "sent", "delivered"] {
        // Different paths give different bus message ids only where there is no natural key; the window is passed by
        // time instead.
        app.twilio(PATH, &receipt("SM1", status)).await;
        app.clock.advance(std::time::Duration::from_secs(3600));
        app.twilio(PATH, &receipt("SM1", status)).await;
    }
    assert_eq!(app.process("sms").await, 6);
    assert_eq!(app.status(KEY).await.unwrap()["events"], 3);
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_recognised_as_our_own() {
    let app = TestApp::start();
    app.documents.fail({
        let left = std::sync::atomic::AtomicUsize::new(1);
        move |container, _, _| {
            let hit = container == Container::Ledger
                && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
            hit.then_some(Fault::After)
        }
    });
    app.twilio(PATH, &receipt("SM1", "delivered")).await;
    assert_eq!(app.process("sms").await, 1);
    let status = app.status(KEY).await.unwrap();
    assert_eq!((&status["status"], &status["events"]), (&"message.delivered".into(), &1.into()));
    assert_eq!(app.app.meter.read()["twilio"].events_applied, 1, "counted as new, not as a duplicate");
    assert!(app.all(Container::Retries).await.is_empty());
}

#[tokio::test]
async fn a_processor_killed_after_its_commit_changes_nothing_when_it_runs_again() {
    let app = TestApp::start();
    app.twilio(PATH, &receipt("SM1", "delivered")).await;
    // The invocation does its work, but the host dies before it completes the message.
    let entity = crate::support::entity("sms");
    let received = app.broker.receive(&entity, 10, std::time::Duration::ZERO).await.unwrap();
    let body = crate::support::invocation_of("process-sms", &received);
    let request = axum::http::Request::post("/process-sms").body(body.into()).unwrap();
    assert_eq!(app.send(request).await.status(), StatusCode::OK);
    let before = app.documents_of(KEY).await;

    app.clock.advance(app.app.config.bus.lock_duration * 2);
    assert_eq!(app.process("sms").await, 1, "the lock has expired: the message comes again");
    assert_eq!(app.documents_of(KEY).await, before);
}

fn arrival(event: sluice::event::Event) -> sluice::ledger::Arrival {
    sluice::ledger::Arrival {
        event,
        envelope_id: "e".into(),
        received_at: "2026-11-20T10:00:00Z".parse().unwrap(),
        destinations: Vec::new(),
        traceparent: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_one_message_applied_at_once_all_arrive() {
    let app = std::sync::Arc::new(TestApp::start());
    let events = 40;
    let arrivals = (0..events).map(|index| {
        let key = format!("{KEY}:{index}");
        let event = sluice::event::Event::new(
            sluice::event::EventType::MessageOpened,
            sluice::event::Channel::Email,
            "twilio",
            "SM1",
            key,
        );
        arrival(event)
    });
    let tasks: Vec<_> = arrivals
        .map(|arrival| {
            let app = app.clone();
            tokio::spawn(async move { app.app.ledger.apply(KEY, &[arrival]).await.unwrap() })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().new, [true]);
    }
    let status = app.status(KEY).await.unwrap();
    assert_eq!((&status["events"], &status["opens"]), (&events.into(), &events.into()));
}

#[tokio::test]
async fn a_batch_of_a_thousand_events_is_split_over_commits_and_applied_whole() {
    let app = TestApp::start();
    let arrivals: Vec<_> = (0..1_000)
        .map(|index| {
            let event = sluice::event::Event::new(
                sluice::event::EventType::MessageClicked,
                sluice::event::Channel::Email,
                "sendgrid",
                "m1",
                // Every tenth repeats its neighbour.
                format!("sendgrid:{}", if index % 10 == 9 { index - 1 } else { index }),
            );
            arrival(event)
        })
        .collect();
    let applied = app.app.ledger.apply("sendgrid:m1", &arrivals).await.unwrap();
    assert_eq!(applied.new.iter().filter(|new| **new).count(), 900);
    assert_eq!(app.status("sendgrid:m1").await.unwrap()["clicks"], 900);
    let again = app.app.ledger.apply("sendgrid:m1", &arrivals).await.unwrap();
    assert!(again.new.iter().all(|new| !new));
    assert_eq!(app.status("sendgrid:m1").await.unwrap()["clicks"], 900);
}

#[tokio::test]
async fn however_many_commits_the_events_of_one_message_need_they_all_get_through() {
    // With an outbox entry each, 44 events a commit, and so more commits than the rounds that a busy partition is given.
    let app = TestApp::start();
    let destinations = vec![sluice::ledger::records::Destination::Partner("crm".into())];
    let arrivals: Vec<_> = (0..2_500)
        .map(|index| {
            let event = sluice::event::Event::new(
                sluice::event::EventType::MessageClicked,
                sluice::event::Channel::Email,
                "sendgrid",
                "m1",
                format!("sendgrid:{index}"),
            );
            let received_at = "2026-11-20T10:00:00Z".parse().unwrap();
            sluice::ledger::Arrival {
                event,
                envelope_id: "e".into(),
                received_at,
                destinations: destinations.clone(),
                traceparent: None,
            }
        })
        .collect();
    let applied = app.app.ledger.apply("sendgrid:m1", &arrivals).await.unwrap();
    assert!(applied.new.iter().all(|new| *new));
    assert_eq!(applied.owed.len(), 2_500);
    let again = app.app.ledger.apply("sendgrid:m1", &arrivals).await.unwrap();
    assert!(again.new.iter().all(|new| !new));
}
