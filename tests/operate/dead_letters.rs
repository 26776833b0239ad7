//! Dead letters, replayed and discarded: on the embedded broker, and by way of Service Bus's adapter.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use serde_json::{Value, json};
use sluice::{
    app::{App, Ports},
    azure::service_bus::{ConnectionString, ServiceBusClient, ServiceBusClientOptions},
    blobs,
    bus::{Bus, Message, Properties},
    clock::SystemClock,
    functions,
    local::{
        amqp::{Endpoint, connection_string},
        engine,
    },
};

use crate::{
    support::{TestApp, config, entity, receipt},
    world::{PATH, ask, complete, found, get, post, tick},
};

fn embedded() -> TestApp {
    TestApp::start()
}

/// The same program on the same data, but its bus is Service Bus: the embedded broker's endpoint.
async fn service_bus() -> TestApp {
    let test = TestApp::start();
    let endpoint =
        Endpoint::bind((Ipv4Addr::LOCALHOST, 0).into(), test.broker.clone(), test.clock.clone()).await.unwrap();
    let connection = ConnectionString::parse(&connection_string(endpoint.local_addr().unwrap())).unwrap();
    tokio::spawn(endpoint.run(std::future::pending()));
    let options = ServiceBusClientOptions::default();
    with_bus(test, connection, options)
}

/// The app with Service Bus for its bus.
fn with_bus(mut test: TestApp, connection: ConnectionString, options: ServiceBusClientOptions) -> TestApp {
    let client = Arc::new(ServiceBusClient::from_connection_string(connection, Arc::new(SystemClock), options));
    let ports = Ports {
        clock: test.clock.clone(),
        bus: client.clone(),
        dead_letters: client,
        documents: test.documents.clone(),
        blobs: blobs::open_folder(&engine::paths(test.folder.path()).blobs).unwrap(),
        outbound: test.outbound.clone(),
    };
    test.app = App::new(config(&[]), ports).unwrap();
    test.handler = functions::handler(test.app.clone());
    test
}

macro_rules! on_both_twins {
    ($($case:ident),* $(,)?) => {
        mod on_the_embedded_broker {
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case(super::embedded()).await;
                }
            )*
        }
        mod on_service_bus {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case(super::service_bus().await).await;
                }
            )*
        }
    };
}

on_both_twins!(
    a_dead_letter_that_is_replayed_is_applied,
    only_what_matches_is_touched_wherever_it_lies,
    what_is_discarded_is_gone,
    one_dead_letter_is_replayed_by_its_id,
    what_dies_again_is_not_replayed_by_the_same_job,
    what_was_never_ours_is_replayed_as_well,
    more_than_a_page_is_replayed_once_each,
);

/// Genuine callbacks that a processor never completed.
async fn bury(app: &TestApp, sids: &[String], reason: &str) {
    for sid in sids {
        app.twilio(PATH, &receipt(sid, "delivered")).await;
    }
    bury_what_waits(app, reason).await;
}

async fn bury_what_waits(app: &TestApp, reason: &str) {
    loop {
        let received = app.broker.receive(&entity("sms"), 500, Duration::ZERO).await.unwrap();
        if received.is_empty() {
            return;
        }
        let locks: Vec<_> = received.iter().map(|received| received.lock.clone()).collect();
        app.broker.dead_letter(&locks, reason, "buried").await.unwrap();
    }
}

fn sids(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|number| format!("SM{number}")).collect()
}

async fn events(app: &TestApp, sid: &str) -> Value {
    app.status(&format!("twilio:{sid}")).await.map_or(json!(0), |status| status["events"].clone())
}

async fn a_dead_letter_that_is_replayed_is_applied(app: TestApp) {
    bury(&app, &sids(1, 2), "MaxDeliveryCountExceeded").await;
    let list = post(&app, "/dead-letters/search", json!({})).await;
    let record = &list["records"][0];
    assert_eq!(record["reason"], "MaxDeliveryCountExceeded: buried");
    assert_eq!((&record["vendor"], &record["message_key"]), (&json!("twilio"), &json!("twilio:SM1")));
    let shown = get(&app, &format!("/dead-letters/{}?reveal=true", record["id"].as_str().unwrap())).await;
    assert!(shown["message"]["body"].as_str().unwrap().contains("12025550143"), "{shown}");

    let job = complete(&app, json!({"source": "dead-letters"})).await;
    assert_eq!(
        (&job["state"], &job["progress"]["matched"], &job["progress"]["done"]),
        (&json!("done"), &json!(1), &json!(1))
    );
    assert!(found(&app, "dead-letters", json!({})).await.is_empty());
    let waiting = app.broker.peek(&entity("sms"), 0, 10).await.unwrap();
    let properties: Vec<_> = waiting[0].message.properties.keys().map(|name| name.as_ref()).collect();
    assert!(!properties.iter().any(|name| name.starts_with("DeadLetter")), "{properties:?}");
    assert_eq!(app.process("sms").await, 1);
    assert_eq!(events(&app, "SM1").await, 1);
}

async fn only_what_matches_is_touched_wherever_it_lies(app: TestApp) {
    bury(&app, &sids(0, 20), "TTLExpiredException").await;
    bury(&app, &sids(20, 30), "MaxDeliveryCountExceeded").await;
    bury(&app, &sids(30, 40), "TTLExpiredException").await;
    for filter in [
        json!({"reason": "maxdelivery"}),
        json!({"reason": "maxdelivery", "subscription": "callbacks/sms", "vendor": "twilio", "channel": "sms"}),
    ] {
        assert_eq!(found(&app, "dead-letters", filter).await.len(), 10);
    }
    assert!(found(&app, "dead-letters", json!({"subscription": "callbacks/email"})).await.is_empty());
    assert_eq!(found(&app, "dead-letters", json!({"text": "MessageSid=SM33"})).await.len(), 1);
    let job = complete(&app, json!({"source": "dead-letters", "filter": {"reason": "maxdelivery"}})).await;
    assert_eq!((&job["state"], &job["progress"]["done"]), (&json!("done"), &json!(10)));
    assert_eq!(app.process("sms").await, 10);
    for (sid, expected) in [("SM19", 0), ("SM20", 1), ("SM29", 1), ("SM30", 0)] {
        assert_eq!(events(&app, sid).await, expected, "{sid}");
    }
    // What was passed over is there, in its order, and can be had at once.
    let left = app.broker.receive(&entity("sms").dead_letters(), 100, Duration::from_secs(2)).await.unwrap();
    assert_eq!(left.len(), 30);
    assert!(left.is_sorted_by_key(|message| message.sequence_number));
}

async fn what_is_discarded_is_gone(app: TestApp) {
    bury(&app, &sids(0, 3), "TTLExpiredException").await;
    let job = complete(&app, json!({"source": "dead-letters", "action": "discard", "filter": {"text": "SM1"}})).await;
    assert_eq!((&job["state"], &job["progress"]["done"]), (&json!("done"), &json!(1)));
    assert_eq!(found(&app, "dead-letters", json!({})).await.len(), 2);
    assert_eq!(app.waiting().await, 0);
}

async fn one_dead_letter_is_replayed_by_its_id(app: TestApp) {
    bury(&app, &sids(0, 5), "TTLExpiredException").await;
    let ids = found(&app, "dead-letters", json!({})).await;
    let job = complete(&app, json!({"source": "dead-letters", "filter": {"id": ids[3]}})).await;
    assert_eq!((&job["progress"]["matched"], &job["progress"]["done"]), (&json!(1), &json!(1)));
    assert_eq!(app.process("sms").await, 1);
    assert_eq!(events(&app, "SM3").await, 1);
    assert_eq!(found(&app, "dead-letters", json!({})).await.len(), 4);
}

async fn what_dies_again_is_not_replayed_by_the_same_job(app: TestApp) {
    bury(&app, &sids(0, 3), "MaxDeliveryCountExceeded").await;
    for _ in 0..2 {
        // A replay of a replay is another message to the broker, within its duplicate detection window, too.
        app.clock.advance(Duration::from_secs(1));
        let job = post(&app, "/replays", json!({"source": "dead-letters"})).await;
        app.clock.advance(Duration::from_secs(1));
        for _ in 0..4 {
            tick(&app).await;
            bury_what_waits(&app, "MaxDeliveryCountExceeded").await;
        }
        let job = get(&app, &format!("/replays/{}", job["id"].as_str().unwrap())).await;
        assert_eq!((&job["state"], &job["progress"]["done"]), (&json!("done"), &json!(3)), "{job}");
        assert_eq!(found(&app, "dead-letters", json!({})).await.len(), 3);
    }
}

async fn what_was_never_ours_is_replayed_as_well(app: TestApp) {
    let properties: Properties = [("channel".into(), "sms".into())].into();
    let foreign = Message {
        message_id: "x".repeat(128),
        content_type: None,
        correlation_id: None,
        subject: None,
        session_id: None,
        properties,
        time_to_live: None,
        scheduled_enqueue_time: None,
        body: b"\xff\xfe".as_slice().into(),
    };
    app.broker.publish("callbacks", foreign).await.unwrap();
    bury_what_waits(&app, "Unreadable").await;
    let job = complete(&app, json!({"source": "dead-letters"})).await;
    assert_eq!((&job["state"], &job["progress"]["done"]), (&json!("done"), &json!(1)));
    let received = app.broker.receive(&entity("sms"), 10, Duration::ZERO).await.unwrap();
    assert_eq!(received[0].message.body, b"\xff\xfe".as_slice());
}

async fn more_than_a_page_is_replayed_once_each(app: TestApp) {
    bury(&app, &sids(0, 700), "MaxDeliveryCountExceeded").await;
    let job = complete(&app, json!({"source": "dead-letters", "rate": 100_000})).await;
    assert_eq!(
        (&job["state"], &job["progress"]["matched"], &job["progress"]["done"]),
        (&json!("done"), &json!(700), &json!(700))
    );
    assert_eq!(app.process("sms").await, 700);
    for sid in sids(0, 700) {
        assert_eq!(events(&app, &sid).await, 1, "{sid}");
    }
}

#[tokio::test]
async fn an_unreachable_broker_is_told_and_not_taken_for_an_empty_queue() {
    let app = service_bus_that_is_away().await;
    let (status, answer) = ask(&app, axum::http::Method::POST, "/dead-letters/search", json!({})).await;
    assert_eq!(status, 503, "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("dead letters are unavailable"), "{answer}");
}

async fn service_bus_that_is_away() -> TestApp {
    let test = TestApp::start();
    let connection = ConnectionString::parse(&connection_string((Ipv4Addr::LOCALHOST, 1).into())).unwrap();
    let options = ServiceBusClientOptions { connect_timeout: Duration::from_secs(1), ..Default::default() };
    with_bus(test, connection, options)
}
