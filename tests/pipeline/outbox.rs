//! The outbox: every applied event is announced, whatever fails between the commit and the bus.

use std::{sync::atomic::Ordering, time::Duration};

use axum::http::{Request, StatusCode};
use sluice::{documents::Container, local::broker::Entity};

use crate::support::{TestApp, config, receipt};

const PATH: &str = "/incoming/twilio/sms/status";

fn app() -> TestApp {
    TestApp::with(config(&[("destinations = []", "destinations = [\"crm\", \"audit\"]")]))
}

/// What waits in both subscriptions: the destination's name and the announcement.
async fn announced(app: &TestApp) -> Vec<(String, serde_json::Value)> {
    let mut found = Vec::new();
    for name in ["audit", "crm"] {
        let entity = Entity { topic: "deliveries".into(), subscription: name.into(), dead_letter: false };
        for received in app.broker.peek(&entity, 0, 100).await.unwrap() {
            let destination = received.message.properties["destination"].as_str().unwrap().to_owned();
            assert_eq!(destination, name);
            found.push((destination, serde_json::from_slice(&received.message.body).unwrap()));
        }
    }
    found
}

#[tokio::test]
async fn an_applied_event_is_announced_once_to_each_destination() {
    let app = app();
    for _ in 0..2 {
        app.twilio(PATH, &receipt("SM1", "delivered")).await;
        app.clock.advance(Duration::from_secs(3600));
        app.process("sms").await;
    }
    let announced = announced(&app).await;
    assert_eq!(announced.iter().map(|(destination, _)| destination.as_str()).collect::<Vec<_>>(), ["audit", "crm"]);
    assert_eq!(announced[0].1["type"], "message.delivered");
    assert_eq!(announced[0].1["subject"], "twilio:SM1");
    assert_eq!(announced[0].1["id"], announced[1].1["id"], "one event, whoever hears of it");
    assert!(!announced[0].1["id"].as_str().unwrap().contains("SM1"), "an id may hold an address");
    assert_eq!(app.ids("twilio:SM1").await, ["evt:twilio:SM1:delivered", "status"], "the outbox is empty again");
}

#[tokio::test]
async fn what_the_bus_did_not_take_stays_owed_until_a_sweep_relays_it() {
    let app = app();
    app.twilio(PATH, &receipt("SM1", "delivered")).await;
    app.bus.down.store(true, Ordering::SeqCst);
    assert_eq!(app.process("sms").await, 1, "the events are applied: the message is done");
    assert_eq!(app.ids("twilio:SM1").await.len(), 3, "event, status, and what is owed");

    app.bus.down.store(false, Ordering::SeqCst);
    assert_eq!(app.sweep().await, StatusCode::OK);
    assert!(announced(&app).await.is_empty(), "a young entry may still be in its processor's hands");
    app.clock.advance(Duration::from_secs(31));
    assert_eq!(app.sweep().await, StatusCode::OK);
    assert_eq!(announced(&app).await.len(), 2);
    assert_eq!(app.ids("twilio:SM1").await.len(), 2);
}

#[tokio::test]
async fn an_announcement_that_the_bus_will_never_take_is_parked_and_holds_up_no_other() {
    let app = app();
    let text = "x".repeat(300_000);
    let inbound = [("MessageSid", "SM1"), ("SmsStatus", "received"), ("From", "+1202"), ("Body", text.as_str())];
    app.twilio("/incoming/twilio/sms/inbound", &inbound).await;
    app.process("sms").await;
    app.clock.advance(Duration::from_secs(1));
    app.twilio(PATH, &receipt("SM2", "delivered")).await;
    app.bus.down.store(true, Ordering::SeqCst);
    app.process("sms").await;
    app.bus.down.store(false, Ordering::SeqCst);

    app.clock.advance(Duration::from_secs(31));
    assert_eq!(app.sweep().await, StatusCode::OK);
    assert_eq!(announced(&app).await.len(), 2, "SM2 to both destinations");
    let parked = app.all(Container::Parked).await;
    assert_eq!(parked.len(), 2, "SM1 to each destination");
    let parked: serde_json::Value = parked[0].parse().unwrap();
    assert_eq!((&parked["message_key"], &parked["vendor"]), (&"twilio:SM1".into(), &"twilio".into()));
    assert_eq!(app.ids("twilio:SM1").await, ["evt:twilio:SM1:received", "status"]);
}

#[tokio::test]
async fn a_bus_that_never_answers_is_waited_for_once_and_not_for_each_announcement() {
    let app = TestApp::with(config(&[
        ("destinations = []", "destinations = [\"crm\", \"audit\"]"),
        ("timeout = \"10s\"", "timeout = \"1s\""),
        ("[vendors.resend]\nscheme = \"standard-webhooks\"", "[vendors.resend]\nscheme = \"none\""),
        ("message_id = \"/data/email_id\"", "each = \"\"\nmessage_id = \"/id\""),
    ]));
    let events: Vec<_> = (0..40).map(|_| serde_json::json!({ "id": "m1", "type": "email.opened" })).collect();
    let request = Request::post("/incoming/resend/email/events").body(serde_json::json!(events).to_string().into());
    assert_eq!(app.send(request.unwrap()).await.status(), StatusCode::OK);
    app.bus.hangs.store(true, Ordering::SeqCst);
    let started = std::time::Instant::now();
    assert_eq!(app.process("email").await, 1);
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    assert_eq!(app.status("resend:m1").await.unwrap()["events"], 40);

    app.bus.hangs.store(false, Ordering::SeqCst);
    app.clock.advance(Duration::from_secs(31));
    assert_eq!(app.sweep().await, StatusCode::OK);
    assert_eq!(announced(&app).await.len(), 80);
}
