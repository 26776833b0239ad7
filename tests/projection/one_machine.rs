//! From a vendor's callback to the file, on the one-machine host.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sluice::{
    bus::{Bus, Message},
    clock::SystemClock,
    documents::Container,
    local::{
        broker::{Broker, Lock},
        host::{
            Delivery, FunctionApp, HostOptions, OneMachineHost, SubscriptionError, Subscriptions, Unsupported,
            app::ServiceBusSource,
        },
    },
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::{
    support::{TestApp, config, receipt},
    world::{ON, PATH, file, open, rows, subscription},
};

/// A broker that loses what it is told of the first batches of the projection: as if the host were killed in between.
struct Forgetful {
    broker: Broker,
    projection: AtomicU32,
    losses: u32,
}

impl Subscriptions for Forgetful {
    type Lock = (Lock, bool);

    async fn receive(
        &self,
        topic: &str,
        subscription: &str,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery<Self::Lock>>, SubscriptionError> {
        let received = Subscriptions::receive(&self.broker, topic, subscription, max, wait).await?;
        let ours = subscription == "sql";
        Ok(received
            .into_iter()
            .map(|delivery| Delivery {
                lock: (delivery.lock, ours),
                delivery_count: delivery.delivery_count,
                sequence_number: delivery.sequence_number,
                enqueued_at: delivery.enqueued_at,
                expires_at: delivery.expires_at,
                message: delivery.message,
            })
            .collect())
    }

    async fn complete(&self, locks: &[Self::Lock]) -> Result<usize, SubscriptionError> {
        if locks.iter().any(|(_, ours)| *ours) && self.projection.fetch_add(1, Ordering::SeqCst) < self.losses {
            return Err(SubscriptionError("killed".into()));
        }
        let locks: Vec<_> = locks.iter().map(|(lock, _)| lock.clone()).collect();
        Subscriptions::complete(&self.broker, &locks).await
    }

    async fn abandon(&self, locks: &[Self::Lock]) -> Result<usize, SubscriptionError> {
        let locks: Vec<_> = locks.iter().map(|(lock, _)| lock.clone()).collect();
        Subscriptions::abandon(&self.broker, &locks).await
    }
}

struct Running {
    app: TestApp,
    broker: Arc<Forgetful>,
    stop: oneshot::Sender<()>,
    host: JoinHandle<()>,
}

fn functions() -> FunctionApp {
    let settings = |name: &str| match name {
        "CALLBACKS_TOPIC" => Some("callbacks".to_owned()),
        "DELIVERIES_TOPIC" => Some("deliveries".to_owned()),
        _ => None,
    };
    let functions = FunctionApp::load(env!("CARGO_MANIFEST_DIR").as_ref(), &settings).unwrap();
    assert_eq!(functions.refused, []);
    functions
}

async fn host(app: &TestApp, broker: Arc<Forgetful>) -> Result<OneMachineHost<Forgetful>, Unsupported> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = HostOptions { tables: Some(open(&file(app))), ..HostOptions::from(&app.app.config) };
    OneMachineHost::new(functions(), app.handler.clone(), broker, listener, &options, &app.app.clock)
}

impl Running {
    async fn start(losses: u32) -> Self {
        let config = config(&[
            ON,
            ("lock_duration = \"60s\"", "lock_duration = \"3s\""),
            ("timeout = \"10s\"", "timeout = \"2s\""),
            (
                "[\"5s\", \"30s\", \"2m\", \"10m\", \"1h\", \"3h\", \"6h\", \"12h\", \"24h\"]",
                "[\"1s\", \"1s\", \"60s\"]",
            ),
        ]);
        let app = TestApp::with_clock(config, Arc::new(SystemClock));
        let broker = Arc::new(Forgetful { broker: app.broker.clone(), projection: AtomicU32::new(0), losses });
        let host = host(&app, broker.clone()).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let host = tokio::spawn(host.run(async move { drop(stopped.await) }));
        Self { app, broker, stop, host }
    }

    /// Waits until the table has as many rows and nothing is on its way any more; returns each row's message and type.
    async fn settled(&self, count: usize) -> Vec<(String, String)> {
        let started = Instant::now();
        loop {
            let found = rows(&file(&self.app), "SELECT message_key, event_type FROM Events ORDER BY 1, status_rank");
            let quiet = self.app.waiting().await == 0 && self.app.all(Container::Retries).await.is_empty();
            if quiet && found.len() >= count {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                return found.iter().map(|row| (text(&row["message_key"]), text(&row["event_type"]))).collect();
            }
            assert!(started.elapsed() < Duration::from_secs(30), "{} of {count} rows", found.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.host.await.unwrap();
    }
}

fn expected(messages: &[&str], types: &[&str]) -> Vec<(String, String)> {
    let of = |message: &&str| {
        let key = format!("twilio:{message}");
        types.iter().map(move |event_type| (key.clone(), format!("message.{event_type}"))).collect::<Vec<_>>()
    };
    messages.iter().flat_map(of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_and_reordered_callbacks_are_one_row_an_event_and_one_line_a_message() {
    let running = Running::start(0).await;
    for status in ["delivered", "sent", "queued", "sent", "delivered"] {
        for sid in ["SM1", "SM2"] {
            running.app.twilio(PATH, &receipt(sid, status)).await;
        }
    }
    let all = expected(&["SM1", "SM2"], &["queued", "sent", "delivered"]);
    assert_eq!(running.settled(6).await, all);
    let path = file(&running.app);
    let stands = rows(&path, "SELECT message_key, status, events, recipient FROM CurrentStatus ORDER BY 1");
    let token = running.app.app.tokens.address("+12025550143");
    assert_eq!(
        stands,
        [
            json!({"message_key": "twilio:SM1", "status": "message.delivered", "events": 3, "recipient": token}),
            json!({"message_key": "twilio:SM2", "status": "message.delivered", "events": 3, "recipient": token}),
        ]
    );
    assert!(!rows(&path, "SELECT * FROM Events").iter().any(|row| row.to_string().contains("2025550143")));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_killed_between_the_rows_and_the_completion_changes_nothing_when_they_come_again() {
    let running = Running::start(2).await;
    running.app.twilio(PATH, &receipt("SM1", "delivered")).await;
    assert_eq!(running.settled(1).await, expected(&["SM1"], &["delivered"]));
    assert_eq!(running.broker.projection.load(Ordering::SeqCst), 3, "two were lost");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_fails_for_a_while_loses_no_row_and_stops_no_callback() {
    let running = Running::start(0).await;
    let path = file(&running.app);
    let rename = |from: &str, to: &str| {
        rusqlite::Connection::open(&path)
            .unwrap()
            .execute_batch(&format!("ALTER TABLE {from} RENAME TO {to}"))
            .unwrap();
    };
    rename("Events", "Hidden");
    running.app.twilio(PATH, &receipt("SM1", "delivered")).await;
    let started = Instant::now();
    while running.app.all(Container::Retries).await.is_empty() {
        assert!(started.elapsed() < Duration::from_secs(20), "no retry record");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(running.app.status("twilio:SM1").await.unwrap()["status"], "message.delivered");
    rename("Hidden", "Events");
    assert_eq!(running.settled(1).await, expected(&["SM1"], &["delivered"]));
    let dead = running.app.broker.peek(&subscription().dead_letters(), 0, 10).await.unwrap();
    assert!(dead.is_empty());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_announcement_that_comes_twice_under_two_ids_is_one_row() {
    let running = Running::start(0).await;
    running.app.twilio(PATH, &receipt("SM1", "sent")).await;
    running.settled(1).await;
    let received = TestApp::with(config(&[ON]));
    received.twilio(PATH, &receipt("SM1", "sent")).await;
    received.process("sms").await;
    let copy = received.broker.peek(&subscription(), 0, 1).await.unwrap().remove(0).message;
    for id in ["copy-1", "copy-2"] {
        let message = Message { message_id: id.into(), ..copy.clone() };
        running.app.broker.publish("deliveries", message).await.unwrap();
    }
    assert_eq!(running.settled(1).await, expected(&["SM1"], &["sent"]));
    running.stop().await;
}

#[tokio::test]
async fn a_table_that_is_not_known_keeps_the_host_from_starting() {
    let app = TestApp::with(config(&[ON]));
    let mut functions = functions();
    functions.functions.retain(|function| function.name == "project-sql");
    let sluice::local::host::Trigger::ServiceBus(trigger) = &functions.functions[0].trigger else {
        panic!("a trigger")
    };
    assert!(matches!(&trigger.source, ServiceBusSource::Subscription { subscription, .. } if subscription == "sql"));
    functions.functions[0].outputs[0].kind =
        sluice::local::host::OutputKind::Sql { table: "dbo.Orders".into(), connection: "SqlConnection".into() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = HostOptions { tables: Some(open(&file(&app))), ..HostOptions::from(&app.app.config) };
    let broker = Arc::new(app.broker.clone());
    let refused = OneMachineHost::new(functions, app.handler.clone(), broker, listener, &options, &app.app.clock);
    let error = refused.err().expect("the host refuses").to_string();
    assert!(error.contains("`project-sql`") && error.contains("no table `dbo.Orders`"), "{error}");
}
